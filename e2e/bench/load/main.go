// apiload drives any Kubernetes-compatible API server over its public API and prints one JSON line per phase.
// Phases: create (N clients POST ConfigMaps), create-pods, get, list, watch (W watchers, one writer: commit-to-delivery latency),
// fill (a number of objects), informers, tenants, nodes, pods, scheduled, podstart.
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

var (
	servers  = flag.String("servers", "https://127.0.0.1:6443", "comma-separated base URLs; clients are spread over them, watchers over them in reverse")
	cert     = flag.String("cert", "", "client certificate (PEM)")
	key      = flag.String("key", "", "client key (PEM)")
	token    = flag.String("token", "", "bearer token")
	ns       = flag.String("namespace", "default", "namespace to write in")
	clients  = flag.Int("clients", 50, "concurrent clients")
	watchers = flag.Int("watchers", 100, "concurrent watchers (watch phase)")
	seconds  = flag.Int("seconds", 8, "seconds per phase (at most 60)")
	size     = flag.Int("size", 400, "payload bytes per object")
	rate     = flag.Int("rate", 50, "writes/s in the watch phase")
	h2       = flag.Bool("h2", false, "negotiate HTTP/2 (several connections are opened)")
	phases   = flag.String("phases", "create,get,list,watch", "phases to run")
)

func client() *http.Client {
	tc := &tls.Config{InsecureSkipVerify: true}
	if *cert != "" {
		c, err := tls.LoadX509KeyPair(*cert, *key)
		if err != nil {
			panic(err)
		}
		tc.Certificates = []tls.Certificate{c}
	}
	tr := &http.Transport{TLSClientConfig: tc, MaxIdleConnsPerHost: 4096, MaxConnsPerHost: 0, ForceAttemptHTTP2: *h2}
	if !*h2 {
		tr.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	}
	return &http.Client{Transport: tr}
}

func req(ctx context.Context, method, url string, body []byte) *http.Request {
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		panic(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	if *token != "" {
		r.Header.Set("Authorization", "Bearer "+*token)
	}
	return r
}

type result struct {
	Phase     string  `json:"phase"`
	Clients   int     `json:"clients"`
	Ops       int     `json:"ops"`
	Errors    int64   `json:"errors"`
	PerSecond float64 `json:"per_second"`
	P50       float64 `json:"p50_ms"`
	P99       float64 `json:"p99_ms"`
	Max       float64 `json:"max_ms"`
	Note      string  `json:"note,omitempty"`
}

func emit(phase string, n int, errs int64, lat []float64, secs float64, note string) {
	sort.Float64s(lat)
	r := result{Phase: phase, Clients: n, Ops: len(lat), Errors: errs, PerSecond: float64(len(lat)) / secs, Note: note}
	if len(lat) > 0 {
		r.P50, r.P99, r.Max = lat[len(lat)/2], lat[len(lat)*99/100], lat[len(lat)-1]
	}
	b, _ := json.Marshal(r)
	fmt.Println(string(b))
}

func loop(phase string, n int, f func(worker, i int) error) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var all []float64
	var errs int64
	end := time.Now().Add(time.Duration(*seconds) * time.Second)
	t0 := time.Now()
	for w := 0; w < n; w++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			var lat []float64
			for i := 0; time.Now().Before(end); i++ {
				t := time.Now()
				if err := f(w, i); err != nil {
					if atomic.AddInt64(&errs, 1) < 4 {
						fmt.Fprintln(os.Stderr, phase, err)
					}
					time.Sleep(10 * time.Millisecond)
					continue
				}
				lat = append(lat, float64(time.Since(t).Microseconds())/1000)
			}
			mu.Lock()
			all = append(all, lat...)
			mu.Unlock()
		}()
	}
	wg.Wait()
	emit(phase, n, errs, all, time.Since(t0).Seconds(), "")
}

