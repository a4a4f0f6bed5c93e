package main

import (
	"encoding/json"

	"NAME/capstan"
)

const mebibyte = 1 << 20

var low = capstan.FilterOutcome{Reasons: []string{"node(s) had too little memory in reserve"}}

type hooks struct{}

// By the host's numbers of nodes: bytes.
var allocatable, requested = map[uint32]float64{}, map[uint32]float64{}

func (hooks) Sync(delta capstan.NodeDelta) {
	if delta.Whole {
		clear(allocatable)
		clear(requested)
	}
	for _, id := range delta.Removed {
		delete(allocatable, id)
		delete(requested, id)
	}
	for _, node := range delta.Nodes {
		allocatable[node.Id] = node.Allocatable.Memory
	}
	for _, usage := range delta.Usage {
		requested[usage.Id] = usage.Requested.Memory
	}
}

func (hooks) Evaluate(pods []capstan.PodClass, nodes []uint32) []capstan.Verdicts {
	var config struct {
		ReserveMiB float64 `json:"reserveMiB"`
	}
	if err := json.Unmarshal([]byte(capstan.ConfigGet()), &config); err != nil {
		panic(err)
	}
	verdicts := make([]capstan.Verdicts, len(pods))
	for i, pod := range pods {
		codes := make([]uint16, len(nodes))
		for n, id := range nodes {
			if allocatable[id]-requested[id]-pod.Requests.Memory < config.ReserveMiB*mebibyte {
				codes[n] = 1
			}
		}
		verdicts[i] = capstan.Verdicts{Codes: codes, Outcomes: []capstan.FilterOutcome{low}}
	}
	return verdicts
}

func (hooks) Update(capstan.PodClass) capstan.VerdictChanges {
	panic("the manifest's scope is not cluster")
}

func init() {
	capstan.ServeNodeHooks(hooks{})
	capstan.ServeFilterHooks(hooks{})
}

func main() {}
