#define CAPSTAN_IMPLEMENTATION
#include "capstan.h"

static capstan_string config(const char *path) {
  capstan_string text;
  capstan_config_get(&text);
  return capstan_json(text, path);
}

// The value of the label, without data where the object lacks it.
static capstan_string label_of(capstan_string object, capstan_string label) {
  char path[300] = "metadata.labels.";
  if (label.length > sizeof(path) - 17) return (capstan_string){0};
  memcpy(path + 16, label.data, label.length);
  return capstan_json(object, path);
}

bool capstan_admission_mutate(const capstan_review *review, capstan_mutation *out, capstan_failure *failure) {
  (void)failure;
  capstan_string label = config("label"), value = config("default");
  if (value.length == 0 || label_of(review->object, label).length > 0) return true;
  bool some = capstan_json(review->object, "metadata.labels").data != NULL;
  out->patch = some
    ? CAPSTAN_JOIN(CAPSTAN_TEXT("[{\"op\":\"add\",\"path\":\"/metadata/labels/"), label, CAPSTAN_TEXT("\",\"value\":"), capstan_quote(value), CAPSTAN_TEXT("}]"))
    : CAPSTAN_JOIN(CAPSTAN_TEXT("[{\"op\":\"add\",\"path\":\"/metadata/labels\",\"value\":{"), capstan_quote(label), CAPSTAN_TEXT(":"), capstan_quote(value), CAPSTAN_TEXT("}}]"));
  return true;
}

bool capstan_admission_validate(const capstan_review *review, capstan_list_string *out, capstan_failure *failure) {
  (void)out;
  capstan_string label = config("label");
  if (label_of(review->object, label).length > 0) return true;
  failure->reason = CAPSTAN_TEXT("Forbidden");
  failure->code = 403;
  failure->message = CAPSTAN_JOIN(CAPSTAN_TEXT("the label "), capstan_quote(label), CAPSTAN_TEXT(" is missing"));
  return false;
}
