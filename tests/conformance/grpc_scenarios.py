"""gRPC calls and streams that filters start: answers, failures, cancelling, and who is told what."""

import struct

from proxytest._abi import Pairs

from .scenario import GET, Scenario, Step, abort, head, reply, reply_body, reply_trailers, server_closes, wait

_SSE = (reply(200, [(b"a", b"1")]), reply_body(b"response", end=True))
_GRPC = (b"content-type", b"application/grpc")
_LOOK = "pairs 4 & pairs 5 & get 5 grpc-status & buf 5 0 100 & bufstat 5"
_LOOKS = "; ".join(f"grpc_{name}: {_LOOK}" for name in ("initial", "receive", "trailing", "close"))
_LOOKS += "; grpc_close: status"
_RESUME = "; grpc_receive: effective & cont 0; grpc_close: effective & cont 0"


def _call(service: str = "rpc", metadata: str = "_", message: str = "ping", timeout: str = "1000") -> str:
    start = f"request_headers: gcall {service} m {metadata} {message} {timeout} & ret 4"
    return f"{start}; {_LOOKS}{_RESUME}"


def _stream(then: str = "", service: str = "rpc") -> str:
    start = f"request_headers: gstream {service} m _{' & ' if then else ''}{then}"
    return f"{start}; {_LOOKS}"


def _starts(*headers: tuple[bytes, bytes], end: bool = False, status: int = 200) -> Step:
    return reply(status, [_GRPC, *headers], end=end, callout=True)


def _message(data: bytes, flags: int = 0) -> Step:
    return reply_body(struct.pack(">BI", flags, len(data)) + data, callout=True)


def _ends(status: bytes = b"0", *more: tuple[bytes, bytes]) -> Step:
    trailers: Pairs = [(b"grpc-status", status), *more]
    return reply_trailers(*trailers, callout=True)


_ANSWER = (_starts(), _message(b"pong"), _ends())
_ASK = head("GET", end=True)

