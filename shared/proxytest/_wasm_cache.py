"""Compiled modules on disk: compiling a large module takes seconds, loading what was compiled takes none."""

import functools
import hashlib
import importlib.metadata
import os
import pathlib
import platform
import tempfile

import wasmtime

CACHE_VARIABLE = "PROXYTEST_CACHE"
"""Environment variable that names another folder for compiled modules."""


@functools.cache
def engine(is_metered: bool = False) -> wasmtime.Engine:
    """Return the engine that all modules of this process are compiled for, or that which counts fuel."""
    config = wasmtime.Config()
    config.consume_fuel = is_metered
    return wasmtime.Engine(config)


def cache_folder() -> pathlib.Path:
    """Return the folder compiled modules are kept in."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return pathlib.Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (pathlib.Path(base) if base else pathlib.Path.home() / ".cache") / "proxytest"


@functools.lru_cache(maxsize=16)
def compiled(code: bytes, is_metered: bool = False) -> wasmtime.Module:
    """Compile a module, or load what an earlier run compiled of the same bytes with the same compiler."""
    version = importlib.metadata.version("wasmtime")
    kind = "-metered" if is_metered else ""
    name = f"{hashlib.sha256(code).hexdigest()}-wasmtime-{version}-{platform.machine()}{kind}.bin"
    path = cache_folder() / name
    if path.exists():
        return wasmtime.Module.deserialize_file(engine(is_metered), str(path))
    module = wasmtime.Module(engine(is_metered), code)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own first: tests run side by side must not read half a file.
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(module.serialize())
    os.replace(file.name, path)
    return module
