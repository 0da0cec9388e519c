"""What the SDK raises.

    ProxyWasmError
    ├── HostError                     a host call failed: .call, .status, .status_name
    │   ├── NotFoundError             ... because what it names does not exist
    │   ├── BadArgumentError          ... because the host does not accept it, or not now
    │   │   └── HeadersUnavailableError   headers read or changed when the host does not hold them
    │   └── UnsupportedError          ... because this host does not have it
    ├── CalloutError                  a callout got no response: .cluster
    ├── RedisError                    Redis answered with an error: .code, .message
    ├── SharedDataContentionError     others kept changing a key: .key
    ├── BodyUnavailableError          a body was asked for that has not been kept
    ├── InvalidHeaderError            a header that no host may be given
    ├── PropertyTypeError             a property is of another type: .path
    ├── ConfigurationError            a plugin configuration cannot be used: .problems
    └── UsageError                    the SDK was used in a way that cannot work

Absence is not an error: a header, property or key that is not there is None, and a compare-and-set that came
too late is False.

The messages of all of these may be logged: none contains a header value, a body, or shared data. What Redis
said of an error may quote a key or a value, so it is in an attribute only.
"""

from collections.abc import Sequence
from typing import Final

from ._abi import Status, status_name

__all__ = [
    "BadArgumentError",
    "BodyUnavailableError",
    "CalloutError",
    "ConfigurationError",
    "HeadersUnavailableError",
    "HostError",
    "InvalidHeaderError",
    "NotFoundError",
    "PropertyTypeError",
    "ProxyWasmError",
    "RedisError",
    "SharedDataContentionError",
    "UnsupportedError",
    "UsageError",
]


class ProxyWasmError(Exception):
    """Base of everything the SDK raises."""

    message_is_safe = True
    """What the error log looks for: it shows no other message, for that might quote a prompt."""


class HostError(ProxyWasmError):
    """A host call failed; *status* is the ABI's number for why."""

    def __init__(self, call: str, status: int, hint: str = "") -> None:
        self.call = call
        self.status = status
        self.status_name = status_name(status)
        super().__init__(f"{call}: {self.status_name}" + (f": {hint}" if hint else ""))


class NotFoundError(HostError):
    """The host knows nothing by that name."""


class BadArgumentError(HostError):
    """The host does not accept this argument, or not in this callback."""


class HeadersUnavailableError(BadArgumentError):
    """The host does not hold these headers at this moment.

    They can be read and changed from their own callback on, until that callback (or the stream, when it was
    paused) has continued; during `on_log` they can be read again.
    """


class UnsupportedError(HostError):
    """The call is one that this host does not have."""


class CalloutError(ProxyWasmError):
    """A callout to *cluster* was refused, was reset, or timed out."""

    def __init__(self, cluster: str, reason: str) -> None:
        self.cluster = cluster
        self.reason = reason
        super().__init__(f"callout to {cluster!r}: {reason}")


class RedisError(ProxyWasmError):
    """Redis answered with an error: *message* is what it said, `code` its first word, such as NOSCRIPT."""

    def __init__(self, message: str) -> None:
        self.message = message
        word = message.partition(" ")[0]
        self.code = word if word.isascii() and word.isalpha() and word.isupper() else "ERR"
        super().__init__(f"Redis answered with the error {self.code}")


class SharedDataContentionError(ProxyWasmError):
    """Other workers changed *key* between reading and writing, as often as it was tried."""

    def __init__(self, key: str, attempts: int) -> None:
        self.key = key
        super().__init__(f"others changed a key of the shared data in each of {attempts} attempts")


class BodyUnavailableError(ProxyWasmError):
    """A body, or a part of it, that the host no longer (or never) holds for this filter."""


class InvalidHeaderError(ProxyWasmError):
    """A header with CR, LF or NUL in it, which could smuggle in another, or one without a name."""


class PropertyTypeError(ProxyWasmError):
    """The property at *path* does not have the type it was read as."""

    def __init__(self, path: str, expected: str, size: int) -> None:
        self.path = path
        super().__init__(f"property {path}: expected {expected}, got {size} bytes")


class ConfigurationError(ProxyWasmError):
    """A plugin configuration with *problems*, one sentence each."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(problems))


class UsageError(ProxyWasmError):
    """A mistake in the filter's code; the message says what to do instead."""


_BY_STATUS: Final[dict[int, type[HostError]]] = {
    Status.NOT_FOUND: NotFoundError,
    Status.BAD_ARGUMENT: BadArgumentError,
    Status.UNIMPLEMENTED: UnsupportedError,
}


def host_error(call: str, status: int, hint: str = "") -> HostError:
    """Make the exception for a failed host call."""
    return _BY_STATUS.get(status, HostError)(call, status, hint)
