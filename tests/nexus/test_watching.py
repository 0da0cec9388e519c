import os
from collections.abc import Callable
from pathlib import Path

import pytest

from nexus.watching import Watcher

DESCRIPTION = """
listeners: [{port: 10000}]
default_provider: openai
module: module.wasm
catalog: catalog.yaml
providers: [{name: openai, host: 127.0.0.1, port: 1, key_file: keys/openai}]
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "keys").mkdir()
    for name in ("module.wasm", "catalog.yaml", "plugins/a.yaml", "keys/openai"):
        (tmp_path / name).write_text(name)
    (tmp_path / "gateway.yaml").write_text(DESCRIPTION)
    return tmp_path


def edit(name: str) -> Callable[[Path], object]:
    return lambda directory: (directory / name).write_text("something else")


def replace_by_another(directory: Path) -> None:
    (directory / "new").write_text("catalog.yamX")
    status = (directory / "catalog.yaml").stat()
    os.utime(directory / "new", ns=(status.st_atime_ns, status.st_mtime_ns))
    (directory / "new").replace(directory / "catalog.yaml")


def swap_link(directory: Path) -> None:
    """Do what Kubernetes does with a mounted secret."""
    (directory / "next").mkdir()
    (directory / "next" / "openai").write_text("rotated")
    (directory / "keys").rename(directory / "before")
    (directory / "keys").symlink_to("next")


@pytest.mark.parametrize(
    "change",
    [
        edit("gateway.yaml"),
        edit("catalog.yaml"),
        edit("module.wasm"),
        edit("plugins/a.yaml"),
        edit("plugins/new.yaml"),
        edit("keys/openai"),
        lambda directory: (directory / "plugins" / "a.yaml").unlink(),
        replace_by_another,
        swap_link,
    ],
)
def test_a_change_is_noticed_once_and_when_it_is_over(
    directory: Path, change: Callable[[Path], object]
) -> None:
    watcher = Watcher(directory / "gateway.yaml")
    assert not watcher.has_changed()

    change(directory)

    assert not watcher.has_changed(), "it may still go on"
    assert watcher.has_changed()
    assert not watcher.has_changed()


def test_what_goes_on_changing_is_waited_for(directory: Path) -> None:
    watcher = Watcher(directory / "gateway.yaml")

    for size in range(1, 4):
        (directory / "module.wasm").write_bytes(bytes(size))
        assert not watcher.has_changed()

    assert watcher.has_changed()


def test_other_files_do_not_count(directory: Path) -> None:
    watcher = Watcher(directory / "gateway.yaml")

    (directory / "plugins" / "README.md").write_text("x")
    (directory / "other.yaml").write_text("x")

    assert not any(watcher.has_changed() for _ in range(3))


def test_while_the_description_is_spoilt_what_it_pointed_to_still_counts(directory: Path) -> None:
    watcher = Watcher(directory / "gateway.yaml")
    edit("gateway.yaml")(directory)
    assert [watcher.has_changed() for _ in range(3)] == [False, True, False]

    edit("catalog.yaml")(directory)

    assert [watcher.has_changed() for _ in range(2)] == [False, True]


def test_a_new_description_points_to_other_files(directory: Path) -> None:
    watcher = Watcher(directory / "gateway.yaml")
    (directory / "gateway.yaml").write_text(DESCRIPTION.replace("catalog.yaml", "models.yaml"))
    assert [watcher.has_changed() for _ in range(3)] == [False, True, False]

    edit("models.yaml")(directory)

    assert [watcher.has_changed() for _ in range(2)] == [False, True]
