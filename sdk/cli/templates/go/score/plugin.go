package main

import "NAME/capstan"

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

// The share of the node's memory that would be left, 0 to 100.
func spare(id uint32, wanted float64) int32 {
	all := allocatable[id]
	left := all - requested[id] - wanted
	if all <= 0 || left <= 0 {
		return 0
	}
	return int32(left * 100 / all)
}

func (hooks) Score(pods []capstan.PodClass, nodes []uint32) [][]int32 {
	scores := make([][]int32, len(pods))
	for i, pod := range pods {
		scores[i] = make([]int32, len(nodes))
		for n, id := range nodes {
			scores[i][n] = spare(id, pod.Requests.Memory)
		}
	}
	return scores
}

func (hooks) Update(capstan.PodClass) capstan.ScoreChanges {
	panic("the manifest's scope is not cluster")
}

func (hooks) Normalize(scores []int32) []int32 { return scores }

func init() {
	capstan.ServeNodeHooks(hooks{})
	capstan.ServeScoreHooks(hooks{})
}

func main() {}
