"""Providers as clusters: where they are, how to speak to them, and with which key."""

from pathlib import Path

from ._keys import key_filters
from ._nodes import API, CONNECTION_BUFFER_BYTES, Node, duration, socket_address
from .description import Gateway, Provider, Tls

# Shorter than a provider keeps an idle connection, so that no request is written into one just being closed.
_IDLE_CONNECTION_S = 30


def cluster(provider: Provider, gateway: Gateway, key_file: Path | None = None) -> Node:
    """Return the cluster of one provider, whose key is a static secret or is found by *key_file*."""
    endpoint: Node = {"address": socket_address(provider.host, provider.port)}
    if provider.tls:
        # The route rewrites the authority to this name; at an address without one the client's stays.
        endpoint["hostname"] = provider.tls.sni
    node: Node = {
        "name": provider.name,
        "type": "STATIC" if provider.has_ip_address else "LOGICAL_DNS",
        "connect_timeout": duration(gateway.timeouts.connect_s),
        "per_connection_buffer_limit_bytes": CONNECTION_BUFFER_BYTES,
        "load_assignment": {
            "cluster_name": provider.name,
            "endpoints": [{"lb_endpoints": [{"endpoint": endpoint}]}],
        },
        "circuit_breakers": {"thresholds": [_thresholds(gateway.limits.connections)]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": _protocol_options(provider, key_file)
        },
    }
    if provider.tls:
        node["transport_socket"] = _tls_socket(provider.tls)
    return node


def _thresholds(most: int) -> Node:
    """Lift Envoy's default of 1,024 to what clients may open: answers take long, so many are under way."""
    return {"max_connections": most, "max_pending_requests": most, "max_requests": most}


def _protocol_options(provider: Provider, key_file: Path | None) -> Node:
    options: Node = {
        "@type": f"{API}.extensions.upstreams.http.v3.HttpProtocolOptions",
        "common_http_protocol_options": {"idle_timeout": duration(_IDLE_CONNECTION_S)},
    }
    if provider.tls:
        options["auto_config"] = {"http_protocol_options": {}, "http2_protocol_options": {}}
    else:
        options["explicit_http_config"] = {"http_protocol_options": {}}
    if provider.key:
        options["http_filters"] = [*key_filters(provider, key_file)]
    return options


def _tls_socket(tls: Tls) -> Node:
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": f"{API}.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "sni": tls.sni,
            "common_tls_context": {
                "validation_context": {
                    "trusted_ca": {"filename": tls.ca_file},
                    "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": tls.sni}}],
                }
            },
        },
    }
