"""The wasm engine links, starts and restricts modules the way real hosts do."""

import re

import pytest
import wasmtime

from proxytest import HIGRESS, ConfigurationRefusedError, Gateway, LogLevel, Meter, ModuleError, WasmModule

_MARKER = '(func (export "proxy_abi_version_0_2_1"))'
_MALLOC = '(func (export "malloc") (param i32) (result i32) (i32.const 4096))'
_MEMORY = '(memory (export "memory") 1)'


def _module(*parts: str) -> WasmModule:
    return WasmModule(bytes(wasmtime.wat2wasm(f"(module {' '.join(parts)})")), "test")


def _load(module: WasmModule) -> Gateway:
    gateway = Gateway(host="wasm", module=module)
    gateway.load("test", "configuration")
    return gateway


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ((_MEMORY, _MALLOC), "Missing or unknown Proxy-Wasm ABI version"),
        ((_MEMORY, _MARKER), "neither malloc nor proxy_on_memory_allocate"),
        ((_MARKER, _MALLOC), "exports no memory"),
        (
            ('(import "env" "proxy_fly" (func))', _MEMORY, _MARKER, _MALLOC),
            "missing import: env.proxy_fly",
        ),
        (
            ('(import "env" "proxy_log" (func (param i32)))', _MEMORY, _MARKER, _MALLOC),
            "import type mismatch: env.proxy_log",
        ),
        (
            ('(import "env" "g" (global i32))', _MEMORY, _MARKER, _MALLOC),
            "missing import: env.g",
        ),
        (
            (
                '(import "wasi_snapshot_preview1" "path_symlink"'
                " (func (param i32 i32 i32 i32 i32) (result i32)))",
                _MEMORY,
                _MARKER,
                _MALLOC,
            ),
            "import type mismatch: wasi_snapshot_preview1.path_symlink",
        ),
        (
            ('(import "wasi_snapshot_preview1" "proc_raise" (func (param i32)))', _MEMORY, _MARKER, _MALLOC),
            "missing import",
        ),
        (
            (
                '(import "env" "proxy_redis_call" (func (param i32 i32 i32 i32 i32) (result i32)))',
                _MEMORY,
                _MARKER,
                _MALLOC,
            ),
            "missing import: env.proxy_redis_call",
        ),
    ],
)
def test_modules_that_real_hosts_refuse_are_refused(parts: tuple[str, ...], why: str) -> None:
    with pytest.raises(ModuleError, match=re.escape(why)):
        _load(_module(*parts))


def test_bytes_that_are_no_module_are_refused() -> None:
    with pytest.raises(ModuleError, match="not a module"):
        _load(WasmModule(b"hello"))


def test_a_module_without_callbacks_lets_everything_pass() -> None:
    gateway = _load(_module(_MEMORY, _MARKER, _MALLOC))

    exchange = gateway.post("/", body=b"body")

    assert exchange.upstream is not None
    assert exchange.upstream.body == b"body"


def test_a_start_function_may_log_but_not_look_at_properties() -> None:
    log = '(import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))'
    get = '(import "env" "proxy_get_property" (func $get (param i32 i32 i32 i32) (result i32)))'
    says = '(func (export "_initialize") (drop (call $log (i32.const 2) (i32.const 0) (i32.const 2))))'
    looks = (
        '(func (export "_initialize")'
        " (drop (call $get (i32.const 0) (i32.const 1) (i32.const 8) (i32.const 16))))"
    )
    data = '(data (i32.const 0) "hi")'

    gateway = _load(_module(log, _MEMORY, data, _MARKER, _MALLOC, says))

    assert [record.message for record in gateway.logs] == ["hi"]
    with pytest.raises(ConfigurationRefusedError, match="restricted_callback: proxy_get_property"):
        _load(_module(get, _MEMORY, _MARKER, _MALLOC, looks))


_READ_CONFIGURATION = (
    '(import "env" "proxy_get_buffer_bytes" (func $get (param i32 i32 i32 i32 i32) (result i32)))'
)
_CONFIGURE = (
    '(func (export "proxy_on_configure") (param i32 i32) (result i32)'
    " (i32.eqz (call $get (i32.const 7) (i32.const 0) (i32.const 99) (i32.const 0) (i32.const 4))))"
)
_GREEDY_MALLOC = (
    '(import "env" "proxy_get_log_level" (func $level (param i32) (result i32)))',
    '(func (export "malloc") (param i32) (result i32) (drop (call $level (i32.const 64))) (i32.const 4096))',
)


