from pathlib import Path

import pytest

from wasmbuild import wit
from wasmbuild.errors import BuildError


def write(folder: Path, text: str) -> Path:
    path = folder / "world.wit"
    path.write_text(text)
    return path


def test_functions_are_read_with_their_tuples_taken_apart(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
        package a:b;
        interface host {
          // Comments are left out.
          get: func(key: list<u8>) -> tuple<u32, list<u8>, u32>;
          done: func() -> u32;
        }
        interface guest { on-log: func(context: u32); }
        world plugin { import host; export guest; }
        """,
    )

    world = wit.read(path, "plugin")

    assert world.qualified("host") == "a:b/host"
    assert world.imports == {
        "host": (
            wit.Function("get", ("list<u8>",), ("u32", "list<u8>", "u32")),
            wit.Function("done", (), ("u32",)),
        )
    }
    assert world.exports["guest"][0].abi_name == "on_log"


def test_a_world_has_what_it_includes(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
        package a:b;
        interface host { done: func() -> u32; }
        interface more { extra: func() -> u32; }
        world plugin { import host; export host; }
        world bigger { include plugin; import more; }
        """,
    )

    assert (list(wit.read(path, "bigger").imports), list(wit.read(path, "plugin").imports)) == (
        ["host", "more"],
        ["host"],
    )
    with pytest.raises(BuildError, match="expected a world 'huge', got plugin, bigger"):
        wit.read(path, "huge")


def test_an_unknown_type_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "package a:b; interface host { f: func(x: f32) -> u32; }")

    with pytest.raises(BuildError, match=r"f: expected one of list<u8>, .*, got the type 'f32'"):
        wit.read(path, "plugin")


def test_a_file_without_package_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="expected a package declaration"):
        wit.read(write(tmp_path, "interface host {}"), "plugin")
