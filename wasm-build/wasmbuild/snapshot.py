"""Run componentize-py: start the interpreter, import the plugins, and freeze the memory into a component.

The plugins are imported by an entry module written here, and with them the text encodings that Python looks
for only when they are used. Once everything is imported it leaves a manifest in memory (what was imported,
from which files, which plugins registered), and overwrites freed memory with zeros: compiling the sources
leaves megabytes of garbage, which would otherwise be stored in the module. What is alive then is alive for
ever, so the garbage collector is told to leave it alone. Sources are compiled without what only a reader or a
debugger needs (`lean_code`): that makes a module with all plugins 1.2 MB smaller.
"""

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from . import wit
from .errors import BuildError
from .toolchain import Toolchain

ENTRY = "nexus_entry"

_LEAN_CODE = Path(__file__).with_name("lean_code.py")
"""Imported by the entry module before everything else: it compiles what comes after it."""

_MANIFEST_START = b"\x01wasmbuild manifest\x02"
_MANIFEST_END = b"\x03wasmbuild manifest\x04"

_ENTRY_SOURCE = '''\
"""What the snapshot imports. Made by wasmbuild."""

import importlib.machinery
import {lean_code}

importlib.machinery.SourceFileLoader.get_code = {lean_code}.get_code

import encodings.ascii
import encodings.latin_1
import encodings.utf_8_sig
import encodings.utf_16
import encodings.utf_16_be
import encodings.utf_16_le
import gc
import os
import sys
import types

import proxywasm._dispatch
import wit_world.imports.host
from proxywasm import registered_plugins

_there_anyway = set(sys.modules)

{imports}
from proxywasm._guest import {guests}


def _manifest() -> bytes:
    lines = ["python\\t" + sys.version.partition(" ")[0]]
    lines += ["plugin\\t" + name for name in sorted(registered_plugins())]
    for name, module in sorted(sys.modules.items()):
        file = getattr(module, "__file__", None) or ""
        size = os.stat(file).st_size if os.path.exists(file) else 0
        wanted_by = "sdk" if name in _there_anyway else "plugins"
        lines.append("\\t".join(("module", name, file, str(size), wanted_by)))
    return {start!r} + "\\n".join(lines).encode() + {end!r}


def _forget_what_only_imports_need() -> None:
    """Drop the modules with which classes are made, unless a plugin has imported them itself."""
    for name in {only_for_imports!r}:
        gone = sys.modules.get(name)
        users = [module for module in sys.modules.values() if gone in vars(module).values()]
        if gone is None or not all(user.__name__ in sys.stdlib_module_names for user in users):
            continue
        for user in users:
            for key in [key for key, value in vars(user).items() if value is gone]:
                delattr(user, key)
        del sys.modules[name]
        vars(gone).clear()
    for thing in gc.get_objects():
        if isinstance(thing, types.FunctionType):
            thing.__annotate__ = None
        elif isinstance(thing, type) and "__dataclass_fields__" in vars(thing):
            thing.__doc__ = None  # Its signature, made by `dataclass`.


def _blank_freed_memory() -> None:
    held = []
    for size, count in {blanks!r}:
        held.append([bytes(size) for _ in range(count)])


_forget_what_only_imports_need()
sys.setrecursionlimit({recursion_limit})
_manifest_in_memory = _manifest()
gc.collect()
_blank_freed_memory()
gc.collect()
gc.freeze()
'''

RECURSION_LIMIT = 300
"""Python frames at run time. Calls that pass through C (`map`, `sorted`, `__getattr__`) take native stack, of
which V8 has 1 MB: 500 frames of the worst kind were seen to fit, 700 ended the VM before Python could raise
RecursionError."""

_ONLY_FOR_IMPORTS = (
    "inspect", "dis", "ast", "opcode", "tokenize", "token",
    "traceback", "linecache", "codeop", "textwrap", "_colorize",
)  # fmt: skip
"""Modules of the standard library that others need while classes are made, or to print sources that are not
there; the SDK writes tracebacks itself."""

