"""Header maps that behave like Envoy's.

Names are lower case; pseudo headers come first; some well-known names can be there only once, and adding to
them joins the values instead.
"""

from collections.abc import Iterable
from typing import Self

from ._abi import Pairs

_SINGLE_NAMES = """
    :authority :method :path :protocol :scheme :status accept accept-encoding
    access-control-allow-credentials access-control-allow-headers access-control-allow-methods
    access-control-allow-origin access-control-expose-headers access-control-max-age
    access-control-request-headers access-control-request-method age authorization cache-control
    client-trace-id connection content-encoding content-length content-type date etag expect expires
    grpc-message grpc-status grpc-timeout if-match if-modified-since if-none-match if-range
    if-unmodified-since keep-alive last-modified location origin proxy-connection proxy-status
    referer server te transfer-encoding upgrade user-agent vary via x-client-trace-id
    x-forwarded-client-cert x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-proto
    x-request-id
"""
_SINGLE = frozenset(name.encode() for name in _SINGLE_NAMES.split())
"""Names Envoy keeps in one slot ("inline headers": envoy/http/header_map.h and its filters)."""


class HeaderMap:
    """An ordered multi-map of byte strings with Envoy's rules for adding and replacing."""

    __slots__ = ("_entries",)

    def __init__(self, pairs: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self._entries: list[tuple[bytes, bytes]] = []
        for key, value in pairs:
            self.add(key, value)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: bytes) -> bool:
        return self.get(name) is not None

    def pairs(self) -> Pairs:
        """Return a copy of the entries, pseudo headers first, otherwise as they were added."""
        return list(self._entries)

    def copy(self) -> Self:
        """Return an independent map with the same entries."""
        other = type(self)()
        other._entries = list(self._entries)
        return other

    def get(self, name: bytes) -> bytes | None:
        """Return the first value of *name*, or None."""
        name = _canonical(name)
        return next((value for key, value in self._entries if key == name), None)

    def get_all(self, name: bytes) -> list[bytes]:
        """Return every value of *name*, in order."""
        name = _canonical(name)
        return [value for key, value in self._entries if key == name]

    def add(self, name: bytes, value: bytes) -> None:
        """Append a header; a name that has one slot only gets the value joined to what is there."""
        name = _canonical(name)
        position = self._position(name)
        if name in _SINGLE and position is not None:
            present = self._entries[position][1]
            self._entries[position] = (name, present + b"," + value if present else value)
        elif name.startswith(b":"):
            pseudo = sum(1 for key, _ in self._entries if key.startswith(b":"))
            self._entries.insert(pseudo, (name, value))
        else:
            self._entries.append((name, value))

    def replace(self, name: bytes, value: bytes) -> None:
        """Take away every value of *name* and append the new one, which therefore comes last."""
        self.remove(name)
        self.add(name, value)

    def remove(self, name: bytes) -> None:
        """Take away every value of *name*."""
        name = _canonical(name)
        self._entries = [entry for entry in self._entries if entry[0] != name]

    def clear(self) -> None:
        """Take away everything."""
        self._entries = []

    def byte_size(self) -> int:
        """Count the bytes of all names and values, as proxy_get_header_map_size reports on Envoy."""
        return sum(len(key) + len(value) for key, value in self._entries)

    def _position(self, name: bytes) -> int | None:
        return next((index for index, (key, _) in enumerate(self._entries) if key == name), None)


def _canonical(name: bytes) -> bytes:
    name = name.lower()
    return b":authority" if name == b"host" else name
