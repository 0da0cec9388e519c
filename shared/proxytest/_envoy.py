"""A deployment in a real Envoy.

Steps must arrive one by one, and a test must know when everything that follows from a step has happened.
Envoy counts the bytes it reads and writes on every connection, and so does the harness: when the books of
both sides agree and stay so, nothing is on its way any more.
"""

import functools
import itertools
import pathlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field

import wasmtime

from . import _envoy_config
from ._abi import LogLevel, Pairs
from ._deployment import Arrived, Setup
from ._envoy_http2 import EnvoyHttp2Call
from ._envoy_process import EnvoyError, EnvoyProcess, RefusedByEnvoyError
from ._http1 import Decoder, Encoder
from ._logs import LogRecord
from ._plugin import PluginSpec
from ._process import ConfigurationRefusedError
from ._route import Route
from ._vm import Module, VmSpec
from ._wasm import WasmModule
from ._wire import Connection, Wire

_SETTLE_TIMEOUT_S = 10.0
_QUIET_ROUNDS = 3
_QUIET_ROUNDS_AFTER_CLOSE = 8
_NUMBERS = itertools.count(1)
_LEVELS = {level.name.lower(): level for level in LogLevel} | {"warning": LogLevel.WARN}
_BOOKS_PATTERN = (
    r"^(http\.{name}\.downstream_cx_([rt]x_bytes_total|active)"
    r"|cluster\..*\.upstream_(cx_[rt]x_bytes_total|cx_active|rq_pending_active))$"
)


class EnvoyEngine:
    """The Envoy of a test session and the deployments in it, one at a time."""

    def __init__(self) -> None:
        self.process = EnvoyProcess()
        self.process.start()
        self._modules: dict[int, str] = {}

    def stop(self) -> None:
        """End Envoy."""
        self.process.stop()

    def module_path(self, module: Module) -> str:
        """Put a module where Envoy can read it."""
        if not isinstance(module, WasmModule):
            raise TypeError(f"Envoy runs wasm modules, not {type(module).__name__}")
        key = hash(module.code)
        if key not in self._modules:
            path = self.process.folder / f"module-{len(self._modules)}.wasm"
            path.write_bytes(module.code)
            self._modules[key] = str(path)
        return self._modules[key]


