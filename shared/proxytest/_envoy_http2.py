"""A request that a real Envoy sends over HTTP/2, which is what gRPC needs."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, RequestReceived, StreamEnded, StreamReset, TrailersReceived

from ._abi import Pairs
from ._http1 import Decoder, Encoder
from ._wire import Connection

if TYPE_CHECKING:
    from ._envoy import EnvoyDeployment


def _server() -> H2Connection:
    return H2Connection(
        H2Configuration(client_side=False, header_encoding=None, validate_inbound_headers=False)
    )


@dataclass(slots=True, eq=False)
class EnvoyHttp2Call:
    """A request on a connection of its own; the harness sees it as the HTTP/1.1 message it stands for."""

    deployment: "EnvoyDeployment"
    connection: Connection
    cluster: str
    is_callout: bool = False
    request: Decoder = field(default_factory=lambda: Decoder(is_response=False))
    was_reset: bool = False
    is_answered: bool = False
    _stream: int = 0
    _http2: H2Connection = field(default_factory=_server)
    _encoder: Encoder = field(default_factory=Encoder)

    def __post_init__(self) -> None:
        self._http2.initiate_connection()
        self._flush()

    def feed(self, data: bytes) -> None:
        """Take bytes from Envoy, and answer those that are about the connection itself."""
        for event in self._http2.receive_data(data):
            self._take(event)
        self._flush()

    def reply_headers(self, headers: Pairs, end_stream: bool) -> None:
        """Send the head of the response."""
        self._reply_headers(headers, end_stream)

    def reply_data(self, data: bytes, end_stream: bool) -> None:
        """Send a piece of the response's body."""
        with self.deployment.wire_lock:
            self.is_answered = self.is_answered or end_stream
            if not self.was_reset:
                self._http2.send_data(self._stream, data, end_stream)
            self._flush()
        self.deployment.settle()

    def reply_trailers(self, trailers: Pairs) -> None:
        """Send the response's trailers, which are one more block of headers."""
        self._reply_headers(trailers, True)

    def reset(self) -> None:
        """Close the connection."""
        self.is_answered = True
        self.deployment.closed()
        self.connection.close()
        self.deployment.settle()

    def _reply_headers(self, headers: Pairs, end_stream: bool) -> None:
        with self.deployment.wire_lock:
            self.is_answered = self.is_answered or end_stream
            if not self.was_reset:
                self._http2.send_headers(self._stream, headers, end_stream)
            self._flush()
        self.deployment.settle()

    def _take(self, event: Event) -> None:
        if isinstance(event, RequestReceived):
            self._stream = event.stream_id
            has_end = event.stream_ended is not None
            self.request.feed(self._encoder.request(list(event.headers), has_end))
        elif isinstance(event, DataReceived):
            self.request.feed(self._encoder.data(event.data))
            self._http2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, TrailersReceived):
            self.request.feed(self._encoder.end(list(event.headers)))
        elif isinstance(event, StreamEnded) and not self.request.is_complete:
            self.request.feed(self._encoder.end())
        elif isinstance(event, StreamReset):
            self.was_reset = not self.is_answered

    def _flush(self) -> None:
        self.connection.send(self._http2.data_to_send())
