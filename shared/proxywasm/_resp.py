"""RESP, what clients and servers of Redis speak, in its version 2: pure values, no host.

A command is an array of byte strings. An answer is one value: a string of bytes, an integer, nothing, an
array of values, or an error. Inside an array an error is a value like others (`EXEC` answers so).
"""

from collections.abc import Sequence
from typing import Final

from .errors import RedisError

__all__ = ["RedisValue", "decode_answer", "encode_command"]

RedisValue = bytes | int | None | RedisError | list["RedisValue"]
"""What Redis answers. Simple and bulk strings are both bytes; None is a missing string or array."""

_DEEPEST: Final = 32
"""Arrays within arrays: scripts that answer with more do not exist, and each level takes native stack."""


def encode_command(parts: Sequence[bytes | str | int]) -> bytes:
    """Encode a command with its arguments; text becomes UTF-8."""
    encoded = [b"*%d\r\n" % len(parts)]
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode()
        encoded.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(encoded)


def decode_answer(data: bytes) -> RedisValue:
    """Decode one whole answer. Raises ValueError if *data* is anything else; it quotes none of it."""
    value, end = _value(data, 0, _DEEPEST)
    if end != len(data):
        raise ValueError("bytes follow the answer of Redis")
    return value


def _value(data: bytes, at: int, depth: int) -> tuple[RedisValue, int]:
    """Decode the value at *at*; return it and where it ends."""
    line_end = data.find(b"\r\n", at)
    if line_end < 0:
        raise ValueError("the answer of Redis breaks off within a line")
    kind, line = data[at : at + 1], data[at + 1 : line_end]
    at = line_end + 2
    if kind == b"+":
        return line, at
    if kind == b"-":
        return RedisError(line.decode("utf-8", "replace")), at
    if kind == b":":
        return _number(line), at
    if kind not in (b"$", b"*"):
        raise ValueError("the answer of Redis has a value of a kind that RESP version 2 does not have")
    size = _number(line)
    if size < 0:
        return None, at
    if kind == b"$":
        end = at + size
        if data[end : end + 2] != b"\r\n":
            raise ValueError("a string in the answer of Redis does not have the size it states")
        return data[at:end], end + 2
    if not depth:
        raise ValueError(f"the answer of Redis has arrays in more than {_DEEPEST} levels")
    values = []
    for _ in range(size):
        value, at = _value(data, at, depth - 1)
        values.append(value)
    return values, at


def _number(line: bytes) -> int:
    if not line.removeprefix(b"-").isdigit():
        raise ValueError("a number in the answer of Redis is none")
    return int(line)
