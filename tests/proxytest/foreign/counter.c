/* Counts requests in shared data and puts the number into the response; plain C on the ABI, no SDK, no libc. */
#include "proxy_wasm.h"

static char arena[1 << 16];
static size_t used;

EXPORT(malloc) void *malloc(size_t size) {
  used = used + size > sizeof arena ? 0 : used;
  void *start = arena + used;
  used += (size + 7) & ~(size_t)7;
  return start;
}

EXPORT(proxy_abi_version_0_2_1) void proxy_abi_version_0_2_1(void) {}

EXPORT(proxy_on_request_headers) uint32_t proxy_on_request_headers(uint32_t context, uint32_t count, uint32_t end) {
  uint32_t cas;
  char digit;
  do {
    char *value = NULL;
    size_t size = 0;
    cas = 0xFFFFFFFF;
    digit = '1';
    if (proxy_get_shared_data("count", 5, &value, &size, &cas) == OK && size == 1)
      digit = value[0] + 1;
  } while (proxy_set_shared_data("count", 5, &digit, 1, cas) == CAS_MISMATCH);
  return CONTINUE;
}

EXPORT(proxy_on_response_headers) uint32_t proxy_on_response_headers(uint32_t context, uint32_t count, uint32_t end) {
  char *value = NULL;
  size_t size = 0;
  uint32_t cas;
  proxy_get_shared_data("count", 5, &value, &size, &cas);
  proxy_add_header_map_value(RESPONSE_HEADERS, "x-count", 7, value, size);
  proxy_remove_header_map_value(RESPONSE_HEADERS, "content-length", 14);
  return CONTINUE;
}

EXPORT(proxy_on_response_body) uint32_t proxy_on_response_body(uint32_t context, uint32_t size, uint32_t end) {
  if (end)
    proxy_set_buffer_bytes(RESPONSE_BODY, size, 0, " (counted)", 10);
  return CONTINUE;
}
