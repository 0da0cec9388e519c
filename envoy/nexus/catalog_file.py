"""The one file with the models, and its way into the configuration of every plugin that takes a catalog."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from aigateway.catalog import read_catalog
from aigateway.config import ConfigError, Reader

from .catalog.file import load_catalog
from .description import Provider
from .plugin_packages import find_package
from .wasmplugin import WasmPlugin

__all__ = ["CatalogFile", "read_catalog_file", "unknown_clusters", "with_catalog"]


@dataclass(frozen=True, slots=True)
class CatalogFile:
    """What stands in the file, as far as plugins read it."""

    file: str
    values: Mapping[str, object]
    """The keys of a plugin's configuration: `catalog`, and `unpriced` if it is there."""


def read_catalog_file(path: Path) -> CatalogFile:
    """Read the catalog at *path*; raises DescriptionError with everything that is wrong."""
    listing = load_catalog(path)
    models = [{key: entry[key] for key in entry if key != "source"} for entry in listing.entries]
    unpriced = {} if listing.unpriced is None else {"unpriced": listing.unpriced}
    return CatalogFile(path.name, {"catalog": models} | unpriced)


def with_catalog(plugin: WasmPlugin, catalog: CatalogFile | None) -> WasmPlugin:
    """Return *plugin* with *catalog* in each of its configurations that takes one and has none of its own."""
    package = find_package(plugin.plugin_name)
    if catalog is None or package is None or not package.takes_catalog:
        return plugin
    values = catalog.values

    def filled(config: Mapping[str, object]) -> Mapping[str, object]:
        return config if config.get("catalog") is not None else {**values, **config}

    default = plugin.default_config
    if plugin.has_default:
        default = filled(default or {})
    rules = tuple(replace(rule, config=filled(rule.config)) for rule in plugin.rules)
    return replace(plugin, default_config=default, rules=rules)


def unknown_clusters(config: Mapping[str, object], providers: Iterable[Provider]) -> list[str]:
    """Return, as ``path: message``, which models of the catalog in *config* no provider has the cluster for.

    Without a catalog in *config* that is said of the one the plugins bring along.
    """
    known = [provider.name for provider in providers]
    reader = Reader({key: config[key] for key in ("catalog", "unpriced") if key in config})
    catalog = read_catalog(reader)
    try:
        reader.finish()
    except ConfigError:
        return []  # The plugin itself says what is wrong with it.
    missing: dict[str, list[str]] = {}
    for index, model in enumerate(catalog.models):
        if model.cluster not in known:
            key = "provider" if model.cluster == model.provider else "cluster"
            missing.setdefault(model.cluster, []).append(f"catalog[{index}].{key}")
    expected = f"expected a provider of the gateway ({', '.join(known)})"
    return [
        f"{places[0]}: {expected}, got the string {cluster!r}"
        + (f", and so in {len(places) - 1} more" if len(places) > 1 else "")
        for cluster, places in missing.items()
    ]
