"""Providers as clusters: where they are, how to speak to them, and with which key."""

from ._nodes import API, CONNECTION_BUFFER_BYTES, HTTP_FILTERS, Node, duration, socket_address
from .description import Gateway, Provider, Tls

# Shorter than a provider keeps an idle connection, so that no request is written into one just being closed.
_IDLE_CONNECTION_S = 30


def cluster(provider: Provider, gateway: Gateway) -> Node:
    """Return the cluster of one provider."""
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
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": _protocol_options(provider)
        },
    }
    if provider.tls:
        node["transport_socket"] = _tls_socket(provider.tls)
    return node


def secret(provider: Provider) -> Node:
    """Return the secret that holds the key of *provider*: only the variable's name is written down."""
    return {
        "name": _secret_name(provider),
        "generic_secret": {"secret": {"environment_variable": provider.key_env}},
    }


def _secret_name(provider: Provider) -> str:
    return f"{provider.name}-key"


def _thresholds(most: int) -> Node:
    """Lift Envoy's default of 1,024 to what clients may open: answers take long, so many are under way."""
    return {"max_connections": most, "max_pending_requests": most, "max_requests": most}


def _protocol_options(provider: Provider) -> Node:
    options: Node = {
        "@type": f"{API}.extensions.upstreams.http.v3.HttpProtocolOptions",
        "common_http_protocol_options": {"idle_timeout": duration(_IDLE_CONNECTION_S)},
    }
    if provider.tls:
        options["auto_config"] = {"http_protocol_options": {}, "http2_protocol_options": {}}
    else:
        options["explicit_http_config"] = {"http_protocol_options": {}}
    if provider.key_env:
        options["http_filters"] = [_key_filter(provider), _upstream_codec()]
    return options


def _key_filter(provider: Provider) -> Node:
    """Put the key into the request on its way to this provider, and to no other."""
    return {
        "name": "key",
        "typed_config": {
            "@type": f"{HTTP_FILTERS}.credential_injector.v3.CredentialInjector",
            "overwrite": True,
            "credential": {
                "name": "envoy.http.injected_credentials.generic",
                "typed_config": {
                    "@type": f"{API}.extensions.http.injected_credentials.generic.v3.Generic",
                    "credential": {"name": _secret_name(provider)},
                    "header_value_prefix": "Bearer ",
                },
            },
        },
    }


def _upstream_codec() -> Node:
    return {
        "name": "envoy.filters.http.upstream_codec",
        "typed_config": {"@type": f"{HTTP_FILTERS}.upstream_codec.v3.UpstreamCodec"},
    }


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
