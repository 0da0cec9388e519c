"""One HTTP request and its response: what a proxy does around the filter chain.

This is the part of Envoy's connection manager and router that filters can notice: when the response starts,
which way a local reply takes, what ends the stream, and in which order the filters hear of it.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from ._abi import Pairs
from ._buffer import Buffer
from ._chain import Direction, Steps
from ._clock import Timer
from ._connection_manager import missing_from_request, missing_from_response, outgoing_response
from ._contexts import RootContext
from ._headers import HeaderMap
from ._route import Route
from ._stream_context import StreamContext

if TYPE_CHECKING:
    from ._process import Process

_UPSTREAM_RESET_TEXT = b"upstream connect error or disconnect/reset before headers. reset reason: "
_MISSING_REQUEST_DETAILS = "filter_removed_required_request_headers{missing_required_header:_%s}"
_MISSING_STATUS_DETAILS = "filter_removed_required_response_headers{missing_required_header:_:status}"

_UPSTREAM_REQUEST_TIMEOUT = 1 << 2
_UPSTREAM_CONNECTION_TERMINATION = 1 << 6
_NO_ROUTE_FOUND = 1 << 8
_DOWNSTREAM_CONNECTION_TERMINATION = 1 << 14
_NO_CLUSTER_FOUND = 1 << 26
_UPSTREAM_PROTOCOL_ERROR = 1 << 23


class ClientEnd(Protocol):
    """Where the response goes."""

    def headers(self, headers: HeaderMap, end_stream: bool) -> None:
        """Take the response's headers."""

    def data(self, data: bytes, end_stream: bool) -> None:
        """Take a piece of the response's body."""

    def trailers(self, trailers: HeaderMap) -> None:
        """Take the response's trailers."""

    def reset(self) -> None:
        """Learn that there will be no more."""


class UpstreamEnd(Protocol):
    """Where the request goes."""

    def headers(self, cluster: str, headers: HeaderMap, end_stream: bool) -> None:
        """Take the request's headers."""

    def data(self, data: bytes, end_stream: bool) -> None:
        """Take a piece of the request's body."""

    def trailers(self, trailers: HeaderMap) -> None:
        """Take the request's trailers."""

    def reset(self) -> None:
        """Learn that the proxy is no longer interested."""


@dataclass(slots=True)
class LocalReply:
    """A response that a filter or the proxy itself makes up."""

    status: int
    body: bytes
    headers: Pairs
    grpc_status: int


