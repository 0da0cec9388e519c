"""The WebAssembly binary format, as far as linking needs it: LEB128, names, sections, imports, exports.

Function bodies are never decoded. Sections that nobody asks about are carried as they are.
Format: WebAssembly core specification, chapter 5 (Binary Format).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from .errors import BuildError

MAGIC = b"\0asm"
CORE_VERSION = b"\1\0\0\0"
COMPONENT_VERSION = b"\x0d\0\1\0"

_ACTIVE_AT_CONSTANT = b"\x00\x41"
"""How a data segment begins that goes to memory 0, to the address that an `i32.const` gives."""


class Section(IntEnum):
    """Section numbers of a core module."""

    CUSTOM = 0
    TYPE = 1
    IMPORT = 2
    FUNCTION = 3
    TABLE = 4
    MEMORY = 5
    GLOBAL = 6
    EXPORT = 7
    START = 8
    ELEMENT = 9
    CODE = 10
    DATA = 11
    DATA_COUNT = 12
    TAG = 13


class Kind(IntEnum):
    """What an import or export is."""

    FUNC = 0
    TABLE = 1
    MEMORY = 2
    GLOBAL = 3
    TAG = 4


VALUE_TYPES = {
    0x7F: "i32",
    0x7E: "i64",
    0x7D: "f32",
    0x7C: "f64",
    0x7B: "v128",
    0x70: "funcref",
    0x6F: "externref",
}


@dataclass(frozen=True, slots=True)
class FuncType:
    """Parameter and result types of a function, as their text names (``i32``, ``i64``, ...)."""

    params: tuple[str, ...]
    results: tuple[str, ...]

    def __str__(self) -> str:
        return f"({', '.join(self.params)}) -> ({', '.join(self.results)})"


@dataclass(frozen=True, slots=True)
class Import:
    """One entry of an import section; *descriptor* is its undecoded type."""

    module: str
    name: str
    kind: Kind
    descriptor: bytes


@dataclass(frozen=True, slots=True)
class Export:
    """One entry of an export section."""

    name: str
    kind: Kind
    index: int


class Reader:
    """A cursor over bytes."""

    __slots__ = ("data", "position")

    def __init__(self, data: bytes, position: int = 0) -> None:
        self.data = data
        self.position = position

    @property
    def exhausted(self) -> bool:
        """Whether nothing is left to read."""
        return self.position >= len(self.data)

    def byte(self) -> int:
        """Read one byte."""
        value = self.data[self.position]
        self.position += 1
        return value

    def take(self, count: int) -> bytes:
        """Read *count* bytes."""
        start = self.position
        self.position = start + count
        if self.position > len(self.data):
            raise EOFError(f"needed {count} bytes at offset {start}, have {len(self.data) - start}")
        return self.data[start : self.position]

    def unsigned(self) -> int:
        """Read an unsigned LEB128 integer."""
        result = shift = 0
        while True:
            byte = self.byte()
            result |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return result

    def signed(self) -> int:
        """Read a signed LEB128 integer."""
        result = shift = 0
        while True:
            byte = self.byte()
            result |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return result - (1 << shift) if byte & 0x40 else result

    def name(self) -> str:
        """Read a length-prefixed UTF-8 name."""
        return self.take(self.unsigned()).decode()

    def limits(self) -> None:
        """Skip the limits of a table or memory type."""
        flags = self.byte()
        self.unsigned()
        if flags & 1:
            self.unsigned()

    def since(self, start: int) -> bytes:
        """Return what was read from *start* up to here."""
        return self.data[start : self.position]


def unsigned(value: int) -> bytes:
    """Encode an unsigned LEB128 integer."""
    out = bytearray()
    while True:
        byte = value & 0x7F
        value >>= 7
        if not value:
            out.append(byte)
            return bytes(out)
        out.append(byte | 0x80)


def signed(value: int) -> bytes:
    """Encode *value* as a signed LEB128 number."""
    encoded = bytearray()
    while not -64 <= value < 64:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value & 0x7F)
    return bytes(encoded)


def encode_name(text: str) -> bytes:
    """Encode a length-prefixed UTF-8 name."""
    data = text.encode()
    return unsigned(len(data)) + data


def sections(module: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the number and the content of every section of a core module or component."""
    reader = Reader(module, 8)
    while not reader.exhausted:
        number = reader.byte()
        yield number, reader.take(reader.unsigned())


