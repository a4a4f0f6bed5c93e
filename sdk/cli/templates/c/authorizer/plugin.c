#define CAPSTAN_IMPLEMENTATION
#include "capstan.h"

bool capstan_authorizer_authorize(const capstan_attributes *asked, capstan_authorizer_decision *out, capstan_failure *failure) {
  (void)failure;
  if (asked->verb.length < 6 || memcmp(asked->verb.data, "delete", 6) != 0) return true;
  capstan_string config;
  capstan_config_get(&config);
  capstan_string keep = capstan_json(config, "keep");
  for (int64_t i = 0;; i++) {
    capstan_string index = capstan_number(i);
    char path[21] = {0};
    memcpy(path, index.data, index.length);
    capstan_string kept = capstan_json(keep, path);
    if (!kept.data) return true;
    if (!capstan_equal(kept, asked->namespace)) continue;
    out->verdict = CAPSTAN_VERDICT_DENY;
    out->reason = CAPSTAN_JOIN(CAPSTAN_TEXT("nothing is deleted in "), asked->namespace);
    return true;
  }
}
