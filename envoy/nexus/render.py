"""From a gateway description and its plugins to the bootstrap configuration of a stock Envoy."""

from collections.abc import Iterable, Sequence

import yaml

from ._clusters import cluster, secret
from ._listeners import CLUSTER_HEADER, VM_ID, listener
from ._nodes import API, Node, socket_address
from .description import Gateway
from .wasmplugin import WasmPlugin

__all__ = ["CLUSTER_HEADER", "VM_ID", "Node", "render", "to_yaml"]


def render(gateway: Gateway, plugins: Sequence[WasmPlugin]) -> Node:
    """Return the bootstrap configuration for *gateway* with *plugins*, which are in request order."""
    resources: Node = {
        "listeners": [listener(gateway, spec, plugins) for spec in gateway.listeners],
        "clusters": [cluster(provider, gateway) for provider in gateway.providers],
    }
    secrets = [secret(provider) for provider in gateway.providers if provider.key_env]
    if secrets:
        resources["secrets"] = secrets
    return {
        "node": {"id": "ai-nexus", "cluster": "ai-nexus"},
        "admin": {"address": socket_address(gateway.admin.address, gateway.admin.port)},
        "static_resources": resources,
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


def to_yaml(bootstrap: Node, sources: Iterable[str] = ()) -> str:
    """Return *bootstrap* as YAML, with a comment that names the files it was made from."""
    made_from = ", ".join(sources)
    head = (
        f"# Made by `python -m nexus render` from {made_from}. Change those, not this.\n" if made_from else ""
    )
    return head + yaml.dump(bootstrap, Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """Writes every value out: an alias would save a line and cost a reader a search."""

    def ignore_aliases(self, data: object) -> bool:
        return True