class EnvoyDeployment:
    """A listener of its own, with servers for its clusters."""

    def __init__(self, engine: EnvoyEngine, setup: Setup) -> None:
        self._engine = engine
        self._envoy = engine.process
        self._name = f"site{next(_NUMBERS)}"
        self._vm_id = self._name
        self._folder = self._envoy.folder / self._name
        self._folder.mkdir()
        self._wire = Wire()
        self._wire.start()
        self._arrived: Arrived = lambda _: None
        self._has_closed = False
        self._log_start = self._envoy.log_path.stat().st_size
        self._listening: set[str] = set()
        self._grpc_clusters: set[str] = set()
        self._base = self._books()
        self._stats_base = self._read_stats()
        try:
            self.apply(setup)
        except BaseException:
            self._wire.stop()
            raise

    @property
    def shared_data(self) -> MutableMapping[str, bytes]:
        """The shared data of the filters."""
        return EnvoySharedData(self)

    @property
    def wire_lock(self) -> threading.RLock:
        """What the reading thread holds while it hands bytes over."""
        return self._wire.lock

    def open(self, headers: Pairs, end_stream: bool, worker: int, arrived: Arrived) -> "EnvoyRequest":
        """Send the head of a request."""
        if worker:
            raise ValueError("the Envoy engine has one worker: a connection cannot choose among several")
        self._arrived = arrived
        request = EnvoyRequest(self, headers)
        request.start(self._wire, str(self._folder / "in.sock"), end_stream)
        return request

    def advance(self, seconds: float) -> None:
        """Wait, because time in Envoy is real."""
        time.sleep(seconds)
        self.settle()

    def metrics(self) -> Mapping[str, int]:
        """Read counters and gauges."""
        return {
            name: value - int(self._stats_base.get(name, 0))
            for name, value in self._read_stats().items()
            if isinstance(value, int)
        }

    def histograms(self) -> Mapping[str, int]:
        """Histograms are merged on a schedule of Envoy's own and are not read."""
        return {}

    def logs(self) -> list[LogRecord]:
        """Read what the filters logged on the worker."""
        return list(self._read_logs())

    def close(self) -> None:
        """Take the listener away."""
        self._wire.stop()
        self._envoy.update("lds", [])

    def keyhole(self, headers: Pairs, body: bytes | None) -> Decoder:
        """Ask the filter that looks into shared data."""
        return self._ask("keyhole.sock", headers, body)

    def _ask(self, socket_name: str, headers: Pairs, body: bytes | None) -> Decoder:
        """Send a request that no one counts, and wait for its answer."""
        decoder, encoder = Decoder(is_response=True), Encoder()
        pseudo = [(b":method", b"GET"), (b":path", b"/"), (b":authority", b"proxytest")]
        message = encoder.request([*pseudo, *headers], body is None)
        if body is not None:
            message += encoder.data(body) + encoder.end()
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_SETTLE_TIMEOUT_S)
            connection.connect(str(self._folder / socket_name))
            connection.sendall(message)
            while not decoder.is_complete:
                data = connection.recv(1 << 16)
                if not data:
                    raise EnvoyError(f"Envoy closed {socket_name} without an answer")
                decoder.feed(data)
        return decoder

    def closed(self) -> None:
        """Take note that a connection was closed, perhaps with bytes unread: books need not agree."""
        self._has_closed = True

    def settle(self) -> None:
        """Wait until everything that follows from what was sent has happened.

        Where a connection was closed with bytes unread the books never agree again; then it must do that
        nothing has changed while the worker answered a few requests of our own.
        """
        deadline = time.monotonic() + _SETTLE_TIMEOUT_S
        quiet, last = 0, None
        while time.monotonic() < deadline:
            self._ask("fence.sock", [], None)
            counts = self._books()
            with self._wire.lock:
                clients, servers = self._wire.clients, self._wire.servers
                bytes_of_ours = (clients.sent, clients.received, servers.received, servers.sent)
                ours = (*bytes_of_ours, clients.open, servers.open, 0)
            theirs = tuple(now - base for now, base in zip(counts, self._base, strict=True))
            agrees = ours == theirs
            quiet = quiet + 1 if (ours, counts) == last else 0
            last = (ours, counts)
            if quiet >= (_QUIET_ROUNDS if agrees else _QUIET_ROUNDS_AFTER_CLOSE) and (
                agrees or self._has_closed
            ):
                return
        raise TimeoutError(f"Envoy did not come to rest: ours {ours}, Envoy's {theirs}")

    def apply(self, setup: Setup) -> None:
        """Bring in filters and clusters that are new in *setup*. Raises ConfigurationRefusedError."""
        self._grpc_clusters = setup.grpc_clusters
        for name, has_endpoint in setup.clusters.items():
            if has_endpoint and name not in self._listening:
                self._listening.add(name)
                self._wire.listen(self._server_socket(name), functools.partial(self._accept, name))
        self._envoy.update(
            "cds",
            [
                _envoy_config.cluster(
                    name,
                    self._server_socket(name) if has_endpoint else None,
                    http2=name in setup.grpc_clusters,
                )
                for name, has_endpoint in setup.clusters.items()
            ],
        )
        plugins = tuple((plugin, self._engine.module_path(plugin.vm.module)) for plugin in setup.plugins)
        keyhole = PluginSpec(
            root_id="keyhole",
            configuration=b"",
            vm=VmSpec(module=_keyhole_module(), vm_id=self._vm_id),
            allow_on_headers_stop_iteration=True,
        )
        sites = [
            self._site(self._name, "in.sock", plugins, setup.routes, setup.buffer_limit),
            self._site(
                f"{self._name}-keyhole",
                "keyhole.sock",
                ((keyhole, self._engine.module_path(keyhole.vm.module)),),
                (Route(),),
                setup.buffer_limit,
            ),
        ]
        try:
            fence = _envoy_config.fence(f"{self._name}-fence", str(self._folder / "fence.sock"))
            self._envoy.update("lds", [fence, *map(_envoy_config.listener, sites)])
        except RefusedByEnvoyError as error:
            raise ConfigurationRefusedError(str(error)) from error
        for site in sites:
            self._envoy.wait(functools.partial(_accepts, site.socket), "no listener came up", 10)
        # The worker makes its VM before it answers anything, so with an answer the plugins have started.
        self.keyhole([(b"x-key", b"-")], None)

    def _site(
        self,
        name: str,
        socket: str,
        plugins: tuple[tuple[PluginSpec, str], ...],
        routes: tuple[Route, ...],
        buffer_limit: int,
    ) -> _envoy_config.Site:
        return _envoy_config.Site(
            name=name,
            socket=str(self._folder / socket),
            vm_id=self._vm_id,
            plugins=plugins,
            routes=routes,
            buffer_limit=buffer_limit,
        )

    def _server_socket(self, cluster: str) -> str:
        safe = re.sub(r"[^\w.-]", "_", cluster)
        return str(self._folder / f"{safe}.sock")

    def _accept(self, cluster: str, connection: Connection) -> Callable[[bytes | None], None]:
        serves_grpc = cluster in self._grpc_clusters
        call = (EnvoyHttp2Call if serves_grpc else EnvoyCall)(self, connection, cluster)

        def received(data: bytes | None) -> None:
            if data is None:
                call.was_reset = not call.is_answered
                # An HTTP/2 connection can end while what we said about the connection is on its way.
                self._has_closed = self._has_closed or isinstance(call, EnvoyHttp2Call)
                return
            before = call.request.has_head, call.request.is_complete
            call.feed(data)
            if call.request.has_head:
                call.is_callout = b"x-envoy-internal" in dict(call.request.headers)
            if (call.request.has_head, call.request.is_complete) != before:
                self._arrived(call)

        return received

    def _books(self) -> tuple[int, ...]:
        stats = self._envoy.stats(_BOOKS_PATTERN.replace("{name}", self._name))

        def total(suffix: str) -> int:
            return sum(int(value) for name, value in stats.items() if name.endswith(suffix))

        return (
            total(".downstream_cx_rx_bytes_total"),
            total(".downstream_cx_tx_bytes_total"),
            total(".upstream_cx_tx_bytes_total"),
            total(".upstream_cx_rx_bytes_total"),
            total(".downstream_cx_active"),
            total(".upstream_cx_active"),
            total(".upstream_rq_pending_active"),
        )

    def _read_stats(self) -> dict[str, int | str]:
        stats = self._envoy.stats(r"^wasmcustom\.")
        return {name.removeprefix("wasmcustom."): value for name, value in stats.items()}

    def _read_logs(self) -> Iterator[LogRecord]:
        text = self._envoy.log_path.read_bytes()[self._log_start :].decode("utf-8", "replace")
        marker = f" {self._vm_id}: "
        for line in text.splitlines():
            thread, _, rest = line.partition("|")
            level, _, rest = rest.partition("|")
            logger, _, message = rest.partition("|")
            prefix, found, said = message.partition(marker)
            if not found or not prefix.startswith("wasm log ") or logger != "wasm":
                continue
            if int(thread) == self._envoy.pid:
                continue  # The main thread only tries plugins out.
            yield LogRecord(level=_LEVELS[level], message=_unescaped(said), plugin=prefix.split(" ")[2])


