"""Properties: the attributes of a stream, and the values filters leave on it.

A path is its parts joined by NUL. Strings come as they are, integers and durations as 8 bytes little endian,
truth values as one byte, maps as encoded pairs (Envoy, wasm/context.cc, serializeValue).
"""

import struct
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ._abi import MapType, Status, encode_pairs
from ._headers import HeaderMap

if TYPE_CHECKING:
    from ._contexts import Context
    from ._stream import HttpStream

Value = bytes | str | int | bool
Branch = Mapping[str, "Value | Branch | None"]


def get(context: "Context", path: bytes) -> tuple[Status, bytes]:
    """Read a property; NOT_FOUND when there is no such attribute and nobody has left such a value."""
    parts = [part.decode("utf-8", "replace") for part in path.rstrip(b"\0").split(b"\0")] if path else []
    if not parts:
        return Status.SERIALIZATION_FAILURE, b""
    value: Value | Branch | None = _top(context, parts[0])
    for part in parts[1:]:
        if not isinstance(value, Mapping):
            return Status.NOT_FOUND, b""
        value = value.get(part)
    if value is None:
        return Status.NOT_FOUND, b""
    if isinstance(value, Mapping):
        flat = [(key.encode(), _serialise(each)) for key, each in value.items() if isinstance(each, Value)]
        return Status.OK, encode_pairs(flat) or struct.pack("<I", 0)
    return Status.OK, _serialise(value)


def set(context: "Context", path: bytes, value: bytes) -> Status:
    """Leave a value on the stream under `wasm.<path>`."""
    if context.stream is None:
        return Status.NOT_FOUND
    context.stream.filter_state[path.decode("utf-8", "replace")] = value
    return Status.OK


def _serialise(value: Value) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, bool):
        return bytes([value])
    if isinstance(value, str):
        return value.encode()
    return struct.pack("<q", value)


def _top(context: "Context", name: str) -> "Value | Branch | None":
    stream = context.stream
    if name == "plugin_root_id":
        return context.plugin_name
    if name == "plugin_name":
        return context.plugin_name if context.plugin is not None else None
    if name == "plugin_vm_id":
        return context.vm.spec.vm_id
    if stream is None:
        return None
    branches: dict[str, Callable[[Context, HttpStream], Branch]] = {
        "request": _request,
        "response": _response,
        "upstream": _upstream,
        "xds": _xds,
        "filter_state": _filter_state,
    }
    if name in branches:
        return branches[name](context, stream)
    if name == "connection_id":
        return stream.id
    if context.vm.process.profile.old_property_names and name in ("cluster_name", "route_name"):
        return _xds(context, stream).get(name)
    return stream.filter_state.get(name)


def _request(context: "Context", stream: "HttpStream") -> Branch:
    headers = context.readable_map(MapType.REQUEST_HEADERS)
    duration = stream.finished_ns - stream.started_ns if stream.finished_ns is not None else None
    branch: dict[str, Value | Branch | None] = {
        "headers": _header_branch(headers),
        "time": stream.started_ns,
        "protocol": "HTTP/1.1",
        "duration": duration,
        "size": stream.request_body_size,
    }
    if headers is not None:
        path = headers.get(b":path") or b""
        url_path, _, query = path.partition(b"?")
        branch |= {
            "path": path,
            "url_path": url_path,
            "query": query,
            "host": headers.get(b":authority"),
            "scheme": headers.get(b":scheme"),
            "method": headers.get(b":method"),
            "referer": headers.get(b"referer"),
            "useragent": headers.get(b"user-agent"),
            "id": headers.get(b"x-request-id"),
        }
        length = headers.get(b"content-length")
        if length is not None and length.isdigit():
            branch["size"] = int(length)
    return branch


def _response(context: "Context", stream: "HttpStream") -> Branch:
    headers = context.readable_map(MapType.RESPONSE_HEADERS)
    return {
        "headers": _header_branch(headers),
        "trailers": _header_branch(context.readable_map(MapType.RESPONSE_TRAILERS)),
        "code": stream.response_code or None,
        "code_details": stream.response_details,
        "size": stream.response_body_size,
        "flags": stream.response_flags,
    }


def _upstream(context: "Context", stream: "HttpStream") -> Branch:
    return {"request_attempt_count": int(stream.upstream_started)}


def _xds(context: "Context", stream: "HttpStream") -> Branch:
    route = stream.route()
    if route is None:
        return {}
    return {"cluster_name": route.cluster, "route_name": route.name}


def _filter_state(context: "Context", stream: "HttpStream") -> Branch:
    return {f"wasm.{name}": value for name, value in stream.filter_state.items()}


def _header_branch(headers: HeaderMap | None) -> Branch:
    if headers is None:
        return {}
    return {key.decode("latin-1"): value for key, value in reversed(headers.pairs())}
