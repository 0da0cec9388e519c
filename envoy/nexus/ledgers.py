"""Ledgers of the budget guard, held against what they are to run in, and against each other."""

import difflib
from collections.abc import Iterator, Mapping, Sequence

from .description import Gateway
from .wasmplugin import WasmPlugin

__all__ = ["held_against_cluster", "held_against_gateway", "held_against_guards"]

_GUARD = "ai-budget-guard"
_PREFIX = "nexus:budget"
"""How keys in Redis begin where the configuration does not say."""


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


def held_against_guards(plugins: Sequence[WasmPlugin]) -> list[str]:
    """Return a line for each place where an announcer would tell of accounts that no guard charges.

    Nobody else notices: what is left of them is always all.
    """
    places = [
        (f"{plugin.file}: {where}", config)
        for plugin in plugins
        if plugin.plugin_name == _GUARD
        for where, config in plugin.configurations()
    ]
    guards = [config for _, config in places if config.get("role") != "announce"]
    kept, charged = {_kept_in(config) for config in guards}, {name for c in guards for name in _limits(c)}
    lines = []
    for where, config in places if guards else ():
        if config.get("role") != "announce":
            continue
        if (place := _kept_in(config)) not in kept:
            others = " and ".join(sorted(kept))
            lines.append(f"{where}.ledger: tells of accounts in {place}, and guards keep theirs in {others}")
        lines += [
            f"{where}.limits: no guard has the limit {name!r}, so nothing is ever spent of it"
            for name in _limits(config)
            if name not in charged
        ]
    return lines


def _kept_in(config: Mapping[str, object]) -> str:
    """Say where a guard with this configuration keeps its accounts."""
    ledger = config.get("ledger")
    if isinstance(ledger, Mapping) and ledger.get("kind") == "redis":
        return f"Redis under {ledger.get('prefix', _PREFIX)}"
    return "shared data"


def _limits(config: Mapping[str, object]) -> list[str]:
    """Return the names of limits; those that are wrong by themselves are left out."""
    limits = config.get("limits")
    entries = limits if isinstance(limits, list) else []
    names = [entry.get("name") for entry in entries if isinstance(entry, Mapping)]
    return [name for name in names if isinstance(name, str)]


def _redis_ledgers(plugin: WasmPlugin) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Return each ledger in Redis with its place; what is wrong by itself the plugin will say."""
    if plugin.plugin_name == _GUARD:
        for where, config in plugin.configurations():
            ledger = config.get("ledger")
            if isinstance(ledger, Mapping) and ledger.get("kind") == "redis":
                yield f"{where}.ledger", ledger
