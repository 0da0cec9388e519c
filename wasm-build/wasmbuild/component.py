"""Take a component apart into the core modules it is made of, with every import resolved.

A component names its core modules' imports by instance and alias. Here each import of each core module is
followed, through inline instances and aliases, to the thing that really provides it: an export of another
core module, or a host function that the component expects from outside.
Format: WebAssembly component model, Binary.md.
"""

from collections.abc import Callable
from dataclasses import dataclass

from . import binary
from .binary import Kind, Reader
from .errors import BuildError


@dataclass(frozen=True, slots=True)
class Export:
    """Something that a core instance exports: instance number and export name."""

    instance: int
    name: str


@dataclass(frozen=True, slots=True)
class Lowered:
    """A host function the component imports: interface (without version) and function name."""

    interface: str
    function: str


Origin = Export | Lowered
"""Where the value of an import comes from."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One instantiated core module and the origin of each of its imports, in import order."""

    number: int
    module: bytes
    origins: tuple[Origin, ...]


def _without_version(interface: str) -> str:
    return interface.partition("@")[0]


class _Walk:
    """One pass over the sections of a component, keeping its index spaces."""

    def __init__(self) -> None:
        self.modules: list[bytes] = []
        self.core_instances: list[Instance | dict[str, Origin]] = []
        self.core: dict[Kind, list[Origin]] = {kind: [] for kind in Kind}
        self.instances: list[str] = []
        self.funcs: list[Lowered | None] = []

    def core_instance(self, reader: Reader) -> None:
        if reader.byte() == 0:
            module = self.modules[reader.unsigned()]
            arguments = {}
            for _ in range(reader.unsigned()):
                name = reader.name()
                reader.byte()
                arguments[name] = reader.unsigned()
            number = len(self.core_instances)
            origins = tuple(
                self.export(arguments[entry.module], entry.name) for entry in binary.imports(module)
            )
            self.core_instances.append(Instance(number, module, origins))
        else:
            inline = {}
            for _ in range(reader.unsigned()):
                name, kind = reader.name(), Kind(reader.byte())
                inline[name] = self.core[kind][reader.unsigned()]
            self.core_instances.append(inline)

    def export(self, instance: int, name: str) -> Origin:
        found = self.core_instances[instance]
        return found[name] if isinstance(found, dict) else Export(instance, name)

    def alias(self, reader: Reader) -> None:
        sort = reader.byte()
        core_kind = Kind(reader.byte()) if sort == 0 else None
        target = reader.byte()
        if target == 2:
            reader.unsigned(), reader.unsigned()
            return
        instance, name = reader.unsigned(), reader.name()
        if core_kind is not None:
            self.core[core_kind].append(self.export(instance, name))
        elif sort == 1:
            self.funcs.append(Lowered(self.instances[instance], name))
        elif sort == 5:
            self.instances.append(name)

    def canon(self, reader: Reader) -> None:
        opcode = reader.byte()
        if opcode == 0:
            reader.byte()
            reader.unsigned()
            self.canonical_options(reader)
            reader.unsigned()
            self.funcs.append(None)
        elif opcode == 1:
            reader.byte()
            lowered = self.funcs[reader.unsigned()]
            self.canonical_options(reader)
            if lowered is None:
                raise BuildError("the component lowers a function that it lifted itself")
            self.core[Kind.FUNC].append(lowered)
        else:
            raise BuildError(
                f"unsupported canonical function {opcode:#x} (resources and async are not used here)"
            )

    def canonical_options(self, reader: Reader) -> None:
        for _ in range(reader.unsigned()):
            option = reader.byte()
            if option in (3, 4, 5):
                reader.unsigned()
            elif option > 2:
                raise BuildError(f"unsupported canonical option {option:#x} in the component")

    def component_import(self, reader: Reader) -> None:
        reader.byte()
        name = reader.name()
        sort = reader.byte()
        if sort == 5:
            self.instances.append(_without_version(name))
        elif sort == 1:
            self.funcs.append(Lowered("", name))
        else:
            raise BuildError(f"the component imports {name!r}, which is neither an instance nor a function")
        reader.unsigned()


def read(component: bytes) -> list[Instance]:
    """Return the core module instances of *component*, in order of instantiation, their imports resolved.

    Raises `BuildError` when it uses what this reader does not know.
    """
    if not component.startswith(binary.MAGIC + binary.COMPONENT_VERSION):
        raise BuildError(f"expected a WebAssembly component, got the header {component[:8]!r}")
    walk = _Walk()
    vectors: dict[int, Callable[[Reader], None]] = {
        2: walk.core_instance,
        6: walk.alias,
        8: walk.canon,
        10: walk.component_import,
    }
    for number, content in binary.sections(component):
        if number == 1:
            walk.modules.append(content)
        elif number in vectors:
            reader = Reader(content)
            for _ in range(reader.unsigned()):
                vectors[number](reader)
    return [entry for entry in walk.core_instances if isinstance(entry, Instance)]
