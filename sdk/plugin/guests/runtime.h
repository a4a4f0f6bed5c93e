// The plugin's side of the contract in C, for clang's bare wasm32 target: generated from the contract, made anew by each build.
// Define CAPSTAN_IMPLEMENTATION in one source file before including this.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// UTF-8, not ended by a zero.
typedef struct {
  const char *data;
  size_t length;
} capstan_string;

#define CAPSTAN_TEXT(literal) ((capstan_string){literal, sizeof(literal) - 1})

// Memory for one call: freed when the host has read the answer. Never NULL: the instance ends where there is none.
void *capstan_alloc(size_t size);
// Memory that stays; freed by capstan_free.
void *capstan_keep(size_t size);
void capstan_free(void *kept);
bool capstan_equal(capstan_string a, capstan_string b);
// Texts one after the other, in memory of the call. The last argument is (capstan_string){0}.
capstan_string capstan_join(const capstan_string *parts, size_t count);
#define CAPSTAN_JOIN(...) \
  capstan_join((const capstan_string[]){__VA_ARGS__}, sizeof((const capstan_string[]){__VA_ARGS__}) / sizeof(capstan_string))
capstan_string capstan_number(int64_t number);
// The text of a value inside JSON text: capstan_json(object, "metadata.labels.app"). A string comes without its quotes, escapes as they
// stand; a missing value has no data. A number in the path is an index.
capstan_string capstan_json(capstan_string json, const char *path);
// A text as a JSON string, with quotes.
capstan_string capstan_quote(capstan_string text);

void *memcpy(void *to, const void *from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int value, size_t size);
int memcmp(const void *a, const void *b, size_t size);
size_t strlen(const char *text);
