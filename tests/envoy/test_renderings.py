"""Envoy accepts what the renderer makes, as one file and as a directory that it watches."""

import itertools
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
import yaml

from nexus.cli import main
from nexus.controls import AdminPage
from nexus.deployment import read_deployment
from nexus.description import Gateway, Key, Listener, Provider, Route, Tls
from nexus.envoy import find_envoy
from nexus.gateway_file import read_gateway
from nexus.live_directory import LiveDirectory
from nexus.ports import free_ports
from nexus.render import BOOTSTRAP, LISTENERS, render, render_files, to_yaml
from nexus.testing import describe_gateway, running_envoy
from nexus.wasmplugin import WasmPlugin

ROOT = Path(__file__).parents[2]
TESTDATA = ROOT / "tests" / "nexus" / "testdata"
CASES = sorted(path.name.removesuffix(".in.yaml") for path in TESTDATA.glob("*.in.yaml"))
AUTHORITY = str(TESTDATA / "tls" / "server.pem")

HOSTS = ("llm.example.com", "127.0.0.1", "::1")
TLS = (None, Tls(sni="llm.internal", ca_file=AUTHORITY))
KEYS = (None, Key(variable="TEST_KEY"), Key(file=Path(AUTHORITY)))
ROUTES = {
    "one route": (Route(name="default"),),
    "routes": (
        Route(name="a/b", path_prefix="/v1/chat", domains=("x.y", "*.x.y"), provider="one", idle_s=1),
        Route(name="c", domains=("z.x.y",), response_s=2),
        Route(name="d", path_prefix="/v1"),
    ),
}
PREFIXES = ("/v1", "/v1beta/openai", "")
LOGS: tuple[Literal["none", "stdout"], ...] = ("none", "stdout")


def validate(gateway: Gateway, plugins: Sequence[WasmPlugin], config: Path) -> None:
    config.write_text(to_yaml(render(gateway, plugins)), encoding="utf-8")
    validate_file(config)


def validate_file(config: Path) -> None:
    command = [str(find_envoy()), "--mode", "validate", "--config-path", str(config), "--log-level", "error"]

    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert result.returncode == 0, result.stderr


def accept_directory(gateway: Gateway, plugins: Sequence[WasmPlugin], directory: Path) -> None:
    """Start Envoy with a directory, for validation looks at its bootstrap configuration only."""
    live = LiveDirectory(directory)
    files = live.publish(render_files(gateway, plugins, live.path, edition="")).replaced
    with running_envoy(live.path / BOOTSTRAP, port=gateway.listeners[0].port) as envoy:
        stats = AdminPage(gateway.admin.port).stats()
        assert [line for line in envoy.logs if "rejected" in line or "failure" in line] == []
    accepted = [name for name, value in stats.items() if name.endswith(".update_success") and value]
    assert len(accepted) >= len(files)


def here(gateway: Gateway) -> Gateway:
    """Return *gateway* with an authority that is there, and on ports of this machine that are free."""
    providers = tuple(
        replace(provider, tls=replace(provider.tls, ca_file=AUTHORITY)) if provider.tls else provider
        for provider in gateway.providers
    )
    first = free_ports(len(gateway.listeners) + 1)
    listeners = tuple(
        replace(listener, address="127.0.0.1", port=port)
        for port, listener in enumerate(gateway.listeners, first + 1)
    )
    admin = replace(gateway.admin, address="127.0.0.1", port=first)
    return replace(gateway, providers=providers, listeners=listeners, admin=admin)


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("OPENAI_API_KEY", "GEMINI_API_KEY", "TEST_KEY"):
        monkeypatch.setenv(variable, "none")


@pytest.fixture(params=CASES)
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> Gateway:
    """The gateway of a golden file. Its plugins are left out: they are not all in the module."""
    gateway = here(read_gateway(TESTDATA / f"{request.param}.in.yaml"))
    file = tmp_path / "key"
    file.write_text("none")
    providers = tuple(
        replace(provider, key=Key(file=file)) if provider.key and provider.key.file else provider
        for provider in gateway.providers
    )
    return replace(gateway, providers=providers)


def test_envoy_accepts_a_golden_rendering(golden: Gateway, tmp_path: Path) -> None:
    validate(golden, (), tmp_path / "envoy.yaml")


def test_envoy_accepts_a_golden_directory(golden: Gateway, tmp_path: Path) -> None:
    accept_directory(golden, (), tmp_path / "envoy")


@pytest.mark.parametrize(("routes", "log"), list(itertools.product(ROUTES, LOGS)))
def test_envoy_accepts_every_kind_of_provider_and_route(
    routes: str, log: Literal["none", "stdout"], tmp_path: Path
) -> None:
    providers = [
        Provider(name=f"p{number}", host=host, port=443, tls=tls, key=key, path_prefix=prefix)
        for number, (host, tls, key, prefix) in enumerate(itertools.product(HOSTS, TLS, KEYS, PREFIXES))
    ]
    described = describe_gateway()
    gateway = replace(
        described,
        providers=(replace(providers[0], name="one"), *providers),
        default_provider="one",
        routes=ROUTES[routes],
        listeners=(*described.listeners, Listener(name="b", address="::1", port=9)),
        access_log=log,
    )

    validate(gateway, (), tmp_path / "envoy.yaml")


def test_envoy_accepts_the_gateway_of_this_repository(module: Path, tmp_path: Path) -> None:
    deployment = read_deployment(ROOT / "envoy" / "gateway.yaml")
    gateway = here(replace(deployment.gateway, module=module))

    validate(gateway, deployment.plugins, tmp_path / "envoy.yaml")
    accept_directory(gateway, deployment.plugins, tmp_path / "envoy")


def test_envoy_accepts_what_the_containers_would_run(module: Path, tmp_path: Path) -> None:
    """All but addresses and the module's path is as there; tests/nexus compares those with the mounts."""
    compose = yaml.safe_load((ROOT / "docker-compose.yaml").read_text(encoding="utf-8"))
    words = shlex.split(compose["services"]["render"]["command"][2])
    arguments = [word for word in words[words.index("nexus") + 1 :] if word != "--watch"]
    for option, value in (("--module", module), ("--directory", tmp_path / "envoy")):
        arguments[arguments.index(option) + 1] = str(value)
    assert main(arguments) == 0
    port = free_ports(2)
    for file, old, new in ((BOOTSTRAP, 9901, port), (LISTENERS, 10000, port + 1)):
        path = tmp_path / "envoy" / file
        path.write_text(path.read_text().replace(f"port_value: {old}", f"port_value: {new}"))
    # The options of the container, but for the path.
    options = compose["services"]["gateway"]["command"][2:]

    with running_envoy(tmp_path / "envoy" / BOOTSTRAP, port=port + 1, options=options) as envoy:
        assert [line for line in envoy.logs if "rejected" in line or "failure" in line] == []
