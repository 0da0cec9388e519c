"""Configuration per route, domain or service, as Higress writes it into a plugin's configuration.

    {"limit": 1,                                              the global configuration
     "_rules_": [{"_match_route_": ["chat"], "limit": 2},     for requests on the route called "chat"
                 {"_match_domain_": ["*.example.com"], "limit": 3}]}

The first rule that matches a request decides, and its configuration *replaces* the global one. Without a
match the global configuration holds; without that (only `_rules_` given) the plugin does nothing for the
request. A rule matches by

- `_match_route_`: the name of the route; together with `_match_service_` both must match;
- else `_match_domain_`: the host without its port: `a.example.com`, `*.example.com`, `example.*`;
- else `_match_service_`: the service of the route's cluster: `name.dns`, `name.static:80`; where clusters are
  not called as Higress calls them, the cluster's name;
- else `_match_route_prefix_`: the beginning of the name of the route.

`_plugin_id_` only marks the lines in the log. The semantics are those of the rule matcher in Higress'
wasm-go.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

from ._configuration import apply_parser
from .errors import ConfigurationError

__all__ = ["Configurations", "Destination", "Rule", "parse_configurations"]

Config = TypeVar("Config")

_PLUGIN_ID: Final = "_plugin_id_"
_RULES: Final = "_rules_"
_MATCHES: Final = ("_match_route_", "_match_domain_", "_match_service_", "_match_route_prefix_")


class Destination(Protocol):
    """Where a request is going; each is looked up only when a rule asks for it."""

    @property
    def route_name(self) -> str | None:
        """The name of the route."""

    @property
    def cluster_name(self) -> str | None:
        """The cluster of the route, such as `outbound|443||llm.internal.dns`, or `openai` without Higress."""

    @property
    def authority(self) -> str | None:
        """The host the client asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule(Generic[Config]):
    """A configuration, and the requests it is for."""

    config: Config
    routes: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    route_prefixes: tuple[str, ...] = ()

    def matches(self, destination: Destination) -> bool:
        """Say whether the rule is for a request to *destination*."""
        if self.routes:
            if destination.route_name not in self.routes:
                return False
            return not self.services or _serves(destination.cluster_name, self.services)
        if self.domains:
            return _is_within(destination.authority, self.domains)
        if self.services:
            return _serves(destination.cluster_name, self.services)
        return (destination.route_name or "").startswith(self.route_prefixes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Configurations(Generic[Config]):
    """All configurations of a plugin: what a request gets depends on where it goes."""

    rules: tuple[Rule[Config], ...] = ()
    default: tuple[Config, ...] = ()
    """The global configuration, or empty if there is none."""
    plugin_id: str = ""

    def choose(self, destination: Destination) -> tuple[Config, ...]:
        """Return the configuration for a request, or nothing if the plugin is not to touch it."""
        for rule in self.rules:
            if rule.matches(destination):
                return (rule.config,)
        return self.default


def parse_configurations(
    values: Mapping[str, Any], parser: Callable[[Mapping[str, Any]], Config]
) -> Configurations[Config]:
    """Parse the global configuration and all rules with the plugin's *parser*.

    All that is wrong anywhere is in one `ConfigurationError`, with `_rules_[n].` in front where it is in a
    rule.
    """
    problems: list[str] = []
    own = {key: value for key, value in values.items() if key not in (_RULES, _PLUGIN_ID)}
    default: tuple[Config, ...] = ()
    if own or _RULES not in values:
        config = apply_parser(parser, own, "", problems)
        default = () if config is None else (config,)
    rules: list[Rule[Config]] = []
    listed = values.get(_RULES, [])
    if not isinstance(listed, list):
        problems.append(f"{_RULES}: expected a list of rules")
        listed = []
    elif not listed and not own and _RULES in values:
        problems.append(f"{_RULES}: no rule, and no configuration beside it")
    for index, item in enumerate(listed):
        rule = _parse_rule(item, parser, f"{_RULES}[{index}]", problems)
        if rule is not None:
            rules.append(rule)
    if problems:
        raise ConfigurationError(problems)
    plugin_id = values.get(_PLUGIN_ID, "")
    return Configurations(rules=tuple(rules), default=default, plugin_id=str(plugin_id))


def _parse_rule(
    item: object, parser: Callable[[Mapping[str, Any]], Config], path: str, problems: list[str]
) -> Rule[Config] | None:
    if not isinstance(item, dict):
        problems.append(f"{path}: expected an object")
        return None
    routes, domains, services, prefixes = (_parse_names(item, key, path, problems) for key in _MATCHES)
    if not any(item.get(key) for key in _MATCHES):
        problems.append(f"{path}: expected one of {', '.join(_MATCHES)}")
    config = apply_parser(parser, {key: item[key] for key in item if key not in _MATCHES}, path, problems)
    if config is None:
        return None
    return Rule(config=config, routes=routes, domains=domains, services=services, route_prefixes=prefixes)


def _parse_names(item: Mapping[str, object], key: str, path: str, problems: list[str]) -> tuple[str, ...]:
    names = item.get(key) or []
    if isinstance(names, list) and all(isinstance(name, str) and name for name in names):
        return tuple(names)
    problems.append(f"{path}.{key}: expected a list of non-empty strings")
    return ()


def _is_within(authority: str | None, domains: tuple[str, ...]) -> bool:
    host = _without_port(authority or "").lower()
    return any(_is_host(host, domain.lower()) for domain in domains)


def _is_host(host: str, pattern: str) -> bool:
    if pattern.startswith("*"):
        return host.endswith(pattern[1:])
    if pattern.endswith("*"):
        return host.startswith(pattern[:-1])
    return host == pattern


def _without_port(authority: str) -> str:
    host, colon, port = authority.rpartition(":")
    return host if colon and port.isdecimal() else authority


def _serves(cluster: str | None, services: tuple[str, ...]) -> bool:
    """Compare with the port and the name in a cluster such as `outbound|443||llm.internal.dns`.

    A cluster that is not called so, as in an Envoy without Higress, is a service by its whole name.
    """
    if cluster is None:
        return False
    parts = cluster.split("|")
    if len(parts) != 4:
        return cluster in services
    _, port, _, name = parts
    return name in services or f"{name}:{port}" in services
