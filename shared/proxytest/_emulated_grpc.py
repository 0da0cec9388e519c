"""The server's end of a gRPC exchange in the emulator."""

from collections.abc import Callable
from dataclasses import dataclass, field

from ._abi import Pairs
from ._grpc import GrpcExchange
from ._headers import HeaderMap
from ._http1 import Decoder, Encoder


@dataclass(slots=True, eq=False)
class EmulatedGrpcCall:
    """A request as the server sees it. A connection for it is there with the next event, and not before."""

    exchange: GrpcExchange
    arrived: "Callable[[EmulatedGrpcCall], None]"
    is_callout: bool = True
    request: Decoder = field(default_factory=lambda: Decoder(is_response=False))
    was_reset: bool = False
    _is_answered: bool = False
    _is_connected: bool = False
    _unsent: bytes = b""
    _encoder: Encoder = field(default_factory=Encoder)

    @property
    def cluster(self) -> str:
        """The cluster whose server this is."""
        return self.exchange.cluster

    def headers(self, headers: HeaderMap) -> None:
        """Take the request's headers."""
        self._write(self._encoder.request(headers.pairs(), False))
        self._post(self._connected)

    def data(self, data: bytes, end_stream: bool) -> None:
        """Take a piece of the request's body."""
        self._write(self._encoder.data(data) + (self._encoder.end() if end_stream else b""))

    def reply_headers(self, headers: Pairs, end_stream: bool) -> None:
        """Send the head of the response; the proxy adds how long a complete request took: here, no time."""
        received = HeaderMap(headers)
        if self.exchange.request_complete:
            received.add(b"x-envoy-upstream-service-time", b"0")
        self._answer(lambda: self.exchange.answer_headers(received, end_stream), end_stream)

    def reply_data(self, data: bytes, end_stream: bool) -> None:
        """Send a piece of the response's body."""
        self._answer(lambda: self.exchange.answer_data(data, end_stream), end_stream)

    def reply_trailers(self, trailers: Pairs) -> None:
        """Send the response's trailers."""
        self._answer(lambda: self.exchange.answer_trailers(HeaderMap(trailers)), True)

    def reset(self) -> None:
        """Learn that the proxy is no longer interested, or close the connection: it comes to the same."""
        if self.exchange.is_over:
            self.was_reset = not self._is_answered
        else:
            self._answer(self.exchange.connection_lost, True)

    def _answer(self, event: Callable[[], None], end_stream: bool) -> None:
        self._is_answered = self._is_answered or end_stream
        self.exchange.root.vm.process.run(event)

    def _write(self, data: bytes) -> None:
        if self._is_connected:
            self.request.feed(data)
            self._post(lambda: self.arrived(self))
        else:
            self._unsent += data

    def _connected(self) -> None:
        if not self.exchange.is_over:
            self._is_connected = True
            self._write(self._unsent)

    def _post(self, event: Callable[[], None]) -> None:
        self.exchange.root.vm.process.post(event)
