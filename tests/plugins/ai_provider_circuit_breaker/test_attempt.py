"""The filter of an attempt, behind the breaker: what it holds and for how long, and what it lets through.

It is an ordinary filter here, so there is one attempt, and nobody makes the next. The rest is in
`tests/envoy/test_failover.py`.
"""

import json

import pytest

from ai_provider_circuit_breaker.filter import TRY_TIMEOUT_MS
from proxytest import Exchange, Gateway, Route, ServerCall

CHAT = "/v1/chat/completions"
CHOICE = {
    "content-type": "application/json",
    "x-ai-provider": "openai",
    "x-ai-model": "gpt-5.5",
    "x-ai-cluster": "openai",
    "x-ai-fallbacks": "anthropic/claude-sonnet",
}
JSON = {"content-type": "application/json"}
STREAM = {"content-type": "text/event-stream"}
ANSWER = b'{"choices": []}'
EVENT = b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n'
TOO_LONG = b'{"error": {"code": "context_length_exceeded"}}'

pytestmark = pytest.mark.hosts("native")


def load(gateway: Gateway, /, **config: object) -> Gateway:
    """Have both filters in a row, before a provider that says nothing by itself."""
    gateway.configure(routes=(Route(name="openai", cluster="openai"),))
    gateway.cluster("openai").hold()
    for name in ("ai-provider-circuit-breaker", "ai-provider-attempt"):
        gateway.load(name, {"attempts": "upstream", **config})
    return gateway


def ask(gateway: Gateway, headers: dict[str, str] | None = None, **more: object) -> Exchange:
    body = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}]} | more
    return gateway.post(CHAT, headers=CHOICE | (headers or {}), json=body)


def provider(exchange: Exchange) -> ServerCall:
    assert exchange.upstream_call is not None
    return exchange.upstream_call


def failures(gateway: Gateway) -> int:
    return gateway.metrics.get("ai_provider_circuit_breaker.openai.failure", 0)


@pytest.mark.parametrize(
    ("headers", "body", "limit_ms"),
    [
        ({}, {"stream": True}, "60000"),
        ({}, {}, "90000"),
        ({"x-ai-prompt-tokens": "9", "x-ai-needs": "json,stream"}, {}, "60000"),
        ({"x-ai-prompt-tokens": "9"}, {"stream": True}, "90000"),
        ({"content-encoding": "br"}, {"stream": True}, "90000"),
    ],
)
def test_the_proxy_is_told_how_long_to_wait(
    gateway: Gateway, headers: dict[str, str], body: dict[str, object], limit_ms: str
) -> None:
    exchange = ask(load(gateway, answer_s=90), headers, **body)

    assert provider(exchange).received.headers[TRY_TIMEOUT_MS] == limit_ms


def test_a_short_answer_is_held_until_it_is_whole(gateway: Gateway) -> None:
    exchange = ask(load(gateway))
    server = provider(exchange)

    server.start(200, JSON)
    server.send(ANSWER[:9])
    assert not exchange.has_reply
    server.send(ANSWER[9:], end=True)

    assert (exchange.reply.status, exchange.reply.body) == (200, ANSWER)
    assert failures(gateway) == 0


def test_a_long_answer_is_held_no_longer_than_it_is_short(gateway: Gateway) -> None:
    exchange = ask(load(gateway))
    server = provider(exchange)
    start = b'{"text": "' + b"x" * 65_536

    server.start(200, JSON)
    server.send(start)
    assert exchange.reply.body == start
    server.send(b'"}', end=True)

    assert exchange.reply.body == start + b'"}'


def test_a_stream_is_held_until_its_first_event(gateway: Gateway) -> None:
    exchange = ask(load(gateway), stream=True)
    server = provider(exchange)

    server.start(200, STREAM)
    for piece in (b": wait\n\n", EVENT[:9]):
        server.send(piece)
        assert not exchange.has_reply
    server.send(EVENT[9:])
    assert exchange.reply.body == b": wait\n\n" + EVENT
    server.send(EVENT)
    assert exchange.reply.body == b": wait\n\n" + EVENT * 2
    server.send(b"data: [DONE]\n\n", end=True)

    assert failures(gateway) == 0


def test_comments_are_not_held_for_ever(gateway: Gateway) -> None:
    exchange = ask(load(gateway), stream=True)
    server = provider(exchange)

    server.start(200, STREAM)
    server.send(b": wait\n" * 10_000)

    assert len(exchange.reply.body) == 70_000


def test_an_answer_to_another_api_passes_at_once(gateway: Gateway) -> None:
    load(gateway)
    exchange = gateway.post("/v1/embeddings", headers=CHOICE, json={"input": "Hi"})
    server = provider(exchange)

    server.start(200, JSON)

    assert exchange.has_reply


@pytest.mark.parametrize(
    ("status", "headers", "body", "failed"),
    [
        (200, JSON, b"<html>", 1),
        (200, JSON, ANSWER[:9], 1),
        (200, STREAM, b'data: {"error":{"message":"overloaded"}}\n\n', 1),
        (400, JSON, TOO_LONG, 0),
        (400, JSON, b" " * 70_000 + TOO_LONG, 0),
    ],
)
def test_what_nobody_takes_over_comes_back_as_it_was(
    gateway: Gateway, status: int, headers: dict[str, str], body: bytes, failed: int
) -> None:
    """The proxy was to try again, and has not; whatever was changed for that is changed back."""
    exchange = ask(load(gateway))
    server = provider(exchange)

    server.start(status, headers)
    server.send(body[:9])
    server.send(body[9:], end=True)

    assert exchange.reply.status == status
    assert exchange.reply.body.startswith(body)
    assert "x-envoy-ratelimited" not in exchange.reply.headers
    assert failures(gateway) == failed


@pytest.mark.parametrize("has_begun", [False, True])
def test_the_deadline_ends_what_has_not_begun(gateway: Gateway, has_begun: bool) -> None:
    exchange = ask(load(gateway, chain={"deadline_s": 10}), stream=True)
    server = provider(exchange)
    if has_begun:
        server.start(200, STREAM)
        server.send(EVENT)

    gateway.advance(9)
    assert exchange.has_reply is has_begun
    gateway.advance(2)

    if has_begun:
        server.send(b"data: [DONE]\n\n", end=True)
        assert exchange.reply.status == 200
        return
    assert exchange.reply.status == 504
    assert json.loads(exchange.reply.body)["error"]["code"] == "deadline_exceeded"
    assert exchange.reply.headers["retry-after"] == "1"
    assert exchange.reply.headers["x-ai-attempts"] == "1"
    assert server.was_reset
    assert failures(gateway) == 1, "all of the time was its own"


@pytest.mark.parametrize("keyed", [[], ["openai"]])
def test_a_cluster_with_a_key_does_not_get_the_callers(gateway: Gateway, keyed: list[str]) -> None:
    exchange = ask(load(gateway, gateway={"keyed_clusters": keyed}), {"authorization": "Bearer callers"})

    assert ("authorization" in provider(exchange).received.headers) is not bool(keyed)
