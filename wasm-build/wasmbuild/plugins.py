"""Find a plugin: by the name of its package, or by the path of a file or folder anywhere."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from .errors import BuildError


@dataclass(frozen=True, slots=True)
class Plugin:
    """The Python module that registers a filter, and the folder it is imported from."""

    module: str
    root: Path


def _in_package(folder: Path, given: str) -> Plugin:
    if not (folder / "filter.py").is_file():
        raise BuildError(f"{given}: expected a package with a module filter.py, found none in {folder}")
    return Plugin(f"{folder.name}.filter", folder.parent)


def find(given: str) -> Plugin:
    """Return the plugin that *given* names.

    A path to a ``.py`` file is the filter module itself; a path to a folder, or the name of an installed
    package, is a package with a module ``filter``; any other name is the filter module itself.
    Raises `BuildError` if there is none.
    """
    path = Path(given)
    if path.suffix == ".py":
        if not path.is_file():
            raise BuildError(f"{given}: no such file")
        if not path.stem.isidentifier():
            raise BuildError(f"{given}: expected a file name that Python can import, got {path.name!r}")
        return Plugin(path.stem, path.resolve().parent)
    if path.is_dir():
        return _in_package(path.resolve(), given)
    if not all(part.isidentifier() for part in given.split(".")):
        raise BuildError(
            f"{given}: expected the name of a Python package, or the path of a file or folder that exists"
        )
    try:
        spec = importlib.util.find_spec(given)
    except ModuleNotFoundError as error:
        raise BuildError(f"{given}: {error}") from None
    if spec is None or spec.origin is None:
        raise BuildError(f"{given}: no such package; is it installed, or should it be a path?")
    if spec.submodule_search_locations:
        return _in_package(Path(spec.origin).parent, given)
    return Plugin(given, Path(spec.origin).parents[given.count(".")])
