"""Properties: attributes of the request, the connection, the route and the plugin, as Envoy names them.

A path is given part by part, because a part may contain dots: `properties.get_str("request", "headers",
"x.y")`. The type is the reader's to know: the host gives only bytes. Absence is None.
"""

from typing import TypeVar

from ._abi import Status, decode_bool, decode_float, decode_int, decode_pairs, encode_path
from ._host import Host
from .errors import PropertyTypeError, host_error

__all__ = ["Properties"]

Value = TypeVar("Value")


class Properties:
    """Properties of the context whose callback is running."""

    __slots__ = ("_host",)

    def __init__(self, host: Host) -> None:
        self._host = host

    def get(self, *path: str) -> bytes | None:
        """Return a property as the host has it, or None. Messages are protobuf."""
        status, value = self._host.get_property(encode_path(path))
        if status == 0:
            return value
        if status == Status.NOT_FOUND:
            return None
        raise host_error("get_property", status, ".".join(path))

    def get_str(self, *path: str) -> str | None:
        """Return text; bytes that are not UTF-8 come as surrogate escapes."""
        value = self.get(*path)
        return None if value is None else value.decode("utf-8", "surrogateescape")

    def get_int(self, *path: str) -> int | None:
        """Return a whole number, such as `response.code` or `request.size`."""
        value = self.get(*path)
        return None if value is None else _checked(decode_int(value), "8 bytes of integer", path, value)

    def get_float(self, *path: str) -> float | None:
        """Return a floating-point number."""
        value = self.get(*path)
        return None if value is None else _checked(decode_float(value), "8 bytes of float", path, value)

    def get_bool(self, *path: str) -> bool | None:
        """Return a truth value, such as `connection.mtls`."""
        value = self.get(*path)
        return None if value is None else _checked(decode_bool(value), "1 byte of boolean", path, value)

    def get_seconds(self, *path: str) -> float | None:
        """Return a duration (`request.duration`) or a time since the epoch (`request.time`) in seconds."""
        value = self.get(*path)
        if value is None:
            return None
        return _checked(decode_int(value), "8 bytes of nanoseconds", path, value) / 1e9

    def get_map(self, *path: str) -> dict[str, str] | None:
        """Return a map of strings, such as `request.headers`; of a key with several values, the last."""
        value = self.get(*path)
        if value is None:
            return None
        try:
            pairs = decode_pairs(value)
        except ValueError:
            raise PropertyTypeError(".".join(path), "a map", len(value)) from None
        return {
            key.decode("utf-8", "surrogateescape"): text.decode("utf-8", "surrogateescape")
            for key, text in pairs
        }

    def set(self, name: str, value: str | bytes) -> None:
        """Store a value for the filters of this stream, read by the same name.

        Access logs show it as `%FILTER_STATE(wasm.<name>:PLAIN)%`.
        """
        data = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
        status = self._host.set_property(name.encode(), data)
        if status:
            raise host_error("set_property", status, name)

    @property
    def cluster_name(self) -> str | None:
        """The cluster of the route as it is now: Envoy's `xds.cluster_name`, or the older `cluster_name`."""
        name = self.get_str("xds", "cluster_name")
        return self.get_str("cluster_name") if name is None else name

    @property
    def route_name(self) -> str | None:
        """The route as it is now: Envoy's `xds.route_name`, or the older `route_name`."""
        name = self.get_str("xds", "route_name")
        return self.get_str("route_name") if name is None else name


def _checked(decoded: Value | None, expected: str, path: tuple[str, ...], data: bytes) -> Value:
    if decoded is None:
        raise PropertyTypeError(".".join(path), expected, len(data))
    return decoded
