"""The servers behind the proxy, and how tests make them answer."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from . import consistency
from ._abi import Pairs
from ._deployment import Call
from ._grpc_frames import framed
from .exchange import Received

__all__ = ["Answer", "Server", "ServerCall"]

HeadersLike = Mapping[str, str] | list[tuple[str, str]]


def as_pairs(headers: HeadersLike) -> Pairs:
    """Encode headers given as text."""
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in _items(headers)]


def _items(headers: HeadersLike) -> Iterable[tuple[str, str]]:
    return headers.items() if isinstance(headers, Mapping) else headers


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole response."""

    status: int = 200
    headers: HeadersLike = field(default_factory=dict)
    chunks: tuple[bytes, ...] = ()
    trailers: HeadersLike = field(default_factory=dict)


class ServerCall:
    """A request at a server, to be answered in steps."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._rules = consistency.MessageRules("response")
        self.is_callout = call.is_callout
        """Whether a filter made this request itself."""

        self.is_over = False
        """Whether the answer is complete, or the connection closed."""

    @property
    def received(self) -> Received:
        """The request, as far as it has come."""
        return Received.of(self._call.cluster, self._call.request)

    @property
    def was_reset(self) -> bool:
        """Whether the proxy has given the request up."""
        return self._call.was_reset

    def start(self, status: int = 200, headers: HeadersLike | None = None, *, end: bool = False) -> None:
        """Send the head of a response."""
        pairs = [(b":status", str(status).encode()), *as_pairs(headers or {})]
        self._check()
        consistency.check_response_headers(pairs, end)
        self._rules.head(pairs, end)
        self.is_over = end
        self._call.reply_headers(pairs, end)

    def send(self, data: bytes, *, end: bool = False) -> None:
        """Send a piece of the response's body."""
        self._check()
        self._rules.body(data, end)
        self.is_over = end
        self._call.reply_data(data, end)

    def send_message(self, message: bytes) -> None:
        """Send a gRPC message."""
        self.send(framed(message))

    def finish(self, trailers: HeadersLike | None = None) -> None:
        """End the response, with trailers or without."""
        self._check()
        if trailers:
            pairs = as_pairs(trailers)
            self._rules.trailers(pairs)
            self.is_over = True
            self._call.reply_trailers(pairs)
        else:
            self.send(b"", end=True)

    def close(self) -> None:
        """Close the connection, before the response or in the middle of it."""
        self._check()
        self.is_over = True
        self._call.reset()

    def answer(self, answer: Answer) -> None:
        """Send a whole response, each chunk by itself."""
        has_body = bool(answer.chunks or answer.trailers)
        self.start(answer.status, answer.headers, end=not has_body)
        for index, chunk in enumerate(answer.chunks):
            is_last = index == len(answer.chunks) - 1 and not answer.trailers
            self.send(chunk, end=is_last)
        if answer.trailers:
            self.finish(answer.trailers)

    def _check(self) -> None:
        self._rules.server_acts(self._call.request.has_head, self._call.was_reset)


class Server:
    """A cluster: what it answers by itself, and what it has been sent."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.calls: list[ServerCall] = []
        """Every request that has come, oldest first."""

        self._answer: Answer | Callable[[Received], Answer] | None = Answer()

    def respond(
        self,
        status: int = 200,
        *,
        json: object = None,
        body: bytes = b"",
        chunks: tuple[bytes, ...] = (),
        headers: HeadersLike | None = None,
        trailers: HeadersLike | None = None,
    ) -> None:
        """Answer every complete request like this from now on."""
        pairs = dict(headers or {}) if not isinstance(headers, list) else headers
        if json is not None:
            body = _json(json)
            if isinstance(pairs, dict):
                pairs = {"content-type": "application/json", **pairs}
        self._answer = Answer(
            status=status, headers=pairs, chunks=chunks or ((body,) if body else ()), trailers=trailers or {}
        )

    def respond_grpc(
        self, *messages: bytes, status: int = 0, reason: str = "", headers: HeadersLike | None = None
    ) -> None:
        """Answer every complete gRPC request with *messages* and then a gRPC status from now on."""
        self._answer = Answer(
            headers=[*_items(headers or {}), ("content-type", "application/grpc")],
            chunks=tuple(map(framed, messages)),
            trailers={"grpc-status": str(status), **({"grpc-message": reason} if reason else {})},
        )

    def respond_with(self, answer: Callable[[Received], Answer]) -> None:
        """Answer every complete request with what a function makes of it."""
        self._answer = answer

    def hold(self) -> None:
        """Answer nothing: the test does it, through `calls`."""
        self._answer = None

    def complete(self, call: ServerCall) -> None:
        """Answer a request that is there completely, unless the test wants to."""
        if self._answer is None or call.is_over or call.was_reset:
            return
        answer = self._answer
        call.answer(answer if isinstance(answer, Answer) else answer(call.received))


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
