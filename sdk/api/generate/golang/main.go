// Prints how Go writes every API type as JSON: what the OpenAPI documents do not say and clients see. For each struct,
// by its OpenAPI definition name: its Go name, and for each JSON field the Go type, the embedded structs on the way to
// it, whether it is a pointer, and the value that is written when the field is absent ("zero"; no entry: nothing is).
//
//	cd sdk/api/generate/golang && go run . > golang.json
package main

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	aggregator "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

type field struct {
	Type    string          `json:"type"`
	Path    string          `json:"path,omitempty"`
	Pointer bool            `json:"pointer,omitempty"`
	Zero    json.RawMessage `json:"zero,omitempty"`
}

type structure struct {
	Type   string           `json:"type"`
	Fields map[string]field `json:"fields"`
}

// Types that write themselves are not structs in JSON.
var marshaler = reflect.TypeFor[json.Marshaler]()

var found = map[string]structure{}

// "k8s.io/api/core/v1".Pod is "io.k8s.api.core.v1.Pod".
func definition(t reflect.Type) string {
	path := strings.Split(t.PkgPath(), "/")
	host := strings.Split(path[0], ".")
	for i, j := 0, len(host)-1; i < j; i, j = i+1, j-1 {
		host[i], host[j] = host[j], host[i]
	}
	return strings.Join(append(append(host, path[1:]...), t.Name()), ".")
}

func visit(t reflect.Type) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		visit(t.Elem())
	case reflect.Struct:
		if !strings.Contains(t.PkgPath(), "k8s.io/") || reflect.PointerTo(t).Implements(marshaler) {
			return
		}
		name := definition(t)
		if _, seen := found[name]; seen {
			return
		}
		s := structure{Type: t.String(), Fields: map[string]field{}}
		found[name] = s
		written := map[string]json.RawMessage{}
		if text, err := json.Marshal(reflect.New(t).Interface()); err == nil {
			_ = json.Unmarshal(text, &written)
		}
		fields(t, "", written, s.Fields)
	}
}

func fields(t reflect.Type, path string, written map[string]json.RawMessage, into map[string]field) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" || !f.IsExported() {
			continue
		}
		if name == "" && (f.Anonymous || strings.Contains(options, "inline")) {
			embedded := f.Type
			if embedded.Kind() == reflect.Pointer {
				embedded = embedded.Elem()
			}
			fields(embedded, path+f.Name+".", written, into)
			continue
		}
		base, pointer := f.Type, false
		if base.Kind() == reflect.Pointer {
			base, pointer = base.Elem(), true
		}
		into[name] = field{Type: base.String(), Path: path, Pointer: pointer, Zero: written[name]}
		visit(f.Type)
	}
}

func main() {
	for _, add := range []func(*runtime.Scheme) error{apiextensions.AddToScheme, aggregator.AddToScheme} {
		if err := add(scheme.Scheme); err != nil {
			panic(err)
		}
	}
	for _, t := range scheme.Scheme.AllKnownTypes() {
		visit(t)
	}
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(found); err != nil {
		panic(err)
	}
}
