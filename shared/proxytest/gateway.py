"""The face of the emulator: a gateway to load filters into and to send requests through."""

import json as json_module
from collections.abc import Callable, Mapping, MutableMapping
from typing import TypedDict, Unpack

from . import consistency
from ._abi import Pairs
from ._deployment import Call, Deployment, Request, Setup
from ._emulated import EmulatedDeployment
from ._logs import LogRecord
from ._native import NativeModule, import_plugin
from ._plugin import FailurePolicy, PluginSpec
from ._process import BUFFER_LIMIT, Process
from ._profile import ENVOY, Profile
from ._route import DEFAULT_CLUSTER, Route
from ._vm import Module, VmSpec
from .exchange import Received, Reply
from .servers import HeadersLike, Server, ServerCall, as_pairs

__all__ = ["Exchange", "Gateway", "NotEmulatedError"]


class RequestParts(TypedDict, total=False):
    """What a whole request may have beyond method and path."""

    headers: HeadersLike | None
    json: object
    body: bytes
    chunks: tuple[bytes, ...]
    trailers: HeadersLike | None
    worker: int


class NotEmulatedError(Exception):
    """The test reaches for something only the emulator has, on a real host."""


class Exchange:
    """One request through the gateway, as both ends see it."""

    def __init__(self, gateway: "Gateway", headers: Pairs, end: bool, worker: int) -> None:
        self._gateway = gateway
        self._rules = consistency.MessageRules("request")
        consistency.check_request_headers(headers)
        self._rules.head(headers, end)
        self._first_call = len(gateway.arrivals)
        self._request: Request = gateway.deployment.open(headers, end, worker, gateway.arrived)
        gateway.serve()

    @property
    def reply(self) -> Reply:
        """What the client has got. Raises AssertionError while there is nothing."""
        if not self._request.response.has_head:
            raise AssertionError("the client has got no response")
        return Reply.of(self._request.response)

    @property
    def has_reply(self) -> bool:
        """Whether the client has got at least the head of a response."""
        return self._request.response.has_head

    @property
    def was_reset(self) -> bool:
        """Whether the proxy closed the connection before the response was complete."""
        return self._request.was_reset

    @property
    def upstream(self) -> Received | None:
        """What has reached the upstream; None when nothing did."""
        call = self.upstream_call
        return call.received if call is not None else None

    @property
    def upstream_call(self) -> ServerCall | None:
        """The request at the upstream, to be answered in steps."""
        calls = [call for call in self._gateway.arrivals[self._first_call :] if not call.is_callout]
        return calls[0] if calls else None

    @property
    def callouts(self) -> list[Received]:
        """What filters have asked services since this request came."""
        return [call.received for call in self._gateway.arrivals[self._first_call :] if call.is_callout]

    def send(self, data: bytes, *, end: bool = False) -> None:
        """Send a piece of the request's body."""
        self._rules.client_acts(self._is_over)
        self._rules.body(data, end)
        self._request.send(data, end)
        self._gateway.serve()

    def finish(self, trailers: HeadersLike | None = None) -> None:
        """End the request, with trailers or without."""
        if not trailers:
            self.send(b"", end=True)
            return
        self._rules.client_acts(self._is_over)
        pairs = as_pairs(trailers)
        self._rules.trailers(pairs)
        self._request.send_trailers(pairs)
        self._gateway.serve()

    def abort(self) -> None:
        """Close the client's connection."""
        self._rules.client_acts(self._is_over)
        self._request.abort()
        self._gateway.serve()

    @property
    def _is_over(self) -> bool:
        return self._request.response.is_complete or self._request.was_reset


