"""Whole builds: what goes in comes out, and what cannot work is explained where the author can act on it."""

from pathlib import Path

import pytest
import wasmtime

from wasmbuild import binary, check, wit
from wasmbuild.__main__ import main as wasmbuild
from wasmbuild.snapshot import read_manifest
from wasmbuild.toolchain import Toolchain

ROOT = Path(__file__).parents[2]
CACHE = ROOT / "build" / ".wasmbuild"
WORLD = wit.read(ROOT / "wasm-build" / "wit" / "proxy-wasm.wit", "plugin")
FILTER = """
from proxywasm import HttpFilter, plugin


@plugin("{name}")
class Filter(HttpFilter):
    pass
"""


def build(folder: Path, *sources: tuple[str, str]) -> tuple[int, Path]:
    paths = []
    for name, source in sources:
        (folder / name).write_text(source)
        paths.append(str(folder / name))
    output = folder / "out" / "module.wasm"
    return wasmbuild([*paths, "-o", str(output), "--cache", str(CACHE)]), output


def test_filters_from_anywhere_become_one_module(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sources = [("one.py", FILTER.format(name="first")), ("two.py", FILTER.format(name="second"))]
    status, output = build(tmp_path, *sources)

    assert status == 0
    module = output.read_bytes()
    assert read_manifest(binary.section(module, binary.Section.DATA)).plugins == ("first", "second")
    assert all(finding.ok for finding in check.surface(module, WORLD, ["one", "two"]))

    assert build(tmp_path, *sources)[0] == 0
    assert "up to date" in capsys.readouterr().out
    changed = (sources[0][0], sources[0][1] + "# changed\n")
    assert build(tmp_path, changed, sources[1])[0] == 0
    assert "up to date" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def f(:\n", ["broken.py", "line 1", "SyntaxError"]),
        ("x = 1\n\nraise ValueError('not today')\n", ["broken.py", "line 3", "ValueError: not today"]),
        ("import numpy\n", ["'numpy' was not found", "--python-path", "pure Python only"]),
        (
            FILTER.format(name="late") + "\ndef f():\n    import sqlite3\n",
            ["broken.py:10: f() imports 'sqlite3'", "import it at the top of the module"],
        ),
        ("x = 1\n", ["none registered with @plugin"]),
    ],
)
def test_a_filter_that_cannot_work_is_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], source: str, expected: list[str]
) -> None:
    status, output = build(tmp_path, ("broken.py", source))

    assert status == 1
    message = capsys.readouterr().err
    assert [part for part in expected if part not in message] == []
    assert "Stack backtrace" not in message
    assert not output.exists()


def findings(text: str, subject: str) -> check.Finding:
    module = bytes(wasmtime.wat2wasm(text))
    return next(finding for finding in check.imports_and_exports(module, WORLD) if finding.subject == subject)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '(module (import "env" "proxy_redis_call" (func (param i32))))',
            "env.proxy_redis_call is not provided by both Envoy 1.32 and Higress",
        ),
        (
            '(module (import "wasi_snapshot_preview1" "sched_yield" (func (result i32))))',
            "wasi_snapshot_preview1.sched_yield is not provided",
        ),
        (
            '(module (import "env" "proxy_log" (func (param i32))))',
            "env.proxy_log: expected (i32, i32, i32) -> (i32), got (i32) -> ()",
        ),
        ('(module (import "env" "x" (global i32)))', "hosts provide functions only"),
    ],
)
def test_an_import_that_hosts_lack_is_named(text: str, expected: str) -> None:
    finding = findings(text, "imports")

    assert not finding.ok
    assert expected in finding.detail


def test_missing_abi_markers_are_seen() -> None:
    finding = findings('(module (func (export "proxy_abi_version_0_2_1")))', "ABI markers")

    assert not finding.ok


@pytest.mark.parametrize(
    ("text", "ok"),
    [
        ("(module (func $f (return_call $f)))", False),
        ("(module (memory 1) (memory 1))", False),
        ("(module (global i32 (i32.add (i32.const 1) (i32.const 2))))", False),
        ("(module (func (param i32) (result i32 i32) (local.get 0) (local.get 0)))", True),
    ],
)
def test_features_that_v8_10_7_lacks_are_seen(tmp_path: Path, text: str, ok: bool) -> None:
    path = tmp_path / "module.wasm"
    path.write_bytes(bytes(wasmtime.wat2wasm(text)))
    toolchain = Toolchain(CACHE)
    if not toolchain.ready:
        toolchain.install()

    assert check.features(path, toolchain).ok is ok
