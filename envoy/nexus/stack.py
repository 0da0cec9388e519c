"""A running gateway: the fake providers and Envoy, started together and gone together."""

import contextlib
import http.client
import json
import queue
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from ._child import Child
from ._rundir import private_directory
from ._updates import Updates
from .controls import AdminPage, ProviderControl
from .description import Gateway, Route, faked
from .envoy import envoy_command, why_not_started, why_refused
from .live_directory import LiveDirectory, Publication
from .render import BOOTSTRAP, edition_of, render_files
from .wasmplugin import WasmPlugin

_PROBE_INTERVAL_S = 0.05
_PROBE_TIMEOUT_S = 2.0
_PROBE_PATH = "/v1/chat/completions"
_PROBE = json.dumps({"model": "auto", "messages": [{"role": "user", "content": "Are you there?"}]}).encode()
# V8 compiles the module on every start: 4 to 5 s on two idle cores, so a slow machine gets its time.
_START_TIMEOUT_S = 120.0
_LOG_TIMEOUT_S = 2.0


class StartError(RuntimeError):
    """The gateway did not start; the message is a paragraph for the user."""


@dataclass(frozen=True, slots=True)
class ChildEnded:
    """A child process has ended without having been asked to."""

    child: Child

    def __str__(self) -> str:
        code = self.child.exit_code or 0
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        return f"{self.child.name} ended by itself, {how}"


@dataclass(frozen=True, slots=True)
class StopAsked:
    """A signal has asked for the end."""

    signal_number: int


@dataclass(frozen=True, slots=True)
class Change:
    """What has become of a changed configuration."""

    files: tuple[str, ...]
    """Those that say something new."""
    needs_restart: bool
    """Whether a part of it counts only from the next start on."""
    refusal: str | None
    """Why Envoy keeps the old one, in a paragraph; None when it has taken over the new one."""


def providers_command(first_port: int, names: Sequence[str]) -> list[str]:
    """Return the command that serves the fake providers *names* on *first_port* and the ports after it."""
    return [sys.executable, "-m", "nexus", "providers", "--port", str(first_port), *names]


def _probe_target(route: Route) -> tuple[str, str]:
    """Return host and path of a request that *route* takes, with the path of a known API if it takes one."""
    host = route.domains[0].replace("*", "probe") if route.domains else "localhost"
    return host, _PROBE_PATH if route.takes_path(_PROBE_PATH) else route.path_prefix