def assemble(parts: Iterator[tuple[int, bytes]] | list[tuple[int, bytes]]) -> bytes:
    """Put sections together to a core module."""
    out = [MAGIC, CORE_VERSION]
    for number, content in parts:
        out += (bytes([number]), unsigned(len(content)), content)
    return b"".join(out)


def section(module: bytes, number: Section) -> bytes:
    """Return the content of a section that occurs at most once; empty if it is absent."""
    return next((content for found, content in sections(module) if found == number), b"")


def _read_import(reader: Reader) -> Import:
    module, name, kind = reader.name(), reader.name(), Kind(reader.byte())
    start = reader.position
    match kind:
        case Kind.FUNC:
            reader.unsigned()
        case Kind.TABLE:
            reader.byte()
            reader.limits()
        case Kind.MEMORY:
            reader.limits()
        case Kind.GLOBAL:
            reader.take(2)
        case Kind.TAG:
            reader.byte()
            reader.unsigned()
    return Import(module, name, kind, reader.since(start))


def imports(module: bytes) -> list[Import]:
    """Return the imports of a core module."""
    content = section(module, Section.IMPORT)
    if not content:
        return []
    reader = Reader(content)
    return [_read_import(reader) for _ in range(reader.unsigned())]


def exports(module: bytes) -> list[Export]:
    """Return the exports of a core module."""
    content = section(module, Section.EXPORT)
    if not content:
        return []
    reader = Reader(content)
    return [Export(reader.name(), Kind(reader.byte()), reader.unsigned()) for _ in range(reader.unsigned())]


def encode_imports(entries: list[Import]) -> bytes:
    """Encode an import section."""
    out = [unsigned(len(entries))]
    for entry in entries:
        out += (encode_name(entry.module), encode_name(entry.name), bytes([entry.kind]), entry.descriptor)
    return b"".join(out)


def encode_exports(entries: list[Export]) -> bytes:
    """Encode an export section."""
    out = [unsigned(len(entries))]
    for entry in entries:
        out += (encode_name(entry.name), bytes([entry.kind]), unsigned(entry.index))
    return b"".join(out)


def data_segments(content: bytes) -> list[tuple[int, bytes]]:
    """Read a data section whose segments all have a fixed address: address and bytes of each."""
    reader = Reader(content)
    segments = []
    for _ in range(reader.unsigned()):
        start = reader.take(2)
        if start != _ACTIVE_AT_CONSTANT:
            raise BuildError(f"unsupported data segment {start.hex()}: expected one with a fixed address")
        address = reader.signed() & 0xFFFF_FFFF
        reader.byte()
        segments.append((address, reader.take(reader.unsigned())))
    return segments


def encode_data_segments(segments: list[tuple[int, bytes]]) -> bytes:
    """Return the content of a data section."""
    parts = [unsigned(len(segments))]
    for address, data in segments:
        constant = signed(address - (1 << 32) if address >= 1 << 31 else address)
        parts += [_ACTIVE_AT_CONSTANT, constant, b"\x0b", unsigned(len(data)), data]
    return b"".join(parts)


def replace_section(module: bytes, number: Section, content: bytes) -> bytes:
    """Return *module* with the content of one existing section exchanged."""
    return assemble([(found, content if found == number else old) for found, old in sections(module)])


def without_custom_sections(module: bytes) -> bytes:
    """Return *module* without its custom sections (names, producers, dynamic-linking information)."""
    return assemble([(number, content) for number, content in sections(module) if number != Section.CUSTOM])


def func_types(module: bytes) -> list[FuncType]:
    """Return the function types of a core module that has no other kind of type."""
    content = section(module, Section.TYPE)
    if not content:
        return []
    reader = Reader(content)
    types = []
    for _ in range(reader.unsigned()):
        form = reader.byte()
        if form != 0x60:
            raise ValueError(f"expected a function type (0x60), got form {form:#x}")
        params = tuple(VALUE_TYPES[reader.byte()] for _ in range(reader.unsigned()))
        results = tuple(VALUE_TYPES[reader.byte()] for _ in range(reader.unsigned()))
        types.append(FuncType(params, results))
    return types
