"""The circuit breaker in a real Envoy: what each fault of a provider counts as, and what the caller sees."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from nexus.description import Timeouts
from nexus.testing import RunningGateway, describe_gateway, running_gateway

NAME = "ai-provider-circuit-breaker"
METRICS = "wasmcustom.ai_provider_circuit_breaker"
CHOICE = {
    "content-type": "application/json",
    "x-ai-provider": "openai",
    "x-ai-model": "gpt-5.5",
    "x-ai-cluster": "openai",
    "x-ai-fallbacks": "anthropic/claude-sonnet",
}
SHORT = {
    "open_after": {"failures": 1},
    "shut_for": {"open_s": 0.1, "open_limit_s": 0.1, "rate_limit_s": 0.1, "unauthorized_s": 0.1, "jitter": 0},
    "half_open": {"successes": 1},
    "first_token_s": 0.4,
}


@pytest.fixture(scope="module")
def hasty(module: Path) -> Iterator[RunningGateway]:
    """A gateway of short timeouts, with a breaker that opens at once and soon forgets."""
    patience = Timeouts(connect_s=1, headers_s=10, idle_s=2, response_s=1)
    described = replace(describe_gateway(module=module), timeouts=patience)
    with running_gateway({NAME: SHORT}, gateway=described) as gateway:
        yield gateway


def ask(gateway: RunningGateway, *, stream: bool = False, headers: dict[str, str] | None = None) -> object:
    """Return the status, or the name of the exception that a cut answer ends in."""
    body = {"model": "gpt-5.5", "stream": stream, "messages": [{"role": "user", "content": "hi"}]}
    url = f"{gateway.base_url}/v1/chat/completions"
    try:
        return requests.post(url, headers=CHOICE | (headers or {}), json=body, timeout=10).status_code
    except requests.exceptions.ChunkedEncodingError as error:
        return type(error).__name__


def counts(gateway: RunningGateway) -> dict[str, int]:
    return {name: value for name, value in gateway.admin.stats(METRICS).items() if isinstance(value, int)}


def changed(gateway: RunningGateway, before: dict[str, int]) -> list[str]:
    kinds = ("success", "failure", "rate_limited", "unauthorized", "not_counted")
    return [
        kind
        for kind in kinds
        if counts(gateway).get(f"{METRICS}.openai.{kind}", 0) > before.get(f"{METRICS}.openai.{kind}", 0)
    ]


@pytest.mark.parametrize(
    ("fault", "stream", "seen", "kind"),
    [
        ({}, False, 200, "success"),
        ({}, True, 200, "success"),
        ({"status": 500}, False, 500, "failure"),
        ({"status": 503, "retry_after_s": 0}, False, 503, "failure"),
        ({"status": 429}, False, 429, "rate_limited"),
        ({"status": 401}, False, 401, "unauthorized"),
        ({"status": 400}, False, 400, "not_counted"),
        ({"reset": True}, False, 503, "failure"),
        ({"hang": True}, False, 504, "failure"),
        ({"hang": True}, True, 504, "failure"),
        ({"malformed": True}, False, 200, "failure"),
        ({"malformed": True}, True, 200, "failure"),
        ({"cut_after_bytes": 20}, False, "ChunkedEncodingError", "failure"),
        ({"cut_after_bytes": 300}, True, "ChunkedEncodingError", "failure"),
        ({"first_token_ms": 600}, True, 200, "failure"),
        ({"token_interval_ms": 3000}, True, "ChunkedEncodingError", "failure"),
        ({"latency_ms": 300}, False, 200, "success"),
        ({"oversized_bytes": 3_000_000}, False, 200, "success"),
        ({"oversized_bytes": 3_000_000}, True, 200, "success"),
    ],
)
def test_what_a_fault_counts_as(
    hasty: RunningGateway, fault: dict[str, float], stream: bool, seen: object, kind: str
) -> None:
    hasty.reset()
    time.sleep(0.2)  # Past the deadline of the case before.
    hasty.providers["openai"].set_fault(**fault)
    before = counts(hasty)

    got = ask(hasty, stream=stream)

    assert got == seen
    deadline = time.monotonic() + 5
    while not changed(hasty, before) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert changed(hasty, before) == [kind]
    assert hasty.vm_crashes() == []


def test_a_cluster_that_is_not_there_is_not_the_providers_fault(hasty: RunningGateway) -> None:
    hasty.reset()
    time.sleep(0.2)
    before = counts(hasty)

    assert ask(hasty, headers={"x-ai-cluster": "nowhere"}) == 503
    assert changed(hasty, before) in ([], ["not_counted"])


def test_a_provider_that_fails_is_left_alone_and_comes_back(module: Path) -> None:
    config = {"shut_for": {"open_s": 1, "jitter": 0}}
    with running_gateway({NAME: config}, module=module, workers=2) as gateway:
        gateway.providers["openai"].set_fault(status=503)
        assert [ask(gateway) for _ in range(3)] == [503] * 3
        gateway.providers["openai"].set_fault()
        gateway.providers["openai"].forget_requests()

        assert [ask(gateway) for _ in range(10)] == [200] * 10
        assert gateway.providers["openai"].requests() == []

        time.sleep(1.1)
        assert [ask(gateway) for _ in range(5)] == [200] * 5
        assert len(gateway.providers["openai"].requests()) == 5