@dataclass(slots=True, eq=False)
class EnvoyRequest:
    """A request sent to Envoy over a connection of its own."""

    deployment: EnvoyDeployment
    request_headers: Pairs
    response: Decoder = field(init=False)
    was_reset: bool = False
    _is_aborted: bool = False
    _connection: Connection = field(init=False)
    _encoder: Encoder = field(default_factory=Encoder)

    def __post_init__(self) -> None:
        self.response = Decoder(is_response=True, to_head=(b":method", b"HEAD") in self.request_headers)

    def start(self, wire: Wire, path: str, end_stream: bool) -> None:
        """Send the head."""
        self._connection = wire.connect(path, self._received)
        self._connection.send(self._encoder.request(self.request_headers, end_stream))
        self.deployment.settle()

    def send(self, data: bytes, end_stream: bool) -> None:
        """Send a piece of body."""
        self._connection.send(self._encoder.data(data) + (self._encoder.end() if end_stream else b""))
        self.deployment.settle()

    def send_trailers(self, trailers: Pairs) -> None:
        """Send trailers."""
        self._connection.send(self._encoder.end(trailers))
        self.deployment.settle()

    def abort(self) -> None:
        """Close the connection."""
        self.deployment.closed()
        self._is_aborted = True
        self._connection.close()
        self.deployment.settle()

    def _received(self, data: bytes | None) -> None:
        if data is None:
            self.deployment.closed()
            self.response.closed()
            self.was_reset = not self.response.is_complete and not self._is_aborted
        else:
            self.response.feed(data)


