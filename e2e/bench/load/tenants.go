package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"time"
)

var (
	tenants = flag.Int("tenants", 1000, "tenants to create (tenants phase)")
	prefix  = flag.String("prefix", "t", "beginning of the tenants' names")
)

const objectsInTenant = 10

// makeTenants creates tenants, each with a few objects of its own, as soon as its namespace is there.
func makeTenants(ctx context.Context, c *http.Client, host string) {
	parallel("tenants", *tenants, min(*clients, 8), func(i int) error {
		name := fmt.Sprintf("%s-%05d", *prefix, i)
		body := fmt.Sprintf(`{"apiVersion":"capstan.dev/v1","kind":"Tenant","metadata":{"name":%q}}`, name)
		if err := do(c, req(ctx, "POST", host+"/apis/capstan.dev/v1/tenants", []byte(body)), 201); err != nil {
			return err
		}
		own := host + "/tenants/" + name + "/api/v1/namespaces/default"
		if err := untilThere(ctx, c, own); err != nil {
			return err
		}
		for n := range objectsInTenant {
			object := fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c-%d"},"data":{"a":"b"}}`, n)
			if err := do(c, req(ctx, "POST", own+"/configmaps", []byte(object)), 201); err != nil {
				return err
			}
		}
		return nil
	})
}

func untilThere(ctx context.Context, c *http.Client, url string) error {
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		resp, err := c.Do(req(ctx, "GET", url, nil))
		if err != nil {
			return err
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode == 200 {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("GET %s: %d after 30 s", url, resp.StatusCode)
		}
	}
}
