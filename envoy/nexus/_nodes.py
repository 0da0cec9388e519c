"""Pieces of Envoy's configuration that more than one part of it needs."""

from pathlib import Path

Node = dict[str, object]
"""A mapping of the configuration, in the names of Envoy's API."""

API = "type.googleapis.com/envoy"
HTTP_FILTERS = f"{API}.extensions.filters.http"

# What a connection may hold in memory while the other side is slow. This is flow control; how large a request
# body may be is said by `request_body_buffer_limit`.
CONNECTION_BUFFER_BYTES = 1 << 20


def socket_address(host: str, port: int) -> Node:
    """Return an ``envoy.config.core.v3.Address``."""
    return {"socket_address": {"address": host, "port_value": port}}


def duration(seconds: float) -> str:
    """Return a ``google.protobuf.Duration``."""
    return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"


def file_source(file: Path) -> Node:
    """Return an ``envoy.config.core.v3.ConfigSource`` of a file that Envoy watches for being replaced."""
    return {"resource_api_version": "V3", "path_config_source": {"path": str(file)}}
