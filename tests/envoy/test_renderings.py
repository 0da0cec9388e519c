"""Envoy accepts what the renderer makes."""

import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from nexus.cli import main
from nexus.description import Gateway
from nexus.envoy import find_envoy
from nexus.gateway_file import read_gateway
from nexus.render import render, to_yaml
from nexus.wasmplugin import WasmPlugin, read_plugins

ROOT = Path(__file__).parents[2]
TESTDATA = ROOT / "tests" / "nexus" / "testdata"
CASES = sorted(path.name.removesuffix(".in.yaml") for path in TESTDATA.glob("*.in.yaml"))


def validate(gateway: Gateway, plugins: tuple[WasmPlugin, ...], config: Path) -> None:
    config.write_text(to_yaml(render(gateway, plugins)), encoding="utf-8")
    validate_file(config)


def validate_file(config: Path) -> None:
    command = [str(find_envoy()), "--mode", "validate", "--config-path", str(config), "--log-level", "error"]

    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("case", CASES)
def test_envoy_accepts_a_golden_rendering_without_its_plugins(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plugins of the golden files are not all in the module."""
    for variable in ("OPENAI_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.setenv(variable, "none")
    gateway = read_gateway(TESTDATA / f"{case}.in.yaml")
    authority = str(TESTDATA / "tls" / "server.pem")
    providers = tuple(
        replace(provider, tls=replace(provider.tls, ca_file=authority)) if provider.tls else provider
        for provider in gateway.providers
    )

    validate(replace(gateway, providers=providers), (), tmp_path / "envoy.yaml")


def test_envoy_accepts_the_gateway_of_this_repository(module: Path, tmp_path: Path) -> None:
    gateway = read_gateway(ROOT / "envoy" / "gateway.yaml")

    validate(replace(gateway, module=module), read_plugins(gateway.plugins), tmp_path / "envoy.yaml")


def test_envoy_accepts_what_the_containers_would_run(module: Path, tmp_path: Path) -> None:
    """All but the module's path is as in docker-compose.yaml; tests/nexus compares that with the mounts."""
    compose = yaml.safe_load((ROOT / "docker-compose.yaml").read_text(encoding="utf-8"))
    words = shlex.split(compose["services"]["render"]["command"][2])
    arguments = words[words.index("nexus") + 1 :]
    config = tmp_path / "envoy.yaml"
    for option, value in (("--module", module), ("--output", config)):
        arguments[arguments.index(option) + 1] = str(value)

    assert main(arguments) == 0

    validate_file(config)
