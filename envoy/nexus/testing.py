"""A gateway for tests: real Envoy, fake providers, free ports, all gone afterwards.

For example::

    with running_gateway({"ai-nexus-classifier": {}}, module=Path("build/ai-nexus.wasm")) as gateway:
        gateway.providers["openai"].set_fault(status=503, count=1)
        response = requests.post(f"{gateway.base_url}/v1/chat/completions", json=...)
        seen = gateway.providers["openai"].requests()
"""

import contextlib
import http.client
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ._child import Child
from ._rundir import private_directory
from .controls import AdminPage, ProviderControl
from .description import Admin, Gateway, Limits, Listener, Provider, Timeouts
from .envoy import envoy_command, find_envoy, why_not_started
from .ports import free_ports
from .providers import PROVIDERS
from .render import Node, to_yaml
from .stack import Stack, StartError, providers_command
from .wasmplugin import WasmPlugin

__all__ = [
    "RunningEnvoy",
    "RunningGateway",
    "describe_gateway",
    "describe_plugin",
    "running_envoy",
    "running_gateway",
    "running_providers",
]

_POLL_INTERVAL_S = 0.02
_CRASH_MARKS = ("Uncaught RuntimeError", "Function: ", "Wasm VM failed", "Proxy-Wasm plugin in-VM backtrace")
# Envoy says the same of a VM that was made only to try a configuration, and of one that has crashed.
_REFUSAL_MARKS = ("Failed to configure base Wasm plugin", "Failed to load Wasm code", "ABI version")


@dataclass(frozen=True, slots=True)
class RunningGateway:
    """A gateway that is up, and everything a test may want to know of it."""

    stack: Stack
    _access_log: Path

    @property
    def port(self) -> int:
        """The port that clients connect to, on 127.0.0.1."""
        return self.stack.port

    @property
    def base_url(self) -> str:
        """The gateway's URL, without a path."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def admin(self) -> AdminPage:
        """Envoy's administration page."""
        return self.stack.admin

    @property
    def providers(self) -> Mapping[str, ProviderControl]:
        """The fake providers by name."""
        return self.stack.providers

    @property
    def envoy_pid(self) -> int:
        """Envoy's process id."""
        return self.stack.envoy_process.pid

    @property
    def logs(self) -> list[str]:
        """What Envoy has logged, with the plugins' own lines."""
        return self.stack.envoy_process.lines

    @property
    def access_log(self) -> list[str]:
        """The lines of the access log, if the description asks for one. Envoy writes them twice a second."""
        return self._access_log.read_text(encoding="utf-8", errors="replace").splitlines()

    def vm_crashes(self) -> list[str]:
        """Return every sign that a VM has died: lines of the log, and counters that are not zero."""
        lines = [
            line
            for line in self.logs
            if any(mark in line for mark in _CRASH_MARKS) and not any(mark in line for mark in _REFUSAL_MARKS)
        ]
        stats = self.admin.stats("wasm.").items()
        return lines + [f"{name}: {value}" for name, value in stats if "vm_reload" in name and value]

    def reset(self) -> None:
        """Clear every provider's faults and journal."""
        for control in self.providers.values():
            control.set_fault()
            control.forget_requests()


def describe_gateway(*, module: Path | None = None) -> Gateway:
    """Return a gateway with the usual four providers on free ports; `dataclasses.replace` changes it."""
    first = free_ports(2)
    providers = tuple(Provider(name=fake.name, host="127.0.0.1", port=1) for fake in PROVIDERS)
    return Gateway(
        listeners=(Listener(name="http", address="127.0.0.1", port=first),),
        admin=Admin("127.0.0.1", first + 1),
        providers=providers,
        default_provider=providers[0].name,
        timeouts=Timeouts(connect_s=5, headers_s=10, idle_s=600, response_s=0),
        limits=Limits(body_bytes=32 << 20, connections=10_000),
        access_log="none",
        module=module or Path("/nonexistent"),
        plugins=Path("/nonexistent"),
    )


