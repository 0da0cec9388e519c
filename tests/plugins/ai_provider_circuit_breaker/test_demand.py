"""What matters of a request for attempts at it, and how long one may be silent."""

import json

import pytest

from ai_provider_circuit_breaker import Config
from ai_provider_circuit_breaker.demand import LONGEST_BODY, Demand, read_demand

CHAT = "/v1/chat/completions"


def body(**more: object) -> bytes:
    return json.dumps({"messages": [{"role": "user", "content": "Why is the sky blue?"}]} | more).encode()


def test_a_body_says_how_long_it_is_and_what_it_wants() -> None:
    demand = read_demand(CHAT, body(stream=True, max_tokens=50))

    assert demand.prompt_tokens > 3
    assert (demand.max_tokens, demand.is_streamed) == (50, True)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"messages": 7}', body(x=" " * LONGEST_BODY)])
def test_of_what_cannot_be_read_nothing_is_known(content: bytes) -> None:
    assert read_demand(CHAT, content) == Demand()


@pytest.mark.parametrize(
    ("config", "is_streamed", "limit_s"),
    [
        ({}, True, 60),
        ({}, False, 300),
        ({"answer_s": 90}, True, 60),
        ({"answer_s": 90}, False, 90),
        ({"gateway": {"timeout_s": 120}}, False, 120),
        ({"gateway": {"timeout_s": 20}, "answer_s": 90}, False, 20),
        ({"chain": {"deadline_s": 10}}, True, 10),
        ({"chain": {"deadline_s": 0}}, False, 0),
    ],
)
def test_the_least_of_all_limits_counts(config: dict[str, object], is_streamed: bool, limit_s: float) -> None:
    assert Demand(is_streamed=is_streamed).limit_s(Config.from_json(config)) == limit_s
