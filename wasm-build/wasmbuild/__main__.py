"""``python -m wasmbuild PLUGIN... -o build/ai-nexus.wasm``."""

import argparse
import importlib.util
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from . import build, check, contents, plugins, wit
from .errors import BuildError
from .toolchain import Toolchain

WORLDS = {"any": "plugin", "higress": "higress-plugin"}
"""The world of the WIT file for each choice of host."""


def _wit_path() -> Path:
    here = Path(__file__).parent
    places = (here / "wit", here.parent / "wit")
    return next(place for place in places if place.is_dir()) / "proxy-wasm.wit"


def _sdk_root() -> Path:
    spec = importlib.util.find_spec("proxywasm")
    if spec is None or spec.origin is None:
        raise BuildError("the SDK (package proxywasm) is not installed beside wasmbuild")
    return Path(spec.origin).parents[1]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m wasmbuild",
        description="Turn filters written in Python into one core WebAssembly module for Proxy-Wasm hosts.",
    )
    add = parser.add_argument
    add("plugin", nargs="*", help="a package, or the path of a filter.py or of a package's folder")
    output = Path("build/ai-nexus.wasm")
    add("-o", "--output", type=Path, default=output, metavar="FILE", help="default: %(default)s")
    add(
        "--host",
        choices=sorted(WORLDS),
        default="any",
        help="any: Envoy and Higress; higress: Higress alone, with its calls to Redis (default: %(default)s)",
    )
    add(
        "--python-path",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="a further folder to import pure Python packages from; may be repeated",
    )
    add("--cache", type=Path, metavar="DIR", help="default: .wasmbuild beside the output")
    add("--force", action="store_true", help="build even if nothing changed")
    add("--check", type=Path, metavar="FILE", help="only check a module that is already there")
    add("--contents", type=Path, metavar="FILE", help="say what is in a module, and what could go")
    add("--compare", type=Path, nargs=2, metavar="FILE", help="say where two modules differ, and why")
    return parser


def _show(text: str) -> None:
    print(text, end="", flush=True)


def _build(options: argparse.Namespace, cache: Path) -> None:
    start = time.monotonic()
    found = [plugins.find(given) for given in options.plugin]
    builder = build.Builder(_wit_path(), WORLDS[options.host], cache, _show)
    _show(f"{options.output}: {', '.join(plugin.module for plugin in found)}\n")
    built = builder.build(found, [*options.python_path, _sdk_root()], options.output, force=options.force)
    size = built.path.stat().st_size / 1_048_576
    done = f"built in {time.monotonic() - start:.1f} s" if built.fresh else "up to date"
    print(f"{built.path}: {size:.2f} MiB, {done}")


def _check(path: Path, world: wit.World, cache: Path) -> bool:
    toolchain = Toolchain(cache)
    if not toolchain.ready:
        toolchain.install()
    findings = [*check.surface(path.read_bytes(), world), check.features(path, toolchain)]
    for finding in findings:
        print(f"{'ok  ' if finding.ok else 'FAIL'}  {finding.subject:<12} {finding.detail}")
    return all(finding.ok for finding in findings)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, by default that of the process; return the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    cache = options.cache or (options.check or options.output).parent / ".wasmbuild"
    try:
        if options.check:
            world = wit.read(_wit_path(), WORLDS[options.host])
            return 0 if _check(options.check, world, cache) else 1
        if options.contents:
            print(contents.table(options.contents.read_bytes()))
            return 0
        if options.compare:
            print(contents.difference(*(path.read_bytes() for path in options.compare)))
            return 0
        if not options.plugin:
            parser.error("expected at least one PLUGIN, or --check FILE, or --contents FILE")
        _build(options, cache)
    except (BuildError, OSError) as error:
        print(f"wasmbuild: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
