package main

import (
	"encoding/json"
	"errors"

	"NAME/capstan"
)

func target(resource, namespace, name string) capstan.Target {
	return capstan.Target{Version: "v1", Resource: resource, Namespace: namespace, Name: name}
}

// The object's JSON text, or "" where there is none.
func find(t capstan.Target) (string, error) {
	text, err := capstan.ApiGet(t)
	var failure *capstan.Failure
	if errors.As(err, &failure) && failure.Reason == "NotFound" {
		return "", nil
	}
	return text, err
}

type hooks struct{}

func (hooks) Watches() []capstan.Watch {
	return []capstan.Watch{{Version: "v1", Resource: "namespaces", LabelSelector: "welcome=yes"}}
}

// Called again and again: looks at what is, and does what lacks.
func (hooks) Reconcile(request capstan.ControllerRequest) (done capstan.ControllerOutcome, err error) {
	text, err := find(target("namespaces", "", request.Name))
	if err != nil || text == "" {
		return done, err
	}
	var namespace struct {
		Metadata struct {
			Labels map[string]string `json:"labels"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal([]byte(text), &namespace); err != nil || namespace.Metadata.Labels["welcome"] != "yes" {
		return done, err
	}
	if present, err := find(target("configmaps", request.Name, "welcome")); err != nil || present != "" {
		return done, err
	}
	var data map[string]any
	if err := json.Unmarshal([]byte(capstan.ConfigGet()), &data); err != nil {
		return done, err
	}
	object, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "welcome"}, "data": data,
	})
	if err != nil {
		return done, err
	}
	_, err = capstan.ApiCreate(target("configmaps", request.Name, ""), string(object))
	if err == nil {
		capstan.LogWrite(capstan.LevelInfo, "welcomed "+request.Name)
	}
	return done, err
}

func init() { capstan.ServeControllerHooks(hooks{}) }

func main() {}
