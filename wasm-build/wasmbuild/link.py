"""Join the core modules of a component and the adapter to one core module.

Every import is renamed to the module and export that provides it, so that Binaryen's ``wasm-merge`` joins
them as they are. WASI and the host interface come from the adapter. The component's shim and fixup modules,
which only break import cycles through a table, and its trapping WASI stubs are no longer referred to and
drop out.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from . import adapter, binary, component, wit
from .binary import Kind, Section
from .component import Export
from .errors import BuildError
from .toolchain import Toolchain

MERGE_FEATURES = (
    "bulk-memory", "bulk-memory-opt", "call-indirect-overlong", "extended-const", "gc", "multivalue",
    "mutable-globals", "nontrapping-float-to-int", "reference-types", "sign-ext", "simd",
)  # fmt: skip
"""Named one by one: ``--all-features`` makes encodings that Envoy refuses. GC only lets globals start from
other globals while the modules are being joined; nothing of it is left afterwards (`check` proves it)."""


_ANY_MEMORY = b"\1\0" + binary.unsigned(256)
"""One memory of 16 MiB, enough for every module, in place of the one whose size depends on the plugins."""


_ZEROS = re.compile(rb"\0{16,}")
"""Runs of zeros that are left out of the memory image. A segment costs 9 bytes, and no time that shows: Envoy
was seen to start as fast with 48,000 of them as with 7,000."""


def _is_wasi(module: str) -> bool:
    return module.startswith("wasi:") or module == adapter.WASI_IN_HOST


def _interface_function(entry: binary.Import, world: wit.World) -> str | None:
    """Return the adapter's name for an import that the adapter provides."""
    interface = entry.module.partition("@")[0]
    if interface in map(world.qualified, world.imports):
        return f"host.{entry.name}"
    if _is_wasi(interface):
        return f"{interface}#{entry.name}"
    return None


def _roles(parts: list[component.Instance], guest: str) -> dict[int, str]:
    """Name the instances: ``main`` holds the memory, ``guest`` the lifted exports, the rest are numbered."""
    roles = {}
    for instance in parts:
        names = {export.name for export in binary.exports(instance.module)}
        if "memory" in names:
            roles[instance.number] = "main"
        elif any(name.startswith(f"{guest}#") for name in names):
            roles[instance.number] = "guest"
        elif "free" in names and "malloc" in names:
            roles[instance.number] = "libc"
        else:
            roles[instance.number] = f"module{instance.number}"
    for role in ("main", "guest"):
        if role not in roles.values():
            raise BuildError(
                f"the component has no module for the role {role!r}; is it made from this project's WIT?"
            )
    return roles


def _wasi_signatures(parts: list[component.Instance]) -> dict[str, tuple[list[str], list[str]]]:
    """Collect the WASI functions that the modules import, with their core types."""
    found = {}
    for instance in parts:
        types = binary.func_types(instance.module)
        for entry in binary.imports(instance.module):
            if entry.kind is Kind.FUNC and _is_wasi(entry.module):
                signature = types[binary.Reader(entry.descriptor).unsigned()]
                name = f"{entry.module.partition('@')[0]}#{entry.name}"
                found[name] = (list(signature.params), list(signature.results))
    return found


def _rewired_imports(
    instance: component.Instance, world: wit.World, roles: dict[int, str]
) -> list[binary.Import]:
    """Return the imports of a module, each naming the module and the export that provides it."""
    entries = []
    for entry, origin in zip(binary.imports(instance.module), instance.origins, strict=True):
        provided = _interface_function(entry, world)
        if provided is not None:
            entries.append(replace(entry, module="adapter", name=provided))
        elif isinstance(origin, Export):
            entries.append(replace(entry, module=roles[origin.instance], name=origin.name))
        else:
            raise BuildError(f"nothing provides {entry.module}.{entry.name} (expected from {origin})")
    return entries


