"""gRPC calls and streams that filters start, as Envoy's own gRPC client carries them out.

Sources of the rules: Envoy, source/common/grpc/async_client_impl.cc and wasm/context.cc.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from ._abi import Pairs, Status
from ._clock import Timer
from ._grpc_frames import framed, take_frames
from ._grpc_service import described_cluster
from ._headers import HeaderMap

if TYPE_CHECKING:
    from ._contexts import RootContext
    from ._process import Process

OK, UNKNOWN, INTERNAL, UNAVAILABLE = 0, 2, 13, 14
_INVALID = 0xFFFFFFFF
_HIGHEST_STATUS = 16
_STATUS_BY_HTTP = {400: INTERNAL, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14}
_LONGEST_TIMEOUT = 99_999_999
_CALL_KIND, _STREAM_KIND = 1, 2


class GrpcUpstream(Protocol):
    """The server's end of an exchange."""

    def headers(self, headers: HeaderMap) -> None:
        """Take the request's headers."""

    def data(self, data: bytes, end_stream: bool) -> None:
        """Take a piece of the request's body."""

    def reset(self) -> None:
        """Learn that the proxy wants no more of the answer."""


@dataclass(slots=True, kw_only=True, eq=False)
class GrpcExchange:
    """One call or stream. It belongs to the root context: it outlives the stream that caused it."""

    root: "RootContext"
    token: int
    cluster: str
    is_unary: bool
    """Whether this is a call: the guest is told of one message or one failure, and of nothing else."""

    upstream: GrpcUpstream | None = None
    is_local_closed: bool = False
    """Whether the guest has closed its side with proxy_grpc_close."""

    is_over: bool = False
    request_complete: bool = False
    _has_answer: bool = False
    _unread: bytearray = field(default_factory=bytearray)
    _message: bytes | None = None
    _timeout: Timer | None = None

    def start(self, headers: HeaderMap, timeout_ms: int) -> None:
        """Send the request's headers and count the time, which 0 does not limit."""
        if self.upstream is not None:
            self.upstream.headers(headers)
        if timeout_ms:
            self._timeout = self.root.vm.process.after(timeout_ms / 1000, self._time_out)

    def send(self, message: bytes, end_stream: bool) -> None:
        """Send a message; after the end nobody listens."""
        self._send(framed(message), end_stream)

    def end_request(self) -> None:
        """Tell the server that no message follows."""
        self._send(b"", True)

    def cancel(self) -> None:
        """Stop, without a word to the guest."""
        self._stop()

    def answer_headers(self, headers: HeaderMap, end_stream: bool) -> None:
        """Take the head of the answer; an error may be all there is."""
        if self.is_over:
            return
        self._has_answer = True
        http_status = int(headers.get(b":status") or b"0")
        self._tell_initial(HeaderMap() if end_stream or http_status != 200 else headers)
        if http_status != 200 and not (end_stream and b"grpc-status" in headers):
            self._fail(_STATUS_BY_HTTP.get(http_status, UNKNOWN))
        elif end_stream:
            self.answer_trailers(headers)

    def answer_data(self, data: bytes, end_stream: bool) -> None:
        """Take a piece of the answer: messages, each behind a flag and its length."""
        self._unread += data
        for flags, message in take_frames(self._unread):
            if self.is_over:
                return
            if flags and message:
                self._fail(INTERNAL)
            elif self.is_unary:
                self._message = message
            else:
                self.root.grpc_received(self.token, message, is_last=False)
        if end_stream:
            self._fail(UNKNOWN)

    def answer_trailers(self, trailers: HeaderMap, details: bytes = b"via_upstream") -> None:
        """Take the end of the answer, which has the status in it."""
        if self.is_over:
            return
        self._tell_trailing(trailers)
        status = trailers.get(b"grpc-status")
        number = UNKNOWN if status is None else _status(status)
        self._close(number, enhanced(trailers.get(b"grpc-message") or b"", details))

    def connection_lost(self) -> None:
        """Take note that the server is gone, before its answer or in the middle of it."""
        if self._has_answer:
            self._fail(INTERNAL, b"upstream_reset_after_response_started{connection_termination}")
            return
        text = b"upstream connect error or disconnect/reset before headers. reset reason: "
        details = b"upstream_reset_before_response_started{connection_termination}"
        self._answer_locally(text + b"connection termination", details)

    def _time_out(self) -> None:
        if self._has_answer:
            self._fail(INTERNAL, b"response_timeout")
        else:
            self._answer_locally(b"upstream request timeout", b"response_timeout")

    def _answer_locally(self, text: bytes, details: bytes) -> None:
        if not self.is_over:
            self._tell_initial(HeaderMap())
            self.answer_trailers(local_trailers(text), details)

    def _send(self, data: bytes, end_stream: bool) -> None:
        if self.is_over or self.request_complete:
            return
        self.request_complete = end_stream
        if self.upstream is not None:
            self.upstream.data(data, end_stream)

    def _fail(self, status: int, details: bytes = b"via_upstream") -> None:
        if not self.is_over:
            self._tell_trailing(HeaderMap())
            self._close(status, details)

    def _tell_initial(self, metadata: HeaderMap) -> None:
        if not self.is_unary:
            self.root.grpc_received_initial_metadata(self.token, metadata)

    def _tell_trailing(self, metadata: HeaderMap) -> None:
        if not self.is_unary and not self.is_over:
            self.root.grpc_received_trailing_metadata(self.token, metadata)

    def _close(self, status: int, message: bytes) -> None:
        if self.is_over:
            return
        self._stop()
        if not self.is_unary or status != OK:
            self.root.grpc_closed(self.token, status, message)
        elif self._message is None:
            self.root.grpc_closed(self.token, INTERNAL, b"")
        else:
            self.root.grpc_received(self.token, self._message, is_last=True)

    def _stop(self) -> None:
        self.is_over = True
        if self._timeout is not None:
            self._timeout.cancel()
        if self.upstream is not None:
            self.upstream.reset()