class Stack:
    """Fake providers and an Envoy in front of them, as a context manager.

    Entering starts both, with the providers of *gateway* replaced by fake ones on *providers_port* and the
    ports after it; `wait_ready` returns once a request has passed. Leaving stops both and removes every file.
    The processes die with the thread that entered, whatever happens to it.

    *happenings* is how one thread waits for everything: a child that ends puts itself into it, and a signal
    handler may add `StopAsked`.
    """

    def __init__(
        self,
        gateway: Gateway,
        plugins: Sequence[WasmPlugin],
        *,
        envoy: Path,
        providers_port: int,
        workers: int,
        log_level: str = "warning",
        on_line: Callable[[str], None] = lambda line: None,
        envoy_stdout: IO[bytes] | None = None,
    ) -> None:
        self.gateway = faked(gateway, "127.0.0.1", providers_port)
        self.happenings: queue.SimpleQueue[ChildEnded | StopAsked] = queue.SimpleQueue()
        self.admin = AdminPage(gateway.admin.port)
        self.providers = {
            provider.name: ProviderControl(provider.name, provider.port)
            for provider in self.gateway.providers
        }
        self._plugins = plugins
        self._envoy_binary = envoy
        self._providers_port = providers_port
        self._workers = workers
        self._log_level = log_level
        self._on_line = on_line
        self._envoy_stdout = envoy_stdout
        self._cleanup = contextlib.ExitStack()

    @property
    def port(self) -> int:
        """The port of the first listener."""
        return self.gateway.listeners[0].port

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as started:
            self.directory = LiveDirectory(started.enter_context(private_directory()) / "envoy")
            self._publish(self.gateway, self._plugins)
            names = [provider.name for provider in self.gateway.providers]
            command = providers_command(self._providers_port, names)
            self.providers_process = self._start(started, "the fake providers", command)
            config = self.directory.path / BOOTSTRAP
            command = envoy_command(
                self._envoy_binary, config, workers=self._workers, log_level=self._log_level
            )
            self.envoy_process = self._start(started, "Envoy", command, stdout=self._envoy_stdout)
            self._cleanup = started.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cleanup.close()

    def wait_ready(self) -> StopAsked | None:
        """Wait until a request has passed through Envoy and the plugins, or somebody has asked to stop.

        Raises StartError when a process ends instead, or when nothing passes for two minutes.
        """
        deadline = time.monotonic() + _START_TIMEOUT_S
        while (problem := self._probe()) is not None:
            with contextlib.suppress(queue.Empty):
                happening = self.happenings.get(timeout=_PROBE_INTERVAL_S)
                if isinstance(happening, StopAsked):
                    return happening
                raise StartError(self._why_ended(happening.child))
            if refusal := why_refused(self.envoy_process.lines):
                raise StartError(f"Envoy did not start: {refusal}")
            if time.monotonic() > deadline:
                raise StartError(
                    f"No request has passed through the gateway in {_START_TIMEOUT_S:.0f} s: {problem}. "
                    + why_not_started(self.envoy_process.lines, None)
                )
        return None

    def change(self, gateway: Gateway, plugins: Sequence[WasmPlugin]) -> Change:
        """Give Envoy another *gateway* and other *plugins*, and wait until it has taken or refused them.

        The providers stay the fake ones of the start: those of *gateway* must have the same names.
        """
        gateway = faked(gateway, "127.0.0.1", self._providers_port)
        updates = Updates(self.admin)
        seen = self.envoy_process.lines_seen
        published = self._publish(gateway, plugins)
        refused = updates.wait(published.replaced)
        if not refused:
            return Change(published.replaced, published.needs_restart, None)
        return Change(published.replaced, published.needs_restart, self._why_refused(seen, refused))

    def settle(self) -> None:
        """Let go of what earlier changes have left for a while; call it now and then."""
        self.directory.settle()

    def _why_refused(self, seen: int, files: Sequence[str]) -> str:
        """Return what Envoy has logged since its line no. *seen*; it is counted before it is read here."""
        deadline = time.monotonic() + _LOG_TIMEOUT_S
        while time.monotonic() < deadline:
            if reason := why_refused(self.envoy_process.lines_since(seen)):
                return reason
            time.sleep(_PROBE_INTERVAL_S)
        return f"it refuses {', '.join(files)}."

    def _publish(self, gateway: Gateway, plugins: Sequence[WasmPlugin]) -> Publication:
        edition = edition_of(gateway.module, plugins)
        return self.directory.publish(render_files(gateway, plugins, self.directory.path, edition=edition))

    def _start(
        self,
        started: contextlib.ExitStack,
        name: str,
        command: Sequence[str],
        *,
        stdout: IO[bytes] | None = None,
    ) -> Child:
        stopping = False

        def on_exit(child: Child) -> None:
            if not stopping:
                self.happenings.put(ChildEnded(child))

        def stop() -> None:
            nonlocal stopping
            stopping = True
            child.stop()

        child = Child(name, command, on_exit=on_exit, on_line=self._on_line, stdout=stdout)
        started.callback(stop)
        return child

    def _probe(self) -> str | None:
        """Send one request through the gateway; return what is wrong, or None when a provider has seen it."""
        for control in self.providers.values():
            if not control.is_up():
                return f"the fake {control.name} does not answer"
        listener = self.gateway.listeners[0]
        address = "127.0.0.1" if listener.address == "0.0.0.0" else listener.address
        connection = http.client.HTTPConnection(address, listener.port, timeout=_PROBE_TIMEOUT_S)
        try:
            host, path = _probe_target(self.gateway.routes[0])
            headers = {"host": host, "content-type": "application/json"}
            connection.request("POST", path, _PROBE, headers)
            response = connection.getresponse()
            body = response.read()
        except OSError as error:
            return error.strerror or type(error).__name__
        except http.client.HTTPException as error:
            return f"not an HTTP response: {type(error).__name__}"
        finally:
            connection.close()
        seen = self._forget_probe()
        if response.status == http.client.OK and not seen:
            return "status 200, but no provider has seen the request"
        if response.status >= http.client.INTERNAL_SERVER_ERROR:
            return f"status {response.status}, {body[:200].decode('utf-8', 'replace')}"
        return None  # What is refused with less is refused by a plugin: so the plugins are there.

    def _forget_probe(self) -> bool:
        """Find the probe in the journal of a provider and remove it: the user's first request comes first."""
        seen = [control for control in self.providers.values() if control.requests_in_all()]
        for control in seen:
            control.forget_requests()
        return bool(seen)

    def _why_ended(self, child: Child) -> str:
        if child is self.envoy_process:
            return "Envoy did not start: " + why_not_started(child.lines, child.exit_code)
        last = child.lines[-1] if child.lines else "they said nothing"
        return f"The fake providers did not start: {last}"