@dataclass(slots=True, eq=False)
class HttpStream:
    """A stream from the client's first byte to the last on_delete."""

    process: "Process"
    client: ClientEnd
    upstream: UpstreamEnd
    id: int
    decoding: Direction = field(init=False)
    encoding: Direction = field(init=False)
    contexts: list[StreamContext] = field(default_factory=list)
    filter_state: dict[str, bytes] = field(default_factory=dict)
    started_ns: int = 0
    response_details: str | None = None
    """Why the response is what it is (response.code_details)."""

    response_code: int = 0
    """The status, as soon as the upstream or the proxy itself has said it; 0 before."""

    response_flags: int = 0
    """Why things went wrong, as a bit set (response.flags; Envoy, stream_info.h, CoreResponseFlag)."""

    request_body_size: int = 0
    response_body_size: int = 0
    finished_ns: int | None = None
    request_complete: bool = False
    local_complete: bool = False
    """Whether the response has been given to the chain completely, or the stream is over."""

    response_started: bool = False
    """Whether response headers have gone to the client."""

    response_complete: bool = False
    is_destroyed: bool = False
    upstream_started: bool = False
    upstream_complete: bool = False
    _prepared_reply: LocalReply | None = None
    _route: Route | None = None
    _route_is_known: bool = False
    _timeout: Timer | None = None

    def __post_init__(self) -> None:
        limit = self.process.buffer_limit
        self.decoding = Direction(_Request(self), limit)
        self.encoding = Direction(_Response(self), limit)
        self.started_ns = self.process.clock.now_ns

    def build_chain(self, roots: list[RootContext]) -> None:
        """Make the stream's filters; requests meet them in this order, responses the other way round."""
        for root in roots:
            context = StreamContext(root.vm, root.vm.new_context_id(), parent=root, http=self)
            root.vm.contexts[context.id] = context
            self.contexts.append(context)
        decoding = [
            Steps(each.decode_headers, each.decode_data, each.decode_trailers) for each in self.contexts
        ]
        encoding = [
            Steps(each.encode_headers, each.encode_data, each.encode_trailers) for each in self.contexts
        ]
        for context, position in zip(self.contexts, self.decoding.extend(decoding), strict=True):
            context.request.position = position
        places = self.encoding.extend(reversed(encoding))
        for context, position in zip(reversed(self.contexts), places, strict=True):
            context.response.position = position

    # What the client does

    def request_headers(self, headers: HeaderMap, end_stream: bool) -> None:
        """Take the headers the client has sent."""
        self.request_complete = end_stream
        self.decoding.start(headers, end_stream)

    def request_data(self, data: bytes, end_stream: bool) -> None:
        """Take a piece of body the client has sent."""
        self.request_complete = end_stream
        self.request_body_size += len(data)
        self.decoding.data(data, end_stream)

    def request_trailers(self, trailers: HeaderMap) -> None:
        """Take the trailers the client has sent."""
        self.request_complete = True
        self.decoding.finish(trailers)

    def client_gone(self) -> None:
        """End the stream, because the client has closed its connection."""
        if not self.is_destroyed:
            self.response_details = "downstream_remote_disconnect"
            self.response_flags |= _DOWNSTREAM_CONNECTION_TERMINATION
            self._destroy()

    # What the upstream does

    def response_headers(self, headers: HeaderMap, end_stream: bool) -> None:
        """Take the headers the upstream has sent."""
        if self.is_destroyed or self.encoding.headers is not None:
            return
        self.response_details = "via_upstream"
        self.response_code = _status(headers)
        self._upstream_sent(end_stream)
        self.local_complete = end_stream
        self.encoding.start(headers, end_stream)

    def response_data(self, data: bytes, end_stream: bool) -> None:
        """Take a piece of body the upstream has sent."""
        if self.is_destroyed or self.upstream_complete:
            return
        self._upstream_sent(end_stream)
        self.local_complete = end_stream
        self.encoding.data(data, end_stream)

    def response_trailers(self, trailers: HeaderMap) -> None:
        """Take the trailers the upstream has sent."""
        if self.is_destroyed or self.upstream_complete:
            return
        self._upstream_sent(True)
        self.local_complete = True
        self.encoding.finish(trailers)

    def upstream_gone(self) -> None:
        """Answer or break off, because the upstream has closed before its response was complete."""
        if self.is_destroyed or self.upstream_complete:
            return
        self.upstream_complete = True
        if self.encoding.headers is None:
            self.response_flags |= _UPSTREAM_CONNECTION_TERMINATION
            details = "upstream_reset_before_response_started{connection_termination}"
            self.send_local_reply(503, _UPSTREAM_RESET_TEXT + b"connection termination", [], -1, details)
        else:
            # For the codec the message is cut short, which breaks the protocol.
            self.response_flags |= _UPSTREAM_PROTOCOL_ERROR
            details = "upstream_reset_after_response_started{protocol_error}"
            self.send_local_reply(502, _UPSTREAM_RESET_TEXT + b"protocol error", [], -1, details)

    # What filters ask for

    def route(self) -> Route | None:
        """Find the route by the headers as they are now, and stay with it until they change."""
        if not self._route_is_known and self.decoding.headers is not None:
            self._route = self.process.routes.resolve(self.decoding.headers)
            self._route_is_known = True
        return self._route

    def clear_route_cache(self) -> None:
        """Forget the route, so that the next look finds another if the headers say so."""
        self._route_is_known = False

    def reset_by_filter(self) -> None:
        """Break off, because a filter has closed the stream."""
        self._mark_aborted()
        self._reset()

    def send_local_reply(
        self, status: int, body: bytes, headers: Pairs, grpc_status: int, details: str
    ) -> None:
        """Answer in the upstream's place.

        Before any response it goes back through the filters; while filters hold the upstream's response it
        goes straight to the client; once headers have been sent all that is left is to break the stream off.
        """
        self._mark_aborted()
        self.response_details = details
        self.response_code = status
        reply = LocalReply(status, body, headers, grpc_status)
        if self.encoding.headers is None:
            if not self.decoding.running:
                self._reply_through_filters(reply)
            elif self._prepared_reply is None:
                self._prepared_reply = reply
        elif not self.response_started:
            self._reply_directly(reply)
        else:
            self._reset()

    def send_prepared_reply(self) -> None:
        """Send the local reply that had to wait for a callback to return."""
        reply, self._prepared_reply = self._prepared_reply, None
        if reply is not None and not self.is_destroyed:
            self._reply_through_filters(reply)

    def start_timeout(self) -> None:
        """Give the upstream its time, now that it has the whole request."""
        route = self.route()
        if route is not None and route.timeout_s and not self.upstream_complete:
            self._timeout = self.process.clock.after(round(route.timeout_s * 1e9), self._timed_out)

    def respond(self, headers: HeaderMap, end_stream: bool) -> None:
        """Send headers to the client."""
        self.response_started = True
        self.response_code = _status(headers)
        outgoing_response(headers, self.process.clock.now_ns)
        self.client.headers(headers, end_stream)
        self._end_response(end_stream)

    def respond_data(self, data: bytes, end_stream: bool) -> None:
        """Send body to the client."""
        self.response_body_size += len(data)
        self.client.data(data, end_stream)
        self._end_response(end_stream)

    def respond_trailers(self, trailers: HeaderMap) -> None:
        """Send trailers to the client."""
        self.client.trailers(trailers)
        self._end_response(True)

    def _mark_aborted(self) -> None:
        if self.decoding.running:
            self.decoding.aborted = True
        elif self.encoding.running:
            self.encoding.aborted = True

    def _upstream_sent(self, complete: bool) -> None:
        self.upstream_complete = complete
        if complete and self._timeout is not None:
            self._timeout.cancel()

    def _timed_out(self) -> None:
        if self.is_destroyed:
            return
        self.upstream_complete = True
        self.response_flags |= _UPSTREAM_REQUEST_TIMEOUT
        self.upstream.reset()
        if self.encoding.headers is None:
            self.send_local_reply(504, b"upstream request timeout", [], -1, "response_timeout")
        else:
            self.response_details = "response_timeout"
            self._reset()
        self.process.run()

    def _reply_through_filters(self, reply: LocalReply) -> None:
        headers, body = self._render(reply)
        self.local_complete = not body
        self.encoding.start(headers, not body)
        if body and not self.is_destroyed:
            self.local_complete = True
            self.encoding.data(body, True)

    def _reply_directly(self, reply: LocalReply) -> None:
        headers, body = self._render(reply)
        self.encoding.headers = headers
        self.respond(headers, not body)
        if body and not self.is_destroyed:
            self.respond_data(body, True)

    def _render(self, reply: LocalReply) -> tuple[HeaderMap, bytes]:
        headers = HeaderMap([(b":status", str(reply.status).encode()), *reply.headers])
        if self._is_grpc_request():
            return self._render_grpc(reply, headers), b""
        if reply.body:
            headers.replace(b"content-length", str(len(reply.body)).encode())
            if b"content-type" not in headers:
                headers.add(b"content-type", b"text/plain")
        else:
            headers.remove(b"content-length")
            headers.remove(b"content-type")
        is_head = self.decoding.headers is not None and self.decoding.headers.get(b":method") == b"HEAD"
        return headers, b"" if is_head else reply.body

    def _is_grpc_request(self) -> bool:
        headers = self.decoding.headers
        content_type = headers.get(b"content-type") if headers is not None else None
        return content_type is not None and (
            content_type == b"application/grpc" or content_type.startswith(b"application/grpc+")
        )

    def _render_grpc(self, reply: LocalReply, headers: HeaderMap) -> HeaderMap:
        by_http_status = {400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 502: 14, 503: 14, 504: 14}
        status = reply.grpc_status if 0 <= reply.grpc_status <= 16 else by_http_status.get(reply.status, 2)
        headers.replace(b":status", b"200")
        headers.replace(b"content-type", b"application/grpc")
        headers.replace(b"grpc-status", str(status).encode())
        if reply.body:
            headers.replace(b"grpc-message", _percent_encode(reply.body))
        return headers

    def _reset(self) -> None:
        if not self.is_destroyed:
            self.client.reset()
            self._destroy()

    def _end_response(self, end_stream: bool) -> None:
        if end_stream and not self.is_destroyed:
            self.response_complete = True
            if not self.request_complete:
                # In HTTP/1.1 the rest of the request is in the way of the next, so the connection ends here.
                self.client.reset()
            self._destroy()

    def _destroy(self) -> None:
        """End the stream: every filter logs, then each is told it is done and deleted."""
        self.is_destroyed = True
        self.local_complete = True
        self.finished_ns = self.process.clock.now_ns
        if self._timeout is not None:
            self._timeout.cancel()
        if self.upstream_started and not self.upstream_complete:
            self.upstream.reset()
        for context in self.contexts:
            context.log()
        for context in self.contexts:
            context.destroy()


