"""How gRPC puts messages into a body: a flag byte, four bytes of length, the message."""

import struct
from collections.abc import Iterator

_HEAD_SIZE = 5


def framed(message: bytes) -> bytes:
    """Put a message into its frame, uncompressed."""
    return struct.pack(">BI", 0, len(message)) + message


def take_frames(body: bytearray) -> Iterator[tuple[int, bytes]]:
    """Remove complete frames from the front of *body*; yields the flags and the message of each."""
    while len(body) >= _HEAD_SIZE:
        flags, size = struct.unpack_from(">BI", body)
        if len(body) < _HEAD_SIZE + size:
            return
        message = bytes(body[_HEAD_SIZE : _HEAD_SIZE + size])
        del body[: _HEAD_SIZE + size]
        yield flags, message
