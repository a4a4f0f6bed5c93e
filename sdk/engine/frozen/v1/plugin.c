// Does what it is told by the name of the object: values there and back, failures, traps, loops, hunger, calls of the host.
#define CAPSTAN_IMPLEMENTATION
#include "capstan.h"

static uint32_t calls;

static bool is(capstan_string text, const char *word) { return capstan_equal(text, (capstan_string){word, strlen(word)}); }

bool capstan_admission_mutate(const capstan_review *review, capstan_mutation *out, capstan_failure *failure) {
  calls++;
  if (is(review->name, "echo")) {
    out->patch = review->object;
    out->warnings.items = capstan_alloc(3 * sizeof(capstan_string));
    out->warnings.items[0] = review->user;
    out->warnings.items[1] = capstan_json(review->object, "metadata.labels.app");
    out->warnings.items[2] = capstan_json(review->object, "list.1");
    out->warnings.length = 3;
    return true;
  }
  if (is(review->name, "count")) {
    out->patch = capstan_number(calls);
    return true;
  }
  if (is(review->name, "trap")) __builtin_trap();
  if (is(review->name, "loop"))
    for (volatile bool on = true; on;) calls++;
  if (is(review->name, "hungry"))
    for (;;) memset(capstan_keep(1 << 20), 1, 1 << 20);
  if (is(review->name, "config")) {
    capstan_config_get(&out->patch);
    capstan_log_write(CAPSTAN_LEVEL_WARN, out->patch);
    return capstan_clock_now() > 0;
  }
  if (is(review->name, "get")) {
    capstan_target target = {.version = CAPSTAN_TEXT("v1"), .resource = CAPSTAN_TEXT("pods"), .name = review->namespace};
    return capstan_api_get(&target, &out->patch, failure);
  }
  if (is(review->name, "run")) {
    capstan_string args[] = {CAPSTAN_TEXT("a"), CAPSTAN_TEXT("b")};
    capstan_pair_string_string env[] = {{CAPSTAN_TEXT("K"), CAPSTAN_TEXT("V")}};
    capstan_output output;
    if (!capstan_exec_run(CAPSTAN_TEXT("echo"), &(capstan_list_string){args, 2}, &(capstan_list_pair_string_string){env, 1}, review->namespace, 5, &output, failure)) return false;
    out->patch = CAPSTAN_JOIN(capstan_number(output.exit_code), CAPSTAN_TEXT(" "), output.stdout);
    return true;
  }
  if (is(review->name, "bytes")) {
    uint8_t bytes[] = {1, 2, 255};
    capstan_list_u8 answer;
    if (!capstan_grpc_unary(CAPSTAN_TEXT("test"), CAPSTAN_TEXT("/m"), &(capstan_list_u8){bytes, 3}, 0, &answer, failure)) return false;
    out->patch = CAPSTAN_JOIN(capstan_number((int64_t)answer.length), CAPSTAN_TEXT(" "), capstan_number(answer.items[answer.length - 1]));
    return true;
  }
  *failure = (capstan_failure){CAPSTAN_TEXT("NotFound"), -5, CAPSTAN_TEXT("there is none"), CAPSTAN_TEXT("{\"a\":1}")};
  return false;
}

bool capstan_admission_validate(const capstan_review *review, capstan_list_string *out, capstan_failure *failure) {
  (void)out;
  (void)failure;
  return !review->dry_run;
}

bool capstan_authorizer_authorize(const capstan_attributes *asked, capstan_authorizer_decision *out, capstan_failure *failure) {
  (void)failure;
  out->verdict = is(asked->verb, "get") ? CAPSTAN_VERDICT_ALLOW : CAPSTAN_VERDICT_DENY;
  out->reason = CAPSTAN_JOIN(asked->tenant, CAPSTAN_TEXT("/"), asked->label_selector);
  return true;
}

void capstan_controller_watches(capstan_list_watch *out) {
  static capstan_watch watches[2];
  watches[0] = (capstan_watch){.version = CAPSTAN_TEXT("v1"), .resource = CAPSTAN_TEXT("pods"), .key.tag = CAPSTAN_KEY_FROM_SELF};
  watches[1] = watches[0];
  watches[1].key.tag = CAPSTAN_KEY_FROM_LABEL;
  watches[1].key.value.label = CAPSTAN_TEXT("app");
  *out = (capstan_list_watch){watches, 2};
}

bool capstan_controller_reconcile(const capstan_controller_request *request, capstan_controller_outcome *out, capstan_failure *failure) {
  (void)failure;
  out->requeue_ms = (uint32_t)request->name.length;
  return true;
}
