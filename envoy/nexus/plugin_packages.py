"""What the renderer knows of a plugin from its Python package: the configuration it takes, and its schema.

The package is called as the plugin, with underscores. A plugin that has none here is somebody else's: it is
rendered as it stands, and the plugin itself will read its configuration.
"""

import functools
import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from aigateway.config import ConfigError

__all__ = ["PluginPackage", "find_package"]


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
    """Return the package of the plugin called *plugin_name*, or None when it cannot be imported here."""
    name = plugin_name.replace("-", "_")
    if not name.isidentifier() or importlib.util.find_spec(name) is None:
        return None
    package = importlib.import_module(name)
    from_json = getattr(getattr(package, "Config", None), "from_json", None)
    if package.__file__ is None or from_json is None:
        return None
    schema = _schema(Path(package.__file__).with_name("spec.yaml"))
    return PluginPackage(name, "catalog" in schema, from_json)


def _schema(path: Path) -> Mapping[str, object]:
    """Return the keys of a plugin's configuration, as its description for Higress says them."""
    try:
        description = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    properties = description["spec"]["configSchema"]["openAPIV3Schema"].get("properties", {})
    return properties if isinstance(properties, dict) else {}
