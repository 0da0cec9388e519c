"""Reading the configuration of a plugin, from the file that the gateway has it from."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import yaml

from aigateway.config import ConfigError

from .files import FileError, read_text

__all__ = ["parsed", "read_plugin_config"]

Parsed = TypeVar("Parsed")


def read_plugin_config(path: Path) -> dict[str, object]:
    """Read YAML or JSON: the `defaultConfig` of a Higress `WasmPlugin`, or a configuration alone."""
    try:
        found = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise FileError(f"{path}: expected YAML or JSON, got an error: {error}") from error
    for key in ("spec", "defaultConfig"):
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict):
        raise FileError(f"{path}: expected the configuration of a plugin, got no object")
    return found


def parsed(path: Path, read: Callable[[], Parsed]) -> Parsed:
    """Call *read*, and say of its problems which file they are in."""
    try:
        return read()
    except ConfigError as error:
        raise FileError("\n".join(f"{path}: {problem}" for problem in error.problems)) from error
