"""The scenarios that no real host produces, and why.

A test that sends a body after its end, or a `:status` in a request, tests something that cannot happen. The
gateway refuses such steps with `InconsistentScenarioError`.
"""

from dataclasses import dataclass, field

from ._abi import Pairs

__all__ = ["InconsistentScenarioError"]

_REQUEST_PSEUDO = frozenset({b":method", b":path", b":authority", b":scheme"})
_NO_BODY_STATUS = frozenset({204, 304})
_HOP_HEADERS = frozenset({b"transfer-encoding", b"connection", b"keep-alive", b"proxy-connection"})


class InconsistentScenarioError(Exception):
    """The test asks for something that can practically never occur; the message says why."""


def _refuse(what: str) -> None:
    raise InconsistentScenarioError(what)


def check_request_headers(headers: Pairs) -> None:
    """Refuse headers no client can have sent, or no proxy would have let through to a filter."""
    names = [name for name, _ in headers]
    for name in names:
        _check_name(name)
        if name == b":status":
            _refuse("`:status` in request headers: only responses have a status")
        if name.startswith(b":") and name not in _REQUEST_PSEUDO:
            _refuse(f"`{name.decode()}` in request headers: there is no such pseudo header")
        if name in _HOP_HEADERS:
            _refuse(f"`{name.decode()}` in request headers: the proxy takes it off before any filter")
    for name in _REQUEST_PSEUDO:
        if names.count(name) > 1:
            _refuse(f"`{name.decode()}` twice: a request has one")
    for name in (b":method", b":path", b":authority"):
        if not dict(headers).get(name):
            _refuse(f"no `{name.decode()}`: the proxy answers such a request itself, before any filter")
    _check_values(headers)


def check_response_headers(headers: Pairs, end_stream: bool) -> None:
    """Refuse headers no upstream can have sent."""
    status = dict(headers).get(b":status", b"")
    if not (status.isdigit() and 200 <= int(status) <= 599):
        _refuse(f"a response with the status {status.decode() or 'none'!r}: expected 200 to 599")
    for name, _ in headers:
        _check_name(name)
        if name.startswith(b":") and name != b":status":
            _refuse(f"`{name.decode()}` in response headers: only requests have it")
        if name in _HOP_HEADERS:
            _refuse(f"`{name.decode()}` in response headers: the test's server frames its messages itself")
    if int(status) in _NO_BODY_STATUS and not end_stream:
        _refuse(f"a {status.decode()} response with a body: HTTP does not have that")
    _check_values(headers)


def check_trailers(trailers: Pairs) -> None:
    """Refuse trailers no peer can have sent."""
    if not trailers:
        _refuse("trailers without a single one: end the body instead")
    for name, _ in trailers:
        _check_name(name)
        if name.startswith(b":"):
            _refuse(f"`{name.decode()}` in trailers: pseudo headers come first or not at all")
    _check_values(trailers)


def _check_name(name: bytes) -> None:
    if not name or any(byte <= 0x20 or byte >= 0x7F for byte in name) or b":" in name[1:]:
        _refuse(f"the header name {name!r}: not a token, so the codec refuses the message")


def _check_values(headers: Pairs) -> None:
    for name, value in headers:
        if b"\r" in value or b"\n" in value or b"\0" in value:
            _refuse(f"a line break or NUL in the value of {name.decode()!r}: the codec refuses the message")
        if value != value.strip(b" \t"):
            _refuse(f"white space around the value of {name.decode()!r}: the codec takes it off")


@dataclass(slots=True)
class MessageRules:
    """What may come next in one message."""

    what: str
    """`request` or `response`."""

    _has_head: bool = False
    _is_complete: bool = False
    _missing: int | None = None
    _body: int = field(default=0)

    def head(self, headers: Pairs, end_stream: bool) -> None:
        """Let the message begin."""
        if self._has_head:
            _refuse(f"a second head of one {self.what}: a message has one")
        self._has_head = True
        self._is_complete = end_stream
        length = dict(headers).get(b"content-length")
        if length is not None:
            if not length.isdigit():
                _refuse(f"content-length {length!r}: the codec refuses the message")
            self._missing = int(length)
            if end_stream and self._missing and self.what == "request":
                _refuse(f"a {self.what} that promises {self._missing} bytes and ends with its head")

    def body(self, data: bytes, end_stream: bool) -> None:
        """Let a piece of body come."""
        if not self._has_head:
            _refuse(f"{self.what} body before its head")
        if self._is_complete:
            _refuse(f"{self.what} body after its end")
        if not data and not end_stream:
            _refuse("an empty piece of body that is not the end: nothing has been read, so nothing happens")
        if self._missing is not None:
            self._body += len(data)
            if self._body > self._missing:
                _refuse(f"{self.what} body of {self._body} bytes under content-length {self._missing}")
            if end_stream and self._body < self._missing:
                _refuse(
                    f"{self.what} body that ends after {self._body} of {self._missing} bytes: "
                    "the proxy waits for the rest; abort or reset instead"
                )
            if self._body == self._missing and not end_stream:
                _refuse(f"all {self._missing} bytes of the {self.what} are there, so this piece is the end")
        self._is_complete = end_stream

    def trailers(self, trailers: Pairs) -> None:
        """Let trailers come."""
        if not self._has_head:
            _refuse(f"{self.what} trailers before its head")
        if self._is_complete:
            _refuse(f"{self.what} trailers after its end")
        if self._missing is not None:
            _refuse(f"trailers on a {self.what} with content-length: HTTP/1.1 has them after chunks only")
        check_trailers(trailers)
        self._is_complete = True

    def server_acts(self, has_request: bool, is_over: bool) -> None:
        """Let the server do something."""
        if not has_request:
            _refuse("a response before the request: nothing has reached the upstream yet")
        if is_over:
            _refuse("the proxy has given this request up, so the upstream can no longer answer")

    def client_acts(self, is_over: bool) -> None:
        """Let the client do something."""
        if is_over:
            _refuse("the exchange is over: the client can send nothing more on this stream")
