"""Code without docstrings and columns does the same, and its tracebacks name the same lines."""

import json.decoder
import textwrap
import traceback
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType

import pytest

from wasmbuild import lean_code

_SOURCE = textwrap.dedent('''\
    """A module."""


    def fail(depth):
        """Say so."""
        value = [
            depth
            for depth in range(3)
        ]
        return (
            1
            / (value[0]
               * depth)
        )
''')


def _load(path: Path) -> CodeType:
    return lean_code.get_code(SourceFileLoader("module", str(path)), "module")


def _lines(code: CodeType) -> list[object]:
    """Return every change of line, in this code and in what it contains."""
    inner = [_lines(item) for item in code.co_consts if isinstance(item, CodeType)]
    return [[line for _, _, line in code.co_lines()], inner]


def test_tracebacks_name_the_lines_of_the_source(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(_SOURCE)
    names: dict[str, object] = {}
    exec(_load(path), names)

    with pytest.raises(ZeroDivisionError) as caught:
        names["fail"](1)  # type: ignore[operator]

    expected = {
        number for number, line in enumerate(_SOURCE.splitlines(), 1) if line.strip() == "1" or "/" in line
    }
    assert traceback.extract_tb(caught.value.__traceback__)[-1].lineno in expected
    assert names["fail"].__doc__ is None


@pytest.mark.parametrize("module", [json.decoder, textwrap, traceback])
def test_every_instruction_keeps_its_line_and_loses_its_column(module: object) -> None:
    path = Path(module.__file__)  # type: ignore[attr-defined]
    original = compile(path.read_bytes(), str(path), "exec", dont_inherit=True, optimize=2)

    lean = _load(path)

    assert _lines(lean) == _lines(original)
    assert all(column is None for _, _, _, column in lean.co_positions())
    assert len(lean.co_linetable) < len(original.co_linetable)


def test_nothing_is_written_beside_the_source(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(_SOURCE)

    _load(tmp_path / "module.py")

    assert [path.name for path in tmp_path.iterdir()] == ["module.py"]
