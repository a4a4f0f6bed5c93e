package main

import (
	"encoding/json"
	"strings"

	"NAME/capstan"
)

type config struct {
	Label string `json:"label"`
	// "": the label is not given, only asked for.
	Default string `json:"default"`
}

func readConfig() (c config, err error) {
	err = json.Unmarshal([]byte(capstan.ConfigGet()), &c)
	return c, err
}

func labelsOf(review capstan.Review) (map[string]string, error) {
	var object struct {
		Metadata struct {
			Labels map[string]string `json:"labels"`
		} `json:"metadata"`
	}
	err := json.Unmarshal([]byte(review.Object), &object)
	return object.Metadata.Labels, err
}

type hooks struct{}

func (hooks) Mutate(review capstan.Review) (none capstan.Mutation, err error) {
	c, err := readConfig()
	if err != nil {
		return none, err
	}
	labels, err := labelsOf(review)
	if err != nil || c.Default == "" || labels[c.Label] != "" {
		return none, err
	}
	operation := map[string]any{"op": "add", "path": "/metadata/labels", "value": map[string]string{c.Label: c.Default}}
	if labels != nil {
		path := strings.NewReplacer("~", "~0", "/", "~1").Replace(c.Label)
		operation = map[string]any{"op": "add", "path": "/metadata/labels/" + path, "value": c.Default}
	}
	patch, err := json.Marshal([]any{operation})
	return capstan.Mutation{Patch: string(patch)}, err
}

func (hooks) Validate(review capstan.Review) ([]string, error) {
	c, err := readConfig()
	if err != nil {
		return nil, err
	}
	labels, err := labelsOf(review)
	if err != nil {
		return nil, err
	}
	if labels[c.Label] == "" {
		return nil, capstan.Deny("the label %q is missing", c.Label)
	}
	return nil, nil
}

func init() { capstan.ServeAdmissionHooks(hooks{}) }

func main() {}
