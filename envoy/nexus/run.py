"""``make run``: fake providers and Envoy until somebody has had enough."""

import contextlib
import json
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Self

from .deployment import Deployment, read_deployment
from .description import Gateway
from .envoy import EnvoyMissingError, find_envoy
from .plugin_packages import forget_packages
from .ports import is_free, port_owner
from .reading import DescriptionError
from .stack import ChildEnded, Stack, StartError, StopAsked
from .wasmplugin import WasmPlugin
from .watching import LOOK_INTERVAL_S, Watcher

_STOPPING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_MOST_WORKERS = 256
_HIGHEST_PORT = 65535


class RunError(RuntimeError):
    """The gateway cannot run; the message has one sentence or paragraph for each reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the environment decides. Ports are None where the gateway description is to decide."""

    gateway_port: int | None
    admin_port: int | None
    providers_port: int
    workers: int

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the variables; raises RunError with everything that is wrong."""
        problems: list[str] = []

        def integer(variable: str, default: int | None, highest: int) -> int | None:
            text = environment.get(variable, "").strip()
            if not text:
                return default
            if text.isascii() and text.isdecimal() and 1 <= int(text) <= highest:
                return int(text)
            problems.append(f"{variable}: expected an integer from 1 to {highest}, got {text[:60]!r}.")
            return default

        settings = cls(
            gateway_port=integer("GATEWAY_PORT", None, _HIGHEST_PORT),
            admin_port=integer("ADMIN_PORT", None, _HIGHEST_PORT),
            providers_port=integer("PROVIDERS_PORT", None, _HIGHEST_PORT) or 10100,
            workers=integer("WORKERS", None, _MOST_WORKERS) or 2,
        )
        if problems:
            raise RunError("\n".join(problems))
        return settings

    def applied_to(self, gateway: Gateway) -> Gateway:
        """Return *gateway* with the ports of these settings."""
        listeners = list(gateway.listeners)
        if self.gateway_port is not None:
            listeners[0] = replace(listeners[0], port=self.gateway_port)
        admin = gateway.admin
        if self.admin_port is not None:
            admin = replace(admin, port=self.admin_port)
        return replace(gateway, listeners=tuple(listeners), admin=admin)


def run(
    description: Path,
    settings: Settings,
    *,
    envoy: str | None = None,
    access_log: bool = False,
    log_level: str = "warning",
) -> None:
    """Run the gateway of *description* with fake providers until SIGINT, SIGTERM or SIGHUP.

    Changes of the description, the plugins, the catalog and the module are taken over meanwhile. Raises
    RunError when it cannot start, or when one of its processes ends by itself.
    """
    watcher = Watcher(description)
    try:
        deployment = read_deployment(description)
        binary = find_envoy(envoy)
    except (DescriptionError, EnvoyMissingError) as error:
        raise RunError(str(error)) from error

    def adjust(gateway: Gateway) -> Gateway:
        gateway = settings.applied_to(gateway)
        return replace(gateway, access_log="stdout") if access_log else gateway

    gateway = adjust(deployment.gateway)
    _check_module(gateway, deployment.plugins)
    _check_ports(gateway, settings.providers_port)
    _print_notices(deployment)
    echo = _Echo()
    stack = Stack(
        gateway,
        deployment.plugins,
        envoy=binary,
        providers_port=settings.providers_port,
        workers=settings.workers,
        log_level=log_level,
        on_line=echo,
    )
    with _stop_signals(stack), stack:
        if not _wait_ready(stack):
            return
        echo.let_go()
        try:
            _serve(stack, watcher, lambda: _take_over(stack, description, adjust))
        finally:
            echo.hold()


def _wait_ready(stack: Stack) -> bool:
    """Wait for the gateway and say so; return False if somebody has asked to stop instead."""
    try:
        if stack.wait_ready() is not None:
            return False
    except StartError as error:
        raise RunError(str(error)) from error
    url = f"http://{stack.gateway.listeners[0].address}:{stack.port}"
    print(f"gateway ready on {url}", flush=True)
    print(_curl(url), flush=True)
    return True


def _serve(stack: Stack, watcher: Watcher, take_over: Callable[[], None]) -> None:
    """Take over what changes until the end."""
    while True:
        try:
            happening = stack.happenings.get(timeout=LOOK_INTERVAL_S)
        except queue.Empty:
            stack.settle()
            if watcher.has_changed():
                take_over()
            continue
        if isinstance(happening, ChildEnded):
            raise RunError(f"{happening}, so the gateway has stopped.")
        return


def _take_over(stack: Stack, description: Path, adjust: Callable[[Gateway], Gateway]) -> None:
    """Give Envoy what the files say now, and tell the user what came of it."""
    forget_packages()
    try:
        deployment = read_deployment(description)
        gateway = adjust(deployment.gateway)
        names = [provider.name for provider in gateway.providers]
        if names != list(stack.providers):
            started = ", ".join(stack.providers)
            raise DescriptionError(
                [f"{description.name}: providers: the fake ones are those of the start: {started}"]
            )
    except DescriptionError as error:
        print(
            f"The change is refused, and the gateway goes on as it was:\n{error}", file=sys.stderr, flush=True
        )
        return
    _print_notices(deployment)
    try:
        change = stack.change(gateway, deployment.plugins)
    except OSError as error:
        print(f"The change is not taken over: {error}", file=sys.stderr, flush=True)
        return
    if change.refusal:
        message = f"Envoy refuses the change, and goes on as it was: {change.refusal}"
        print(message, file=sys.stderr, flush=True)
    elif change.files:
        print(f"taken over: {', '.join(change.files)}", flush=True)
    if change.needs_restart:
        print("admin and limits.connections count from the next start on", file=sys.stderr, flush=True)


def _print_notices(deployment: Deployment) -> None:
    for notice in deployment.notices:
        print(f"note: {notice}", file=sys.stderr, flush=True)


def _curl(url: str) -> str:
    question = {"model": "auto", "messages": [{"role": "user", "content": "Why is the sky blue?"}]}
    header = "-H 'content-type: application/json'"
    return f"curl {url}/v1/chat/completions {header} -d '{json.dumps(question)}'"


@contextlib.contextmanager
def _stop_signals(stack: Stack) -> Iterator[None]:
    """Turn the signals that end a program into happenings, but leave alone what the caller ignores."""

    def ask_to_stop(number: int, frame: FrameType | None) -> None:
        stack.happenings.put(StopAsked(number))

    before = {number: signal.getsignal(number) for number in _STOPPING_SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, ask_to_stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _check_module(gateway: Gateway, plugins: Sequence[WasmPlugin]) -> None:
    if not plugins or gateway.module.is_file():
        return
    packages = " ".join(sorted({plugin.plugin_name.replace("-", "_") for plugin in plugins}))
    module = _relative(gateway.module)
    raise RunError(f"{module} is missing: build it with `python -m wasmbuild {packages} -o {module}`.")


def _relative(path: Path) -> str:
    """Return *path* as the user would type it here."""
    with contextlib.suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


def _check_ports(gateway: Gateway, providers_port: int) -> None:
    """Raise RunError with a sentence for each port that cannot be had."""
    wanted = [(entry.port, entry.address, "GATEWAY_PORT") for entry in gateway.listeners]
    wanted.append((gateway.admin.port, gateway.admin.address, "ADMIN_PORT"))
    providers = range(providers_port, providers_port + len(gateway.providers))
    if providers[-1] > _HIGHEST_PORT:
        raise RunError(
            f"PROVIDERS_PORT: {len(providers)} ports from {providers_port} on are not there to be had."
        )
    wanted.extend((port, "127.0.0.1", "PROVIDERS_PORT") for port in providers)
    claims: dict[int, str] = {}
    busy: dict[tuple[str, str], list[int]] = {}
    for port, address, variable in wanted:
        if port in claims:
            raise RunError(f"{claims[port]} and {variable} both want port {port}: change one of them.")
        claims[port] = variable
        if not is_free(port, address):
            owner = port_owner(port) or "another process"
            busy.setdefault((owner, variable), []).append(port)
    if busy:
        raise RunError("\n".join(_in_use(ports, *whose) for whose, ports in busy.items()))


def _in_use(ports: Sequence[int], owner: str, variable: str) -> str:
    which = f"Port {ports[0]} is" if len(ports) == 1 else f"Ports {', '.join(map(str, ports))} are"
    return f"{which} in use by {owner}: stop that, or choose another with {variable}."


class _Echo:
    """Passes on what the processes log, but only between being ready and stopping.

    Of a start that fails the user gets one paragraph, made from the log, and not the log; of a stop, nothing.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holding = True
        self._held: list[str] = []

    def __call__(self, line: str) -> None:
        with self._lock:
            if self._holding:
                self._held.append(line)
            else:
                print(line, file=sys.stderr, flush=True)

    def let_go(self) -> None:
        """Pass on everything held so far, and from now on everything at once."""
        with self._lock:
            for line in self._held:
                print(line, file=sys.stderr, flush=True)
            self._held.clear()
            self._holding = False

    def hold(self) -> None:
        """Pass on nothing more."""
        with self._lock:
            self._holding = True