def test_an_allocator_that_calls_the_host_ends_the_vm() -> None:
    imports, malloc = _GREEDY_MALLOC

    with pytest.raises(ConfigurationRefusedError, match="restricted_callback: proxy_get_log_level"):
        _load(_module(_READ_CONFIGURATION, imports, _MEMORY, _MARKER, malloc, _CONFIGURE))


def test_on_higress_the_allocator_may_call_the_host() -> None:
    imports, malloc = _GREEDY_MALLOC
    module = _module(_READ_CONFIGURATION, imports, _MEMORY, _MARKER, malloc, _CONFIGURE)
    gateway = Gateway(host="wasm", module=module, profile=HIGRESS)

    gateway.load("test", "configuration")

    assert gateway.get("/").reply.status == 200


def test_bytes_for_a_pointer_outside_memory_are_an_error_not_a_crash() -> None:
    configure = _CONFIGURE.replace("(i32.const 0) (i32.const 4))", "(i32.const -4) (i32.const 4))")

    with pytest.raises(ConfigurationRefusedError, match="on_configure returned 0"):
        _load(_module(_READ_CONFIGURATION, _MEMORY, _MARKER, _MALLOC, configure))


def test_standard_output_and_error_are_log_lines() -> None:
    write = '(import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))'
    data = '(data (i32.const 0) "\\10\\00\\00\\00\\03\\00\\00\\00") (data (i32.const 16) "ab\\0a")'
    start = (
        '(func (export "_initialize")'
        " (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 32)))"
        " (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 32))))"
    )

    gateway = _load(_module(write, _MEMORY, data, _MARKER, _MALLOC, start))

    assert [(record.level, record.message) for record in gateway.logs] == [
        (LogLevel.INFO, "ab"),
        (LogLevel.ERROR, "ab"),
    ]


def test_the_first_known_marker_decides() -> None:
    higress_first = '(func (export "proxy_abi_version_0_2_100"))'
    pause = (
        '(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 1))'
        '(func (export "proxy_on_request_body") (param i32 i32 i32) (result i32) (i32.const 0))'
    )
    module = _module(_MEMORY, higress_first, _MARKER, _MALLOC, pause)
    reached = {}
    for profile in ("envoy", "higress"):
        gateway = Gateway(
            host="wasm", module=module, profile=HIGRESS if profile == "higress" else Gateway().profile
        )
        gateway.load("test", allow_on_headers_stop_iteration=False)
        reached[profile] = gateway.post("/", body=b"x").upstream is not None

    assert reached == {"envoy": False, "higress": True}


def test_an_unreachable_ends_the_vm_and_further_requests_get_503() -> None:
    trap = '(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) unreachable)'
    gateway = _load(_module(_MEMORY, _MARKER, _MALLOC, trap))

    statuses = [gateway.get("/").reply.status for _ in range(2)]

    assert statuses == [503, 503]


_BODY_CALLBACK = (
    '(func (export "proxy_on_response_body") (param i32 i32 i32) (result i32) (local $i i32)'
    " (loop $more (local.set $i (i32.add (local.get $i) (i32.const 1)))"
    " (br_if $more (i32.lt_u (local.get $i) (local.get 1)))) (i32.const 0))"
)


def test_a_meter_counts_what_callbacks_execute_and_always_the_same() -> None:
    def spent(*chunks: bytes) -> tuple[int, int]:
        meter = Meter()
        code = bytes(wasmtime.wat2wasm(f"(module {_MARKER} {_MALLOC} {_MEMORY} {_BODY_CALLBACK})"))
        gateway = Gateway(host="wasm", module=WasmModule(code, meter=meter))
        gateway.load("test")
        gateway.cluster("upstream").respond(chunks=chunks)
        gateway.get("/")
        return meter.calls["on_response_body"], meter.instructions["on_response_body"]

    calls, instructions = spent(b"x" * 100, b"x" * 900)
    once, of_half = spent(b"x" * 500)

    assert calls == once + 1
    assert 6 * 1000 <= instructions <= 8 * 1000 + 100
    assert spent(b"x" * 100, b"x" * 900) == (calls, instructions)
    assert of_half < instructions


def test_a_meter_can_begin_anew() -> None:
    meter = Meter()
    meter.add("on_log", 7)
    meter.clear()
    meter.add("on_log", 5)

    assert (meter.instructions["on_log"], meter.calls["on_log"]) == (5, 1)