@dataclass(slots=True, eq=False)
class EnvoyCall:
    """A request that Envoy has sent to one of the servers."""

    deployment: EnvoyDeployment
    connection: Connection
    cluster: str
    is_callout: bool = False
    request: Decoder = field(default_factory=lambda: Decoder(is_response=False))
    was_reset: bool = False
    is_answered: bool = False
    _encoder: Encoder = field(default_factory=Encoder)

    def feed(self, data: bytes) -> None:
        """Take bytes from Envoy."""
        self.request.feed(data)

    def reply_headers(self, headers: Pairs, end_stream: bool) -> None:
        """Send the head of the response."""
        self._send(self._encoder.response(headers, end_stream), end_stream)

    def reply_data(self, data: bytes, end_stream: bool) -> None:
        """Send a piece of the response's body."""
        self._send(self._encoder.data(data) + (self._encoder.end() if end_stream else b""), end_stream)

    def reply_trailers(self, trailers: Pairs) -> None:
        """Send the response's trailers."""
        self._send(self._encoder.end(trailers), True)

    def reset(self) -> None:
        """Close the connection."""
        self.is_answered = True
        self.deployment.closed()
        self.connection.close()
        self.deployment.settle()

    def _send(self, data: bytes, end_stream: bool) -> None:
        self.is_answered = self.is_answered or end_stream
        self.connection.send(data)
        self.deployment.settle()


class EnvoySharedData(MutableMapping[str, bytes]):
    """Shared data of an Envoy, read and written through the keyhole. Keys cannot be listed."""

    def __init__(self, deployment: EnvoyDeployment) -> None:
        self._deployment = deployment

    def __getitem__(self, key: str) -> bytes:
        answer = self._deployment.keyhole([(b"x-key", key.encode())], None)
        if b" 200 " not in answer.start_line:
            raise KeyError(key)
        return bytes(answer.body)

    def __setitem__(self, key: str, value: bytes) -> None:
        self._deployment.keyhole([(b"x-key", key.encode())], value)

    def __delitem__(self, key: str) -> None:
        raise NotImplementedError("no guest can delete shared data, so neither can a test on Envoy")

    def __iter__(self) -> Iterator[str]:
        raise NotImplementedError("no guest can list shared data, so neither can a test on Envoy")

    def __len__(self) -> int:
        raise NotImplementedError("no guest can count shared data, so neither can a test on Envoy")


def _unescaped(text: str) -> str:
    """Undo what `--log-format-escaped` does to a message."""
    return re.sub(r"\\(.)", lambda match: {"n": "\n", "t": "\t", "r": "\r"}.get(match[1], match[1]), text)


def _keyhole_module() -> WasmModule:
    source = pathlib.Path(__file__).with_name("keyhole.wat").read_text()
    return WasmModule(bytes(wasmtime.wat2wasm(source)), "keyhole")


def _accepts(path: str) -> str | None:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return None
    return "yes"
