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

static double number_of(capstan_string text) {
  double number = 0;
  for (size_t i = 0; i < text.length && text.data[i] >= '0' && text.data[i] <= '9'; i++) number = number * 10 + (text.data[i] - '0');
  return number;
}

void capstan_filter_evaluate(const capstan_list_pod_class *pods, const capstan_list_u32 *asked, capstan_list_verdicts *out) {
  static capstan_string reason = CAPSTAN_TEXT("node(s) had too little memory in reserve");
  static capstan_filter_outcome low = {.reasons = {&reason, 1}};
  capstan_string config;
  capstan_config_get(&config);
  double reserve = number_of(capstan_json(config, "reserveMiB")) * 1048576;
  out->length = pods->length;
  out->items = capstan_alloc(pods->length * sizeof(*out->items));
  for (size_t p = 0; p < pods->length; p++) {
    uint16_t *codes = capstan_alloc(asked->length * sizeof(uint16_t));
    for (size_t n = 0; n < asked->length; n++) {
      const node *at = node_of(asked->items[n]);
      codes[n] = at->allocatable - at->requested - pods->items[p].requests.memory < reserve;
    }
    out->items[p] = (capstan_verdicts){{codes, asked->length}, {&low, 1}};
  }
}

// The manifest's scope is not "cluster": never called.
void capstan_filter_update(const capstan_pod_class *pod, capstan_verdict_changes *out) {
  (void)pod;
  (void)out;
  __builtin_trap();
}
