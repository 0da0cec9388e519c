"""Read a finished module and say whether the hosts can load it.

The limits are those of the oldest hosts supported: the WASI functions of Envoy 1.32, the WebAssembly
features of V8 10.7 (Higress). A missing import or an unknown feature would only show when the proxy starts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from . import adapter, binary, link, wit
from .binary import Kind, Section
from .errors import BuildError
from .snapshot import read_manifest
from .toolchain import Toolchain

MAX_BYTES = 16 * 1024 * 1024

MAX_DATA_SEGMENTS = 100_000
"""What V8 takes (`kV8MaxWasmDataSegments`)."""

V8_10_7_FEATURES = (
    "bulk-memory", "bulk-memory-opt", "call-indirect-overlong", "multivalue", "mutable-globals",
    "nontrapping-float-to-int", "reference-types", "sign-ext", "simd",
)  # fmt: skip
"""Not tail calls, multi-memory, garbage collection, new exception handling, extended constants."""

WASI_SIGNATURES = {
    "args_get": "(i32, i32) -> (i32)",
    "args_sizes_get": "(i32, i32) -> (i32)",
    "clock_time_get": "(i32, i64, i32) -> (i32)",
    "environ_get": "(i32, i32) -> (i32)",
    "environ_sizes_get": "(i32, i32) -> (i32)",
    "fd_close": "(i32) -> (i32)",
    "fd_fdstat_get": "(i32, i32) -> (i32)",
    "fd_prestat_dir_name": "(i32, i32, i32) -> (i32)",
    "fd_prestat_get": "(i32, i32) -> (i32)",
    "fd_read": "(i32, i32, i32, i32) -> (i32)",
    "fd_seek": "(i32, i64, i32, i32) -> (i32)",
    "fd_write": "(i32, i32, i32, i32) -> (i32)",
    "path_open": "(i32, i32, i32, i32, i32, i64, i64, i32, i32) -> (i32)",
    "proc_exit": "(i32) -> ()",
    "random_get": "(i32, i32) -> (i32)",
}
"""The fifteen WASI functions that Envoy 1.32 and Higress provide, with their signatures."""

_OPTIONAL_EXPORTS = frozenset({"memory", "proxy_on_memory_allocate", *adapter.ABI_MARKERS})


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at, what was found, and whether it is right."""

    subject: str
    detail: str
    ok: bool


def _imports(module: bytes, world: wit.World) -> list[Finding]:
    types = binary.func_types(module)
    expected = adapter.host_signatures(world)
    hosts = "Higress" if "higress" in world.imports else "both Envoy 1.32 and Higress"
    wrong = []
    entries = binary.imports(module)
    for entry in entries:
        name = f"{entry.module}.{entry.name}"
        if entry.kind is not Kind.FUNC:
            wrong.append(f"{name} is a {entry.kind.name.lower()}; hosts provide functions only")
            continue
        found = str(types[binary.Reader(entry.descriptor).unsigned()])
        if entry.module == "env" and entry.name in expected:
            if found != expected[entry.name]:
                wrong.append(f"{name}: expected {expected[entry.name]}, got {found}")
        elif entry.module == adapter.WASI_IN_HOST and entry.name in WASI_SIGNATURES:
            if found != WASI_SIGNATURES[entry.name]:
                wrong.append(f"{name}: expected {WASI_SIGNATURES[entry.name]}, got {found}")
        else:
            wrong.append(f"{name} is not provided by {hosts}")
    count = f"{len(entries)} imports, all of them env.proxy_* or WASI functions provided by {hosts}"
    return [Finding("imports", "; ".join(wrong) or count, not wrong)]


def _exports(module: bytes, world: wit.World) -> list[Finding]:
    names = [export.name for export in binary.exports(module)]
    missing = [name for name in adapter.exports(world) if name not in names]
    strange = [name for name in names if name not in _OPTIONAL_EXPORTS and not name.startswith("proxy_on_")]
    markers = tuple(name for name in names if name.startswith("proxy_abi_version_"))
    return [
        Finding(
            "exports",
            f"missing: {missing}; unexpected: {strange}" if missing or strange else f"{len(names)} exports",
            not missing and not strange,
        ),
        Finding("ABI markers", ", ".join(markers) or "none", markers == adapter.ABI_MARKERS),
    ]


def _size(module: bytes) -> Finding:
    megabytes = len(module) / 1_048_576
    return Finding(
        "size", f"{megabytes:.2f} MiB of at most {MAX_BYTES // 1_048_576}", len(module) <= MAX_BYTES
    )


def _data_segments(module: bytes) -> Finding:
    count = binary.Reader(binary.section(module, Section.DATA)).unsigned()
    return Finding(
        "memory", f"{count:,} data segments of at most {MAX_DATA_SEGMENTS:,}", count <= MAX_DATA_SEGMENTS
    )


def _plugins(module: bytes, plugins: Sequence[str]) -> Finding:
    manifest = read_manifest(binary.section(module, Section.DATA))
    missing = [name for name in plugins if name not in manifest.modules]
    if missing:
        return Finding("plugins", f"not in the module: {', '.join(missing)}", ok=False)
    return Finding(
        "plugins", ", ".join(manifest.plugins) or "none registered with @plugin", bool(manifest.plugins)
    )


def features(path: Path, toolchain: Toolchain) -> Finding:
    """Check that the code of the module at *path* uses nothing that V8 10.7 lacks. Takes seconds."""
    try:
        options = link.flags(V8_10_7_FEATURES)
        toolchain.binaryen("wasm-opt", str(path.resolve()), *options, "-o", "/dev/null", cwd=path.parent)
    except BuildError as error:
        return Finding("features", f"uses what V8 10.7 does not have: {error}", ok=False)
    return Finding("features", "nothing newer than V8 10.7", ok=True)


def imports_and_exports(module: bytes, world: wit.World) -> list[Finding]:
    """Check what the module wants from a host, and what it offers."""
    return [*_imports(module, world), *_exports(module, world)]


def surface(module: bytes, world: wit.World, plugins: Sequence[str] = ()) -> list[Finding]:
    """Check imports, exports, ABI markers, sizes, and that the Python modules *plugins* are in it."""
    return [
        *imports_and_exports(module, world),
        _size(module),
        _data_segments(module),
        _plugins(module, plugins),
    ]
