"""A provider and a client that speak HTTP/2, as far as tests need it: one request at a time, trailers too."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RequestReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)

__all__ = ["CERTIFICATE", "Http2Provider", "Message", "http2_provider", "send"]

_TLS = Path(__file__).parents[1] / "nexus" / "testdata" / "tls"
CERTIFICATE = _TLS / "server.pem"
"""Of `llm.internal`, by its own authority."""


@dataclass(slots=True)
class Message:
    """A request or a response."""

    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    trailers: dict[str, str] = field(default_factory=dict)
    was_reset: bool = False


@dataclass(slots=True)
class Http2Provider:
    """Answers as told, over TLS."""

    port: int
    status: int = 200
    body: bytes = b"{}"
    trailers: dict[str, str] = field(default_factory=dict)
    refuses: bool = False
    """Whether it resets each stream in place of an answer."""
    requests: list[Message] = field(default_factory=list)


@contextlib.contextmanager
def http2_provider() -> Iterator[Http2Provider]:
    """Serve a provider on a free port until the end of the block."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE, CERTIFICATE.with_suffix(".key"))
    context.set_alpn_protocols(["h2"])
    with socket.create_server(("127.0.0.1", 0)) as listening:
        provider = Http2Provider(listening.getsockname()[1])

        def accept() -> None:
            with contextlib.suppress(OSError):  # Until it is closed.
                while True:
                    raw, _ = listening.accept()
                    threading.Thread(target=serve, args=(raw,), daemon=True).start()

        def serve(raw: socket.socket) -> None:
            with contextlib.suppress(OSError), context.wrap_socket(raw, server_side=True) as secured:
                _serve(provider, secured)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield provider
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def send(port: int, headers: dict[str, str], body: bytes, trailers: dict[str, str]) -> Message:
    """Send a request without TLS, and wait for the response."""
    http2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
    response = Message()
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        http2.initiate_connection()
        http2.send_headers(1, list(headers.items()))
        http2.send_data(1, body)
        http2.send_headers(1, list(trailers.items()), end_stream=True)
        connection.sendall(http2.data_to_send())
        while data := connection.recv(65_536):
            if any(_take(http2, event, response) for event in http2.receive_data(data)):
                break
            connection.sendall(http2.data_to_send())
    return response


def _serve(provider: Http2Provider, connection: socket.socket) -> None:
    """Answer all requests on one connection."""
    http2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
    http2.initiate_connection()
    connection.sendall(http2.data_to_send())
    messages: dict[int, Message] = {}
    while data := connection.recv(65_536):
        for event in http2.receive_data(data):
            if isinstance(event, ConnectionTerminated):
                return
            stream = getattr(event, "stream_id", None)
            if not stream:
                continue
            message = messages.setdefault(stream, Message())
            if _take(http2, event, message) and not message.was_reset:
                provider.requests.append(message)
                _answer(provider, http2, stream)
        connection.sendall(http2.data_to_send())


def _answer(provider: Http2Provider, http2: H2Connection, stream: int) -> None:
    if provider.refuses:
        http2.reset_stream(stream, ErrorCodes.REFUSED_STREAM)
        return
    headers = [(":status", str(provider.status)), ("content-type", "application/json")]
    http2.send_headers(stream, headers)
    http2.send_data(stream, provider.body, end_stream=not provider.trailers)
    if provider.trailers:
        http2.send_headers(stream, list(provider.trailers.items()), end_stream=True)


def _take(http2: H2Connection, event: Event, message: Message) -> bool:
    """Add *event* to its message; return whether that is complete."""
    if isinstance(event, RequestReceived | ResponseReceived):
        message.headers = {str(name): str(value) for name, value in event.headers or ()}
    elif isinstance(event, TrailersReceived):
        message.trailers = {str(name): str(value) for name, value in event.headers or ()}
    elif isinstance(event, DataReceived):
        message.body += event.data or b""
        http2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
    elif isinstance(event, StreamReset):
        message.was_reset = True
    return isinstance(event, StreamEnded | StreamReset)
