"""Listeners: the HTTP connection manager, the chain of plugins, and the routes."""

import json
from collections.abc import Sequence

from ._nodes import API, CONNECTION_BUFFER_BYTES, HTTP_FILTERS, Node, duration, socket_address
from .description import Gateway, Limits, Listener, Provider
from .wasmplugin import WasmPlugin

CLUSTER_HEADER = "x-ai-cluster"
"""The request header in which a plugin names the cluster of its choice."""

VM_ID = "ai-nexus"
"""One VM per worker for all plugins; what they share, they share under this id."""

_FAILURE_POLICIES = {"FAIL_OPEN": "FAIL_OPEN", "FAIL_CLOSE": "FAIL_CLOSED", "FAIL_RELOAD": "FAIL_RELOAD"}

# The path of every API that is spoken here; what a provider has in its place is its `path_prefix`.
_API_PREFIX = "/v1"

# Only for requests that cannot have reached a provider: sending those again repeats nothing.
_RETRY_POLICY: Node = {"retry_on": "connect-failure,refused-stream,reset-before-request", "num_retries": 2}

_OWN_REPLY = "the gateway answered this itself: %RESPONSE_CODE_DETAILS%"

_ACCESS_LOG_FIELDS: Node = {
    "time": "%START_TIME%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "method": "%REQ(:METHOD)%",
    "path": "%PATH(NQ)%",
    "protocol": "%PROTOCOL%",
    "status": "%RESPONSE_CODE%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "flags": "%RESPONSE_FLAGS%",
    "request_bytes": "%BYTES_RECEIVED%",
    "response_bytes": "%BYTES_SENT%",
    "duration_ms": "%DURATION%",
    "first_byte_ms": "%RESPONSE_DURATION%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "cluster": "%UPSTREAM_CLUSTER%",
    "route": "%ROUTE_NAME%",
    "complexity": "%REQ(X-AI-COMPLEXITY)%",
    "domain": "%REQ(X-AI-DOMAIN)%",
    "latency": "%REQ(X-AI-LATENCY)%",
    "prompt_tokens": "%REQ(X-AI-PROMPT-TOKENS)%",
    "model": "%REQ(X-AI-MODEL)%",
}


def listener(gateway: Gateway, spec: Listener, plugins: Sequence[WasmPlugin]) -> Node:
    """Return one listener with all *plugins*, which are in request order."""
    return {
        "name": spec.name,
        "address": socket_address(spec.address, spec.port),
        "per_connection_buffer_limit_bytes": CONNECTION_BUFFER_BYTES,
        "filter_chains": [
            {
                "filters": [
                    {
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": _connection_manager(gateway, spec, plugins),
                    }
                ]
            }
        ],
    }


def _connection_manager(gateway: Gateway, spec: Listener, plugins: Sequence[WasmPlugin]) -> Node:
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
        "http_filters": [*_wasm_filters(gateway, plugins), _router_filter()],
        "route_config": _routes(gateway),
        "local_reply_config": _local_replies(gateway.limits),
    }
    if gateway.access_log == "stdout":
        node["access_log"] = [_access_log()]
    return node


def _wasm_filters(gateway: Gateway, plugins: Sequence[WasmPlugin]) -> list[Node]:
    variables = _environment(plugins)
    return [_wasm_filter(gateway, plugin, variables) for plugin in plugins]


def _wasm_filter(gateway: Gateway, plugin: WasmPlugin, environment: Node) -> Node:
    vm_config: Node = {
        "vm_id": VM_ID,
        "runtime": "envoy.wasm.runtime.v8",
        "code": {"local": {"filename": str(gateway.module)}},
    }
    if environment:
        vm_config["environment_variables"] = environment
    configuration = json.dumps(plugin.config, ensure_ascii=False, separators=(",", ":"))
    return {
        "name": plugin.name,
        "typed_config": {
            "@type": f"{HTTP_FILTERS}.wasm.v3.Wasm",
            "config": {
                "name": plugin.plugin_name,
                "root_id": plugin.plugin_name,
                "failure_policy": _FAILURE_POLICIES[plugin.fail_strategy],
                # A plugin stops in the headers, reads the body, then changes the headers. Without this Envoy
                # takes such a stop for "no body either", and the request hangs.
                "allow_on_headers_stop_iteration": True,
                "vm_config": vm_config,
                "configuration": {
                    "@type": "type.googleapis.com/google.protobuf.StringValue",
                    "value": configuration,
                },
            },
        },
    }


