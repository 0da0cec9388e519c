"""What is said of a plugin in several places is the same everywhere."""

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PACKAGES = sorted(path.parent.name for path in (ROOT / "plugins").glob("*/filter.py"))


def test_there_are_plugins() -> None:
    assert PACKAGES


def deployment_of(package: str) -> dict[str, Any]:
    path = ROOT / "envoy" / "plugins" / f"{package.replace('_', '-')}.yaml"
    spec: dict[str, Any] = yaml.safe_load(path.read_text())["spec"]
    return spec


@pytest.mark.parametrize("package", PACKAGES)
def test_description_and_deployment_agree(package: str) -> None:
    description = yaml.safe_load((ROOT / "plugins" / package / "spec.yaml").read_text())
    deployment = deployment_of(package)

    assert description["info"]["name"] == deployment["pluginName"] == package.replace("_", "-")
    for key in ("phase", "priority"):
        assert description["spec"][key] == deployment[key]


@pytest.mark.parametrize("package", PACKAGES)
def test_the_readme_of_the_plugins_names_each(package: str) -> None:
    deployment = deployment_of(package)
    row = f"({package}/README.md) | {deployment['phase']}, {deployment['priority']} |"

    assert row in (ROOT / "plugins" / "README.md").read_text()
