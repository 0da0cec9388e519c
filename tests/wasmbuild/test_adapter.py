"""The adapter, assembled and run under wasmtime: what the host gets is what the guest meant, and back."""

from collections.abc import Callable
from pathlib import Path

import pytest
import wasmtime

from wasmbuild import adapter, wasi, wit

WIT = Path(__file__).parents[2] / "wasm-build" / "wit" / "proxy-wasm.wit"
GUEST = """
(module
  (memory (export "memory") 2)
  (global (export "__stack_pointer") (mut i32) (i32.const 4096))
  (global (export "__heap_base") (mut i32) (i32.const 8192))
  (global $next (mut i32) (i32.const 65536))
  (global $posts (export "posts") (mut i32) (i32.const 0))
  (global $freed (export "freed") (mut i32) (i32.const 0))
  (func (export "free") (param i32)
    (global.set $freed (i32.add (i32.mul (global.get $freed) (i32.const 100000)) (local.get 0))))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (global.get $next)
    (global.set $next (i32.add (global.get $next) (local.get 3))))
  {functions})
"""


class Host:
    """The module under test between a guest and a host that are both written down here."""

    def __init__(
        self,
        wasi_functions: dict[str, tuple[list[str], list[str]]] | None = None,
        world: str = "plugin",
    ) -> None:
        self.world = wit.read(WIT, world)
        self.store = wasmtime.Store()
        self.calls: list[tuple[str, tuple[int, ...]]] = []
        linker = wasmtime.Linker(self.store.engine)
        guest = self._instance(linker, GUEST.format(functions=self._guest_functions()))
        linker.define_instance(self.store, "guest", guest)
        linker.define_instance(self.store, "main", guest)
        linker.define_instance(self.store, "libc", guest)
        memory = guest.exports(self.store)["memory"]
        posts, freed = guest.exports(self.store)["posts"], guest.exports(self.store)["freed"]
        assert isinstance(memory, wasmtime.Memory)
        assert isinstance(posts, wasmtime.Global)
        assert isinstance(freed, wasmtime.Global)
        self.memory, self.posts, self.freed = memory, posts, freed
        module = wasmtime.Module(self.store.engine, adapter.generate(self.world, wasi_functions or {}))
        for entry in module.imports:
            if entry.module in ("env", adapter.WASI_IN_HOST):
                assert entry.name is not None
                assert isinstance(entry.type, wasmtime.FuncType)
                linker.define(
                    self.store, entry.module, entry.name, self._host_function(entry.name, entry.type)
                )
        self.exports = linker.instantiate(self.store, module).exports(self.store)

    def _instance(self, linker: wasmtime.Linker, text: str) -> wasmtime.Instance:
        return linker.instantiate(self.store, wasmtime.Module(self.store.engine, text))

    def _guest_functions(self) -> str:
        lines = []
        for interface, functions in self.world.exports.items():
            for function in functions:
                params = " ".join(["(param i32)"] * len(function.params))
                result = "(result i32) (i32.const 1)" if function.results else ""
                name = f"{self.world.qualified(interface)}#{function.name}"
                post = "(param i32)" if function.results else ""
                lines.append(f'(func (export "{name}") {params} {result})')
                lines.append(
                    f'(func (export "cabi_post_{name}") {post}'
                    " (global.set $posts (i32.add (global.get $posts) (i32.const 1))))"
                )
        return "\n".join(lines)

    def _host_function(self, name: str, kind: wasmtime.FuncType) -> wasmtime.Func:
        def call(*arguments: int) -> int:
            self.calls.append((name, arguments))
            answer: Callable[..., int] = getattr(self, name, lambda *_: 0)
            return answer(*arguments)

        return wasmtime.Func(self.store, kind, call)

    def write(self, address: int, data: bytes) -> None:
        self.memory.write(self.store, data, address)

    def read(self, address: int, length: int) -> bytes:
        return bytes(self.memory.read(self.store, address, address + length))

    def word(self, address: int) -> int:
        return int.from_bytes(self.read(address, 4), "little")

    def call(self, name: str, *arguments: int) -> int:
        function = self.exports[name]
        assert isinstance(function, wasmtime.Func)
        result: int = function(self.store, *arguments)
        return result

    # What the host answers.

    def proxy_get_shared_data(self, key: int, length: int, value: int, size: int, cas: int) -> int:
        assert self.read(key, length) == b"key"
        address = self.call("proxy_on_memory_allocate", 5)
        self.write(address, b"value")
        self.write(value, address.to_bytes(4, "little"))
        self.write(size, (5).to_bytes(4, "little"))
        self.write(cas, (77).to_bytes(4, "little"))
        return 0

    def proxy_get_metric(self, _metric: int, value: int) -> int:
        self.write(value, (2**40).to_bytes(8, "little"))
        return 0

    def clock_time_get(self, clock: int, _precision: int, place: int) -> int:
        assert place < 4096, "the clock is written below the stack pointer"
        self.write(place, (1_700_000_000_123_456_789 + clock).to_bytes(8, "little"))
        return 0

    def environ_sizes_get(self, count: int, size: int) -> int:
        self.write(count, (2).to_bytes(4, "little"))
        self.write(size, (9).to_bytes(4, "little"))
        return 0

    def environ_get(self, entries: int, text: int) -> int:
        assert entries >= text + 9, "the pointers do not overlap the text"
        assert entries % 4 == 0
        self.write(text, b"A=b\0FO=x\0")
        self.write(entries, bytes(8))
        return 0

    def random_get(self, place: int, length: int) -> int:
        assert length <= 65536
        self.write(place, b"r" * length)
        return 0


