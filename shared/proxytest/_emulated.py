"""A deployment in the emulator, whatever the guests are made of."""

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field

from ._abi import Pairs
from ._callouts import Callout, CallResponse, Cluster
from ._connection_manager import incoming_request
from ._deployment import Arrived, Setup
from ._emulated_grpc import EmulatedGrpcCall
from ._grpc import GrpcExchange
from ._headers import HeaderMap
from ._http1 import Decoder, Encoder
from ._logs import LogRecord
from ._process import Process
from ._route import RouteTable
from ._shared import SharedDataView
from ._stream import HttpStream


class EmulatedDeployment:
    """A chain of filters in an emulated proxy."""

    def __init__(self, setup: Setup) -> None:
        self.process = Process(
            profile=setup.profile,
            worker_count=setup.worker_count,
            buffer_limit=setup.buffer_limit,
            routes=RouteTable(setup.routes),
            clusters={},
        )
        self._arrived: Arrived = lambda _: None
        self.apply(setup)

    def apply(self, setup: Setup) -> None:
        """Bring in filters and clusters that are new in *setup*. Raises ConfigurationRefusedError."""
        for name, has_endpoints in setup.clusters.items():
            if name not in self.process.clusters:
                self.process.clusters[name] = Cluster(name, has_endpoints, self._arrive, self._serve_grpc)
        self.process.redis.endpoints.update(setup.redis_endpoints)
        for plugin in setup.plugins[len(self.process.plugins) :]:
            self.process.add_plugin(plugin)

    @property
    def shared_data(self) -> MutableMapping[str, bytes]:
        """The shared data of the filters, those of the first one's vm_id if there are several."""
        plugins = self.process.plugins
        return SharedDataView(self.process.shared, plugins[0].vm.vm_id if plugins else "")

    def _arrive(self, callout: Callout) -> None:
        self._arrived(EmulatedCallout(callout))

    def _serve_grpc(self, exchange: GrpcExchange) -> None:
        exchange.upstream = EmulatedGrpcCall(exchange, self._grpc_arrived)

    def _grpc_arrived(self, call: EmulatedGrpcCall) -> None:
        self._arrived(call)

    def open(self, headers: Pairs, end_stream: bool, worker: int, arrived: Arrived) -> "EmulatedRequest":
        """Send the head of a request."""
        self._arrived = arrived
        request = EmulatedRequest(self.process, headers, arrived)
        request.start(worker, end_stream)
        return request

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.process.clock.advance(seconds)

    def metrics(self) -> Mapping[str, int]:
        """Read counters and gauges."""
        return {**self.process.stats.counters, **self.process.stats.gauges}

    def histograms(self) -> Mapping[str, int]:
        """Read how often each histogram was given a value."""
        return {name: len(values) for name, values in self.process.stats.histograms.items()}

    def logs(self) -> list[LogRecord]:
        """Read what the filters logged."""
        return list(self.process.logs)

    def close(self) -> None:
        """End what is outside: the proxy is an object."""
        self.process.redis.close()


@dataclass(slots=True, eq=False)
class EmulatedRequest:
    """A request in the emulator; also the client's end of its stream."""

    process: Process
    request_headers: Pairs
    arrived: Arrived
    response: Decoder = field(init=False)
    was_reset: bool = False
    stream: HttpStream = field(init=False)
    _encoder: Encoder = field(default_factory=Encoder)
    is_head: bool = False

    def __post_init__(self) -> None:
        self.is_head = (b":method", b"HEAD") in self.request_headers
        self.response = Decoder(is_response=True, to_head=self.is_head)

    def start(self, worker: int, end_stream: bool) -> None:
        """Send the head."""
        self.stream = self.process.new_stream(self, EmulatedCall(self), worker)
        headers = incoming_request(self.request_headers)
        self.process.run(lambda: self.stream.request_headers(headers, end_stream))

    def send(self, data: bytes, end_stream: bool) -> None:
        """Send a piece of body; in HTTP/1.1 the end comes as a piece of its own."""

        def event() -> None:
            if data:
                self._unless_gone(lambda: self.stream.request_data(data, False))
            if end_stream:
                self._unless_gone(lambda: self.stream.request_data(b"", True))

        self.process.run(event)

    def send_trailers(self, trailers: Pairs) -> None:
        """Send trailers."""
        self.process.run(lambda: self._unless_gone(lambda: self.stream.request_trailers(HeaderMap(trailers))))

    def abort(self) -> None:
        """Close the connection."""
        self.process.run(self.stream.client_gone)

    def headers(self, headers: HeaderMap, end_stream: bool) -> None:
        """Take the response's headers."""
        self.response.feed(self._encoder.response(headers.pairs(), end_stream, to_head=self.is_head))

    def data(self, data: bytes, end_stream: bool) -> None:
        """Take a piece of the response's body."""
        self.response.feed(self._encoder.data(data) + (self._encoder.end() if end_stream else b""))

    def trailers(self, trailers: HeaderMap) -> None:
        """Take the response's trailers."""
        self.response.feed(self._encoder.end(trailers.pairs()))

    def reset(self) -> None:
        """Learn that the connection is closed, which ends some responses and cuts others short."""
        self.response.closed()
        self.was_reset = not self.response.is_complete

    def _unless_gone(self, event: Callable[[], None]) -> None:
        if not self.stream.is_destroyed:
            event()