SCENARIOS = (
    Scenario("grpc/call", _call(), (_ASK, *_ANSWER, *_SSE)),
    Scenario("grpc/call with metadata", _call(metadata="m=1,n=2"), (_ASK, *_ANSWER, *_SSE)),
    Scenario(
        "grpc/call with metadata that Envoy sets",
        _call(metadata=":path=/x,te=y,m=1,m=2"),
        (_ASK, *_ANSWER, *_SSE),
    ),
    Scenario("grpc/call to a described service", _call("pb:rpc"), (_ASK, *_ANSWER, *_SSE)),
    Scenario("grpc/call without a message", _call(message="_"), (_ASK, *_ANSWER, *_SSE)),
    Scenario("grpc/call without a timeout", _call(timeout="0"), (_ASK, *_ANSWER, *_SSE)),
    Scenario("grpc/call with a long timeout", _call(timeout="100000999"), (_ASK, *_ANSWER, *_SSE)),
    Scenario("grpc/call with a very long timeout", _call(timeout="4294967295"), (_ASK, *_ANSWER, *_SSE)),
    Scenario("grpc/call to a described service without a name", _call("pb:"), (_ASK, *_SSE)),
    Scenario(
        "grpc/call answered with an empty message", _call(), (_ASK, _starts(), _message(b""), _ends(), *_SSE)
    ),
    Scenario("grpc/call answered without a message", _call(), (_ASK, _starts(), _ends(), *_SSE)),
    Scenario(
        "grpc/call answered with two messages",
        _call(),
        (_ASK, _starts(), _message(b"1"), _message(b"2"), _ends(), *_SSE),
    ),
    Scenario(
        "grpc/call answered with an error",
        _call(),
        (_ASK, _starts(), _ends(b"5", (b"grpc-message", b"not%20here")), *_SSE),
    ),
    Scenario(
        "grpc/call answered with a message and an error",
        _call(),
        (_ASK, _starts(), _message(b"x"), _ends(b"5"), *_SSE),
    ),
    Scenario(
        "grpc/call answered with an error at once",
        _call(),
        (_ASK, _starts((b"grpc-status", b"7"), (b"grpc-message", b"no"), end=True), *_SSE),
    ),
    Scenario(
        "grpc/call answered with an HTTP error", _call(), (_ASK, reply(403, end=True, callout=True), *_SSE)
    ),
    Scenario(
        "grpc/call answered with an HTTP error and a body", _call(), (_ASK, reply(503, callout=True), *_SSE)
    ),
    Scenario(
        "grpc/call answered without a status",
        _call(),
        (_ASK, _starts(), _message(b"x"), reply_body(b"", end=True, callout=True), *_SSE),
    ),
    Scenario("grpc/call answered with a strange status", _call(), (_ASK, _starts(), _ends(b"x"), *_SSE)),
    Scenario("grpc/call answered with a status of its own", _call(), (_ASK, _starts(), _ends(b"99"), *_SSE)),
    Scenario("grpc/call answered with compression", _call(), (_ASK, _starts(), _message(b"x", 1), *_SSE)),
    Scenario("grpc/call to an unknown cluster", _call("nowhere"), (_ASK,)),
    Scenario("grpc/call to an unknown described cluster", _call("pb:nowhere")),
    Scenario("grpc/call to a described cluster whose bare name ends Envoy", _call("pb:empty"), (_ASK, *_SSE)),
    Scenario("grpc/call to a described cluster without endpoints", _call("pb:bare"), (_ASK, *_SSE)),
    Scenario("grpc/call to a cluster without endpoints", _call("bare"), (_ASK, *_SSE)),
    Scenario("grpc/call that times out", _call(timeout="50"), (_ASK, wait(0.1), *_SSE)),
    Scenario(
        "grpc/call that times out in the answer",
        _call(timeout="150"),
        (_ASK, _starts(), _message(b"x"), wait(0.3), *_SSE),
    ),
    Scenario("grpc/call whose server closes", _call(), (_ASK, server_closes(callout=True), *_SSE)),
    Scenario(
        "grpc/call whose server closes in the answer",
        _call(),
        (_ASK, _starts(), _message(b"x"), server_closes(callout=True), *_SSE),
    ),
    Scenario("grpc/call outlives its stream", _call(), (_ASK, abort(), *_ANSWER)),
    Scenario(
        "grpc/call cancelled",
        "request_headers: gcall rpc m _ x 1000; response_headers: gcancel & gcancel; " + _LOOKS,
        GET,
    ),
    Scenario(
        "grpc/call closed",
        "request_headers: gcall rpc m _ x 1000; response_headers: gclose & gclose; " + _LOOKS,
        GET,
    ),
    Scenario(
        "grpc/call cancelled at once", "request_headers: gcall rpc m _ x 1000 & gcancel; " + _LOOKS, GET
    ),
    Scenario("grpc/call cannot be sent to", "request_headers: gcall rpc m _ x 1000 & gsend x & gcancel", GET),
    Scenario("grpc/call over in its answer", _call() + "; grpc_receive: gcancel", (_ASK, *_ANSWER, *_SSE)),
    Scenario(
        "grpc/answer can be changed",
        "request_headers: gcall rpc m _ x 1000; "
        "grpc_receive: setbuf 5 0 0 new & buf 5 0 100 & setbuf 5 0 2 x & buf 5 0 100",
        (_ASK, *_ANSWER, *_SSE),
    ),
    Scenario(
        "grpc/unknown tokens",
        "request_headers: gsend x 0 6 & gsend x 0 5 & gsend x 0 4 & gcancel 5 & "
        "gcancel 6 & gcancel 4 & gclose 5 & gclose 6 & gclose 7",
    ),
    Scenario(
        "grpc/reply from the answer",
        "request_headers: gcall rpc m _ x 1000 & ret 4; grpc_receive: effective & reply 403 denied",
        (_ASK, *_ANSWER),
    ),
    Scenario(
        "grpc/stream",
        _stream("gsend one & gsend two 1"),
        (_ASK, _starts((b"i", b"1")), _message(b"1"), _message(b"2"), _ends(b"0", (b"t", b"1")), *_SSE),
    ),
    Scenario(
        "grpc/stream metadata can be changed",
        "request_headers: gstream rpc m _; "
        "grpc_initial: add 4 x y & get 4 x & size 4 & del 4 x & pairs 4; "
        "grpc_trailing: add 5 x y & get 5 x & size 5",
        (_ASK, _starts((b"i", b"1")), _ends(b"0", (b"t", b"1")), *_SSE),
    ),
    Scenario(
        "grpc/stream that answers each message",
        _stream("gsend one") + "; grpc_receive@1: gsend two 1",
        (_ASK, _starts(), _message(b"1"), _message(b"2"), _ends(), *_SSE),
    ),
    Scenario(
        "grpc/stream half closed",
        _stream("gsend one & gclose"),
        (_ASK, _starts(), _message(b"1"), _ends(), *_SSE),
    ),
    Scenario("grpc/stream closed twice", _stream("gclose & gclose"), (_ASK, _starts(), _ends(), *_SSE)),
    Scenario(
        "grpc/stream cancelled", _stream("gsend one") + "; response_headers: gcancel & gcancel & gsend x", GET
    ),
    Scenario(
        "grpc/stream cancelled in a message",
        _stream("gsend one") + "; grpc_receive: gcancel",
        (_ASK, _starts(), _message(b"1"), *_SSE),
    ),
    Scenario(
        "grpc/stream over, then used",
        _stream() + "; grpc_close: gsend late & gclose & gclose",
        (_ASK, _starts(), _ends(), *_SSE),
    ),
    Scenario(
        "grpc/stream refused at once", _stream(), (_ASK, _starts((b"grpc-status", b"7"), end=True), *_SSE)
    ),
    Scenario(
        "grpc/stream whose server closes", _stream(), (_ASK, _starts(), server_closes(callout=True), *_SSE)
    ),
    Scenario(
        "grpc/stream whose server closes at once", _stream(), (_ASK, server_closes(callout=True), *_SSE)
    ),
    Scenario(
        "grpc/stream answered with an HTTP error",
        _stream(),
        (_ASK, reply(404, end=True, callout=True), *_SSE),
    ),
    Scenario(
        "grpc/stream answered with an HTTP error and a body",
        _stream(),
        (_ASK, reply(404, callout=True), *_SSE),
    ),
    Scenario(
        "grpc/stream answered with an error that goes on", _stream(), (_ASK, _starts(status=404), *_SSE)
    ),
    Scenario(
        "grpc/stream answered with something else",
        _stream(),
        (_ASK, reply(200, [(b"content-type", b"text/html")], callout=True), _message(b"x"), _ends(), *_SSE),
    ),
    Scenario("grpc/stream answered with a redirection", _stream(), (_ASK, _starts(status=302), *_SSE)),
    Scenario(
        "grpc/stream answered with an HTTP error and a status",
        _stream(),
        (_ASK, _starts((b"grpc-status", b"5"), end=True, status=500), *_SSE),
    ),
    Scenario(
        "grpc/stream answered in odd pieces",
        _stream(),
        (
            _ASK,
            _starts(),
            reply_body(b"\0\0\0", callout=True),
            reply_body(b"\0\x02a", callout=True),
            reply_body(b"b\0\0\0\0\0\0\0\0\0\x01c", callout=True),
            _ends(),
            *_SSE,
        ),
    ),
    Scenario(
        "grpc/stream cancelled in its metadata",
        _stream() + "; grpc_initial: gcancel",
        (_ASK, _starts(), _message(b"x"), *_SSE),
    ),
    Scenario(
        "grpc/stream and call in one filter",
        "request_headers: gstream rpc m _; response_headers: gcall rpc m _ x 0; " + _LOOKS,
        (_ASK, *_SSE, *_ANSWER),
    ),
    Scenario("grpc/call over HTTP 1.1", _call("service"), (_ASK, *_ANSWER, *_SSE)),
    Scenario(
        "grpc/stream to an unknown cluster",
        _stream(service="nowhere") + "; request_headers: gstream pb:nowhere m _",
    ),
    Scenario("grpc/stream to a cluster without endpoints", _stream(service="bare")),
    Scenario(
        "grpc/stream outlives its HTTP stream",
        _stream("gsend one"),
        (_ASK, abort(), _starts(), _message(b"1"), _ends()),
    ),
)
