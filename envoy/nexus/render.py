"""From a gateway description and its plugins to the configuration of a stock Envoy.

`render` makes one file that says everything. `render_files` makes a directory in which Envoy watches each
file, and takes over what is replaced there without a restart.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import yaml

from ._clusters import provider_cluster, service_cluster
from ._failover import (
    attempt_plugin,
    discovered_filter,
    told_of_gateway,
    with_attempt_filter,
    with_failover,
)
from ._keys import rotation_of, secret
from ._listeners import listener
from ._nodes import API, Node, file_source, socket_address
from ._plugins import FILTER_CHAIN, VM_ID, edition_of, plugin_chain, wasm_filters
from ._routes import ROUTES, route_configuration
from .description import Gateway, Provider
from .wasmplugin import WasmPlugin

__all__ = [
    "ATTEMPTS",
    "BOOTSTRAP",
    "CLUSTERS",
    "LISTENERS",
    "PLUGINS",
    "ROUTES_FILE",
    "VM_ID",
    "Node",
    "discovery",
    "edition_of",
    "key_file_name",
    "render",
    "render_files",
    "to_yaml",
]

BOOTSTRAP = "envoy.yaml"
"""What Envoy is started with; it is read once."""
LISTENERS, CLUSTERS, ROUTES_FILE, PLUGINS = "listeners.yaml", "clusters.yaml", "routes.yaml", "plugins.yaml"
ATTEMPTS = "attempts.yaml"
"""The filter of attempts, if there is one."""

_LISTENER = f"{API}.config.listener.v3.Listener"
_CLUSTER = f"{API}.config.cluster.v3.Cluster"
_ROUTES = f"{API}.config.route.v3.RouteConfiguration"
_EXTENSION = f"{API}.config.core.v3.TypedExtensionConfig"
_SECRET = f"{API}.extensions.transport_sockets.tls.v3.Secret"


def render(gateway: Gateway, plugins: Sequence[WasmPlugin]) -> Node:
    """Return the bootstrap configuration for *gateway* with *plugins*, which are in request order."""
    plugins = told_of_gateway(plugins, gateway)
    filters = wasm_filters(plugins, gateway.module)
    routes: Node = {"route_config": _routes(gateway, plugins)}
    attempts = _attempt_filters(gateway, plugins)
    resources: Node = {
        "listeners": [listener(gateway, spec, plugins=filters, routes=routes) for spec in gateway.listeners],
        "clusters": [
            *(_provider(provider, gateway, attempts) for provider in gateway.providers),
            *(service_cluster(service, gateway) for service in gateway.services),
        ],
    }
    secrets = [secret(provider) for provider in gateway.providers if provider.key]
    if secrets:
        resources["secrets"] = secrets
    return _bootstrap(gateway) | {"static_resources": resources}


def render_files(
    gateway: Gateway, plugins: Sequence[WasmPlugin], directory: Path, *, edition: str
) -> dict[str, Node]:
    """Return the files of *directory* by name, in the order in which they are to be written.

    What a file points to is written before it. All of it is one gateway: the bootstrap configuration and
    what it has Envoy watch. *directory* is where Envoy will find them. A new *edition* (see `edition_of`)
    makes Envoy load the module anew.
    """
    rds: Node = {"route_config_name": ROUTES, "config_source": file_source(directory / ROUTES_FILE)}
    discovered: Node = {
        "name": "plugins",
        "config_discovery": {
            "config_source": file_source(directory / PLUGINS),
            "type_urls": [FILTER_CHAIN],
        },
    }
    plugins = told_of_gateway(plugins, gateway)
    filters = wasm_filters(plugins, gateway.module, edition=edition)
    attempts = _attempt_filters(gateway, plugins, edition)
    watched = [discovered_filter(directory / ATTEMPTS)] if attempts else []
    keys: dict[str, Node] = {}
    clusters = []
    for provider in gateway.providers:
        file = key_file_name(provider.name)
        clusters.append(_provider(provider, gateway, watched, directory / file))
        if provider.key:
            rotation = rotation_of(provider.key.file) if provider.key.file else ""
            keys[file] = _discovery(_SECRET, [secret(provider, rotation=rotation)])
    clusters.extend(service_cluster(service, gateway) for service in gateway.services)
    listeners = [
        listener(gateway, spec, plugins=[discovered], routes={"rds": rds}) for spec in gateway.listeners
    ]
    dynamic: Node = {
        "dynamic_resources": {
            "lds_config": file_source(directory / LISTENERS),
            "cds_config": file_source(directory / CLUSTERS),
        }
    }
    return {
        **keys,
        **({ATTEMPTS: _discovery(_EXTENSION, attempts)} if attempts else {}),
        CLUSTERS: _discovery(_CLUSTER, clusters),
        PLUGINS: _discovery(_EXTENSION, [plugin_chain(filters)]),
        ROUTES_FILE: _discovery(_ROUTES, [_routes(gateway, plugins)]),
        LISTENERS: _discovery(_LISTENER, listeners),
        BOOTSTRAP: _bootstrap(gateway) | dynamic,
    }


def _routes(gateway: Gateway, plugins: Sequence[WasmPlugin]) -> Node:
    routes = route_configuration(gateway)
    return with_failover(routes, gateway) if attempt_plugin(plugins) else routes


def _attempt_filters(gateway: Gateway, plugins: Sequence[WasmPlugin], edition: str = "") -> list[Node]:
    """Return the filter that each attempt passes; it shares the VM, and so the environment, of all others."""
    plugin = attempt_plugin(plugins)
    return wasm_filters([*plugins, plugin], gateway.module, edition=edition)[-1:] if plugin else []


def _provider(
    provider: Provider, gateway: Gateway, attempts: Sequence[Node], key_file: Path | None = None
) -> Node:
    node = provider_cluster(provider, gateway, key_file)
    return with_attempt_filter(node, provider, gateway, attempts) if attempts else node


def key_file_name(provider: str) -> str:
    """Return the name of the file that tells Envoy where the key of *provider* is."""
    return f"key-{provider}.yaml"


def to_yaml(document: Node, sources: Iterable[str] = ()) -> str:
    """Return *document* as YAML, with a comment that names the files it was made from."""
    made_from = ", ".join(sources)
    head = (
        f"# Made by `python -m nexus render` from {made_from}. Change those, not this.\n" if made_from else ""
    )
    return head + yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)


def _bootstrap(gateway: Gateway) -> Node:
    return {
        "node": {"id": "ai-nexus", "cluster": "ai-nexus"},
        "admin": {"address": socket_address(gateway.admin.address, gateway.admin.port)},
        "overload_manager": {
            "resource_monitors": [
                {
                    "name": "envoy.resource_monitors.global_downstream_max_connections",
                    "typed_config": {
                        "@type": f"{API}.extensions.resource_monitors.downstream_connections.v3"
                        ".DownstreamConnectionsConfig",
                        "max_active_downstream_connections": gateway.limits.connections,
                    },
                }
            ]
        },
    }


def discovery(resources: Sequence[Mapping[str, object]]) -> Node:
    """Return a ``DiscoveryResponse`` whose version says what is in it."""
    content = json.dumps(resources, sort_keys=True).encode()
    return {"version_info": hashlib.sha256(content).hexdigest()[:16], "resources": list(resources)}


def _discovery(kind: str, resources: Sequence[Node]) -> Node:
    return discovery([{"@type": kind} | resource for resource in resources])


class _Dumper(yaml.SafeDumper):
    """Writes every value out: an alias would save a line and cost a reader a search."""

    def ignore_aliases(self, data: object) -> bool:
        return True
