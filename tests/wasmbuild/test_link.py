"""The memory image: what is left out of it is there all the same when the module starts."""

import wasmtime

from wasmbuild import binary, link
from wasmbuild.binary import Section

CONTENT = bytes(30) + b"a" + bytes(15) + b"b" + bytes(16) + b"c" + bytes(5000) + b"d" + bytes(64)


def memory(module: bytes) -> bytes:
    store = wasmtime.Store()
    instance = wasmtime.Instance(store, wasmtime.Module(store.engine, module), [])
    exported = instance.exports(store)["memory"]
    assert isinstance(exported, wasmtime.Memory)
    return bytes(exported.read(store, 0, 65536))


def test_the_memory_is_the_same_without_the_zeros() -> None:
    text = "".join(f"\\{byte:02x}" for byte in CONTENT)
    module = bytes(
        wasmtime.wat2wasm(f'(module (memory (export "memory") 1) (data (i32.const 100) "{text}"))')
    )

    lean = link.without_zeros(binary.section(module, Section.DATA))

    assert [data for _, data in binary.data_segments(lean)] == [b"a" + bytes(15) + b"b", b"c", b"d"]
    assert memory(binary.replace_section(module, Section.DATA, lean)) == memory(module)
