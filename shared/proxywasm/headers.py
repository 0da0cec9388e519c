"""Headers: case-insensitive multi-dicts, of the host (`Headers`) and of our own (`FrozenHeaders`).

Values are text: UTF-8 where they are UTF-8, and any other byte as a surrogate escape (PEP 383), so that
nothing is lost between reading and writing. `get_bytes` and `raw` give the bytes themselves. Names are
lower-case. The pseudo headers of HTTP/2 (`:path`, `:method`, `:status` ...) are there under their names,
whatever the version of HTTP.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TypeVar, overload

from ._abi import MapType, Status, decode_pairs, encode_pairs
from ._host import Host
from .errors import HeadersUnavailableError, InvalidHeaderError, host_error

__all__ = ["FrozenHeaders", "HeaderSource", "Headers", "ReadableHeaders"]

Default = TypeVar("Default")

HeaderSource = Mapping[str, str | bytes] | Iterable[tuple[str, str | bytes]]
"""Headers to send: a mapping, or pairs where a name may come more than once."""

_SENSITIVE: Final = frozenset(
    {"authorization", "proxy-authorization", "cookie", "set-cookie", "x-hi-original-auth"}
)
_SENSITIVE_ENDINGS: Final = ("-key", "-token", "-secret", "-password")

_REMEMBERED_NAMES: Final = 512
_LONGEST_REMEMBERED_NAME: Final = 64
_encoded_names: Final[dict[str, bytes]] = {}
"""Names as they were spelled, encoded; only names that a host may be given. A module uses few, but often."""


class ReadableHeaders:
    """What can be asked of any headers; `Headers` and `FrozenHeaders` say where they are."""

    __slots__ = ()

    def raw(self) -> list[tuple[bytes, bytes]]:
        """Return all headers as bytes, in the order of the message; not to be changed."""
        raise NotImplementedError

    def get_bytes(self, name: str) -> bytes | None:
        """Return the first value of a header as bytes, or None."""
        wanted = _encoded_names.get(name) or _encode_name(name)
        for key, value in self.raw():
            if key == wanted:
                return value
        return None

    @overload
    def get(self, name: str) -> str | None: ...

    @overload
    def get(self, name: str, default: Default) -> str | Default: ...

    def get(self, name: str, default: Default | None = None) -> str | Default | None:
        """Return the first value of a header, or *default*."""
        value = self.get_bytes(name)
        return default if value is None else value.decode("utf-8", "surrogateescape")

    def get_all(self, name: str) -> list[str]:
        """Return all values of a header, in their order; none is an empty list."""
        wanted = _encoded_names.get(name) or _encode_name(name)
        return [value.decode("utf-8", "surrogateescape") for key, value in self.raw() if key == wanted]

    def items(self) -> list[tuple[str, str]]:
        """Return all headers; a name with several values comes as often."""
        return [
            (key.decode("utf-8", "surrogateescape"), value.decode("utf-8", "surrogateescape"))
            for key, value in self.raw()
        ]

    def starting_with(self, *beginnings: str) -> list[str]:
        """Return the names that begin like one of *beginnings*, lower-case, each once."""
        return [name for name in self if name.startswith(beginnings)]

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get_bytes(name) is not None

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names, each once."""
        names = dict.fromkeys([key for key, _ in self.raw()])
        return iter([name.decode("utf-8", "surrogateescape") for name in names])

    def __len__(self) -> int:
        """Count the values, so a name with two counts twice."""
        return len(self.raw())

    def __repr__(self) -> str:
        shown = ", ".join(f"{key!r}: {_masked(key, value)!r}" for key, value in self.items())
        return f"{type(self).__name__}({{{shown}}})"


class FrozenHeaders(ReadableHeaders):
    """Headers that are values, such as those of a callout's response."""

    __slots__ = ("_pairs",)

    def __init__(self, headers: HeaderSource = ()) -> None:
        self._pairs = encoded_headers(headers)

    @classmethod
    def from_pairs(cls, pairs: list[tuple[bytes, bytes]]) -> "FrozenHeaders":
        """Wrap pairs as the host gave them."""
        headers = cls()
        headers._pairs = pairs
        return headers

    def raw(self) -> list[tuple[bytes, bytes]]:
        """Return all headers as bytes; not to be changed."""
        return self._pairs

    def __eq__(self, other: object) -> bool:
        return self._pairs == other._pairs if isinstance(other, FrozenHeaders) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self._pairs))


