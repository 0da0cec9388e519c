"""What WASI is left at run time: clocks, randomness, the environment, and output that becomes log lines.

The interpreter was started at build time, so there are no files, sockets or arguments to have now. A host
older than Envoy 1.33 knows fifteen WASI functions; of these four are used here (``HOST_IMPORTS``). Everything
else is answered inside the module: opening a file says "no entry", a socket cannot be created, a stream to
wait for is ready.

Names are those of WASI 0.2, ``interface#function``, without the version. Results lie behind a return pointer,
the last parameter, as the canonical ABI lays them out: a ``result`` is a tag byte (1 is an error) and a
payload at the payload's alignment.
"""

HOST_IMPORTS = """
(import "wasi_snapshot_preview1" "clock_time_get" (func $clock_time_get (param i32 i64 i32) (result i32)))
(import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes_get (param i32 i32) (result i32)))
(import "wasi_snapshot_preview1" "environ_get" (func $environ_get (param i32 i32) (result i32)))
(import "main" "memory" (memory 0))
(import "main" "__stack_pointer" (global $stack_pointer (mut i32)))
(import "guest" "cabi_realloc" (func $realloc (param i32 i32 i32 i32) (result i32)))
"""

PRELUDE = """
;; The host may call this in the middle of a guest call; it must never reach Python.
(func (export "proxy_on_memory_allocate") (param $size i32) (result i32)
  (call $realloc (i32.const 0) (i32.const 0) (i32.const 1) (local.get $size)))

;; Nanoseconds of clock 0 (realtime) or 1 (monotonic). The host writes below the stack pointer, where
;; nothing lives.
(func $clock (param $id i32) (result i64) (local $place i32)
  (local.set $place (i32.and (i32.sub (global.get $stack_pointer) (i32.const 16)) (i32.const -16)))
  (drop (call $clock_time_get (local.get $id) (i64.const 1) (local.get $place)))
  (i64.load (local.get $place)))

;; The environment as one list<u8>; the entries' pointers, which WASI wants as well, lie behind the bytes.
(func (export "host.get-environment") (param $result i32)
  (local $count i32) (local $size i32) (local $entries i32)
  (drop (call $environ_sizes_get (local.get $result) (i32.add (local.get $result) (i32.const 4))))
  (local.set $count (i32.load (local.get $result)))
  (local.set $size (i32.load offset=4 (local.get $result)))
  (local.set $entries
    (call $realloc (i32.const 0) (i32.const 0) (i32.const 4)
      (i32.add (i32.add (local.get $size) (i32.const 8)) (i32.mul (local.get $count) (i32.const 4)))))
  (i32.store (local.get $result)
    (call $environ_get
      (i32.and (i32.add (i32.add (local.get $entries) (local.get $size)) (i32.const 3)) (i32.const -4))
      (local.get $entries)))
  (i32.store offset=4 (local.get $result) (local.get $entries))
  (i32.store offset=8 (local.get $result) (local.get $size)))
"""

_NO_ENTRY = 20
"""``no-entry`` of ``wasi:filesystem/types.error-code``."""

_NOT_SUPPORTED = 2
"""``not-supported`` of ``wasi:sockets/network.error-code``."""

_CLOSED = 1
"""``closed`` of ``wasi:io/streams.stream-error``."""

_DESCRIPTOR_PAYLOAD_OFFSETS = {
    8: ("metadata-hash", "metadata-hash-at", "stat", "stat-at", "write"),
    4: (
        "append-via-stream", "open-at", "read", "read-directory", "read-via-stream", "readlink-at",
        "write-via-stream",
    ),
    1: (
        "advise", "create-directory-at", "get-flags", "link-at", "remove-directory-at", "rename-at",
        "set-size", "set-times", "set-times-at", "symlink-at", "sync", "sync-data", "unlink-file-at",
    ),
}  # fmt: skip

_EMPTY_LIST = "(i64.store align=4 (local.get $result) (i64.const 0))"
_NONE = "(i32.store8 (local.get $result) (i32.const 0))"
_LOG = """
  (if (local.get 2) (then
    (drop (call $env.log
      (select (i32.const 4) (i32.const 2) (i32.eq (local.get 0) (i32.const 2)))
      (local.get 1)
      ;; The line's end is the log entry's end.
      (i32.sub (local.get 2)
        (i32.eq
          (i32.load8_u (i32.sub (i32.add (local.get 1) (local.get 2)) (i32.const 1)))
          (i32.const 10)))))))
  (i32.store8 (local.get $result) (i32.const 0))"""
_WALL_CLOCK = """(local $now i64)
  (local.set $now (call $clock (i32.const 0)))
  (i64.store (local.get $result) (i64.div_u (local.get $now) (i64.const 1000000000)))
  (i32.store offset=8 (local.get $result)
    (i32.wrap_i64 (i64.rem_u (local.get $now) (i64.const 1000000000))))"""
