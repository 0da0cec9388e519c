"""Rules of plugins, held against the gateway: does what they match exist, and what does Envoy call it.

A rule holds for a route by its name (``ingress``; with ``service`` beside it both must match), else for the
host of the request (``domain``), else for a service of Higress', which on stock Envoy is a provider.
"""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from .description import Gateway, Route
from .wasmplugin import Rule, WasmPlugin

__all__ = ["ResolvedRules", "resolve_rules"]


@dataclass(frozen=True, slots=True)
class ResolvedRules:
    """A plugin whose rules name what Envoy knows, and what there is to say about them."""

    plugin: WasmPlugin
    problems: tuple[str, ...]
    """One line for each rule that no request can match."""
    notices: tuple[str, ...]
    """One line for each name that matches nothing, in a rule that matches something."""


def resolve_rules(plugin: WasmPlugin, gateway: Gateway) -> ResolvedRules:
    """Hold the rules of *plugin* against *gateway*, and put the names of clusters for those of services."""
    problems: list[str] = []
    notices: list[str] = []
    clusters = {name: entry.name for entry in gateway.providers for name in entry.service_names}
    rules = []
    for rule in plugin.rules:
        where = f"{plugin.file}: {rule.where}"
        for key, names, known, kind in _looked_at(rule, gateway, clusters):
            unknown = [index for index, name in enumerate(names) if name not in known]
            lines = [f"{where}.{key}[{index}]: {_not_there(names[index], known, kind)}" for index in unknown]
            (problems if len(unknown) == len(names) else notices).extend(lines)
        if rule.domains and rule.routes:
            notices.append(f"{where}.domain: is not looked at, for there is ingress beside it")
        services = tuple(dict.fromkeys(clusters.get(name, name) for name in rule.services))
        rules.append(replace(rule, services=services))
    if plugin.rules and not plugin.has_default and plugin.default_config is not None:
        notices.append(
            f"{plugin.file}: spec.defaultConfig: is empty, so what no rule matches passes the plugin by"
        )
    return ResolvedRules(replace(plugin, rules=tuple(rules)), tuple(problems), tuple(notices))


def _looked_at(
    rule: Rule, gateway: Gateway, clusters: Iterable[str]
) -> list[tuple[str, Sequence[str], Sequence[str], str]]:
    """Return each key that counts, with its names, those there are, and what they name."""
    found: list[tuple[str, Sequence[str], Sequence[str], str]] = []
    if rule.routes:
        found.append(("ingress", rule.routes, [route.name for route in gateway.routes], "route"))
    elif rule.domains:
        served = [name for name in rule.domains if _is_served(name, gateway.routes)]
        written = [domain for route in gateway.routes for domain in route.domains]
        found.append(("domain", rule.domains, [*served, *written], "domain of a route"))
    if rule.services and (rule.routes or not rule.domains):
        found.append(("service", rule.services, list(clusters), "provider"))
    return found


def _not_there(name: str, known: Sequence[str], kind: str) -> str:
    names = [other for other in dict.fromkeys(known) if ":" not in other]
    nearest = difflib.get_close_matches(name, known, n=1)
    hint = f", did you mean {nearest[0]!r}?" if nearest else ""
    return f"matches nothing: expected a {kind} ({', '.join(names)}), got the string {name!r}{hint}"


def _is_served(pattern: str, routes: Iterable[Route]) -> bool:
    return any(
        not route.domains or any(_overlap(pattern.lower(), domain) for domain in route.domains)
        for route in routes
    )


def _overlap(pattern: str, domain: str) -> bool:
    """Return whether a host can match both *pattern* (``a.b``, ``*.b`` or ``a.*``) and *domain*."""
    if pattern.startswith("*"):
        end = pattern[1:]
        return domain.endswith(end) or (domain.startswith("*") and end.endswith(domain[1:]))
    if pattern.endswith("*"):
        return domain.startswith(("*", pattern[:-1]))
    return pattern.endswith(domain[1:]) if domain.startswith("*") else pattern == domain