class Gateway:
    """A proxy with filters of the test's choice, on one of the engines."""

    def __init__(
        self,
        *,
        host: str = "native",
        module: Module | None = None,
        profile: Profile = ENVOY,
        deploy: Callable[[Setup], Deployment] = EmulatedDeployment,
    ) -> None:
        self.host = host
        """The engine: `native`, `wasm` or `envoy`."""

        self.profile = profile
        self.arrivals: list[ServerCall] = []
        """Every request at any server, oldest first."""

        self._module = module
        self._deploy = deploy
        self._setup = Setup(profile=profile)
        self._deployment: Deployment | None = None
        self._servers = {DEFAULT_CLUSTER: Server(DEFAULT_CLUSTER)}
        self._calls: list[tuple[Call, ServerCall]] = []
        self._waiting: list[Call] = []

    # Setting up

    def load(
        self,
        name: str,
        config: Mapping[str, object] | str | bytes = b"",
        *,
        module: Module | None = None,
        failure_policy: FailurePolicy = FailurePolicy.CLOSED,
        allow_on_headers_stop_iteration: bool = True,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Append a filter to the chain, configured with a mapping (as JSON), text or bytes.

        Raises ConfigurationRefusedError when it does not accept its configuration.
        """
        chosen = module or self._module
        if chosen is None:
            import_plugin(name)
            chosen = self._module = NativeModule()
        vm = VmSpec(
            module=chosen,
            vm_id="proxytest",
            environment=tuple((environment or {}).items()),
        )
        plugin = PluginSpec(
            root_id=name,
            configuration=_configuration(config),
            vm=vm,
            failure_policy=failure_policy,
            allow_on_headers_stop_iteration=allow_on_headers_stop_iteration,
        )
        self._setup.plugins.append(plugin)
        if self._deployment is not None:
            self._deployment.apply(self._setup)
        else:
            self._deployment = self._deploy(self._setup)

    def configure(
        self,
        *,
        workers: int = 1,
        buffer_limit: int = BUFFER_LIMIT,
        routes: tuple[Route, ...] = (Route(),),
    ) -> None:
        """Change the proxy itself; must come before the first `load`."""
        if self._deployment is not None:
            raise consistency.InconsistentScenarioError("configure the proxy before its filters are loaded")
        self._setup.worker_count = workers
        self._setup.buffer_limit = buffer_limit
        self._setup.routes = routes

    def cluster(self, name: str, *, has_endpoints: bool = True, grpc: bool = False) -> Server:
        """Return a cluster's server, making both when they are new; one for gRPC speaks HTTP/2."""
        if name not in self._servers:
            if grpc:
                self._setup.grpc_clusters.add(name)
            self._servers[name] = Server(name)
            self._setup.clusters[name] = has_endpoints
            if self._deployment is not None:
                self._deployment.apply(self._setup)
        return self._servers[name]

    def redis(self, cluster: str, host: str, port: int) -> None:
        """Let a cluster be the Redis at *host* and *port*. Raises NotEmulatedError in an Envoy."""
        if self.host == "envoy":
            raise NotEmulatedError("Envoy has no calls to Redis: only Higress has, which is emulated")
        self._setup.redis_endpoints[cluster] = (host, port)
        if self._deployment is not None:
            self._deployment.apply(self._setup)

    @property
    def upstream(self) -> Server:
        """The server that requests are routed to by default."""
        return self._servers[DEFAULT_CLUSTER]

    # Sending

    def open(
        self,
        method: str,
        path: str,
        *,
        headers: HeadersLike | None = None,
        end: bool = False,
        worker: int = 0,
    ) -> Exchange:
        """Send the head of a request and go on in steps."""
        pseudo = {":method": method, ":path": path, ":authority": "gateway.example"}
        given = as_pairs(headers or {})
        pairs = [pair for pair in as_pairs(pseudo) if pair[0] not in dict(given)] + given
        return Exchange(self, pairs, end, worker)

    def request(
        self,
        method: str,
        path: str,
        *,
        headers: HeadersLike | None = None,
        json: object = None,
        body: bytes = b"",
        chunks: tuple[bytes, ...] = (),
        trailers: HeadersLike | None = None,
        worker: int = 0,
    ) -> Exchange:
        """Send a whole request, each chunk by itself, and let the servers answer."""
        all_headers = list(headers.items()) if isinstance(headers, Mapping) else list(headers or [])
        if json is not None:
            body = json_module.dumps(json).encode()
            if "content-type" not in {name.lower() for name, _ in all_headers}:
                all_headers.append(("content-type", "application/json"))
        pieces = chunks or ((body,) if body else ())
        exchange = self.open(
            method, path, headers=all_headers, end=not pieces and not trailers, worker=worker
        )
        for index, piece in enumerate(pieces):
            if exchange.has_reply or exchange.was_reset:
                return exchange
            exchange.send(piece, end=index == len(pieces) - 1 and not trailers)
        if trailers and not (exchange.has_reply or exchange.was_reset):
            exchange.finish(trailers)
        return exchange

    def get(self, path: str, **parts: Unpack[RequestParts]) -> Exchange:
        """Send a GET request; *parts* are those of `request`."""
        return self.request("GET", path, **parts)

    def post(self, path: str, **parts: Unpack[RequestParts]) -> Exchange:
        """Send a POST request; *parts* are those of `request`."""
        return self.request("POST", path, **parts)

    def advance(self, seconds: float) -> None:
        """Let time pass: timers, timeouts and ticks happen. On a real host this takes as long as it says."""
        self.deployment.advance(seconds)
        self.serve()

    # Looking

    @property
    def shared_data(self) -> MutableMapping[str, bytes]:
        """The shared data that filters see."""
        return self.deployment.shared_data

    @property
    def metrics(self) -> Mapping[str, int]:
        """Counters and gauges by the names the filters gave."""
        return self.deployment.metrics()

    @property
    def logs(self) -> list[LogRecord]:
        """What the filters have logged."""
        return self.deployment.logs()

    @property
    def deployment(self) -> Deployment:
        """The running proxy."""
        if self._deployment is None:
            self._deployment = self._deploy(self._setup)
        return self._deployment

    @property
    def emulator(self) -> Process:
        """The emulated process, with its clock, faults and VMs. Raises NotEmulatedError on a real host."""
        deployment = self.deployment
        if not isinstance(deployment, EmulatedDeployment):
            raise NotEmulatedError(
                f"{self.host} is a real host: faults and VMs can only be reached in the emulator"
            )
        return deployment.process

    def close(self) -> None:
        """Take everything down."""
        if self._deployment is not None:
            self._deployment.close()

    # Servers

    def arrived(self, call: Call) -> None:
        """Take note that something of a request has come to a server; engines call this."""
        self._waiting.append(call)

    def serve(self) -> None:
        """Let the servers answer what is complete, until nothing more comes of it."""
        while self._waiting:
            call = self._waiting.pop(0)
            served = next((served for known, served in self._calls if known is call), None)
            server = self._servers[call.cluster]
            if served is None:
                served = ServerCall(call)
                self._calls.append((call, served))
                self.arrivals.append(served)
                server.calls.append(served)
            if call.request.is_complete:
                server.complete(served)


def _configuration(config: Mapping[str, object] | str | bytes) -> bytes:
    if isinstance(config, bytes):
        return config
    return config.encode() if isinstance(config, str) else json_module.dumps(config).encode()
