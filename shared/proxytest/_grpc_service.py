"""How a filter names the server of a gRPC callout: Envoy's `GrpcService` message or a cluster's name."""

from collections.abc import Iterator

from ._errors import UnsafeForHostError

_ENVOY_GRPC = 1
_CLUSTER_NAME = 1
_FIXED_SIZES = {1: 8, 5: 4}


def described_cluster(service: bytes) -> str | None:
    """Return the cluster a `GrpcService` names, or None when this is not such a message.

    The fields are those of envoy/config/core/v3/grpc_service.proto. A plain name can be a message by chance,
    as `empty` is: an unknown field of four bytes. Groups are not read, Envoy's messages have none.
    Raises UnsafeForHostError for a message without a server, which ends Envoy.
    """
    try:
        chosen = [value for number, value in _fields(service) if number == _ENVOY_GRPC]
        names = [
            value
            for server in chosen[-1:]
            for number, value in _fields(server if isinstance(server, bytes) else b"")
            if number == _CLUSTER_NAME and isinstance(value, bytes)
        ]
    except ValueError:
        return None
    if not chosen:
        raise UnsafeForHostError(
            f"a gRPC callout to {service!r}, which reads as a GrpcService without a server, ends Envoy"
        )
    return names[-1].decode("utf-8", "replace") if names else ""


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Read the fields of a protobuf message. Raises ValueError for what is none."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        number, kind = tag >> 3, tag & 7
        if not number:
            raise ValueError("a field has a number")
        if kind == 0:
            value, position = _varint(data, position)
            yield number, value
            continue
        if kind == 2:
            size, position = _varint(data, position)
        elif kind in _FIXED_SIZES:
            size = _FIXED_SIZES[kind]
        else:
            raise ValueError("groups are not read")
        if position + size > len(data):
            raise ValueError("a field ends too early")
        yield number, data[position : position + size]
        position += size


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position == len(data):
            break
        value |= (data[position] & 0x7F) << shift
        position += 1
        if data[position - 1] < 0x80:
            return value, position
    raise ValueError("a number ends too early, or not at all")
