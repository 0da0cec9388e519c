"""Redis by HTTP: how Webdis takes commands and gives answers.

A command is the body of a POST, its parts percent-encoded and separated by slashes; the answer is a JSON
object whose one member has the name of the command (Webdis' README.md, `cmd.c`, `formats/json.c`).
"""

import json
from collections.abc import Sequence
from typing import Final

from .central import CentralError

__all__ = ["encode_command", "read_answer"]

_UNRESERVED: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_~")
"""Of RFC 3986, but the dot: after one in the last part Webdis looks for the format of the answer."""

_ENCODED: Final = tuple(chr(byte) if byte in _UNRESERVED else f"%{byte:02X}" for byte in range(256))

_OK: Final = 200
_FORBIDDEN: Final = 403


def encode_command(parts: Sequence[str]) -> bytes:
    """Write a command as the body of a POST."""
    return "/".join(["".join([_ENCODED[byte] for byte in part.encode()]) for part in parts]).encode("ascii")


def read_answer(status: int, body: bytes, command: str) -> object:
    """Read the answer to a command called *command*, or raise `CentralError`."""
    if status == _FORBIDDEN:
        raise CentralError(f"Webdis does not allow {command}: see `acl` in its configuration")
    if status != _OK:
        raise CentralError(f"status {status}")
    try:
        answer = json.loads(body)[command]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise CentralError("the answer is none of Webdis") from error
    if isinstance(answer, list) and len(answer) == 2 and answer[0] is False:
        message = str(answer[1])
        raise CentralError(f"Redis says {message}", message.partition(" ")[0])
    return answer