class Headers(ReadableHeaders):
    """Headers that the host holds; reading one of them is one host call and copies nothing else.

    Iterating, `get_all`, `items` and `len` fetch the whole map and take it apart, which costs as much as ten
    single reads. It is kept until something is written through this object, or until the next callback.
    Reading or writing while the host does not hold the map raises `HeadersUnavailableError`: request headers,
    for example, are gone once `on_request_headers` has continued.
    """

    __slots__ = ("_data", "_host", "_map", "_pairs")

    def __init__(self, host: Host, header_map: MapType) -> None:
        self._host = host
        self._map = header_map
        self._data: bytes | None = None
        self._pairs: list[tuple[bytes, bytes]] | None = None

    def raw(self) -> list[tuple[bytes, bytes]]:
        """Return all headers as bytes; not to be changed. None at all may mean that the host holds no map."""
        if self._pairs is None:
            self._pairs = decode_pairs(self._fetch())
        return self._pairs

    def starting_with(self, *beginnings: str) -> list[str]:
        """Return the names that begin like one of *beginnings*, lower-case, each once.

        As long as there is none this is one host call and a search, however many headers there are.
        """
        data = self._fetch()
        for beginning in beginnings:
            if data.find(beginning.encode()) >= 0:  # Perhaps in a value, or in the middle of a name.
                return super().starting_with(*beginnings)
        return []

    def get_bytes(self, name: str) -> bytes | None:
        """Return the first value of a header as bytes, or None."""
        if self._pairs is not None:
            return super().get_bytes(name)
        key = _encoded_names.get(name) or _encode_name(name)
        status, value = self._host.get_header_map_value(self._map, key)
        if status == 0:
            return value
        if status == Status.NOT_FOUND:
            return None
        raise self._unavailable("get_header_map_value", status, "read")

    def set(self, name: str, value: str | bytes) -> None:
        """Give a header this one value, in place of all it had."""
        key, content = encoded_header(name, value)
        self._data = self._pairs = None
        self._check("replace_header_map_value", self._host.replace_header_map_value(self._map, key, content))

    def add(self, name: str, value: str | bytes) -> None:
        """Give a header one more value."""
        key, content = encoded_header(name, value)
        self._data = self._pairs = None
        self._check("add_header_map_value", self._host.add_header_map_value(self._map, key, content))

    def update(self, headers: HeaderSource) -> None:
        """Set each of *headers* as `set` does; if one of them cannot be sent none is set.

        It is a host call for each: fetching, merging and replacing the whole map takes longer.
        """
        pairs = encoded_headers(headers)
        self._data = self._pairs = None
        header_map, replace = self._map, self._host.replace_header_map_value
        for key, content in pairs:
            status = replace(header_map, key, content)
            if status:
                raise self._unavailable("replace_header_map_value", status, "changed")

    def assign(self, headers: HeaderSource) -> None:
        """Replace the whole map; more than 1,024 headers or 1 MiB the host takes as none at all."""
        pairs = encode_pairs(encoded_headers(headers))
        self._data = self._pairs = None
        self._check("set_header_map_pairs", self._host.set_header_map_pairs(self._map, pairs))

    @overload
    def pop(self, name: str) -> str | None: ...

    @overload
    def pop(self, name: str, default: Default) -> str | Default: ...

    def pop(self, name: str, default: Default | None = None) -> str | Default | None:
        """Remove a header and return its first value, or *default* if it was not there."""
        value = self.get(name)
        if value is None:
            return default
        del self[name]
        return value

    def __setitem__(self, name: str, value: str | bytes) -> None:
        self.set(name, value)

    def __delitem__(self, name: str) -> None:
        """Remove all values of a header; that there are none is no error."""
        self._data = self._pairs = None
        key = _encoded_names.get(name) or _encode_name(name)
        self._check("remove_header_map_value", self._host.remove_header_map_value(self._map, key))

    def forget(self) -> None:
        """Fetch the map anew when it is asked for: another filter may have changed it."""
        self._data = self._pairs = None

    def _fetch(self) -> bytes:
        """Return the whole map, encoded."""
        if self._data is None:
            status, data = self._host.get_header_map_pairs(self._map)
            if status:
                raise host_error("get_header_map_pairs", status, _MAP_NAMES[self._map])
            self._data = data
        return self._data

    def _check(self, call: str, status: int) -> None:
        if status:
            raise self._unavailable(call, status, "changed")

    def _unavailable(self, call: str, status: int, verb: str) -> Exception:
        hint = f"the {_MAP_NAMES[self._map]} cannot be {verb} now; keep what is needed later in an attribute"
        if status == Status.BAD_ARGUMENT:
            return HeadersUnavailableError(call, status, hint)
        return host_error(call, status, _MAP_NAMES[self._map])


def encoded_header(name: str, value: str | bytes) -> tuple[bytes, bytes]:
    """Encode one header for the host, or raise `InvalidHeaderError`."""
    key = _encoded_names.get(name)
    if key is None:
        key = _encode_name(name)
        if not key or _breaks_lines(key):
            raise InvalidHeaderError("a header name is empty or has CR, LF or NUL in it")
    if isinstance(value, str):
        if value.isascii() and value.isprintable():
            return key, value.encode()
        value = value.encode("utf-8", "surrogateescape")
    if _breaks_lines(value):
        raise InvalidHeaderError(f"the value for header {name.lower()!r} has CR, LF or NUL in it")
    return key, value


def encoded_headers(headers: HeaderSource) -> list[tuple[bytes, bytes]]:
    """Encode headers for the host, or raise `InvalidHeaderError`."""
    pairs = headers.items() if isinstance(headers, (dict, Mapping)) else headers
    return [encoded_header(name, value) for name, value in pairs]


def _encode_name(name: str) -> bytes:
    """Encode a name, whether a host may be given it or not; remember it if so."""
    key = name.lower().encode("utf-8", "surrogateescape")
    if key and name.isprintable() and len(name) <= _LONGEST_REMEMBERED_NAME:
        if len(_encoded_names) >= _REMEMBERED_NAMES:
            _encoded_names.clear()
        _encoded_names[name] = key
    return key


def _breaks_lines(text: bytes) -> bool:
    # As numbers: to look for b"\n" raises an exception inside CPython, and takes ten times as long.
    return 10 in text or 13 in text or 0 in text


def _masked(name: str, value: str) -> str:
    return "***" if name in _SENSITIVE or name.endswith(_SENSITIVE_ENDINGS) else value


_MAP_NAMES: Final = {kind: kind.name.lower().replace("_", " ") for kind in MapType}
