package main

import (
	"encoding/json"
	"slices"
	"strings"

	"NAME/capstan"
)

type hooks struct{}

func (hooks) Authorize(asked capstan.Attributes) (none capstan.AuthorizerDecision, err error) {
	var config struct {
		Keep []string `json:"keep"`
	}
	if err := json.Unmarshal([]byte(capstan.ConfigGet()), &config); err != nil {
		return none, err
	}
	if !strings.HasPrefix(asked.Verb, "delete") || !slices.Contains(config.Keep, asked.Namespace) {
		return none, nil
	}
	return capstan.AuthorizerDecision{Verdict: capstan.VerdictDeny, Reason: "nothing is deleted in " + asked.Namespace}, nil
}

func init() { capstan.ServeAuthorizerHooks(hooks{}) }

func main() {}
