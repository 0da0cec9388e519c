from pathlib import Path

from wasmbuild import late_imports


def find(folder: Path, source: str, loaded: set[str]) -> list[str]:
    path = folder / "filter.py"
    path.write_text(source)
    return late_imports.find(path, "pack.inner", loaded)


def test_an_import_inside_a_function_is_reported_with_its_line(tmp_path: Path) -> None:
    messages = find(tmp_path, "import json\ndef f():\n    import decimal\n", {"json"})

    assert messages == [
        f"{tmp_path}/filter.py:3: f() imports 'decimal', which is not loaded while building; "
        "there are no files at run time, so import it at the top of the module"
    ]


def test_what_is_loaded_may_be_imported_late(tmp_path: Path) -> None:
    source = "def f():\n    import json\n    from .config import Config\n    from .. import other\n"

    assert find(tmp_path, source, {"json", "pack.inner.config", "pack"}) == []


def test_relative_imports_start_from_the_package(tmp_path: Path) -> None:
    messages = find(tmp_path, "async def f():\n    from ..shared import x\n", set())

    assert "imports 'pack.shared'" in messages[0]


def test_imports_at_the_top_are_made_while_building(tmp_path: Path) -> None:
    assert find(tmp_path, "import decimal\nclass A:\n    import csv\n", set()) == []
