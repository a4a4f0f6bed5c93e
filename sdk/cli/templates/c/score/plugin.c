#define CAPSTAN_IMPLEMENTATION
#include "capstan.h"

// By the host's numbers of nodes, which are small: bytes. It grows by doubling and stays.
typedef struct {
  double allocatable;
  double requested;
} node;
static node *nodes;
static uint32_t room;

static node *node_of(uint32_t id) {
  if (id >= room) {
    uint32_t wanted = room ? room : 64;
    while (wanted <= id) wanted *= 2;
    node *grown = capstan_keep(wanted * sizeof(node));
    memset(grown, 0, wanted * sizeof(node));
    if (nodes) memcpy(grown, nodes, room * sizeof(node));
    capstan_free(nodes);
    nodes = grown;
    room = wanted;
  }
  return &nodes[id];
}

void capstan_node_sync(const capstan_node_delta *changes) {
  if (changes->whole && nodes) memset(nodes, 0, room * sizeof(node));
  for (size_t i = 0; i < changes->removed.length; i++) *node_of(changes->removed.items[i]) = (node){0};
  for (size_t i = 0; i < changes->nodes.length; i++)
    node_of(changes->nodes.items[i].id)->allocatable = changes->nodes.items[i].allocatable.memory;
  for (size_t i = 0; i < changes->usage.length; i++)
    node_of(changes->usage.items[i].id)->requested = changes->usage.items[i].requested.memory;
}

// The share of the node's memory that would be left, 0 to 100.
static int32_t spare(const node *at, double wanted) {
  double left = at->allocatable - at->requested - wanted;
  return at->allocatable > 0 && left > 0 ? (int32_t)(left * 100 / at->allocatable) : 0;
}

void capstan_score_score(const capstan_list_pod_class *pods, const capstan_list_u32 *asked, capstan_list_list_s32 *out) {
  out->length = pods->length;
  out->items = capstan_alloc(pods->length * sizeof(*out->items));
  for (size_t p = 0; p < pods->length; p++) {
    int32_t *scores = capstan_alloc(asked->length * sizeof(int32_t));
    for (size_t n = 0; n < asked->length; n++) scores[n] = spare(node_of(asked->items[n]), pods->items[p].requests.memory);
    out->items[p] = (capstan_list_s32){scores, asked->length};
  }
}

void capstan_score_normalize(const capstan_list_s32 *scores, capstan_list_s32 *out) { *out = *scores; }

// The manifest's scope is not "cluster": never called.
void capstan_score_update(const capstan_pod_class *pod, capstan_score_changes *out) {
  (void)pod;
  (void)out;
  __builtin_trap();
}
