"""The pytest plugin: a `gateway` fixture on as many hosts as the command line names.

$ pytest --hosts native,wasm,envoy --module build/my-filters.wasm
"""

import os
import pathlib
from collections.abc import Iterator

import pytest

from ._deployment import Setup
from ._emulated import EmulatedDeployment
from ._envoy import EnvoyDeployment, EnvoyEngine
from ._profile import PROFILES
from ._wasm import WasmModule
from .gateway import Gateway

HOSTS = ("native", "wasm", "envoy")
DEFAULT_MODULE = "build/ai-nexus.wasm"

_ENVOY = pytest.StashKey[EnvoyEngine]()
_MODULE = pytest.StashKey[WasmModule]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--hosts`, `--module` and `--profile`."""
    group = parser.getgroup("proxytest")
    group.addoption(
        "--hosts", default="native", help=f"comma-separated: {', '.join(HOSTS)} (default: native)"
    )
    group.addoption(
        "--module",
        default=os.environ.get("PROXYTEST_MODULE", DEFAULT_MODULE),
        help=f"the wasm module to test (default: $PROXYTEST_MODULE or {DEFAULT_MODULE})",
    )
    group.addoption("--profile", default="envoy", choices=sorted(PROFILES), help="which host to emulate")


def pytest_configure(config: pytest.Config) -> None:
    """Check the options: what is missing is an error, never a skip."""
    config.addinivalue_line("markers", "hosts(*names): run a gateway test on these hosts only")
    hosts = _hosts(config)
    unknown = sorted(set(hosts) - set(HOSTS))
    if unknown or not hosts:
        raise pytest.UsageError(f"--hosts {','.join(hosts)}: expected some of {', '.join(HOSTS)}")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the Envoy of the session."""
    engine = config.stash.get(_ENVOY, None)
    if engine is not None:
        engine.stop()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that uses a gateway once per host."""
    if "gateway_host" not in metafunc.fixturenames:
        return
    marker = metafunc.definition.get_closest_marker("hosts")
    allowed = marker.args if marker is not None else HOSTS
    metafunc.parametrize("gateway_host", [host for host in _hosts(metafunc.config) if host in allowed])


@pytest.fixture
def gateway(gateway_host: str, request: pytest.FixtureRequest) -> Iterator[Gateway]:
    """Make a gateway without filters, on the host this run of the test is for."""
    made = make_gateway(gateway_host, request.config)
    try:
        yield made
    finally:
        made.close()


def make_gateway(host: str, config: pytest.Config) -> Gateway:
    """Make a gateway on a host. Raises pytest.UsageError when the module is missing."""
    profile = PROFILES[config.getoption("--profile")]
    if host == "native":
        return Gateway(host=host, profile=profile)
    module = _module(config)
    if host == "wasm":
        return Gateway(host=host, module=module, profile=profile, deploy=EmulatedDeployment)
    engine = envoy_engine(config)

    def deploy(setup: Setup) -> EnvoyDeployment:
        return EnvoyDeployment(engine, setup)

    return Gateway(host=host, module=module, profile=profile, deploy=deploy)


def envoy_engine(config: pytest.Config) -> EnvoyEngine:
    """Return the session's Envoy, starting it when it is first wanted."""
    if _ENVOY not in config.stash:
        config.stash[_ENVOY] = EnvoyEngine()
    return config.stash[_ENVOY]


def _hosts(config: pytest.Config) -> list[str]:
    return [host.strip() for host in config.getoption("--hosts").split(",") if host.strip()]


def _module(config: pytest.Config) -> WasmModule:
    if _MODULE not in config.stash:
        path = pathlib.Path(config.getoption("--module"))
        if not path.is_absolute():
            path = config.rootpath / path
        if not path.exists():
            raise pytest.UsageError(f"there is no module at {path}: build it, or name another with --module")
        config.stash[_MODULE] = WasmModule.from_file(path)
    return config.stash[_MODULE]
