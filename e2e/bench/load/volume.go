package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"
)

var (
	objects   = flag.Int("objects", 50000, "objects to create (fill phase)")
	informers = flag.Int("informers", 16, "informers started at once (informers phase)")
)

// createPods is the create phase with pods: defaulting, validation and admission of the kind with most of them.
func createPods(ctx context.Context, c *http.Client, base func(int) string, run string) {
	loop("create-pods", *clients, func(w, i int) error {
		b := fmt.Sprintf(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p-%s-%d-%d","labels":{"run":%q}},"spec":{"containers":[{"name":"c","image":"pause","resources":{"requests":{"cpu":"100m","memory":"100Mi"}}}]}}`, run, w, i, run)
		return do(c, req(ctx, "POST", base(w), []byte(b)), 201)
	})
}

// fill creates a given number of objects, so that memory can be compared at the same state.
func fill(ctx context.Context, c *http.Client, base func(int) string, body func(string, string) []byte, run string) {
	parallel("fill", *objects, *clients, func(i int) error {
		return do(c, req(ctx, "POST", base(i), body(fmt.Sprintf("f-%s-%d", run, i), "")), 201)
	})
}

// startInformers lets many clients list everything in pages, as client-go's reflector does, and then watch from the list's
// revision; latency is from the start to the last page and the watch's headers.
func startInformers(ctx context.Context, host string) {
	ctx, cancel := context.WithTimeout(ctx, 170*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var lat []float64
	var errs int64
	items := 0
	t0 := time.Now()
	for range *informers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			n, err := inform(ctx, client(), host+"/api/v1/pods")
			mu.Lock()
			defer mu.Unlock()
			items += n
			if err != nil {
				errs++
				fmt.Fprintln(os.Stderr, "informers", err)
				return
			}
			lat = append(lat, float64(time.Since(t0).Microseconds())/1000)
		}()
	}
	wg.Wait()
	emit("informers", *informers, errs, lat, time.Since(t0).Seconds(), fmt.Sprintf("%d items received in all", items))
}

func inform(ctx context.Context, c *http.Client, url string) (int, error) {
	n, next, revision := 0, "", ""
	for {
		resp, err := c.Do(req(ctx, "GET", url+"?limit=500&continue="+next, nil))
		if err != nil {
			return n, err
		}
		var page struct {
			Metadata struct{ Continue, ResourceVersion string }
			Items    []json.RawMessage
		}
		err = json.NewDecoder(bufio.NewReader(resp.Body)).Decode(&page)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 200 {
			return n, fmt.Errorf("page: %d %v", resp.StatusCode, err)
		}
		n += len(page.Items)
		next, revision = page.Metadata.Continue, page.Metadata.ResourceVersion
		if next == "" {
			break
		}
	}
	wctx, cancel := context.WithCancel(ctx)
	defer cancel()
	resp, err := c.Do(req(wctx, "GET", url+"?watch=true&resourceVersion="+revision, nil))
	if err != nil {
		return n, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 {
		var b bytes.Buffer
		b.ReadFrom(resp.Body)
		return n, fmt.Errorf("watch: %d %s", resp.StatusCode, b.String())
	}
	return n, nil
}
