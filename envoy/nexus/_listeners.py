"""Listeners: the HTTP connection manager in front of the plugins and the routes."""

from collections.abc import Sequence

from ._access_log import access_log
from ._nodes import API, CONNECTION_BUFFER_BYTES, HTTP_FILTERS, Node, duration, socket_address
from ._own_replies import local_replies
from .description import Gateway, Listener


def listener(gateway: Gateway, spec: Listener, *, plugins: Sequence[Node], routes: Node) -> Node:
    """Return one listener with the filters *plugins* and, under the key that says how, its *routes*."""
    return {
        "name": spec.name,
        "address": socket_address(spec.address, spec.port),
        "per_connection_buffer_limit_bytes": CONNECTION_BUFFER_BYTES,
        "filter_chains": [
            {
                "filters": [
                    {
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": _connection_manager(gateway, spec, plugins, routes),
                    }
                ]
            }
        ],
    }


def _connection_manager(gateway: Gateway, spec: Listener, plugins: Sequence[Node], routes: Node) -> Node:
    timeouts = gateway.timeouts
    node: Node = {
        "@type": f"{API}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": spec.name,
        "use_remote_address": True,
        "normalize_path": True,
        "merge_slashes": True,
        "stream_idle_timeout": duration(timeouts.idle_s),
        "request_headers_timeout": duration(timeouts.headers_s),
        # Without this an HTTP/1.1 client's trailers are read and dropped, and no plugin sees them.
        "http_protocol_options": {"enable_trailers": True},
        "http_filters": [*plugins, _router_filter()],
        **routes,
        "local_reply_config": local_replies(gateway.limits),
    }
    if gateway.access_log == "stdout":
        node["access_log"] = [access_log()]
    return node


def _router_filter() -> Node:
    return {
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": f"{HTTP_FILTERS}.router.v3.Router"},
    }