func do(c *http.Client, r *http.Request, want int) error {
	resp, err := c.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != want {
		b, _ := io.ReadAll(io.LimitReader(resp.Body, 300))
		return fmt.Errorf("%s %s: %d %s", r.Method, r.URL.Path, resp.StatusCode, b)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

func main() {
	flag.Parse()
	if *seconds > 60 {
		*seconds = 60
	}
	hosts := strings.Split(*servers, ",")
	base := func(i int) string { return hosts[i%len(hosts)] + "/api/v1/namespaces/" + *ns + "/configmaps" }
	c := client()
	run := fmt.Sprintf("%x", time.Now().UnixNano()&0xffffffff)
	payload := strings.Repeat("x", *size)
	body := func(name, extra string) []byte {
		return []byte(fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":%q,"labels":{"run":%q%s}},"data":{"a":%q}}`, name, run, extra, payload))
	}
	ctx := context.Background()
	for _, p := range strings.Split(*phases, ",") {
		switch p {
		case "create":
			loop("create", *clients, func(w, i int) error {
				return do(c, req(ctx, "POST", base(w), body(fmt.Sprintf("l-%s-%d-%d", run, w, i), "")), 201)
			})
		case "get":
			for w := range *clients {
				do(c, req(ctx, "POST", base(w), body(fmt.Sprintf("l-%s-%d-0", run, w), "")), 201)
			}
			loop("get", *clients, func(w, i int) error {
				return do(c, req(ctx, "GET", base(w)+fmt.Sprintf("/l-%s-%d-0", run, w), nil), 200)
			})
		case "list":
			loop("list500", min(*clients, 10), func(w, i int) error {
				return do(c, req(ctx, "GET", base(w)+"?limit=500", nil), 200)
			})
		case "create-pods":
			createPods(ctx, c, func(i int) string { return hosts[i%len(hosts)] + "/api/v1/namespaces/" + *ns + "/pods" }, run)
		case "fill":
			fill(ctx, c, base, body, run)
		case "informers":
			startInformers(ctx, hosts[0])
		case "nodes":
			makeNodes(ctx, c, hosts[0])
		case "pods":
			makePods(ctx, c, hosts[0])
		case "scheduled":
			scheduled(ctx, c, hosts[0])
		case "podstart":
			podStart(ctx, c, hosts[0])
		case "tenants":
			makeTenants(ctx, c, hosts[0])
		case "watch":
			watch(ctx, c, base, run, body)
		}
	}
}

// watch opens W watchers, then one writer creates objects at the given rate; latency is from the POST's reply to the event's
// arrival at each watcher (negative counts as 0: the event may overtake the reply), and lost counts events a watcher never saw.
func watch(ctx context.Context, c *http.Client, base func(int) string, run string, body func(string, string) []byte) {
	wctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var mu sync.Mutex
	seen := make([]map[string]time.Time, *watchers)
	var ready, wg sync.WaitGroup
	sel := "?watch=true&labelSelector=" + "w%3D" + run
	for w := 0; w < *watchers; w++ {
		seen[w] = map[string]time.Time{}
		ready.Add(1)
		wg.Add(1)
		go func() {
			defer wg.Done()
			wc := client()
			resp, err := wc.Do(req(wctx, "GET", base(len(base(0))+w+1)+sel, nil))
			ready.Done()
			if err != nil {
				fmt.Fprintln(os.Stderr, "watch", err)
				return
			}
			defer resp.Body.Close()
			s := bufio.NewScanner(resp.Body)
			s.Buffer(make([]byte, 1<<20), 1<<20)
			for s.Scan() {
				now := time.Now()
				var e struct {
					Type   string
					Object struct{ Metadata struct{ Name string } }
				}
				if json.Unmarshal(s.Bytes(), &e) == nil && e.Type == "ADDED" {
					mu.Lock()
					seen[w][e.Object.Metadata.Name] = now
					mu.Unlock()
				}
			}
		}()
	}
	ready.Wait()
	time.Sleep(500 * time.Millisecond)
	sent := map[string]time.Time{}
	n := *seconds * *rate
	tick := time.NewTicker(time.Second / time.Duration(*rate))
	for i := 0; i < n; i++ {
		<-tick.C
		name := fmt.Sprintf("w-%s-%d", run, i)
		// From the sending: a server that answers the writer late does not look fast.
		at := time.Now()
		if err := do(c, req(ctx, "POST", base(i), body(name, `,"w":"`+run+`"`)), 201); err != nil {
			fmt.Fprintln(os.Stderr, err)
			continue
		}
		sent[name] = at
	}
	time.Sleep(2 * time.Second)
	cancel()
	wg.Wait()
	var lat []float64
	lost := 0
	for w := range seen {
		for name, t := range sent {
			at, ok := seen[w][name]
			if !ok {
				lost++
				continue
			}
			lat = append(lat, max(0, float64(at.Sub(t).Microseconds())/1000))
		}
	}
	emit("watch", *watchers, int64(lost), lat, float64(*seconds), fmt.Sprintf("%d writes/s to %d watchers; errors = events lost", *rate, *watchers))
}
