"""Read the functions of an interface from the project's WIT file.

Only what `wit/*.wit` uses is understood: functions over ``u32``, ``s32``, ``u64``, ``s64``, ``list<u8>`` and
tuples of them. componentize-py reads the same file with a full parser, so a typing error is caught there.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from .errors import BuildError

_COMMENT = re.compile(r"//.*")
_PACKAGE = re.compile(r"package\s+([\w:-]+)\s*;")
_INTERFACE = re.compile(r"interface\s+([\w-]+)\s*\{(.*?)\}", re.DOTALL)
_FUNCTION = re.compile(r"([\w-]+)\s*:\s*func\s*\((.*?)\)\s*(?:->\s*([^;]+?))?\s*;", re.DOTALL)
_WORLD = re.compile(r"world\s+([\w-]+)\s*\{(.*?)\}", re.DOTALL)
_ITEM = re.compile(r"(include|import|export)\s+([\w-]+)\s*;")
_TYPES = frozenset({"u32", "s32", "u64", "s64", "list<u8>"})


@dataclass(frozen=True, slots=True)
class Function:
    """A WIT function: parameter types and result types, a tuple result taken apart."""

    name: str
    params: tuple[str, ...]
    results: tuple[str, ...]

    @property
    def abi_name(self) -> str:
        """The name in the Proxy-Wasm ABI, without ``proxy_``."""
        return self.name.replace("-", "_")


@dataclass(frozen=True, slots=True)
class World:
    """What a module of one kind imports and exports: functions by interface, in the order of the file."""

    name: str
    package: str
    imports: dict[str, tuple[Function, ...]]
    exports: dict[str, tuple[Function, ...]]

    def qualified(self, interface: str) -> str:
        """Return the name of an interface as core modules spell it: ``package/interface``."""
        return f"{self.package}/{interface}"


def _types(text: str, function: str) -> tuple[str, ...]:
    types = tuple(part.strip() for part in text.split(",") if part.strip())
    for found in types:
        if found not in _TYPES:
            raise BuildError(
                f"{function}: expected one of {', '.join(sorted(_TYPES))}, got the type {found!r}"
            )
    return types


def _function(name: str, params: str, result: str) -> Function:
    param_types = ",".join(part.partition(":")[2] for part in params.split(",") if part.strip())
    result = result.strip()
    if result.startswith("tuple<"):
        result = result.removeprefix("tuple<").removesuffix(">")
    return Function(name, _types(param_types, name), _types(result, name))


def read(path: Path, world: str) -> World:
    """Read the package and one world of the WIT file at *path*."""
    text = _COMMENT.sub("", path.read_text(encoding="utf-8"))
    package = _PACKAGE.search(text)
    if package is None:
        raise BuildError(f"{path}: expected a package declaration, got none")
    interfaces = {
        name: tuple(_function(*match) for match in _FUNCTION.findall(body))
        for name, body in _INTERFACE.findall(text)
    }
    worlds = {name: _ITEM.findall(body) for name, body in _WORLD.findall(text)}
    if world not in worlds:
        raise BuildError(f"{path}: expected a world {world!r}, got {', '.join(worlds) or 'none'}")
    items = _items(worlds, world)
    return World(
        world,
        package[1],
        imports={name: interfaces[name] for kind, name in items if kind == "import"},
        exports={name: interfaces[name] for kind, name in items if kind == "export"},
    )


def _items(worlds: dict[str, list[tuple[str, str]]], world: str) -> list[tuple[str, str]]:
    """Return the imports and exports of a world and of those it includes."""
    items = []
    for kind, name in worlds[world]:
        items += _items(worlds, name) if kind == "include" else [(kind, name)]
    return items