def _environment(plugins: Sequence[WasmPlugin]) -> Node:
    """Return the variables of all plugins together: they share one VM, which has one environment."""
    variables = {variable.name: variable.value for plugin in plugins for variable in plugin.environment}
    inline = {name: value for name, value in variables.items() if value is not None}
    host = [name for name, value in variables.items() if value is None]
    return ({"key_values": inline} if inline else {}) | ({"host_env_keys": host} if host else {})


def _router_filter() -> Node:
    return {
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": f"{HTTP_FILTERS}.router.v3.Router"},
    }


def _routes(gateway: Gateway) -> Node:
    """Return the routes: first by the cluster header, then to the default provider.

    A provider whose API is not under ``/v1`` gets a route of its own, for the path is rewritten by the route.
    """
    chosen = [
        _provider_route(gateway, provider, by_header=True)
        for provider in gateway.providers
        if provider.path_prefix != _API_PREFIX
    ]
    by_header: Node = {
        "name": "chosen",
        "match": {"prefix": "/", "headers": [{"name": CLUSTER_HEADER, "present_match": True}]},
        "route": {"cluster_header": CLUSTER_HEADER} | _route_action(gateway),
    }
    default = next(provider for provider in gateway.providers if provider.name == gateway.default_provider)
    defaults = [_default_route(gateway, default)]
    if default.path_prefix != _API_PREFIX:
        defaults.insert(0, _provider_route(gateway, default, by_header=False))
    virtual_host: Node = {
        "name": "gateway",
        "domains": ["*"],
        "request_body_buffer_limit": gateway.limits.body_bytes,
        "retry_policy": dict(_RETRY_POLICY),
        "routes": [*chosen, by_header, *defaults],
    }
    return {"name": "gateway", "virtual_hosts": [virtual_host]}


def _provider_route(gateway: Gateway, provider: Provider, *, by_header: bool) -> Node:
    match: Node = {"prefix": f"{_API_PREFIX}/"}
    if by_header:
        exact = {"string_match": {"exact": provider.name}}
        match["headers"] = [{"name": CLUSTER_HEADER} | exact]
    action = {"cluster": provider.name, "prefix_rewrite": f"{provider.path_prefix}/"} | _route_action(gateway)
    return {
        "name": provider.name if by_header else f"default-{provider.name}",
        "match": match,
        "route": action,
    }


def _default_route(gateway: Gateway, provider: Provider) -> Node:
    return {
        "name": "default",
        "match": {"prefix": "/"},
        "route": {"cluster": provider.name} | _route_action(gateway),
    }


def _route_action(gateway: Gateway) -> Node:
    timeouts = gateway.timeouts
    return {
        "auto_host_rewrite": True,
        "timeout": duration(timeouts.response_s),
        "idle_timeout": duration(timeouts.idle_s),
    }


def _local_replies(limits: Limits) -> Node:
    """Give Envoy's own errors the form that clients of these APIs read: the OpenAI error object.

    A reply of a plugin's has its content type already, and stays as it is.
    """
    own_reply: Node = {
        "extension_filter": {
            "name": "envoy.access_loggers.extension_filters.cel",
            "typed_config": {
                "@type": f"{API}.extensions.access_loggers.filters.cel.v3.ExpressionFilter",
                "expression": "!('content-type' in response.headers)",
            },
        }
    }

    def mapper(operator: str, status: int, kind: str, message: str) -> Node:
        # Envoy wants the name of a runtime key that could change the number; nothing sets this one.
        value = {"default_value": status, "runtime_key": f"local_reply.status_{status}"}
        by_status = {"status_code_filter": {"comparison": {"op": operator, "value": value}}}
        error = {"message": message, "type": kind, "param": None, "code": "%RESPONSE_CODE_DETAILS%"}
        return {
            "filter": {"and_filter": {"filters": [by_status, own_reply]}},
            "body_format_override": {"json_format": {"error": error}},
        }

    too_large = f"the request body is larger than the gateway's limit of {limits.body_bytes} bytes"
    return {
        "mappers": [
            mapper("EQ", 413, "invalid_request_error", too_large),
            mapper("GE", 500, "server_error", _OWN_REPLY),
            mapper("GE", 400, "invalid_request_error", _OWN_REPLY),
        ]
    }


def _access_log() -> Node:
    return {
        "name": "envoy.access_loggers.stdout",
        "typed_config": {
            "@type": f"{API}.extensions.access_loggers.stream.v3.StdoutAccessLog",
            "log_format": {"json_format": dict(_ACCESS_LOG_FIELDS)},
        },
    }
