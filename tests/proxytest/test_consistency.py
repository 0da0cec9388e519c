"""Scenarios that no real host produces are refused, and the message says why."""

from collections.abc import Callable

import pytest

from proxytest import Exchange, Gateway, InconsistentScenarioError, NativeModule


class Silent:
    """A guest without callbacks."""


@pytest.fixture
def gateway() -> Gateway:
    made = Gateway(module=NativeModule(lambda _: Silent()))
    made.load("silent")
    return made


def _open(gateway: Gateway, headers: dict[str, str] | None = None) -> Exchange:
    return gateway.open("POST", "/", headers=headers)


Act = Callable[[Gateway], object]


def _after_end(gateway: Gateway) -> None:
    exchange = _open(gateway)
    gateway.upstream.hold()
    exchange.send(b"x", end=True)
    exchange.send(b"y")


def _trailers_after_end(gateway: Gateway) -> None:
    gateway.upstream.hold()
    exchange = _open(gateway)
    exchange.finish()
    exchange.finish({"t": "1"})


def _answer_twice(gateway: Gateway) -> None:
    gateway.upstream.hold()
    call = gateway.get("/").upstream_call
    assert call is not None
    call.start(end=False)
    call.start(end=False)


def _body_before_head(gateway: Gateway) -> None:
    gateway.upstream.hold()
    call = gateway.get("/").upstream_call
    assert call is not None
    call.send(b"x")


def _answer_an_aborted_request(gateway: Gateway) -> None:
    gateway.upstream.hold()
    exchange = gateway.get("/")
    exchange.abort()
    assert exchange.upstream_call is not None
    exchange.upstream_call.start()


def _abort_after_the_end(gateway: Gateway) -> None:
    gateway.get("/").abort()


def _status(status: int) -> Act:
    def act(gateway: Gateway) -> None:
        gateway.upstream.respond(status)
        gateway.get("/")

    return act


@pytest.mark.parametrize(
    ("act", "why"),
    [
        (lambda g: _open(g, {":status": "200"}), "only responses have a status"),
        (lambda g: _open(g, {":strange": "x"}), "no such pseudo header"),
        (lambda g: _open(g, {"transfer-encoding": "chunked"}), "takes it off before any filter"),
        (lambda g: _open(g, {":path": ""}), "no `:path`"),
        (lambda g: _open(g, {"x y": "z"}), "not a token"),
        (lambda g: _open(g, {"x": "a\nb"}), "a line break"),
        (lambda g: _open(g, {"x": " a"}), "white space around"),
        (lambda g: _open(g, {"content-length": "many"}), "the codec refuses the message"),
        (
            lambda g: _open(g, {"content-length": "2"}).send(b"abc", end=True),
            "under content-length 2",
        ),
        (lambda g: _open(g, {"content-length": "4"}).send(b"abc", end=True), "the proxy waits for the rest"),
        (lambda g: _open(g, {"content-length": "3"}).send(b"abc"), "so this piece is the end"),
        (lambda g: _open(g, {"content-length": "3"}).finish({"t": "1"}), "after chunks only"),
        (lambda g: g.open("GET", "/", headers={"content-length": "3"}, end=True), "ends with its head"),
        (lambda g: _open(g).send(b""), "nothing has been read"),
        (lambda g: _open(g).finish({":status": "200"}), "pseudo headers come first"),
        (_after_end, "request body after its end"),
        (_trailers_after_end, "request trailers after its end"),
        (_answer_twice, "a second head of one response"),
        (_body_before_head, "response body before its head"),
        (_answer_an_aborted_request, "has given this request up"),
        (_abort_after_the_end, "the exchange is over"),
        (_status(99), "expected 200 to 599"),
        (_status(600), "expected 200 to 599"),
        (lambda g: g.configure(workers=2), "before its filters are loaded"),
    ],
)
def test_what_cannot_happen_is_refused(gateway: Gateway, act: Act, why: str) -> None:
    with pytest.raises(InconsistentScenarioError, match=why):
        act(gateway)
