/* The part of the Proxy-Wasm ABI 0.2.1 that counter.c needs. */
#include <stddef.h>
#include <stdint.h>

#define HOST(name) __attribute__((import_module("env"), import_name(#name)))
#define EXPORT(name) __attribute__((export_name(#name), visibility("default")))

enum { OK = 0, CAS_MISMATCH = 8 };
enum { CONTINUE = 0, PAUSE = 1 };
enum { REQUEST_BODY = 0, RESPONSE_BODY = 1 };
enum { REQUEST_HEADERS = 0, RESPONSE_HEADERS = 2 };

HOST(proxy_get_shared_data)
uint32_t proxy_get_shared_data(const char *key, size_t key_size, char **value, size_t *size, uint32_t *cas);
HOST(proxy_set_shared_data)
uint32_t proxy_set_shared_data(const char *key, size_t key_size, const char *value, size_t size, uint32_t cas);
HOST(proxy_add_header_map_value)
uint32_t proxy_add_header_map_value(uint32_t map, const char *key, size_t key_size, const char *value, size_t size);
HOST(proxy_remove_header_map_value)
uint32_t proxy_remove_header_map_value(uint32_t map, const char *key, size_t key_size);
HOST(proxy_set_buffer_bytes)
uint32_t proxy_set_buffer_bytes(uint32_t buffer, uint32_t start, uint32_t size, const char *value, size_t value_size);