def _status(headers: HeaderMap) -> int:
    status = headers.get(b":status") or b""
    return int(status) if status.isdigit() else 0


def _percent_encode(text: bytes) -> bytes:
    """Encode a gRPC status message (gRPC over HTTP/2, "Responses")."""
    return b"".join(
        bytes([byte]) if 0x20 <= byte <= 0x7E and byte != 0x25 else f"%{byte:02X}".encode() for byte in text
    )


@dataclass(slots=True, eq=False)
class _Request:
    """The rules of the way to the upstream, with the router at its end."""

    stream: HttpStream

    def is_complete(self) -> bool:
        return self.stream.request_complete

    def can_resume(self) -> bool:
        return not self.stream.local_complete

    def ignores_data(self) -> bool:
        return self.stream.local_complete

    def filter_aborted(self) -> bool:
        self.stream.send_prepared_reply()
        return True

    def deliver_headers(self, headers: HeaderMap, end_stream: bool) -> None:
        stream = self.stream
        route = stream.route()
        if route is None:
            stream.response_flags |= _NO_ROUTE_FOUND
            stream.send_local_reply(404, b"", [], -1, "route_not_found")
            return
        if route.cluster not in stream.process.clusters:
            stream.response_flags |= _NO_CLUSTER_FOUND
            stream.send_local_reply(503, b"", [], -1, "cluster_not_found")
            return
        missing = missing_from_request(headers)
        if missing is not None:
            text = b"missing required header: " + missing
            stream.send_local_reply(503, text, [], -1, _MISSING_REQUEST_DETAILS % missing.decode())
            return
        stream.upstream_started = True
        stream.upstream.headers(route.cluster, headers.copy(), end_stream)
        if end_stream:
            stream.start_timeout()

    def deliver_data(self, data: Buffer, end_stream: bool) -> None:
        if self.stream.upstream_complete:
            return
        self.stream.upstream.data(data.take(), end_stream)
        if end_stream:
            self.stream.start_timeout()

    def deliver_trailers(self, trailers: HeaderMap) -> None:
        if self.stream.upstream_complete:
            return
        self.stream.upstream.trailers(trailers.copy())
        self.stream.start_timeout()

    def too_large(self) -> None:
        if not self.stream.decoding.streaming:
            self.stream.send_local_reply(413, b"Payload Too Large", [], -1, "request_payload_too_large")


@dataclass(slots=True, eq=False)
class _Response:
    """The rules of the way back, with the client at its end."""

    stream: HttpStream

    def is_complete(self) -> bool:
        return self.stream.local_complete

    def can_resume(self) -> bool:
        return not self.stream.response_complete and not self.stream.is_destroyed

    def ignores_data(self) -> bool:
        return self.stream.is_destroyed

    def filter_aborted(self) -> bool:
        return False

    def deliver_headers(self, headers: HeaderMap, end_stream: bool) -> None:
        missing = missing_from_response(headers)
        if missing is not None:
            text = b"missing required header: " + missing
            self.stream.send_local_reply(502, text, [], -1, _MISSING_STATUS_DETAILS)
            return
        self.stream.respond(headers, end_stream)

    def deliver_data(self, data: Buffer, end_stream: bool) -> None:
        self.stream.respond_data(data.take(), end_stream)

    def deliver_trailers(self, trailers: HeaderMap) -> None:
        self.stream.respond_trailers(trailers.copy())

    def too_large(self) -> None:
        if not self.stream.encoding.streaming:
            self.stream.send_local_reply(500, b"Internal Server Error", [], -1, "response_payload_too_large")