GrpcHandler = Callable[[GrpcExchange], None]


@dataclass(slots=True)
class GrpcCallouts:
    """The gRPC host functions."""

    process: "Process"

    def call(
        self,
        root: "RootContext",
        *,
        service: bytes,
        path: bytes,
        metadata: Pairs,
        message: bytes,
        timeout_ms: int,
    ) -> tuple[Status, int]:
        """Start a call with its only message; returns its token."""
        cluster = self._cluster(service)
        if cluster is None:
            return Status.PARSE_FAILURE, 0
        exchange = GrpcExchange(
            root=root, token=root.vm.new_grpc_call_token(), cluster=cluster, is_unary=True
        )
        started = self._start(exchange, path, metadata, timeout_ms)
        if started is Status.OK:
            exchange.send(message, True)
            return Status.OK, exchange.token
        return started, 0

    def stream(
        self, root: "RootContext", *, service: bytes, path: bytes, metadata: Pairs
    ) -> tuple[Status, int]:
        """Start a stream; returns its token."""
        cluster = self._cluster(service)
        if cluster is None:
            return Status.PARSE_FAILURE, 0
        exchange = GrpcExchange(
            root=root, token=root.vm.new_grpc_stream_token(), cluster=cluster, is_unary=False
        )
        started = self._start(exchange, path, metadata, None)
        return started, exchange.token if started is Status.OK else 0

    def send(self, root: "RootContext", token: int, message: bytes, end_stream: bool) -> Status:
        """Send a message on a stream."""
        if token & 3 != _STREAM_KIND:
            return Status.BAD_ARGUMENT
        exchange = root.grpc_exchanges.get(token)
        if exchange is None:
            return Status.NOT_FOUND
        exchange.send(message, end_stream)
        return Status.OK

    def cancel(self, root: "RootContext", token: int) -> Status:
        """Break off; the guest hears no more of it."""
        if token & 3 not in (_CALL_KIND, _STREAM_KIND):
            return Status.BAD_ARGUMENT
        exchange = root.grpc_exchanges.pop(token, None)
        if exchange is None:
            return Status.NOT_FOUND
        exchange.cancel()
        return Status.OK

    def close(self, root: "RootContext", token: int) -> Status:
        """End the request of a stream; a call is broken off."""
        exchange = root.grpc_exchanges.get(token)
        if exchange is None or exchange.is_unary:
            return self.cancel(root, token)
        if exchange.is_over:
            del root.grpc_exchanges[token]
        else:
            exchange.end_request()
            exchange.is_local_closed = True
        return Status.OK

    def _cluster(self, service: bytes) -> str | None:
        described = described_cluster(service)
        if described is not None:
            return described
        name = service.decode("utf-8", "replace")
        return name if name in self.process.clusters else None

    def _start(self, exchange: GrpcExchange, path: bytes, metadata: Pairs, timeout_ms: int | None) -> Status:
        root, token = exchange.root, exchange.token
        target = self.process.clusters.get(exchange.cluster)
        if target is None:
            root.vm.defer(lambda: root.grpc_closed(token, UNAVAILABLE, b"Cluster not available"))
            return Status.INTERNAL_FAILURE
        if not target.has_endpoints:
            text, details = b"no healthy upstream", b"no_healthy_upstream"
            if not exchange.is_unary:
                # Envoy tells these within the host call, although the guest has no token yet.
                root.grpc_received_initial_metadata(token, HeaderMap())
                root.grpc_received_trailing_metadata(token, local_trailers(text))
            root.vm.defer(lambda: root.grpc_closed(token, UNAVAILABLE, enhanced(text, details)))
            return Status.INTERNAL_FAILURE
        root.grpc_exchanges[token] = exchange
        if target.grpc_handler is not None:
            target.grpc_handler(exchange)
        exchange.start(_request_headers(exchange.cluster, path, metadata, timeout_ms), timeout_ms or 0)
        return Status.OK


