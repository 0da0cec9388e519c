"""Callouts: requests that a plugin makes to clusters of the proxy.

A callout names a cluster, not a host: resolving, TLS and connections are the cluster's. It belongs to the
plugin, not to the stream: when the stream ends first the response is ignored.
"""

import math
from dataclasses import dataclass
from typing import Final

from ._abi import WHOLE_BUFFER, BufferType, MapType, Status, decode_pairs, encode_pairs, status_name
from ._host import Host
from ._tasks import AwaitsCall
from .errors import CalloutError, UsageError, host_error
from .headers import FrozenHeaders, HeaderSource, encoded_headers

__all__ = ["CallResponse"]

_LONGEST_TIMEOUT_S: Final = 0x7FFF_FFFF / 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class CallResponse:
    """What a cluster answered; the body is whole."""

    status: int
    headers: FrozenHeaders
    body: bytes
    trailers: FrozenHeaders


def start_http_call(
    host: Host,
    cluster: str,
    *,
    method: str,
    path: str,
    authority: str,
    headers: HeaderSource,
    body: bytes,
    trailers: HeaderSource,
    timeout_s: float,
) -> AwaitsCall[CallResponse]:
    """Send a request to *cluster*, or raise `CalloutError`."""
    pairs = encoded_headers(((":method", method), (":path", path), (":authority", authority or cluster)))
    pairs += encoded_headers(headers)
    status, token = host.http_call(
        cluster.encode(),
        encode_pairs(pairs),
        body,
        encode_pairs(encoded_headers(trailers)),
        timeout_milliseconds(timeout_s),
    )
    if status == Status.BAD_ARGUMENT:
        raise CalloutError(cluster, "refused: the proxy has no such cluster, or method or path is empty")
    if status:
        raise CalloutError(cluster, f"refused: {status_name(status)}")
    return AwaitsCall(token, cluster)


def start_grpc_call(
    host: Host,
    cluster: str,
    *,
    service: str,
    method: str,
    message: bytes,
    metadata: HeaderSource,
    timeout_s: float,
) -> AwaitsCall[bytes]:
    """Send a unary gRPC request to *cluster*, or raise `CalloutError`."""
    status, token = host.grpc_call(
        _grpc_service(cluster),
        service.encode(),
        method.encode(),
        encode_pairs(encoded_headers(metadata)),
        message,
        timeout_milliseconds(timeout_s),
    )
    if status == Status.INTERNAL_FAILURE:
        raise CalloutError(cluster, "refused: the proxy has no such cluster, or no endpoint in it")
    if status:
        raise CalloutError(cluster, f"refused: {status_name(status)}")
    return AwaitsCall(token, cluster)


def received_response(host: Host, cluster: str, body_size: int, trailer_count: int) -> CallResponse:
    """Fetch the response from the host, which holds it only during `on_http_call_response`."""
    headers = FrozenHeaders.from_pairs(_pairs(host, MapType.CALL_RESPONSE_HEADERS))
    trailers = FrozenHeaders.from_pairs(_pairs(host, MapType.CALL_RESPONSE_TRAILERS) if trailer_count else [])
    body = received_body(host, BufferType.CALL_RESPONSE_BODY) if body_size else b""
    status = headers.get(":status", "")
    if not status.isdecimal():
        raise CalloutError(cluster, "the response has no status")
    return CallResponse(status=int(status), headers=headers, body=body, trailers=trailers)


def received_failure(host: Host, cluster: str) -> CalloutError:
    """Make the error for a callout that ended without a response, with what the host says about it."""
    status, code, message = host.get_status()
    reason = message.decode("utf-8", "replace") if status == 0 and message else "reset"
    return CalloutError(cluster, f"{reason} ({status_name(code)})" if status == 0 else reason)


def received_grpc_failure(host: Host, cluster: str, grpc_status: int) -> CalloutError:
    """Make the error for a gRPC callout without an answer: its status, and what server or host say of it."""
    status, _, message = host.get_status()
    said = message.decode("utf-8", "replace") if status == 0 else ""
    return CalloutError(cluster, f"gRPC status {grpc_status}" + (f": {said}" if said else ""))


def received_body(host: Host, buffer: BufferType) -> bytes:
    """Fetch a buffer that belongs to a callout."""
    status, data = host.get_buffer_bytes(buffer, 0, WHOLE_BUFFER)
    if status:
        raise host_error("get_buffer_bytes", status)
    return data


def _pairs(host: Host, header_map: MapType) -> list[tuple[bytes, bytes]]:
    status, data = host.get_header_map_pairs(header_map)
    if status:
        raise host_error("get_header_map_pairs", status)
    return decode_pairs(data)


def _grpc_service(cluster: str) -> bytes:
    """Name *cluster* as Envoy's `GrpcService` message does, `{envoy_grpc {cluster_name}}`.

    A host takes a bare name too, unless it reads as such a message by chance; then Envoy ends. Both fields
    have the number 1 (envoy/config/core/v3/grpc_service.proto).
    """
    return _field_1(_field_1(cluster.encode()))


def _field_1(value: bytes) -> bytes:
    """Encode a protobuf field with the number 1 and a length."""
    size = len(value)
    varint = bytearray(b"\x0a")
    while size > 0x7F:
        varint.append(size & 0x7F | 0x80)
        size >>= 7
    varint.append(size)
    return bytes(varint) + value


def timeout_milliseconds(timeout_s: float) -> int:
    """Convert a timeout to what hosts take. Raises `UsageError` if it is none."""
    if not 0 < timeout_s <= _LONGEST_TIMEOUT_S or math.isnan(timeout_s):
        raise UsageError("a callout needs a timeout above 0 seconds")
    return max(1, round(timeout_s * 1000))  # 0 would mean that there is none.
