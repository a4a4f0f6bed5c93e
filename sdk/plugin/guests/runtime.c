#ifdef CAPSTAN_IMPLEMENTATION

// Sizes are powers of two from 16 bytes; what was freed is kept by size. A block has its size before it.
typedef struct capstan_block {
  uint32_t size_class;
  struct capstan_block *next;
} capstan_block;

extern unsigned char __heap_base;
static uintptr_t capstan_top;
static capstan_block *capstan_freed[32];
static capstan_block *capstan_of_call;

static capstan_block *capstan_block_of(size_t size) {
  uint32_t size_class = 4;
  while (((size_t)1 << size_class) < size + sizeof(capstan_block)) size_class++;
  capstan_block *block = capstan_freed[size_class];
  if (block) {
    capstan_freed[size_class] = block->next;
    return block;
  }
  if (!capstan_top) capstan_top = ((uintptr_t)&__heap_base + 15) & ~(uintptr_t)15;
  uintptr_t end = capstan_top + ((size_t)1 << size_class);
  size_t present = __builtin_wasm_memory_size(0) << 16;
  if (end > present && __builtin_wasm_memory_grow(0, (end - present + 65535) >> 16) == (size_t)-1) __builtin_trap();
  block = (capstan_block *)capstan_top;
  block->size_class = size_class;
  capstan_top = end;
  return block;
}

void *capstan_alloc(size_t size) {
  capstan_block *block = capstan_block_of(size);
  block->next = capstan_of_call;
  capstan_of_call = block;
  return block + 1;
}

void *capstan_keep(size_t size) { return capstan_block_of(size) + 1; }

void capstan_free(void *kept) {
  if (!kept) return;
  capstan_block *block = (capstan_block *)kept - 1;
  block->next = capstan_freed[block->size_class];
  capstan_freed[block->size_class] = block;
}

static void capstan_release(void) {
  while (capstan_of_call) {
    capstan_block *next = capstan_of_call->next;
    capstan_free(capstan_of_call + 1);
    capstan_of_call = next;
  }
}

__attribute__((export_name("cabi_realloc"))) void *capstan_realloc(void *old, size_t old_size, size_t alignment, size_t size) {
  (void)alignment;
  void *moved = capstan_alloc(size);
  if (old) memcpy(moved, old, old_size < size ? old_size : size);
  return moved;
}

// Without these the compiler would make each of them of itself.
#define CAPSTAN_PLAIN __attribute__((no_builtin))
CAPSTAN_PLAIN void *memcpy(void *to, const void *from, size_t size) { return memmove(to, from, size); }
CAPSTAN_PLAIN void *memmove(void *to, const void *from, size_t size) {
  unsigned char *t = to;
  const unsigned char *f = from;
  if (t < f)
    for (size_t i = 0; i < size; i++) t[i] = f[i];
  else
    for (size_t i = size; i > 0; i--) t[i - 1] = f[i - 1];
  return to;
}
CAPSTAN_PLAIN void *memset(void *to, int value, size_t size) {
  for (size_t i = 0; i < size; i++) ((unsigned char *)to)[i] = (unsigned char)value;
  return to;
}
CAPSTAN_PLAIN int memcmp(const void *a, const void *b, size_t size) {
  for (size_t i = 0; i < size; i++) {
    int difference = ((const unsigned char *)a)[i] - ((const unsigned char *)b)[i];
    if (difference) return difference;
  }
  return 0;
}
CAPSTAN_PLAIN size_t strlen(const char *text) {
  size_t length = 0;
  while (text[length]) length++;
  return length;
}

bool capstan_equal(capstan_string a, capstan_string b) { return a.length == b.length && memcmp(a.data, b.data, a.length) == 0; }

capstan_string capstan_join(const capstan_string *parts, size_t count) {
  size_t length = 0;
  for (size_t i = 0; i < count; i++) length += parts[i].length;
  char *joined = capstan_alloc(length);
  size_t at = 0;
  for (size_t i = 0; i < count; i++) {
    memcpy(joined + at, parts[i].data, parts[i].length);
    at += parts[i].length;
  }
  return (capstan_string){joined, length};
}

capstan_string capstan_number(int64_t number) {
  char *text = capstan_alloc(20);
  size_t at = 20;
  uint64_t left = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
  do {
    text[--at] = (char)('0' + left % 10);
    left /= 10;
  } while (left);
  if (number < 0) text[--at] = '-';
  return (capstan_string){text + at, 20 - at};
}

capstan_string capstan_quote(capstan_string text) {
  char *quoted = capstan_alloc(text.length * 6 + 2);
  size_t at = 0;
  quoted[at++] = '"';
  for (size_t i = 0; i < text.length; i++) {
    unsigned char c = (unsigned char)text.data[i];
    if (c == '"' || c == '\\') {
      quoted[at++] = '\\';
      quoted[at++] = (char)c;
    } else if (c < 0x20) {
      memcpy(quoted + at, "\\u00", 4);
      at += 4;
      quoted[at++] = "0123456789abcdef"[c >> 4];
      quoted[at++] = "0123456789abcdef"[c & 15];
    } else
      quoted[at++] = (char)c;
  }
  quoted[at++] = '"';
  return (capstan_string){quoted, at};
}

static const char *capstan_json_space(const char *at, const char *end) {
  while (at < end && (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r')) at++;
  return at;
}

// Behind the value that begins at `at`.
static const char *capstan_json_skip(const char *at, const char *end) {
  int depth = 0;
  bool text = false;
  for (; at < end; at++) {
    if (text) {
      if (*at == '\\') at++;
      else if (*at == '"') {
        text = false;
        if (depth == 0) return at + 1;
      }
    } else if (*at == '"')
      text = true;
    else if (*at == '{' || *at == '[')
      depth++;
    else if (*at == '}' || *at == ']') {
      if (depth == 0) return at;
      if (--depth == 0) return at + 1;
    } else if (depth == 0 && (*at == ',' || *at == ' ' || *at == '\n'))
      return at;
  }
  return at;
}

// The member or item that is named, of the object or array at `at`; NULL where there is none.
static const char *capstan_json_member(const char *at, const char *end, capstan_string name) {
  if (at >= end || (*at != '{' && *at != '[')) return NULL;
  bool object = *at == '{';
  at = capstan_json_space(at + 1, end);
  for (size_t index = 0; at < end && *at != '}' && *at != ']'; index++) {
    capstan_string key = capstan_number((int64_t)index);
    if (object) {
      const char *behind = capstan_json_skip(at, end);
      key = (capstan_string){at + 1, (size_t)(behind - at) - 2};
      at = capstan_json_space(behind, end);
      if (at < end && *at == ':') at = capstan_json_space(at + 1, end);
    }
    if (capstan_equal(key, name)) return at;
    at = capstan_json_space(capstan_json_skip(at, end), end);
    if (at < end && *at == ',') at = capstan_json_space(at + 1, end);
  }
  return NULL;
}

capstan_string capstan_json(capstan_string json, const char *path) {
  const char *end = json.data + json.length;
  const char *at = capstan_json_space(json.data, end);
  while (*path) {
    size_t length = 0;
    while (path[length] && path[length] != '.') length++;
    at = capstan_json_member(at, end, (capstan_string){path, length});
    if (!at) return (capstan_string){NULL, 0};
    path += path[length] ? length + 1 : length;
  }
  const char *behind = capstan_json_skip(at, end);
  if (at < end && *at == '"') return (capstan_string){at + 1, (size_t)(behind - at) - 2};
  return (capstan_string){at, (size_t)(behind - at)};
}