@dataclass(slots=True, eq=False)
class EmulatedCall:
    """The routed request at its server; also the upstream's end of the stream."""

    owner: EmulatedRequest
    cluster: str = ""
    is_callout: bool = False
    request: Decoder = field(default_factory=lambda: Decoder(is_response=False))
    was_reset: bool = False
    _is_answered: bool = False
    _is_connected: bool = False
    _unsent: bytes = b""
    _encoder: Encoder = field(default_factory=Encoder)

    def headers(self, cluster: str, headers: HeaderMap, end_stream: bool) -> None:
        """Take the request's headers; a connection for them is there with the next event, and not before."""
        self.cluster = cluster
        self._write(self._encoder.request(headers.pairs(), end_stream))
        self.owner.process.post(self._connected)

    def data(self, data: bytes, end_stream: bool) -> None:
        """Take a piece of the request's body."""
        self._write(self._encoder.data(data) + (self._encoder.end() if end_stream else b""))

    def trailers(self, trailers: HeaderMap) -> None:
        """Take the request's trailers."""
        self._write(self._encoder.end(trailers.pairs()))

    def reset(self) -> None:
        """Learn that the proxy is no longer interested, or close the connection: it comes to the same."""
        if self.owner.stream.is_destroyed:
            self.was_reset = not self._is_answered
        else:
            self.owner.process.run(self.owner.stream.upstream_gone)

    def reply_headers(self, headers: Pairs, end_stream: bool) -> None:
        """Send the head of the response."""
        arrived, has_end = _over_the_wire(self._encoder, headers, end_stream, to_head=self.owner.is_head)
        self.owner.process.run(lambda: self.owner.stream.response_headers(arrived, has_end))

    def reply_data(self, data: bytes, end_stream: bool) -> None:
        """Send a piece of the response's body; in HTTP/1.1 the end comes as a piece of its own."""
        self._is_answered = end_stream

        def event() -> None:
            if data:
                self.owner.stream.response_data(data, False)
            if end_stream:
                self.owner.stream.response_data(b"", True)

        self.owner.process.run(event)

    def reply_trailers(self, trailers: Pairs) -> None:
        """Send the response's trailers."""
        self.owner.process.run(lambda: self.owner.stream.response_trailers(HeaderMap(trailers)))

    def _write(self, data: bytes) -> None:
        if self._is_connected:
            self.request.feed(data)
            self.owner.process.post(self._arrive)
        else:
            self._unsent += data

    def _connected(self) -> None:
        if not self.was_reset:
            self._is_connected = True
            self._write(self._unsent)

    def _arrive(self) -> None:
        self.owner.arrived(self)


class EmulatedCallout:
    """A filter's own call at its server. The proxy hands over the answer in one piece."""

    is_callout = True

    def __init__(self, callout: Callout) -> None:
        self._callout = callout
        self.cluster = callout.request.cluster
        self.request = Decoder(is_response=False)
        encoder = Encoder()
        has_end_in_head = not callout.request.body and not len(callout.request.trailers)
        self.request.feed(encoder.request(callout.request.headers.pairs(), has_end_in_head))
        if not has_end_in_head:
            self.request.feed(
                encoder.data(callout.request.body) + encoder.end(callout.request.trailers.pairs())
            )
        self._response: CallResponse | None = None
        self._is_answered = False

    @property
    def was_reset(self) -> bool:
        """Whether the call was over before the server had answered."""
        return self._callout.is_over and not self._is_answered

    def reply_headers(self, headers: Pairs, end_stream: bool) -> None:
        """Send the head of the response; the proxy adds how long it took: here, no time."""
        arrived, has_end = _over_the_wire(Encoder(), headers, end_stream, to_head=False)
        arrived.add(b"x-envoy-upstream-service-time", b"0")
        self._response = CallResponse(headers=arrived)
        self._answer_at(has_end)

    def reply_data(self, data: bytes, end_stream: bool) -> None:
        """Send a piece of the response's body."""
        response = self._started()
        response.body += data
        self._answer_at(end_stream)

    def reply_trailers(self, trailers: Pairs) -> None:
        """Send the response's trailers."""
        self._started().trailers = HeaderMap(trailers)
        self._answer_at(True)

    def reset(self) -> None:
        """Close the connection."""
        self._is_answered = True
        if self._response is None:
            self._callout.refuse()
        else:
            self._callout.reset()
        self._callout.process.run()

    def _started(self) -> CallResponse:
        if self._response is None:
            raise RuntimeError("a body needs headers before it")
        return self._response

    def _answer_at(self, end_stream: bool) -> None:
        if end_stream and self._response is not None and not self._callout.is_over:
            self._is_answered = True
            self._callout.answer(self._response)
            self._callout.process.run()


def _over_the_wire(
    encoder: Encoder, headers: Pairs, end_stream: bool, *, to_head: bool
) -> tuple[HeaderMap, bool]:
    """Encode a response's head and read it back, for the headers that frame it; tells whether it is all."""
    received = Decoder(is_response=True, to_head=to_head)
    received.feed(encoder.response(headers, end_stream, to_head=to_head))
    status = dict(headers)[b":status"]
    return HeaderMap([(b":status", status), *received.headers]), end_stream or received.is_complete