def test_a_result_tuple_is_laid_out_behind_the_return_pointer() -> None:
    host = Host()
    host.write(0, b"key")

    host.call("host.get-shared-data", 0, 3, 100)

    status, pointer, length, cas = (host.word(100 + 4 * index) for index in range(4))
    assert (status, host.read(pointer, length), cas) == (0, b"value", 77)


def test_an_absent_value_is_an_empty_list_and_not_what_lay_there() -> None:
    host = Host()
    host.write(100, b"\xff" * 16)

    host.call("host.get-property", 0, 3, 100)

    assert host.read(100, 12) == bytes(12)


def test_a_64_bit_result_is_aligned() -> None:
    host = Host()

    host.call("host.get-metric", 4, 200)

    assert (host.word(200), int.from_bytes(host.read(208, 8), "little")) == (0, 2**40)


def test_parameters_pass_straight_through() -> None:
    host = Host()

    host.call("host.increment-metric", 4, -3)

    assert host.calls == [("proxy_increment_metric", (4, -3))]


def test_copies_made_for_a_host_call_are_freed_after_it() -> None:
    host = Host()

    host.call("host.add-header-map-value", 0, 9000, 3, 9500, 5)

    assert host.freed.value(host.store) == 9000_09500


def test_an_empty_list_that_points_nowhere_is_not_freed() -> None:
    host = Host()

    host.call("host.get-property", 1, 0, 100)

    assert host.freed.value(host.store) == 0


def test_every_callback_is_followed_by_its_post_return() -> None:
    host = Host()

    assert host.call("proxy_on_request_headers", 2, 3, 0) == 1
    host.call("proxy_on_log", 2)

    assert host.posts.value(host.store) == 2


def test_the_world_for_higress_has_its_calls_and_the_other_has_not() -> None:
    host = Host(world="higress-plugin")

    host.call("host.redis-call", 9000, 3, 9500, 5, 100)
    host.call("proxy_on_redis_call_response", 1, 7, 0, 0)

    assert host.calls == [("proxy_redis_call", (9000, 3, 9500, 5, 104))]
    assert host.posts.value(host.store) == 1
    assert "proxy_redis_call" not in adapter.host_signatures(wit.read(WIT, "plugin"))


def test_the_environment_comes_as_one_list() -> None:
    host = Host()

    host.call("host.get-environment", 100)

    status, pointer, length = (host.word(100 + 4 * index) for index in range(3))
    assert (status, host.read(pointer, length)) == (0, b"A=b\0FO=x\0")


def test_the_host_clocks_are_the_interpreters_clocks() -> None:
    host = Host(
        {
            "wasi:clocks/wall-clock#now": (["i32"], []),
            "wasi:clocks/monotonic-clock#now": ([], ["i64"]),
        }
    )

    host.call("wasi:clocks/wall-clock#now", 100)

    assert int.from_bytes(host.read(100, 8), "little") == 1_700_000_000
    assert host.word(108) == 123_456_789
    assert host.call("wasi:clocks/monotonic-clock#now") == 1_700_000_000_123_456_790


def test_random_bytes_are_asked_for_in_pieces_that_hosts_fill() -> None:
    host = Host({"wasi:random/random#get-random-bytes": (["i64", "i32"], [])})
    host.memory.grow(host.store, 4)

    host.call("wasi:random/random#get-random-bytes", 70_000, 100)

    assert [arguments[1] for name, arguments in host.calls if name == "random_get"] == [65536, 4464]
    assert host.read(host.word(100), host.word(104)) == b"r" * 70_000


@pytest.mark.parametrize(("stream", "level"), [(1, 2), (2, 4)])
def test_output_becomes_a_log_line_without_its_newline(stream: int, level: int) -> None:
    name = "wasi:io/streams#[method]output-stream.write"
    host = Host({name: (["i32", "i32", "i32", "i32"], [])})
    host.write(500, b"hello\n")

    host.call(name, stream, 500, 6, 100)
    host.call(name, stream, 500, 0, 100)

    assert host.calls == [("proxy_log", (level, 500, 5))]


def test_opening_a_file_says_no_entry() -> None:
    name = "wasi:filesystem/types#[method]descriptor.open-at"
    host = Host({name: (["i32"] * 7, [])})

    host.call(name, 3, 0, 0, 0, 0, 0, 100)

    assert (host.read(100, 1), host.read(104, 1)) == (b"\x01", bytes([20]))


def test_an_unknown_wasi_function_is_an_error_of_the_build() -> None:
    with pytest.raises(LookupError, match="wasi:new/thing#f"):
        wasi.function("wasi:new/thing#f", ["i32"], [])