def local_trailers(text: bytes) -> HeaderMap:
    """Make the answer the proxy gives in the place of a server it cannot reach."""
    return HeaderMap(
        [
            (b":status", b"200"),
            (b"content-type", b"application/grpc"),
            (b"grpc-status", str(UNAVAILABLE).encode()),
            (b"grpc-message", text),
        ]
    )


def enhanced(message: bytes, details: bytes) -> bytes:
    """Put what Envoy knows of the exchange behind the server's message."""
    return b"%s{%s}" % (message, details) if message else details


def _request_headers(cluster: str, path: bytes, metadata: Pairs, timeout_ms: int | None) -> HeaderMap:
    headers = HeaderMap(
        [(b":method", b"POST"), (b":path", path), (b":authority", cluster.encode()), (b"te", b"trailers")]
    )
    if timeout_ms is not None:
        headers.add(b"grpc-timeout", _grpc_timeout(timeout_ms))
    headers.add(b"content-type", b"application/grpc")
    for name, value in metadata:
        headers.add(name, value)
    headers.add(b"x-envoy-internal", b"true")
    if timeout_ms:
        headers.add(b"x-envoy-expected-rq-timeout-ms", str(timeout_ms).encode())
    return headers


def _grpc_timeout(timeout_ms: int) -> bytes:
    """Write a time in at most eight digits, in a larger unit where milliseconds have more."""
    if timeout_ms <= _LONGEST_TIMEOUT:
        return b"%dm" % timeout_ms
    return b"%dS" % (timeout_ms // 1000)


def _status(text: bytes) -> int:
    """Read a status; one that gRPC does not know is handed to the guest as -1."""
    number = int(text) if text.isdigit() else _INVALID
    return number if number <= _HIGHEST_STATUS else _INVALID
