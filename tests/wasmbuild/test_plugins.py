from pathlib import Path

import pytest

from wasmbuild import plugins
from wasmbuild.errors import BuildError
from wasmbuild.plugins import Plugin


def test_a_file_is_the_filter_itself(tmp_path: Path) -> None:
    (tmp_path / "my_filter.py").touch()

    assert plugins.find(str(tmp_path / "my_filter.py")) == Plugin("my_filter", tmp_path)


def test_a_folder_is_a_package_with_a_module_filter(tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "filter.py").touch()

    assert plugins.find(str(tmp_path / "pack")) == Plugin("pack.filter", tmp_path)


def test_an_installed_package_is_found_by_name() -> None:
    found = plugins.find("ai_nexus_classifier")

    assert found.module == "ai_nexus_classifier.filter"
    assert (found.root / "ai_nexus_classifier" / "filter.py").is_file()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("no_such_package_at_all", "no such package"),
        ("no such thing", "expected the name of a Python package, or the path of a file or folder"),
        ("missing.py", "no such file"),
        ("json", "expected a package with a module filter.py"),
    ],
)
def test_what_is_not_there_is_explained(given: str, message: str) -> None:
    with pytest.raises(BuildError, match=message):
        plugins.find(given)
