"""Providers and services as clusters: where they are, how to speak to them, and with which key."""

from pathlib import Path
from typing import Any

from ._keys import key_filters
from ._nodes import API, CONNECTION_BUFFER_BYTES, Node, duration, socket_address
from .description import Gateway, Provider, Service, Tls, Upstream

ROUTED: Node = {"filter_metadata": {"envoy.lb": {"routed": True}}}
"""The mark of requests that go to the cluster that a header names."""

# Shorter than an upstream keeps an idle connection, so that no request is written into one just being closed.
_IDLE_CONNECTION_S = 30


def provider_cluster(provider: Provider, gateway: Gateway, key_file: Path | None = None) -> Node:
    """Return the cluster of one provider, whose key is a static secret or is found by *key_file*."""
    node = _cluster(provider, gateway)
    if provider.key:
        options: Any = node["typed_extension_protocol_options"]
        [protocol] = options.values()
        protocol["http_filters"] = [*key_filters(provider, key_file)]
    return node


def service_cluster(service: Service, gateway: Gateway) -> Node:
    """Return the cluster of one service: it has an endpoint for calls of plugins, and none for routes.

    A client that names the service in the header by which Envoy routes gets 503. That must not depend on a
    list of names in the routes: they are taken over a moment after the clusters.
    """
    nowhere: Node = {"keys": ["routed"], "fallback_policy": "NO_FALLBACK"}
    subsets: Node = {"fallback_policy": "ANY_ENDPOINT", "subset_selectors": [nowhere]}
    return _cluster(service, gateway) | {"lb_subset_config": subsets}


def _cluster(upstream: Upstream, gateway: Gateway) -> Node:
    endpoint: Node = {"address": socket_address(upstream.host, upstream.port)}
    if upstream.tls:
        # The route rewrites the authority to this name; at an address without one the client's stays.
        endpoint["hostname"] = upstream.tls.sni
    node: Node = {
        "name": upstream.name,
        "type": "STATIC" if upstream.has_ip_address else "LOGICAL_DNS",
        "connect_timeout": duration(gateway.timeouts.connect_s),
        "per_connection_buffer_limit_bytes": CONNECTION_BUFFER_BYTES,
        "load_assignment": {
            "cluster_name": upstream.name,
            "endpoints": [{"lb_endpoints": [{"endpoint": endpoint}]}],
        },
        "circuit_breakers": {"thresholds": [_thresholds(gateway.limits.connections)]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": _protocol_options(upstream)
        },
    }
    if upstream.tls:
        node["transport_socket"] = _tls_socket(upstream.tls)
    return node


def _thresholds(most: int) -> Node:
    """Lift Envoy's default of 1,024 to what clients may open: answers take long, so many are under way."""
    return {"max_connections": most, "max_pending_requests": most, "max_requests": most}


def _protocol_options(upstream: Upstream) -> Node:
    options: Node = {
        "@type": f"{API}.extensions.upstreams.http.v3.HttpProtocolOptions",
        "common_http_protocol_options": {"idle_timeout": duration(_IDLE_CONNECTION_S)},
    }
    if upstream.tls:
        options["auto_config"] = {"http_protocol_options": {}, "http2_protocol_options": {}}
    else:
        options["explicit_http_config"] = {"http_protocol_options": {}}
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