def _rewire(parts: list[component.Instance], world: wit.World) -> list[tuple[str, bytes]]:
    """Return the modules to merge, by name and in order of instantiation.

    Left out are the fixup module, and modules without imports that nothing refers to any more: the shim and
    the WASI stubs.
    """
    roles = _roles(parts, world.qualified("guest"))
    rewired = {
        instance.number: _rewired_imports(instance, world, roles)
        for instance in parts
        if not any(entry.name == "$imports" for entry in binary.imports(instance.module))
    }
    referenced = {entry.module for entries in rewired.values() for entry in entries}
    modules = []
    for instance in parts:
        entries = rewired.get(instance.number)
        role = roles[instance.number]
        if entries is None or not (entries or role in referenced):
            continue
        module = binary.without_custom_sections(instance.module)
        if entries:
            module = binary.replace_section(module, Section.IMPORT, binary.encode_imports(entries))
        modules.append((role, module))
    return modules


@dataclass(frozen=True, slots=True)
class Image:
    """What a snapshot is made of: the memory's size and content, apart from the code.

    *memory* and *data* are the contents of the memory and the data section.
    """

    memory: bytes
    data: bytes


def split(component_bytes: bytes, world: wit.World) -> tuple[list[tuple[str, bytes]], Image]:
    """Take a component apart into modules without memory content, ready to merge, and the memory image.

    The modules do not depend on the plugins, only on the interpreter and the WIT world: merged once, they
    serve every build.
    """
    parts = component.read(component_bytes)
    modules = dict(_rewire(parts, world))
    main = modules["main"]
    image = Image(binary.section(main, Section.MEMORY), binary.section(main, Section.DATA))
    bare = [
        (number, _ANY_MEMORY if number == Section.MEMORY else content)
        for number, content in binary.sections(main)
        if number not in (Section.DATA, Section.DATA_COUNT)
    ]
    modules["main"] = binary.assemble(bare)
    text = adapter.generate(world, _wasi_signatures(parts))
    return [*modules.items(), ("adapter", text.encode())], image


def merge(modules: list[tuple[str, bytes]], exports: list[str], toolchain: Toolchain, work: Path) -> bytes:
    """Join *modules*, the adapter as text among them, export only *exports* in that order, and optimise."""
    arguments = []
    for name, module in modules:
        if name == "adapter":
            (work / "adapter.wat").write_bytes(module)
            toolchain.binaryen(
                "wasm-as", "adapter.wat", "-o", "adapter.wasm", *flags(MERGE_FEATURES), cwd=work
            )
        else:
            (work / f"{name}.wasm").write_bytes(module)
        arguments += [f"{name}.wasm", name]
    options = flags(MERGE_FEATURES)
    toolchain.binaryen(
        "wasm-merge", *arguments, "-o", "merged.wasm", "--rename-export-conflicts", *options, cwd=work
    )

    merged = (work / "merged.wasm").read_bytes()
    found = {export.name: export for export in binary.exports(merged)}
    wanted = binary.encode_exports([found[name] for name in exports])
    (work / "trimmed.wasm").write_bytes(binary.replace_section(merged, Section.EXPORT, wanted))
    toolchain.binaryen("wasm-opt", "trimmed.wasm", "-Os", "-o", "skeleton.wasm", *options, cwd=work)
    return (work / "skeleton.wasm").read_bytes()


def assemble(skeleton: bytes, image: Image) -> bytes:
    """Put the memory image into the merged module."""
    parts = [
        (number, image.memory if number == Section.MEMORY else content)
        for number, content in binary.sections(skeleton)
    ]
    return binary.assemble([*parts, (Section.DATA, without_zeros(image.data))])


def without_zeros(data: bytes) -> bytes:
    """Leave long runs of zeros out of a data section: memory is zero before the segments are written."""
    segments = []
    for address, content in binary.data_segments(data):
        end = 0
        for zeros in _ZEROS.finditer(content):
            segments.append((address + end, content[end : zeros.start()]))
            end = zeros.end()
        segments.append((address + end, content[end:]))
    return binary.encode_data_segments([segment for segment in segments if segment[1]])


def flags(features: tuple[str, ...]) -> list[str]:
    """Return Binaryen's command-line flags that allow exactly *features*."""
    return ["--mvp-features", *(f"--enable-{feature}" for feature in features)]
