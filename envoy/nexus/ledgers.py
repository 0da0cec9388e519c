"""Ledgers in Redis, held against what the plugins are to run in: without the way there they are not kept."""

import difflib
from collections.abc import Iterator, Mapping

from .description import Gateway
from .wasmplugin import WasmPlugin

__all__ = ["held_against_cluster", "held_against_gateway"]

_GUARD = "ai-budget-guard"


def held_against_gateway(plugin: WasmPlugin, gateway: Gateway) -> list[str]:
    """Return what is wrong with ledgers on stock Envoy: every request would wait for a service in vain."""
    names = [service.name for service in gateway.services]
    expected = f"a service of the gateway ({', '.join(names)})" if names else "a service of the gateway"
    lines = []
    for where, ledger in _redis_ledgers(plugin):
        if ledger.get("transport", "webdis") != "webdis":
            lines.append(
                f"{plugin.file}: {where}.transport: expected webdis: stock Envoy has no calls to Redis itself"
            )
            continue
        name = ledger.get("cluster")
        if isinstance(name, str) and name not in names:
            nearest = difflib.get_close_matches(name, names, n=1)
            hint = f", did you mean {nearest[0]!r}?" if nearest else ""
            rest = "" if names else "; it has none, see services in gateway.yaml"
            lines.append(
                f"{plugin.file}: {where}.cluster: expected {expected}, got the string {name!r}{hint}{rest}"
            )
    return lines


def held_against_cluster(plugin: WasmPlugin) -> list[str]:
    """Return a line for each ledger that names no cluster as Higress calls its own."""
    return [
        f"{plugin.file}: {where}.cluster: Higress calls its clusters outbound|PORT||SERVICE, "
        f"and this is {name!r}"
        for where, ledger in _redis_ledgers(plugin)
        if isinstance(name := ledger.get("cluster"), str) and not name.startswith("outbound|")
    ]


def _redis_ledgers(plugin: WasmPlugin) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Return each ledger in Redis with its place; what is wrong by itself the plugin will say."""
    if plugin.plugin_name == _GUARD:
        for where, config in plugin.configurations():
            ledger = config.get("ledger")
            if isinstance(ledger, Mapping) and ledger.get("kind") == "redis":
                yield f"{where}.ledger", ledger
