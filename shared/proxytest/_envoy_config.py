"""Configuration for a real Envoy that does what the emulator does.

Whatever Envoy would add on its own account (request ids, service times, its name) is switched off, because
the emulator is about filters; what filters can notice stays on.
"""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ._plugin import FailurePolicy, PluginSpec
from ._route import Route

Json = Mapping[str, object]

_HCM = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_WASM = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"
_ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
_POLICIES: Mapping[FailurePolicy, Json] = {
    FailurePolicy.CLOSED: {"failure_policy": "FAIL_CLOSED"},
    FailurePolicy.OPEN: {"failure_policy": "FAIL_OPEN"},
    FailurePolicy.OPEN_ALWAYS: {"fail_open": True},
    FailurePolicy.RELOAD: {"failure_policy": "FAIL_RELOAD"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One listener with its chain of filters."""

    name: str
    socket: str
    vm_id: str
    plugins: tuple[tuple[PluginSpec, str], ...]
    """Filters in order, each with the path of its module."""

    routes: tuple[Route, ...]
    buffer_limit: int


def bootstrap(folder: str) -> Json:
    """Configure an Envoy that takes listeners and clusters from files in *folder*."""

    def source(name: str) -> Json:
        return {"resource_api_version": "V3", "path_config_source": {"path": f"{folder}/{name}.json"}}

    return {
        "node": {"id": "proxytest", "cluster": "proxytest"},
        "admin": {"address": {"pipe": {"path": f"{folder}/admin.sock"}}},
        "dynamic_resources": {"lds_config": source("lds"), "cds_config": source("cds")},
        "layered_runtime": {
            "layers": [{"name": "static", "static_layer": {"re2.max_program_size.error_level": 1000}}]
        },
    }


def discovery(kind: str, version: int, resources: Iterable[Json]) -> Json:
    """Wrap listeners or clusters the way a discovery file wants them."""
    type_url = {
        "lds": "type.googleapis.com/envoy.config.listener.v3.Listener",
        "cds": "type.googleapis.com/envoy.config.cluster.v3.Cluster",
    }[kind]
    return {
        "version_info": str(version),
        "resources": [{"@type": type_url, **resource} for resource in resources],
    }


def cluster(name: str, socket: str | None, *, http2: bool) -> Json:
    """Configure a cluster with one endpoint, or with none."""
    protocol: Json = {"http_protocol_options": {"enable_trailers": True}}
    if http2:
        protocol = {"http2_protocol_options": {}}
    endpoint = {"endpoint": {"address": {"pipe": {"path": socket}}}}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [endpoint] if socket else []}],
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": protocol,
                # A connection for every request, and none kept that nobody took: what one request leaves
                # behind cannot reach the next.
                "common_http_protocol_options": {"max_requests_per_connection": 1, "idle_timeout": "0.001s"},
            }
        },
    }


def listener(site: Site) -> Json:
    """Configure a listener with a chain of wasm filters."""
    filters = [_wasm_filter(plugin, path, site.vm_id) for plugin, path in site.plugins]
    router: Json = {
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": _ROUTER, "suppress_envoy_headers": True},
    }
    manager: Json = {
        "@type": _HCM,
        "stat_prefix": site.name,
        "codec_type": "HTTP1",
        "generate_request_id": False,
        "delayed_close_timeout": "0s",
        "server_header_transformation": "PASS_THROUGH",
        "http_protocol_options": {"enable_trailers": True},
        "http_filters": [*filters, router],
        "route_config": {
            "name": site.name,
            "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": list(map(_route, site.routes))}],
        },
    }
    limit = {"per_connection_buffer_limit_bytes": site.buffer_limit}
    return {**_listening(site.name, site.socket, manager), **limit}


def fence(name: str, socket: str) -> Json:
    """Configure a listener that answers at once: after its answer all before is done."""
    answer = {"match": {"prefix": "/"}, "direct_response": {"status": 200}}
    manager: Json = {
        "@type": _HCM,
        "stat_prefix": name,
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": _ROUTER}}],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [answer]}]},
    }
    return _listening(name, socket, manager)


def _listening(name: str, socket: str, manager: Json) -> Json:
    hcm = {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
    return {
        "name": name,
        "address": {"pipe": {"path": socket}},
        "filter_chains": [{"filters": [hcm]}],
    }


def _route(route: Route) -> Json:
    match: dict[str, object] = {"prefix": route.prefix}
    if route.headers:
        match["headers"] = [{"name": name, "string_match": {"exact": value}} for name, value in route.headers]
    target: dict[str, object] = {"timeout": f"{route.timeout_s}s"}
    if route.cluster_header is not None:
        target["cluster_header"] = route.cluster_header
    else:
        target["cluster"] = route.cluster
    return {"name": route.name, "match": match, "route": target}


def _wasm_filter(plugin: PluginSpec, path: str, vm_id: str) -> Json:
    config: dict[str, object] = {
        "name": plugin.root_id,
        "root_id": plugin.root_id,
        "configuration": _string(plugin.configuration),
        **_POLICIES[plugin.failure_policy],
        "allow_on_headers_stop_iteration": plugin.allow_on_headers_stop_iteration,
        "vm_config": {
            "vm_id": vm_id,
            "runtime": "envoy.wasm.runtime.v8",
            "code": {"local": {"filename": path}},
            "configuration": _string(plugin.vm.configuration),
            "environment_variables": {"key_values": dict(plugin.vm.environment)},
        },
    }
    return {
        "name": f"wasm.{plugin.root_id}",
        "typed_config": {"@type": _WASM, "config": config},
    }


def _string(value: bytes) -> Json:
    try:
        return {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": value.decode()}
    except UnicodeDecodeError:
        encoded = base64.b64encode(value).decode()
        return {"@type": "type.googleapis.com/google.protobuf.BytesValue", "value": encoded}
