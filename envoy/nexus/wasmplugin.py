"""Higress WasmPlugin YAML: the one format in which plugins are configured, for Higress and for stock Envoy.

The keys are those of ``extensions.higress.io/v1alpha1``. What only Higress needs (where to pull the image
from) is accepted and left alone.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from .reading import DescriptionError, Section, YamlFile

__all__ = [
    "PHASES",
    "EnvironmentVariable",
    "FailStrategy",
    "Rule",
    "WasmPlugin",
    "in_request_order",
    "read_plugin",
    "read_plugins",
]

FailStrategy = Literal["FAIL_OPEN", "FAIL_CLOSE", "FAIL_RELOAD"]

PHASES = ("AUTHN", "AUTHZ", "STATS", "UNSPECIFIED_PHASE")
"""The phases in the order in which a request meets them."""

_FAIL_STRATEGIES: tuple[FailStrategy, ...] = ("FAIL_OPEN", "FAIL_CLOSE", "FAIL_RELOAD")
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_API_VERSION = "extensions.higress.io/v1alpha1"
_KIND = "WasmPlugin"
_RULES = "_rules_"
_MATCHERS = {"ingress": "_match_route_", "domain": "_match_domain_", "service": "_match_service_"}
_PULLING = ("url", "sha256", "imagePullPolicy", "imagePullSecret")


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentVariable:
    """A variable the module sees: *value*, or Envoy's own variable of that name when *value* is None."""

    name: str
    value: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One of ``matchRules``: a configuration in place of the default one, and the requests it is for."""

    where: str
    """Its place in the file, such as ``spec.matchRules[0]``."""
    config: Mapping[str, object]
    routes: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    services: tuple[str, ...] = ()

    @property
    def document(self) -> dict[str, object]:
        """The rule as the plugin reads it: its configuration, and beside it what it matches."""
        names = {"ingress": self.routes, "domain": self.domains, "service": self.services}
        return dict(self.config) | {_MATCHERS[key]: list(names[key]) for key in names if names[key]}


@dataclass(frozen=True, slots=True, kw_only=True)
class WasmPlugin:
    """One plugin as it stands in its YAML."""

    file: str
    name: str
    plugin_name: str
    """Which plugin of the module it is: Envoy's ``root_id``."""
    phase: str = "UNSPECIFIED_PHASE"
    priority: int = 0
    fail_strategy: FailStrategy = "FAIL_RELOAD"
    environment: tuple[EnvironmentVariable, ...] = ()
    default_config: Mapping[str, object] | None
    """None when ``defaultConfigDisable`` says that only rules count."""
    rules: tuple[Rule, ...] = ()
    document: Mapping[str, object] = field(default_factory=dict, repr=False)
    """The whole file."""

    @property
    def config(self) -> dict[str, object]:
        """What the plugin reads: ``defaultConfig`` and, under ``_rules_``, the rules of ``matchRules``."""
        rules = [rule.document for rule in self.rules]
        return dict(self.default_config or {}) | ({_RULES: rules} if rules else {})

    @property
    def has_default(self) -> bool:
        """Whether the plugin touches requests that no rule matches.

        An empty default configuration beside rules is none, on Higress and in the plugins alike.
        """
        return bool(self.default_config) or (self.default_config is not None and not self.rules)

    def configurations(self) -> Iterator[tuple[str, Mapping[str, object]]]:
        """Return each configuration that may decide for a request, with its place in the file."""
        if self.has_default:
            yield "spec.defaultConfig", self.default_config or {}
        for rule in self.rules:
            yield f"{rule.where}.config", rule.config


def read_plugins(directory: Path) -> tuple[WasmPlugin, ...]:
    """Read every ``*.yaml`` of *directory* and return the plugins in the order a request meets them.

    A plugin whose default configuration is disabled and that has no rule is left out, as Higress does.
    Raises DescriptionError with everything that is wrong in any of the files.
    """
    if not directory.is_dir():
        raise DescriptionError([f"{directory}: expected a directory of WasmPlugin YAML files"])
    plugins: list[WasmPlugin] = []
    lines: list[str] = []
    for path in sorted(directory.glob("*.yaml")):
        try:
            plugin = read_plugin(path)
        except DescriptionError as error:
            lines.extend(error.problems)
        else:
            plugins.extend([plugin] if plugin else [])
    lines.extend(_clashes(plugins))
    if lines:
        raise DescriptionError(lines)
    return in_request_order(plugins)


