"""The three hosts, each with the probe in it, and running a scenario on them."""

import pathlib
import subprocess
import sys
from collections.abc import Callable

from proxytest import NativeModule, WasmModule
from proxytest._deployment import Deployment, Setup
from proxytest._emulated import EmulatedDeployment
from proxytest._envoy import EnvoyDeployment, EnvoyEngine

from .bodies_scenarios import SCENARIOS as BODIES
from .grpc_scenarios import SCENARIOS as GRPC
from .headers_scenarios import SCENARIOS as HEADERS
from .lifecycle_scenarios import SCENARIOS as LIFECYCLE
from .probe import Probe
from .replies_scenarios import SCENARIOS as REPLIES
from .scenario import Observation, Scenario, observe
from .services_scenarios import SCENARIOS as SERVICES
from .setups import FRESH, SETUPS

SCENARIOS: tuple[Scenario, ...] = (*HEADERS, *BODIES, *REPLIES, *SERVICES, *GRPC, *LIFECYCLE)

_HERE = pathlib.Path(__file__).parent
PROBE_MODULE = _HERE.parent.parent / "build" / "probe.wasm"


def build_probe() -> WasmModule:
    """Build the probe's module unless it is up to date. Raises CalledProcessError."""
    command = [sys.executable, "-m", "wasmbuild", str(_HERE / "probe_module.py")]
    command += ["--python-path", str(_HERE), "-o", str(PROBE_MODULE)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return WasmModule.from_file(PROBE_MODULE)


class Hosts:
    """Deployments by host and setup, made when they are first wanted."""

    def __init__(self, names: tuple[str, ...] = ("native", "wasm", "envoy")) -> None:
        self.names = names
        self._module = build_probe() if names != ("native",) else None
        self._engine: EnvoyEngine | None = None
        self._kept: dict[tuple[str, str], Deployment] = {}

    def observe(self, scenario: Scenario, host: str) -> Observation:
        """Run a scenario on one host."""
        if scenario.setup in FRESH:
            deployment = self._deploy(host, scenario.setup)
            try:
                return observe(deployment, scenario)
            finally:
                deployment.close()
        return observe(self.deployment(host, scenario.setup), scenario)

    def deployment(self, host: str, setup: str) -> Deployment:
        """Return a deployment that scenarios share; on Envoy only one at a time exists."""
        if (host, setup) not in self._kept:
            if host == "envoy":
                self._close("envoy")
            self._kept[(host, setup)] = self._deploy(host, setup)
        return self._kept[(host, setup)]

    def stop(self) -> None:
        """Take everything down."""
        if self._engine is not None:
            self._close("envoy")
            self._engine.stop()

    def _close(self, host: str) -> None:
        for key in [key for key in self._kept if key[0] == host]:
            self._kept.pop(key).close()

    def _deploy(self, host: str, setup: str) -> Deployment:
        make: Callable[[Setup], Deployment] = EmulatedDeployment
        if host == "native":
            return make(SETUPS[setup](NativeModule(Probe)))
        if self._module is None:
            raise ValueError(f"these hosts were made without {host}")
        if host == "envoy":
            self._close("envoy")
            self._engine = self._engine or EnvoyEngine()
            return EnvoyDeployment(self._engine, SETUPS[setup](self._module))
        return make(SETUPS[setup](self._module))
