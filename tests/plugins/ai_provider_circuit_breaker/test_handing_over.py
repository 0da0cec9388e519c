"""The downstream filter where attempts are the upstream filter's: what it hands over, and what is left to it.

Upstream filters cannot be emulated. A filter behind this one stands in for what the other leaves behind.
"""

import pytest

from ai_provider_circuit_breaker import (
    Breaker,
    BreakerState,
    Permit,
    Settings,
    decode_breaker,
    encode_breaker,
)
from ai_provider_circuit_breaker.handover import ATTEMPT, Attempt, decode_attempt, encode_attempt
from aigateway.chat import Format
from proxytest import Exchange, Gateway, Route
from proxywasm import CONTINUE, HttpFilter, Outcome, Request, Response, plugin

NAME = "ai-provider-circuit-breaker"
METRICS = "ai_provider_circuit_breaker"
CHAT = "/v1/chat/completions"
CHOICE = {
    "x-ai-provider": "openai",
    "x-ai-model": "gpt-5.5",
    "x-ai-cluster": "openai",
    "x-ai-fallbacks": "anthropic/claude-sonnet",
}
UPSTREAM = {"attempts": "upstream"}


class Left:
    """What the stand-in has found, and what it is to leave."""

    found: Attempt | None = None
    leaves: bytes | None = None
    status: int | None = None


@plugin("stand-in-attempt")
class StandIn(HttpFilter[dict[str, object]]):
    """Reads the attempt, and leaves another in its place when the answer comes."""

    def on_request_headers(self, request: Request) -> Outcome:
        Left.found = decode_attempt(self.properties.get(ATTEMPT))
        return CONTINUE

    def on_response_headers(self, response: Response) -> Outcome:
        if Left.leaves is not None:
            self.properties.set(ATTEMPT, Left.leaves)
        if Left.status is not None:
            response.status = Left.status
            response.headers["x-envoy-ratelimited"] = "true"
        return CONTINUE


pytestmark = pytest.mark.hosts("native")


@pytest.fixture
def two(gateway: Gateway) -> Gateway:
    routes = [
        Route(name=name, cluster=name, headers=(("x-ai-cluster", name),)) for name in ("openai", "anthropic")
    ]
    gateway.configure(routes=(*routes, Route()))
    for name in ("openai", "anthropic"):
        gateway.cluster(name).respond(json={"choices": [{"message": {"content": "Hi"}}]})
    gateway.load(NAME, UPSTREAM)
    gateway.load("stand-in-attempt")
    Left.found, Left.leaves, Left.status = None, None, None
    return gateway


def ask(gateway: Gateway) -> Exchange:
    body = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}]}
    return gateway.post(CHAT, headers=CHOICE, json=body)


def counts(gateway: Gateway) -> dict[str, int]:
    kinds = ("success", "failure", "not_counted")
    names = {f"{provider}.{kind}" for provider in ("openai", "anthropic") for kind in kinds}
    return {
        name: gateway.metrics[f"{METRICS}.{name}"] for name in names if f"{METRICS}.{name}" in gateway.metrics
    }


def half_open(*probes: int) -> bytes:
    breaker = Breaker(
        state=BreakerState.HALF_OPEN,
        generation=4,
        probes=tuple((number, 2e9) for number in probes),
        last_probe=max(probes),
    )
    return encode_breaker(breaker, Settings())


def test_it_hands_over_whom_the_request_goes_to_and_the_permit(two: Gateway) -> None:
    two.shared_data["breaker/openai"] = half_open(6)

    ask(two)

    assert Left.found is not None
    assert Left.found.number == 1
    assert Left.found.tried == ("openai/gpt-5.5",)
    assert Left.found.permit == Permit(4, 7)
    assert Left.found.format is Format.CHAT
    assert Left.found.began_s > 0


def test_of_a_request_that_it_moves_it_hands_over_the_fallback(two: Gateway) -> None:
    two.shared_data["breaker/openai"] = half_open(6, 7)

    exchange = ask(two)

    assert exchange.upstream is not None
    assert exchange.upstream.cluster == "anthropic"
    assert Left.found is not None
    assert Left.found.tried == ("anthropic/claude-sonnet",)


def test_what_is_settled_it_leaves_alone(two: Gateway) -> None:
    Left.leaves = b""

    assert ask(two).reply.headers["x-ai-model"] == "gpt-5.5"

    assert counts(two) == {}


@pytest.mark.parametrize(("status", "kind"), [(200, "success"), (500, "failure"), (400, "not_counted")])
def test_where_nobody_settles_it_does_so_by_the_status(two: Gateway, status: int, kind: str) -> None:
    two.cluster("openai").respond(status, json={})

    ask(two)

    assert counts(two) == {f"openai.{kind}": 1}


def test_the_probe_of_an_attempt_that_never_began_comes_back(two: Gateway) -> None:
    two.shared_data["breaker/anthropic"] = half_open(3)
    attempt = Attempt(number=2, tried=("openai/gpt-5.5", "anthropic/claude-sonnet"), permit=Permit(4, 3))
    Left.leaves = encode_attempt(attempt)

    exchange = ask(two)

    assert decode_breaker(two.shared_data["breaker/anthropic"]).probes == ()
    assert exchange.reply.headers["x-ai-model"] == "gpt-5.5", "who has answered is the one before"
    assert counts(two) == {}


def test_an_answer_that_was_changed_to_be_retried_is_put_back(two: Gateway) -> None:
    two.cluster("openai").respond(400, json={"error": {}})
    attempt = Attempt(number=2, tried=("openai/gpt-5.5", "anthropic/claude-sonnet"), status=400)
    Left.leaves, Left.status = encode_attempt(attempt), 503

    exchange = ask(two)

    assert exchange.reply.status == 400
    assert "x-envoy-ratelimited" not in exchange.reply.headers


def test_who_has_answered_is_named(two: Gateway) -> None:
    """The attempt under way is the second by its targets, whatever the emulator counts."""
    tried = ("openai/gpt-5.5", "anthropic/claude-sonnet")
    Left.leaves = encode_attempt(Attempt(number=1, tried=tried, failed=tried[:1], is_settled=True))

    exchange = ask(two)

    assert exchange.reply.headers["x-ai-model"] == "claude-sonnet"
    assert exchange.reply.headers["x-ai-provider"] == "anthropic"
    assert exchange.reply.headers["x-ai-failed"] == "openai/gpt-5.5"
    assert counts(two) == {}


def test_downstream_nothing_is_handed_over(gateway: Gateway) -> None:
    gateway.load(NAME, {})
    gateway.load("stand-in-attempt")
    Left.found, Left.leaves, Left.status = None, None, None

    ask(gateway)

    assert Left.found is None