def in_request_order(plugins: Iterable[WasmPlugin]) -> tuple[WasmPlugin, ...]:
    """Return *plugins* by phase, then by descending priority, then by name, as Higress orders them."""
    return tuple(
        sorted(plugins, key=lambda plugin: (PHASES.index(plugin.phase), -plugin.priority, plugin.name))
    )


def read_plugin(path: Path) -> WasmPlugin | None:
    """Read the WasmPlugin at *path*; None when it is disabled altogether.

    Raises DescriptionError with everything that is wrong.
    """
    file = YamlFile(path)
    root = file.root
    document = root.values
    root.text("apiVersion", re.compile(re.escape(_API_VERSION)), _API_VERSION)
    root.text("kind", re.compile(_KIND), _KIND)
    metadata = root.section("metadata")
    name = metadata.text("name", _NAME, "a name of lower-case letters, digits, '-' and '.'")
    metadata.ignore("namespace", "labels", "annotations")
    spec = root.section("spec")
    spec.ignore(*_PULLING)
    default_config = spec.document("defaultConfig")
    default_disabled = spec.boolean("defaultConfigDisable", False)
    rules = _read_rules(spec)
    if _RULES in default_config:
        spec.problem(f"defaultConfig.{_RULES}", "expected rules under matchRules, where both hosts look")
    plugin = WasmPlugin(
        file=path.name,
        name=name,
        plugin_name=spec.text("pluginName"),
        phase=spec.choice("phase", "UNSPECIFIED_PHASE", among=PHASES),
        priority=spec.integer("priority", 0, at_least=-(2**31), at_most=2**31 - 1),
        # Unless told otherwise, a plugin whose VM has crashed is closed until it is back, and comes back by
        # itself. That is what FAIL_CLOSE, the default, means on Higress; on stock Envoy it takes FAIL_RELOAD.
        fail_strategy=spec.choice("failStrategy", "FAIL_RELOAD", among=_FAIL_STRATEGIES),
        environment=_read_environment(spec.section("vmConfig")),
        default_config=None if default_disabled else default_config,
        rules=rules,
        document=document,
    )
    file.finish()
    return None if default_disabled and not rules else plugin


def _read_rules(spec: Section) -> tuple[Rule, ...]:
    rules = []
    for index, section in enumerate(spec.sections("matchRules")):
        config = section.document("config")
        disabled = section.boolean("configDisable", False)
        section.choice("routeType", "HTTP", among=("HTTP", "GRPC"))
        rule = Rule(
            where=f"spec.matchRules[{index}]",
            config=config,
            routes=section.strings("ingress", ()),
            domains=section.strings("domain", ()),
            services=section.strings("service", ()),
        )
        if not (rule.routes or rule.domains or rule.services):
            section.problem("", "expected ingress, domain or service, got none of them")
        reserved = sorted(set(config) & {_RULES, *_MATCHERS.values()})
        if reserved:
            section.problem(f"config.{reserved[0]}", "expected what to match beside config, not in it")
        if not disabled:
            rules.append(rule)
    return tuple(rules)


def _read_environment(section: Section) -> tuple[EnvironmentVariable, ...]:
    variables = []
    for entry in section.sections("env"):
        name = entry.text("name")
        source = entry.choice("valueFrom", "INLINE", among=("INLINE", "HOST"))
        value = entry.optional_text("value")
        if source == "HOST" and value is not None:
            entry.problem("value", "expected nothing when valueFrom is HOST")
        variables.append(EnvironmentVariable(name=name, value=None if source == "HOST" else value or ""))
    return tuple(variables)


def _clashes(plugins: Iterable[WasmPlugin]) -> list[str]:
    """Return what is wrong with plugins that are each right: equal names, and unequal variables.

    All plugins share one VM, whose environment is that of whichever plugin Envoy happens to load first.
    """
    lines: list[str] = []
    by_name: dict[str, str] = {}
    variables: dict[str, tuple[str | None, str]] = {}
    for plugin in plugins:
        if plugin.name in by_name:
            lines.append(
                f"{plugin.file}: metadata.name: {plugin.name!r} is the name in {by_name[plugin.name]} too"
            )
        by_name[plugin.name] = plugin.file
        for variable in plugin.environment:
            value, file = variables.setdefault(variable.name, (variable.value, plugin.file))
            if value != variable.value:
                lines.append(
                    f"{plugin.file}: spec.vmConfig.env: {variable.name} has another value in {file}, "
                    "and all plugins share one VM"
                )
    return lines