def describe_plugin(plugin_name: str, config: Mapping[str, object], *, priority: int = 0) -> WasmPlugin:
    """Return a plugin with this configuration and nothing else out of the ordinary."""
    return WasmPlugin(
        file=f"{plugin_name}.yaml",
        name=plugin_name,
        plugin_name=plugin_name,
        priority=priority,
        default_config=config,
    )


@contextlib.contextmanager
def running_providers(*names: str) -> Iterator[dict[str, ProviderControl]]:
    """Serve fake providers alone, the usual four unless *names* says others, on free ports."""
    names = names or tuple(fake.name for fake in PROVIDERS)
    first = free_ports(len(names))
    ended = threading.Event()
    child = Child(
        "the fake providers",
        providers_command(first, names),
        on_exit=lambda child: ended.set(),
        on_line=lambda line: None,
    )
    try:
        controls = {name: ProviderControl(name, port) for port, name in enumerate(names, first)}
        for control in controls.values():
            while not control.is_up():
                if ended.wait(_POLL_INTERVAL_S):
                    raise StartError(f"The fake providers did not start: {' '.join(child.lines)}")
        yield controls
    finally:
        child.stop()


@dataclass(frozen=True, slots=True)
class RunningEnvoy:
    """An Envoy that answers, with any configuration."""

    pid: int
    ready_s: float
    """From its start to its first answer."""
    _child: Child

    @property
    def logs(self) -> list[str]:
        """What it has logged."""
        return self._child.lines


@contextlib.contextmanager
def running_envoy(
    bootstrap: Node | Path,
    *,
    port: int,
    workers: int = 1,
    log_level: str = "warning",
    options: Sequence[str] | None = None,
) -> Iterator[RunningEnvoy]:
    """Start Envoy with *bootstrap*, wait until it answers anything on *port*, and stop it at the end.

    A path is that of a file, such as the bootstrap configuration of a directory that Envoy watches. *options*
    are those of the command line, in place of the usual ones. Raises StartError with the reason when it does
    not start.
    """
    ended = threading.Event()
    with private_directory() as directory:
        config = bootstrap if isinstance(bootstrap, Path) else directory / "envoy.yaml"
        if not isinstance(bootstrap, Path):
            config.write_text(to_yaml(bootstrap), encoding="utf-8")
        command = envoy_command(find_envoy(), config, workers=workers, log_level=log_level)
        if options is not None:
            command = [str(find_envoy()), "--config-path", str(config), *options]
        started = time.monotonic()
        child = Child("Envoy", command, on_exit=lambda child: ended.set(), on_line=lambda line: None)
        try:
            while not _answers(port):
                if ended.wait(_POLL_INTERVAL_S):
                    raise StartError(f"Envoy did not start: {why_not_started(child.lines, child.exit_code)}")
            yield RunningEnvoy(child.pid, time.monotonic() - started, child)
        finally:
            child.stop()


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/")
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


@contextlib.contextmanager
def running_gateway(
    plugins: Mapping[str, Mapping[str, object]] | Sequence[WasmPlugin] = (),
    *,
    module: Path | None = None,
    gateway: Gateway | None = None,
    workers: int = 1,
    log_level: str = "warning",
) -> Iterator[RunningGateway]:
    """Start a gateway with *plugins*, wait until a request passes, and stop it at the end.

    *plugins* are in request order: names with their configuration, or whole `WasmPlugin` values. *gateway*,
    by default `describe_gateway`, says the rest; its providers are faked on free ports in any case. Raises
    StartError with the reason when the gateway does not start.
    """
    described = gateway or describe_gateway(module=module)
    if module is not None:
        described = replace(described, module=module.resolve())
    if isinstance(plugins, Mapping):
        plugins = [describe_plugin(name, config) for name, config in plugins.items()]
    with tempfile.NamedTemporaryFile(mode="ab") as access_log:
        stack = Stack(
            described,
            plugins,
            envoy=find_envoy(),
            providers_port=free_ports(len(described.providers)),
            workers=workers,
            log_level=log_level,
            envoy_stdout=access_log,
        )
        with stack:
            stack.wait_ready()
            yield RunningGateway(stack, Path(access_log.name))
