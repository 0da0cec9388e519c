import pytest
import wasmtime

from wasmbuild import binary
from wasmbuild.binary import Export, FuncType, Kind, Section
from wasmbuild.errors import BuildError

MODULE = bytes(
    wasmtime.wat2wasm("""
    (module
      (import "env" "proxy_log" (func (param i32 i32 i32) (result i32)))
      (import "env" "table" (table 1 5 funcref))
      (import "env" "global" (global (mut i64)))
      (memory (export "memory") 1 9)
      (func (export "f") (param i64) (result i32) (i32.const 0))
      (data (i32.const 8) "abc"))
    """)
)


@pytest.mark.parametrize("value", [0, 1, 127, 128, 624485, 2**32 - 1])
def test_unsigned_numbers_survive_encoding(value: int) -> None:
    assert binary.Reader(binary.unsigned(value)).unsigned() == value


@pytest.mark.parametrize(("encoded", "value"), [(b"\x00", 0), (b"\x7f", -1), (b"\xc0\xbb\x78", -123456)])
def test_signed_numbers_are_read(encoded: bytes, value: int) -> None:
    assert binary.Reader(encoded).signed() == value


@pytest.mark.parametrize("value", [0, 63, 64, -64, -65, 2**31 - 1, -(2**31)])
def test_signed_numbers_survive_encoding(value: int) -> None:
    assert binary.Reader(binary.signed(value)).signed() == value


def test_data_segments_survive_encoding() -> None:
    content = binary.section(MODULE, Section.DATA)
    high = [(3_000_000_000, b"x"), (8, b"abc")]

    assert binary.data_segments(content) == [(8, b"abc")]
    assert binary.encode_data_segments([(8, b"abc")]) == content
    assert binary.data_segments(binary.encode_data_segments(high)) == high


def test_a_passive_data_segment_is_refused() -> None:
    passive = bytes(wasmtime.wat2wasm('(module (data "abc"))'))

    with pytest.raises(BuildError, match="expected one with a fixed address"):
        binary.data_segments(binary.section(passive, Section.DATA))


def test_imports_are_read_with_their_types() -> None:
    entries = binary.imports(MODULE)

    assert [(entry.module, entry.name, entry.kind) for entry in entries] == [
        ("env", "proxy_log", Kind.FUNC),
        ("env", "table", Kind.TABLE),
        ("env", "global", Kind.GLOBAL),
    ]
    assert binary.func_types(MODULE)[0] == FuncType(("i32", "i32", "i32"), ("i32",))


def test_imports_and_exports_survive_encoding() -> None:
    rewritten = binary.replace_section(MODULE, Section.IMPORT, binary.encode_imports(binary.imports(MODULE)))
    rewritten = binary.replace_section(
        rewritten, Section.EXPORT, binary.encode_exports(binary.exports(rewritten))
    )

    assert rewritten == MODULE
    assert binary.exports(MODULE) == [Export("memory", Kind.MEMORY, 0), Export("f", Kind.FUNC, 1)]


def test_what_follows_the_end_is_an_error() -> None:
    with pytest.raises(EOFError, match="needed 5 bytes at offset 0, have 2"):
        binary.Reader(b"ab").take(5)
