"""What the renderer knows of a plugin from its Python package: the configuration it takes, and its schema.

The package is called as the plugin, with underscores, and has a ``spec.yaml``. A plugin that has none here is
somebody else's: it is rendered as it stands, and the plugin itself will read its configuration.
"""

import functools
import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from aigateway.config import ConfigError

__all__ = ["PluginPackage", "find_package", "forget_packages"]

_imported: set[str] = set()


@dataclass(frozen=True, slots=True)
class PluginPackage:
    """The package of a plugin."""

    name: str
    takes_catalog: bool
    """Whether its configuration has a place for the models."""
    _from_json: Callable[[object], object]

    def problems_of(self, config: Mapping[str, object]) -> list[str]:
        """Return what the plugin would refuse in *config*, as ``path: message``."""
        try:
            self._from_json(dict(config))
        except ConfigError as error:
            return [str(problem) for problem in error.problems]
        except ValueError as error:
            return str(error).splitlines() or ["the plugin refuses it"]
        return []


@functools.cache
def find_package(plugin_name: str) -> PluginPackage | None:
    """Return the package of the plugin called *plugin_name*, or None when it is not here."""
    name = plugin_name.replace("-", "_")
    found = importlib.util.find_spec(name) if name.isidentifier() else None
    description = Path(found.origin).with_name("spec.yaml") if found and found.origin else None
    if description is None or not description.is_file():
        return None
    package = importlib.import_module(name)
    _imported.add(name)
    return PluginPackage(name, "catalog" in _schema(description), package.Config.from_json)


def forget_packages() -> None:
    """Have packages imported anew when they are next asked for: their code may be another one by then."""
    for module in list(sys.modules):
        if module.partition(".")[0] in _imported:
            del sys.modules[module]
    _imported.clear()
    importlib.invalidate_caches()
    find_package.cache_clear()


def _schema(description: Path) -> Mapping[str, object]:
    """Return the keys of a plugin's configuration, as its description for Higress says them."""
    document = yaml.safe_load(description.read_text(encoding="utf-8"))
    schema = document["spec"]["configSchema"]["openAPIV3Schema"].get("properties", {})
    return schema if isinstance(schema, dict) else {}
