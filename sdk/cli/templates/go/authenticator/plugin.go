package main

import (
	"encoding/json"
	"strings"

	"NAME/capstan"
)

type hooks struct{}

// A demonstration: whoever has the prefix is believed. A real plugin checks a signature or a digest.
func (hooks) Authenticate(token string) (none capstan.User, err error) {
	var config struct {
		Prefix string   `json:"prefix"`
		Groups []string `json:"groups"`
	}
	if err := json.Unmarshal([]byte(capstan.ConfigGet()), &config); err != nil {
		return none, err
	}
	name, ours := strings.CutPrefix(token, config.Prefix)
	if !ours {
		return none, nil
	}
	if name == "" {
		return none, &capstan.Failure{Reason: "Unauthorized", Code: 401, Message: "the token names nobody"}
	}
	return capstan.User{Name: name, Groups: config.Groups}, nil
}

func init() { capstan.ServeAuthenticatorHooks(hooks{}) }

func main() {}
