"""A deployment: gateway description, plugins and catalog, read together and held against each other.

Each file is checked by itself, each plugin's configuration by the plugin, and then what one file says of
another: rules name routes that exist, models name providers that exist.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

from ._failover import mixed_attempts, settled_downstream
from .catalog_file import CatalogFile, read_catalog_file, unknown_clusters, with_catalog
from .description import Gateway
from .gateway_file import read_gateway
from .ledgers import held_against_cluster, held_against_gateway, held_against_guards
from .plugin_packages import find_package
from .reading import DescriptionError
from .rules import resolve_rules
from .wasmplugin import WasmPlugin, read_plugins

__all__ = ["Deployment", "Host", "key_notices", "read_deployment"]

Host = Literal["envoy", "higress"]
"""What the plugins are to run in."""

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Everything that is to run, with the catalog in the plugins' configuration."""

    gateway: Gateway
    plugins: tuple[WasmPlugin, ...]
    """In the order in which a request meets them."""
    notices: tuple[str, ...]
    """What is not wrong, but worth a line to whoever deploys it."""
    files: tuple[str, ...]
    """The names of the files it was read from."""


def read_deployment(path: Path, *, host: Host = "envoy") -> Deployment:
    """Read the gateway description at *path* and what it points to.

    With *host* ``higress`` the providers and routes are those of a cluster nobody here knows, so nothing is
    held against them. Raises DescriptionError with everything that is wrong in any of the files.
    """
    gateway = read_gateway(path)
    report = _Report()
    catalog = report.read(lambda: read_catalog_file(gateway.catalog) if gateway.catalog else None)
    catalog_is_wrong = bool(report.problems)
    plugins = report.read(lambda: read_plugins(gateway.plugins)) or ()
    ready = []
    for written in plugins:
        plugin = with_catalog(written, catalog)
        _check_configurations(plugin, report, catalog_is_wrong)
        if host == "envoy":
            resolved = resolve_rules(plugin, gateway)
            report.problems.extend([*resolved.problems, *mixed_attempts(plugin)])
            report.problems.extend(held_against_gateway(plugin, gateway))
            report.notices.extend(resolved.notices)
            plugin = resolved.plugin
        else:
            report.notices.extend(held_against_cluster(plugin))
            plugin = settled_downstream(plugin)
        ready.append(plugin)
    report.notices.extend(held_against_guards(plugins))
    if host == "envoy":
        _check_clusters(plugins, catalog, gateway, report)
    if report.problems:
        raise DescriptionError(report.problems)
    files = [path.name, *([catalog.file] if catalog else []), *(plugin.file for plugin in plugins)]
    return Deployment(
        gateway=gateway, plugins=tuple(ready), notices=tuple(report.notices), files=tuple(files)
    )


def key_notices(gateway: Gateway, environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return a line for each key that is not to be found from here, though Envoy may find it elsewhere."""
    notices = []
    for index, provider in enumerate(gateway.providers):
        key = provider.key
        if key and key.variable and not environment.get(key.variable):
            notices.append(
                f"providers[{index}].key_env: {key.variable} is not set here; without it in Envoy's "
                f"environment, {provider.name} answers nothing"
            )
        if key and key.file and not key.file.is_file():
            notices.append(
                f"providers[{index}].key_file: {key.file} is not there; until it is, {provider.name} "
                "answers nothing"
            )
    return notices


@dataclass(frozen=True, slots=True)
class _Report:
    """What there is to say about the files, all of it."""

    problems: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def read(self, reading: Callable[[], Value]) -> Value | None:
        """Return what *reading* returns, or None when it finds problems."""
        try:
            return reading()
        except DescriptionError as error:
            self.problems.extend(error.problems)
            return None


def _check_configurations(plugin: WasmPlugin, report: _Report, catalog_is_wrong: bool) -> None:
    """Have each configuration read by the plugin's own code."""
    package = find_package(plugin.plugin_name)
    if package is None:
        report.notices.append(
            f"{plugin.file}: spec.pluginName: no package of {plugin.plugin_name!r} is here, "
            "so that only the plugin itself will check its configuration"
        )
    elif not (package.takes_catalog and catalog_is_wrong):  # What follows from that would only confuse.
        for where, config in plugin.configurations():
            for problem in package.problems_of(config):
                report.problems.append(f"{plugin.file}: {where}.{problem}")


def _check_clusters(
    plugins: Iterable[WasmPlugin], catalog: CatalogFile | None, gateway: Gateway, report: _Report
) -> None:
    """Note models whose cluster is no provider: each choice of such a model would be a 503."""
    if catalog is not None:
        lines = unknown_clusters(catalog.values, gateway.providers)
        report.problems.extend(f"{catalog.file}: {line}" for line in lines)
    for plugin in plugins:
        package = find_package(plugin.plugin_name)
        if package is None or not package.takes_catalog:
            continue
        for where, config in plugin.configurations():
            own = config.get("catalog") is not None
            if own or catalog is None:
                lines = unknown_clusters(config, gateway.providers)
                if own:
                    report.problems.extend(f"{plugin.file}: {where}.{line}" for line in lines)
                else:
                    report.notices.extend(f"{plugin.file}: {where}: its own {line}" for line in lines)