_RANDOM = """(local $bytes i32) (local $length i32) (local $done i32) (local $part i32)
  (local.set $length (i32.wrap_i64 (local.get 0)))
  (local.set $bytes (call $realloc (i32.const 0) (i32.const 0) (i32.const 1) (local.get $length)))
  (block $filled (loop $more
    (br_if $filled (i32.ge_u (local.get $done) (local.get $length)))
    ;; Hosts fill at most 64 KiB in one call.
    (local.set $part (i32.sub (local.get $length) (local.get $done)))
    (if (i32.gt_u (local.get $part) (i32.const 65536)) (then (local.set $part (i32.const 65536))))
    (if (call $random_get (i32.add (local.get $bytes) (local.get $done)) (local.get $part))
      (then unreachable))
    (local.set $done (i32.add (local.get $done) (local.get $part)))
    (br $more)))
  (i32.store (local.get $result) (local.get $bytes))
  (i32.store offset=4 (local.get $result) (local.get $length))"""


def _error(offset: int, code: int) -> str:
    return (
        "(i32.store8 (local.get $result) (i32.const 1))"
        f" (i32.store8 offset={offset} (local.get $result) (i32.const {code}))"
    )


_BODIES = {
    "wasi:cli/environment#get-arguments": _EMPTY_LIST,
    "wasi:cli/environment#get-environment": _EMPTY_LIST,
    "wasi:cli/stderr#get-stderr": "(i32.const 2)",
    "wasi:cli/stdin#get-stdin": "(i32.const 0)",
    "wasi:cli/stdout#get-stdout": "(i32.const 1)",
    "wasi:cli/terminal-stderr#get-terminal-stderr": _NONE,
    "wasi:cli/terminal-stdin#get-terminal-stdin": _NONE,
    "wasi:cli/terminal-stdout#get-terminal-stdout": _NONE,
    "wasi:clocks/monotonic-clock#now": "(call $clock (i32.const 1))",
    "wasi:clocks/monotonic-clock#resolution": "(i64.const 1)",
    "wasi:clocks/monotonic-clock#subscribe-duration": "(i32.const 0)",
    "wasi:clocks/monotonic-clock#subscribe-instant": "(i32.const 0)",
    "wasi:clocks/wall-clock#now": _WALL_CLOCK,
    "wasi:clocks/wall-clock#resolution": (
        "(i64.store (local.get $result) (i64.const 0)) (i32.store offset=8 (local.get $result) (i32.const 1))"
    ),
    "wasi:filesystem/preopens#get-directories": _EMPTY_LIST,
    "wasi:filesystem/types#[method]directory-entry-stream.read-directory-entry": _error(4, _NO_ENTRY),
    "wasi:io/poll#[method]pollable.block": "",
    "wasi:io/poll#poll": _EMPTY_LIST,
    "wasi:io/streams#[method]input-stream.read": _error(4, _CLOSED),
    "wasi:io/streams#[method]input-stream.subscribe": "(i32.const 0)",
    "wasi:io/streams#[method]output-stream.blocking-flush": _NONE,
    "wasi:io/streams#[method]output-stream.check-write": (
        f"{_NONE} (i64.store offset=8 (local.get $result) (i64.const 65536))"
    ),
    "wasi:io/streams#[method]output-stream.subscribe": "(i32.const 0)",
    "wasi:io/streams#[method]output-stream.write": _LOG,
    "wasi:random/random#get-random-bytes": _RANDOM,
    "wasi:sockets/instance-network#instance-network": "(i32.const 0)",
    "wasi:sockets/ip-name-lookup#resolve-addresses": _error(4, _NOT_SUPPORTED),
    "wasi:sockets/tcp-create-socket#create-tcp-socket": _error(4, _NOT_SUPPORTED),
    "wasi:sockets/udp-create-socket#create-udp-socket": _error(4, _NOT_SUPPORTED),
    "wasi_snapshot_preview1#reset_adapter_state": "",
} | {
    f"wasi:filesystem/types#[method]descriptor.{name}": _error(offset, _NO_ENTRY)
    for offset, names in _DESCRIPTOR_PAYLOAD_OFFSETS.items()
    for name in names
}

_UNREACHABLE_PREFIXES = (
    "wasi:sockets/ip-name-lookup#[method]",
    "wasi:sockets/tcp#[method]",
    "wasi:sockets/udp#[method]",
    "wasi:cli/exit#exit",
)
"""Methods of sockets, which cannot be created, and the end of the process, which a host does not survive."""


def function(name: str, params: list[str], results: list[str]) -> str:
    """Return the definition of WASI function *name* with the core signature its importer expects.

    Raises `LookupError` if it is not known.
    """
    if "#[resource-drop]" in name:
        body = ""
    elif name.startswith(_UNREACHABLE_PREFIXES):
        body = "unreachable"
    else:
        body = _BODIES[name]
    named = [*(f"(param {one})" for one in params[:-1]), *(f"(param $result {one})" for one in params[-1:])]
    signature = " ".join([*named, *(f"(result {one})" for one in results)])
    return f'(func (export "{name}") {signature} {body})'
