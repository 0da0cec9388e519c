"""Numbers and encodings of the Proxy-Wasm ABI 0.2.1: pure values, no host.

Section names in the docstrings are those of the ABI specification.
"""

import struct
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Final

__all__ = [
    "NO_GRPC_STATUS",
    "WHOLE_BUFFER",
    "BodyAction",
    "BufferType",
    "HeadersAction",
    "LogLevel",
    "MapType",
    "MetricType",
    "Status",
    "StreamType",
    "TrailersAction",
    "decode_bool",
    "decode_float",
    "decode_int",
    "decode_pairs",
    "encode_pairs",
    "encode_path",
    "parse_environment",
    "status_name",
]


class Status(IntEnum):
    """What a host function returns (`proxy_status_t`); the numbers left out are not used by any host."""

    OK = 0
    NOT_FOUND = 1
    BAD_ARGUMENT = 2
    SERIALIZATION_FAILURE = 3
    PARSE_FAILURE = 4
    INVALID_MEMORY_ACCESS = 6
    EMPTY = 7
    CAS_MISMATCH = 8
    INTERNAL_FAILURE = 10
    BROKEN_CONNECTION = 11
    UNIMPLEMENTED = 12


class LogLevel(IntEnum):
    """Levels of `proxy_log` (`proxy_log_level_t`)."""

    TRACE = 0
    DEBUG = 1
    INFO = 2
    WARN = 3
    ERROR = 4
    CRITICAL = 5


class MapType(IntEnum):
    """Header maps (`proxy_header_map_type_t`)."""

    REQUEST_HEADERS = 0
    REQUEST_TRAILERS = 1
    RESPONSE_HEADERS = 2
    RESPONSE_TRAILERS = 3
    GRPC_INITIAL_METADATA = 4
    GRPC_TRAILING_METADATA = 5
    CALL_RESPONSE_HEADERS = 6
    CALL_RESPONSE_TRAILERS = 7


class BufferType(IntEnum):
    """Buffers (`proxy_buffer_type_t`)."""

    REQUEST_BODY = 0
    RESPONSE_BODY = 1
    CALL_RESPONSE_BODY = 4
    GRPC_MESSAGE = 5
    VM_CONFIGURATION = 6
    PLUGIN_CONFIGURATION = 7
    FOREIGN_FUNCTION_ARGUMENTS = 8
    REDIS_ANSWER = 9
    """Of Higress, not of the ABI."""


class StreamType(IntEnum):
    """Directions of a stream (`proxy_stream_type_t`)."""

    REQUEST = 0
    RESPONSE = 1


class MetricType(IntEnum):
    """Kinds of metrics (`proxy_metric_type_t`)."""

    COUNTER = 0
    GAUGE = 1
    HISTOGRAM = 2


class HeadersAction(IntEnum):
    """What a headers callback may return, beyond the ABI's 0 and 1: Envoy's `FilterHeadersStatus`."""

    CONTINUE = 0
    STOP_ITERATION = 1
    """Hold the headers; body callbacks keep coming."""
    STOP_ALL_AND_WATERMARK = 4
    """Hold everything; no callback comes until the stream is continued."""


class BodyAction(IntEnum):
    """What a body callback may return, beyond the ABI's 0 and 1: Envoy's `FilterDataStatus`."""

    CONTINUE = 0
    STOP_AND_BUFFER = 1
    """Keep the bytes; the buffer stays readable and writable, and a body above the limit is refused."""
    STOP_AND_WATERMARK = 2
    """Keep the bytes and slow the sender down; the next callback sees only the next chunk."""


class TrailersAction(IntEnum):
    """What a trailers callback may return."""

    CONTINUE = 0
    STOP = 1


WHOLE_BUFFER: Final = 0x7FFF_FFFF
"""A size that no buffer reaches; hosts clip it."""

NO_GRPC_STATUS: Final = -1
"""The `grpc_status` of a local response that is not about gRPC."""

_U32 = struct.Struct("<I")
_I64 = struct.Struct("<q")
_F64 = struct.Struct("<d")


def status_name(status: int) -> str:
    """Name a status as the specification does; one it does not know is shown as a number."""
    try:
        return Status(status).name
    except ValueError:
        return f"status {status}"


def encode_pairs(pairs: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Serialise a header map ("Serialization" in the specification).

    A count, then the lengths of each key and value, all u32 little-endian; then keys and values, each ended
    by NUL. An empty map is no bytes at all.
    """
    if not pairs:
        return b""
    texts = [text for pair in pairs for text in pair]
    table = struct.pack(f"<{len(texts) + 1}I", len(pairs), *map(len, texts))
    return table + b"\0".join(texts) + b"\0"


def decode_pairs(data: bytes) -> list[tuple[bytes, bytes]]:
    """Parse a serialised header map, or raise ValueError."""
    if not data:
        return []
    if len(data) < _U32.size:
        raise ValueError("a header map is shorter than its count")
    (count,) = _U32.unpack_from(data)
    at = 4 + 8 * count
    if at > len(data):
        raise ValueError("a header map is shorter than its table of sizes")
    texts = data[at:].split(b"\0")
    if len(texts) != 2 * count + 1 or texts[-1]:
        return _decode_sized_pairs(data, count)
    return list(zip(texts[::2], texts[1::2], strict=False))  # What is left over is what follows the last NUL.


def _decode_sized_pairs(data: bytes, count: int) -> list[tuple[bytes, bytes]]:
    """Parse a serialised header map that has NUL in a key or value, or raise ValueError."""
    sizes = struct.unpack_from(f"<{2 * count}I", data, 4)
    pairs = []
    at = 4 + 8 * count
    for index in range(0, 2 * count, 2):
        value_at = at + sizes[index] + 1
        end = value_at + sizes[index + 1]
        pairs.append((data[at : value_at - 1], data[value_at:end]))
        at = end + 1
    if at != len(data):
        raise ValueError("a header map does not have the size it states")
    return pairs


def encode_path(parts: Iterable[str]) -> bytes:
    """Join the parts of a property path with NUL ("Properties" in the specification)."""
    return "\0".join(parts).encode("utf-8", "surrogateescape")


def decode_int(data: bytes) -> int | None:
    """Decode an integer property: 64 bits, little-endian, signed. None means that *data* is not one."""
    return _I64.unpack(data)[0] if len(data) == 8 else None


def decode_float(data: bytes) -> float | None:
    """Decode a floating-point property: 64 bits, little-endian. None means that *data* is not one."""
    return _F64.unpack(data)[0] if len(data) == 8 else None


def decode_bool(data: bytes) -> bool | None:
    """Decode a boolean property: one byte. None means that *data* is not one."""
    return data != b"\0" if len(data) == 1 else None


def parse_environment(data: bytes) -> dict[str, str]:
    """Parse the environment of the VM: `NAME=value` entries, each ended by NUL."""
    variables = {}
    for entry in data.decode("utf-8", "surrogateescape").split("\0"):
        name, separator, value = entry.partition("=")
        if separator and name:
            variables[name] = value
    return variables