_BLANKS = (
    (1 << 20, 12),
    (1 << 18, 12),
    (1 << 16, 32),
    (1 << 14, 64),
    (1 << 12, 256),
    (1 << 10, 1024),
    (600, 2000),
)
"""Sizes and counts of zeroed blocks, largest first: each lands in what is free before memory has to grow."""


@dataclass(frozen=True, slots=True)
class PythonModule:
    """A Python module in the snapshot.

    *file* is "" for what is built in, *size* that of the file in bytes, *wanted_by* ``sdk`` or ``plugins``:
    whether the module would be there without any plugin.
    """

    name: str
    file: str
    size: int
    wanted_by: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a snapshot holds: the interpreter's version, registered plugins, and Python modules by name."""

    python: str
    plugins: tuple[str, ...]
    modules: dict[str, PythonModule]


def read_manifest(data: bytes) -> Manifest:
    """Find the manifest in *data*, a memory image or a whole module.

    Raises `BuildError` if there is none.
    """
    found = re.search(
        re.escape(_MANIFEST_START) + b"(python\t.*?)" + re.escape(_MANIFEST_END), data, re.DOTALL
    )
    if found is None:
        raise BuildError(
            "no manifest in the module: it was not made by wasmbuild, or it was packed afterwards"
        )
    rows = [line.split("\t") for line in found[1].decode().splitlines()]
    return Manifest(
        python=next(row[1] for row in rows if row[0] == "python"),
        plugins=tuple(row[1] for row in rows if row[0] == "plugin"),
        modules={
            name: PythonModule(name, file, int(size), wanted_by)
            for kind, name, file, size, wanted_by in (row for row in rows if row[0] == "module")
        },
    )


def _explain(output: str) -> str:
    """Turn what componentize-py prints on failure into the part an author needs: the Python traceback."""
    start = output.rfind("Traceback (most recent call last):", 0, output.find("\n\nCaused by:"))
    traceback = output[start if start >= 0 else 0 : output.find("\n\nCaused by:")].strip()
    traceback = traceback.removeprefix("AssertionError: ")
    hint = ""
    if "dynamic module does not define module export function" in output or "No module named" in output:
        missing = re.search(r"No module named '([\w.]+)'", output)
        if missing:
            hint = (
                f"\n{missing[1]!r} was not found. Only the standard library of CPython 3.14 for WASI, the SDK"
                "\nand the plugin's own folder are there; name further folders with --python-path. Extension"
                "\nmodules cannot be packed: pure Python only."
            )
    return f"importing the plugins failed:\n{traceback}{hint}"


def take(
    modules: Sequence[str],
    python_path: Sequence[Path],
    *,
    wit_path: Path,
    world: wit.World,
    toolchain: Toolchain,
    work: Path,
) -> bytes:
    """Import *modules* in the interpreter and return the component with the memory as it was then.

    Raises `BuildError` with the plugin's own traceback when the import fails.
    """
    app = work / "app"
    empty = work / "empty" / "lib" / "python3" / "site-packages"
    app.mkdir(parents=True, exist_ok=True)
    empty.mkdir(parents=True, exist_ok=True)
    imports = "\n".join(f"import {module}" for module in modules)
    source = _ENTRY_SOURCE.format(
        imports=imports,
        guests=", ".join(interface.title().replace("-", "") for interface in world.exports),
        lean_code=_LEAN_CODE.stem,
        start=_MANIFEST_START,
        end=_MANIFEST_END,
        blanks=_BLANKS,
        only_for_imports=_ONLY_FOR_IMPORTS,
        recursion_limit=RECURSION_LIMIT,
    )
    (app / f"{ENTRY}.py").write_text(source, encoding="utf-8")
    shutil.copy(_LEAN_CODE, app)
    paths = [argument for path in (app, *python_path) for argument in ("--python-path", str(path.resolve()))]
    finished: subprocess.CompletedProcess[str] = toolchain.componentize(
        "--quiet", "--wit-path", str(wit_path.resolve()), "--world", world.name,
        "componentize", "--stub-wasi", *paths, ENTRY, "--output", "component.wasm", cwd=work,
    )  # fmt: skip
    if finished.returncode != 0:
        raise BuildError(_explain(finished.stdout + finished.stderr))
    return (work / "component.wasm").read_bytes()
