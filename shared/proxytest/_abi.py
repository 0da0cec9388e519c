"""Numbers and encodings of the Proxy-Wasm ABI 0.2.1, as a host sees them.

The SDK keeps its own copy of these tables. That is on purpose: the emulator checks the SDK, and a mistake
shared by both would go unseen.
"""

import enum
import struct
from collections.abc import Iterable

Pairs = list[tuple[bytes, bytes]]

UINT32_MAX = 0xFFFFFFFF

MAX_GUEST_PAIRS = 1024
"""Pairs a guest may send in one map; above it hosts read the map as empty (cpp-host, pairs_util.cc)."""

MAX_GUEST_PAIRS_BYTES = 1024 * 1024
"""Bytes a guest may send in one encoded map; above it hosts read the map as empty."""


class Status(enum.IntEnum):
    """What a host function returns."""

    OK = 0
    NOT_FOUND = 1
    BAD_ARGUMENT = 2
    SERIALIZATION_FAILURE = 3
    PARSE_FAILURE = 4
    BAD_EXPRESSION = 5
    INVALID_MEMORY_ACCESS = 6
    EMPTY = 7
    CAS_MISMATCH = 8
    RESULT_MISMATCH = 9
    INTERNAL_FAILURE = 10
    BROKEN_CONNECTION = 11
    UNIMPLEMENTED = 12


class BufferType(enum.IntEnum):
    """Which buffer a buffer call means. Number 9 is Higress's own."""

    REQUEST_BODY = 0
    RESPONSE_BODY = 1
    DOWNSTREAM_DATA = 2
    UPSTREAM_DATA = 3
    CALL_RESPONSE_BODY = 4
    GRPC_RECEIVE = 5
    VM_CONFIGURATION = 6
    PLUGIN_CONFIGURATION = 7
    CALL_DATA = 8
    REDIS_RESPONSE = 9


class MapType(enum.IntEnum):
    """Which header map a header call means."""

    REQUEST_HEADERS = 0
    REQUEST_TRAILERS = 1
    RESPONSE_HEADERS = 2
    RESPONSE_TRAILERS = 3
    GRPC_INITIAL_METADATA = 4
    GRPC_TRAILING_METADATA = 5
    CALL_RESPONSE_HEADERS = 6
    CALL_RESPONSE_TRAILERS = 7


class StreamType(enum.IntEnum):
    """Which half of which protocol continue_stream and close_stream mean."""

    REQUEST = 0
    RESPONSE = 1
    DOWNSTREAM = 2
    UPSTREAM = 3


class MetricKind(enum.IntEnum):
    """The three kinds of metric; the number is also the low two bits of a metric's id."""

    COUNTER = 0
    GAUGE = 1
    HISTOGRAM = 2


class LogLevel(enum.IntEnum):
    """Severities of proxy_log. Number 6 passes the ABI's range check and then ends a real Envoy."""

    TRACE = 0
    DEBUG = 1
    INFO = 2
    WARN = 3
    ERROR = 4
    CRITICAL = 5
    OFF = 6


class HeadersAction(enum.IntEnum):
    """What a header callback decides. 2 is accepted and means Continue."""

    CONTINUE = 0
    STOP_ITERATION = 1
    CONTINUE_AND_END_STREAM = 2
    STOP_ALL_AND_BUFFER = 3
    STOP_ALL_AND_WATERMARK = 4


class DataAction(enum.IntEnum):
    """What a body callback decides."""

    CONTINUE = 0
    STOP_AND_BUFFER = 1
    STOP_AND_WATERMARK = 2
    STOP_NO_BUFFER = 3


class TrailersAction(enum.IntEnum):
    """What a trailers callback decides."""

    CONTINUE = 0
    STOP_ITERATION = 1


def encode_pairs(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Encode a header map the way hosts hand it to guests: no bytes at all when it is empty."""
    pairs = list(pairs)
    if not pairs:
        return b""
    sizes = b"".join(struct.pack("<II", len(key), len(value)) for key, value in pairs)
    texts = b"".join(key + b"\0" + value + b"\0" for key, value in pairs)
    return struct.pack("<I", len(pairs)) + sizes + texts


def decode_pairs(data: bytes) -> Pairs:
    """Decode a header map a guest sent; what is malformed or too large is an empty map, without a word."""
    if len(data) < 4 or len(data) > MAX_GUEST_PAIRS_BYTES:
        return []
    (count,) = struct.unpack_from("<I", data)
    if count > MAX_GUEST_PAIRS or 4 + count * 8 > len(data):
        return []
    pairs: Pairs = []
    position = 4 + count * 8
    for index in range(count):
        key_size, value_size = struct.unpack_from("<II", data, 4 + index * 8)
        key_end = position + key_size
        value_end = key_end + 1 + value_size
        if value_end + 1 > len(data):
            return []
        pairs.append((data[position:key_end], data[key_end + 1 : value_end]))
        position = value_end + 1
    return pairs if position == len(data) else []
