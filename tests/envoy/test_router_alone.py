"""The router as the only plugin: what it does not believe, what it learns, and what it refuses."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

import pytest
import requests

from ai_cost_optimal_router.learning import Learnt, lessons_of
from nexus.controls import SeenRequest
from nexus.testing import RunningGateway, running_gateway

Value = TypeVar("Value")

CHAT = "/v1/chat/completions"
ROUTER = "ai-cost-optimal-router"
LEARN_ALL: Mapping[str, object] = {
    "trust_signals": False,
    "learning": {"share": 1, "prior_answers": 1},
    "knowledge": {"breaker_refresh_s": 0, "latency_refresh_s": 0},
    "feedback": {"header": "x-score", "path": "/v1/feedback", "consumers": ["evaluator"], "weight": 1},
}


@pytest.fixture(scope="session")
def shared_gateway_of_router(router_module: Path) -> Iterator[RunningGateway]:
    with started(router_module, LEARN_ALL) as running:
        yield running


def started(module: Path, config: Mapping[str, object]) -> AbstractContextManager[RunningGateway]:
    return running_gateway({"knowledge": {}, ROUTER: config}, module=module, workers=2)


@pytest.fixture
def gateway(shared_gateway_of_router: RunningGateway) -> RunningGateway:
    """A gateway whose router stands alone and learns from every answer, and has learnt nothing yet."""
    running = shared_gateway_of_router
    running.reset()
    for provider in running.providers:
        requests.put(f"{running.base_url}/__shared/learning/{provider}", data=b"", timeout=10)
    return running


def chat(content: str = "Is it going to rain?", model: str = "auto", **more: object) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": content}]} | more


def post(gateway: RunningGateway, document: object, path: str = CHAT, **headers: str) -> requests.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    # A connection of its own for each request, so that they go to all workers.
    with requests.Session() as session:
        return session.post(gateway.base_url + path, json=document, headers=named, timeout=30)


def seen(gateway: RunningGateway) -> list[SeenRequest]:
    return [request for control in gateway.providers.values() for request in control.requests()]


def learnt(gateway: RunningGateway, provider: str) -> dict[str, Learnt]:
    value = requests.get(f"{gateway.base_url}/__shared/learning/{provider}", timeout=10).content
    return {f"{model} {domain}": known for model, domain, known in lessons_of(value)}


def eventually(find: Callable[[], Value]) -> Value:
    deadline = time.monotonic() + 10
    while not (found := find()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def test_signals_of_a_client_are_removed_and_the_body_is_measured(gateway: RunningGateway) -> None:
    forged = {
        "x_ai_cluster": "google",
        "x_ai_prompt_tokens": "1",
        "x_ai_tier": "strong",
        "x_ai_budget_remaining": "0",
        "x_higress_llm_model": "gpt-5.5",
    }

    response = post(gateway, chat("word " * 2_000), x_ai_debug="true", **forged)

    assert response.status_code == 200
    assert float(response.headers["x-ai-estimated-cost"]) > 0.0004
    [request] = seen(gateway)
    assert request.header_values("x-ai-cluster") == ["openai"]
    assert request.header_values("x-higress-llm-model") == ["gpt-4.1-mini"]
    assert not {"x-ai-prompt-tokens", "x-ai-tier", "x-ai-budget-remaining"} & {
        name.lower() for name, _ in request.headers
    }


def test_a_client_cannot_choose_the_cluster_of_what_is_not_routed(gateway: RunningGateway) -> None:
    requests.get(f"{gateway.base_url}/v1/models", headers={"x-ai-cluster": "google"}, timeout=10)

    assert not gateway.providers["google"].requests()
    assert gateway.providers["openai"].requests_in_all() == 1


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("path", "document", "model"),
    [
        (CHAT, chat(stream_options={"include_usage": True}), "openai/gpt-4.1-mini"),
        ("/v1/completions", {"model": "auto", "prompt": "Once"}, "openai/gpt-4.1-mini"),
        ("/v1/responses", {"model": "auto", "input": "Once"}, "openai/gpt-4.1-mini"),
        ("/v1/messages", chat(max_tokens=1_000), "anthropic/claude-haiku"),
    ],
)
def test_workers_learn_the_length_of_answers_together(
    gateway: RunningGateway, path: str, document: dict[str, object], model: str, stream: bool
) -> None:
    provider, _, name = model.partition("/")
    gateway.providers[provider].set_fault(answer_tokens=123)
    options = {"stream_options": {"include_usage": True}} if path == "/v1/completions" else {}

    for _ in range(6):
        assert post(gateway, document | {"stream": stream} | options, path).status_code == 200

    known = eventually(lambda: [k for k in learnt(gateway, provider).values() if k.answers == 6])
    assert list(learnt(gateway, provider)) == [f"{name} general"]
    assert known[0].mean_tokens == pytest.approx((400 + 6 * 123) / 7, abs=0.01)
    assert (known[0].successes, known[0].failures) == pytest.approx((6, 0), abs=0.1)


def test_a_stream_that_is_cut_teaches_no_length(gateway: RunningGateway) -> None:
    gateway.providers["openai"].set_fault(answer_tokens=500, cut_after_bytes=3_000)

    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        post(gateway, chat(stream=True))

    known = eventually(lambda: list(learnt(gateway, "openai").values()))
    assert known[0].answers == 0


def test_what_was_learnt_changes_the_choice_on_every_worker(gateway: RunningGateway) -> None:
    gateway.providers["openai"].set_fault(answer_tokens=5_000)
    gateway.providers["moonshot"].set_fault(answer_tokens=20)
    for _ in range(4):
        post(gateway, chat(model="gpt-4.1-mini"))
        post(gateway, chat(model="kimi"))
    eventually(lambda: learnt(gateway, "moonshot") and learnt(gateway, "openai"))

    chosen = {post(gateway, chat()).headers["x-ai-model"] for _ in range(12)}

    assert chosen == {"kimi"}


def test_failures_are_evidence_and_refusals_of_the_callers_are_not(gateway: RunningGateway) -> None:
    for status in (500, 429, 400):
        gateway.providers["openai"].set_fault(status=status)
        post(gateway, chat())
    gateway.providers["openai"].set_fault(reset=True)
    post(gateway, chat())

    known = eventually(lambda: [k for k in learnt(gateway, "openai").values() if k.failures > 2.9])
    assert known[0].successes == 0
    assert known[0].failures == pytest.approx(3, abs=0.1)


def test_a_client_that_goes_away_is_no_evidence(gateway: RunningGateway) -> None:
    gateway.providers["openai"].set_fault(latency_ms=2_000)
    with pytest.raises(requests.exceptions.ReadTimeout):
        requests.post(gateway.base_url + CHAT, json=chat(), timeout=0.3)
    gateway.reset()
    post(gateway, chat())

    known = eventually(lambda: list(learnt(gateway, "openai").values()))
    assert (round(known[0].successes), round(known[0].failures)) == (1, 0)


def test_judgements_are_taken(gateway: RunningGateway) -> None:
    judgement = {"model": "kimi", "domain": "code", "score": 0.25}

    taken = post(gateway, judgement, "/v1/feedback", x_mse_consumer="evaluator")
    refused = post(gateway, judgement, "/v1/feedback", x_mse_consumer="somebody")

    assert (taken.status_code, refused.status_code) == (204, 403)
    assert learnt(gateway, "moonshot")["kimi code"][2:4] == (0.25, 0.75)
    assert not seen(gateway)


@pytest.mark.parametrize(
    ("headers", "body", "status", "code"),
    [
        ({}, b"{", 400, "invalid_json"),
        ({"content-encoding": "gzip"}, b"\x1f\x8b", 415, "unsupported_encoding"),
        ({}, b'{"messages": [{"role": "user", "content": 5}]}', 400, "invalid_value"),
    ],
)
def test_what_cannot_be_read_is_refused(
    gateway: RunningGateway, headers: dict[str, str], body: bytes, status: int, code: str
) -> None:
    sent = {"content-type": "application/json"} | headers

    response = requests.post(gateway.base_url + CHAT, body, headers=sent, timeout=10)

    assert response.status_code == status
    assert response.json()["error"]["code"] == code
    assert not seen(gateway)


def test_requests_are_refused_rather_than_answered_badly_when_so_configured(
    router_module: Path,
) -> None:
    config = {
        "on_infeasible": "refuse",
        "consumers": {"picky": {"quality_floor": 0.99}},
        "on_explicit_model": "refuse",
        "_rules_": [
            {
                "_match_domain_": ["*.example.com"],
                "on_explicit_model": "override",
                "strategy": "quality_first",
            }
        ],
    }
    with started(router_module, config) as gateway:
        nothing_good_enough = post(gateway, chat(), x_mse_consumer="picky")
        named = post(gateway, chat(model="gpt-5.5"))
        ruled = post(gateway, chat(model="kimi"), host="api.example.com")

    assert nothing_good_enough.status_code == 503
    assert nothing_good_enough.json()["error"]["code"] == "no_suitable_model"
    assert named.status_code == 400
    assert named.json()["error"]["code"] == "model_not_selectable"
    assert ruled.status_code == 200
    assert ruled.headers["x-ai-model"] == "claude-sonnet"
    assert json.loads(ruled.content)["model"] == "claude-sonnet"
