"""HTTP calls that filters make: who answers them, when, and what the filter is told."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ._abi import Pairs, Status
from ._clock import Timer
from ._headers import HeaderMap

if TYPE_CHECKING:
    from ._contexts import RootContext
    from ._grpc import GrpcHandler
    from ._process import Process


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRequest:
    """What a filter sent to a cluster."""

    cluster: str
    headers: HeaderMap
    body: bytes
    trailers: HeaderMap
    timeout_ms: int


@dataclass(slots=True, kw_only=True)
class CallResponse:
    """What a cluster answered."""

    headers: HeaderMap
    body: bytes = b""
    trailers: HeaderMap | None = None


@dataclass(slots=True, eq=False)
class Callout:
    """A call on its way. It belongs to the root context: it outlives the stream that caused it."""

    process: "Process"
    root: "RootContext"
    token: int
    request: CallRequest
    is_over: bool = False
    _timeout: Timer | None = None

    def start_timeout(self) -> None:
        """Count the time the caller gives; 0 is for ever."""
        if self.request.timeout_ms:
            self._timeout = self.process.after(self.request.timeout_ms / 1000, self.time_out)

    def answer(self, response: CallResponse) -> None:
        """Give the filter a response."""
        self._finish(response)

    def reset(self) -> None:
        """Break the call off after its response has begun: the filter gets nothing but the status "reset"."""
        self._finish(None)

    def refuse(self) -> None:
        """Close the connection before a response: Envoy makes a 503 of it, which counts as an answer."""
        text = b"upstream connect error or disconnect/reset before headers. reset reason: "
        self._finish(local_response(503, text + b"connection termination"))

    def time_out(self) -> None:
        """Let the caller's time run out: Envoy makes a 504 of it, which counts as an answer."""
        self._finish(local_response(504, b"upstream request timeout"))

    def _finish(self, response: CallResponse | None) -> None:
        if self.is_over:
            raise RuntimeError(f"the call to {self.request.cluster!r} has been answered already")
        self.is_over = True
        if self._timeout is not None:
            self._timeout.cancel()
        self.process.post(lambda: self.root.http_call_answered(self.token, response))


def local_response(status: int, text: bytes) -> CallResponse:
    """Make the response Envoy's own async client gives when the cluster gives none."""
    headers = [
        (b":status", str(status).encode()),
        (b"content-length", str(len(text)).encode()),
        (b"content-type", b"text/plain"),
    ]
    return CallResponse(headers=HeaderMap(headers), body=text)


CallHandler = Callable[[Callout], None]


@dataclass(slots=True)
class Cluster:
    """A named upstream as callouts see it."""

    name: str
    has_endpoints: bool = True
    handler: CallHandler | None = None
    """Answers calls as they come; without one they wait until the test answers them."""

    grpc_handler: "GrpcHandler | None" = None
    """Gives gRPC exchanges their server; without one they wait for ever."""


@dataclass(slots=True)
class Callouts:
    """Every call of a process, oldest first."""

    process: "Process"
    made: list[Callout] = field(default_factory=list)

    def http_call(
        self,
        root: "RootContext",
        *,
        cluster: str,
        headers: Pairs,
        body: bytes,
        trailers: Pairs,
        timeout_ms: int,
    ) -> tuple[Status, int]:
        """Start a call; returns its token (Envoy, wasm/context.cc, Context::httpCall)."""
        target = self.process.clusters.get(cluster)
        if target is None or timeout_ms >= 1 << 31:
            return Status.BAD_ARGUMENT, 0
        request_headers = HeaderMap(headers)
        if any(name not in request_headers for name in (b":path", b":method", b":authority")):
            return Status.BAD_ARGUMENT, 0
        if body:
            request_headers.replace(b"content-length", str(len(body)).encode())
        request_headers.add(b"x-envoy-internal", b"true")
        if timeout_ms:
            request_headers.add(b"x-envoy-expected-rq-timeout-ms", str(timeout_ms).encode())
        token = root.vm.new_http_call_token()
        if not target.has_endpoints:
            return Status.INTERNAL_FAILURE, 0
        request = CallRequest(
            cluster=cluster,
            headers=request_headers,
            body=body,
            trailers=HeaderMap(trailers),
            timeout_ms=timeout_ms,
        )
        callout = Callout(self.process, root, token, request)
        root.pending_calls.add(token)
        self.made.append(callout)
        callout.start_timeout()
        if target.handler is not None:
            handler = target.handler
            self.process.post(lambda: None if callout.is_over else handler(callout))
        return Status.OK, token
