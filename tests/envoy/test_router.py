"""The router in a real Envoy: each strategy, each constraint, and what clients and providers see of it."""

import http.client
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import openai
import pytest
import requests

from ai_cost_optimal_router import Config, Knowledge, Router
from ai_cost_optimal_router.audit import replay
from ai_cost_optimal_router.intake import read_situation
from ai_cost_optimal_router.learning import lessons_of
from ai_cost_optimal_router.router import headers as headers_of
from ai_cost_optimal_router.strategies import STRATEGIES
from aigateway.health import (
    BreakerState,
    LatencyStats,
    ProviderHealth,
    breaker_key,
    encode_health,
    encode_latency,
    latency_key,
)
from nexus.controls import SeenRequest
from nexus.testing import RunningGateway, describe_gateway, running_gateway

Value = TypeVar("Value")

CHAT = "/v1/chat/completions"
ROUTER = "ai-cost-optimal-router"
CLASSIFIER = "ai-nexus-classifier"
PROVIDERS = ("openai", "anthropic", "google", "moonshot")
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
AUDIO = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}

CONFIG: Mapping[str, object] = {
    "learning": {"share": 0},
    "knowledge": {"breaker_refresh_s": 0, "latency_refresh_s": 0},
    "aliases": {"smart": ["gpt-5.5", "claude-sonnet"], "cheap-*": {"models": ["kimi"]}},
    "consumers": {
        "fussy": {"quality_floor": 0.96},
        "anthropic-only": {"allow": ["anthropic/*"]},
        "no-openai": {"deny": ["openai/*"]},
        "asian": {"regions": ["asia"]},
        "thrifty": {"max_cost_usd": 0.002},
        "sonnet-or-gpt": {"allow": ["claude-sonnet", "gpt-5.5"]},
        "kimi-or-flash": {"allow": ["kimi", "gemini-flash"]},
        "pro-or-flash": {"allow": ["gemini-pro", "gemini-flash"], "strategy": "quality_first"},
    },
    "weighted": {"weights": [{"models": ["gpt-4.1-mini"], "weight": 3}, {"models": ["kimi"], "weight": 1}]},
}
"""One configuration for nearly everything: consumers with policies of their own stand for constraints."""


@pytest.fixture(scope="session")
def shared_routing_gateway(router_module: Path) -> Iterator[RunningGateway]:
    described = replace(describe_gateway(module=router_module), access_log="stdout")
    with running_gateway(
        {CLASSIFIER: {}, "knowledge": {}, ROUTER: CONFIG}, gateway=described, workers=2
    ) as running:
        yield running


@pytest.fixture
def gateway(shared_routing_gateway: RunningGateway) -> RunningGateway:
    """A gateway with classifier and router; nothing is known of the providers."""
    shared_routing_gateway.reset()
    for provider in PROVIDERS:
        for key in (breaker_key(provider), latency_key(provider), f"learning/{provider}"):
            put(shared_routing_gateway, key, b"")
    return shared_routing_gateway


def put(gateway: RunningGateway, key: str, value: bytes) -> None:
    requests.put(f"{gateway.base_url}/__shared/{key}", data=value, timeout=10).raise_for_status()


def shared(gateway: RunningGateway, key: str) -> bytes:
    return requests.get(f"{gateway.base_url}/__shared/{key}", timeout=10).content


def chat(content: object = "Is it going to rain?", model: str = "auto", **more: object) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": content}]} | more


def post(gateway: RunningGateway, document: object, path: str = CHAT, **headers: str) -> requests.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.post(gateway.base_url + path, json=document, headers=named, timeout=30)


def seen(gateway: RunningGateway) -> SeenRequest:
    """Return the one request that reached a provider since the gateway was reset."""
    [(provider, request)] = [
        (name, request) for name, control in gateway.providers.items() for request in control.requests()
    ]
    assert request.header("x-ai-cluster") == provider
    return request


def sent(gateway: RunningGateway, document: object, path: str = CHAT, **headers: str) -> SeenRequest:
    """Send a request and return what reached the provider."""
    response = post(gateway, document, path, **headers)
    assert response.status_code == 200, response.text
    request = seen(gateway)
    assert response.headers["x-ai-model"] == request.header("x-ai-model")
    assert response.headers["x-ai-provider"] == request.header("x-ai-provider")
    assert response.headers["x-ai-strategy"] == request.header("x-ai-strategy")
    assert json.loads(request.body or b"")["model"] == request.header("x-ai-model")
    return request


MEDICAL = "Which diagnosis fits a patient with fever, cough and a stiff neck?"
CODE = (
    "Refactor this Python class, prove that its algorithm terminates, explain its complexity step by step, "
    "and fix the bug in the function: def f(x): return x +"
)
LONG = "Compare the two contracts clause by clause. " * 250

STRATEGY_CASES = [
    # strategy, prompt, the model it must be, what the reason must say
    ("cost_optimal", "Hi", "gpt-4.1-mini", "cheapest of"),
    ("cost_optimal", MEDICAL, "claude-sonnet", "cheapest of"),
    ("quality_first", "Hi", "gpt-4.1-mini", "fast_response"),
    ("quality_first", CODE, "claude-sonnet", "coding"),
    ("balanced", "Hi", None, "balanced"),
    ("latency_aware", "Hi", None, "latency_aware"),
    ("rule_based", MEDICAL, "claude-sonnet", "safety"),
    ("rule_based", CODE, "gpt-5.5", "frontier"),
    ("rule_based", "Hi", "gemini-flash", "flash"),
    ("classifier", "Hi", "kimi", "easy"),
    ("classifier", CODE, "gpt-5.5", "code"),
    ("tiered", "Hi", "gpt-4.1-mini", "cheap"),
    ("tiered", CODE, None, "tiered"),
]


@pytest.mark.parametrize(("strategy", "prompt", "model", "reason"), STRATEGY_CASES)
def test_each_strategy_sends_requests_where_it_must(
    gateway: RunningGateway, strategy: str, prompt: str, model: str | None, reason: str
) -> None:
    request = sent(gateway, chat(prompt), x_router_strategy=strategy)

    assert request.header("x-ai-strategy") == strategy
    assert reason in (request.header("x-ai-reason") or "")
    if model is not None:
        assert request.header("x-ai-model") == model
    assert choice_outside(request) == {name: request.header(name) for name in choice_outside(request)}


def choice_outside(request: SeenRequest) -> dict[str, str]:
    """Decide about a request again in plain Python, from what the classifier said of it."""
    given = {name.lower(): value for name, value in reversed(request.headers)}
    situation = read_situation(given | {":path": request.path}, request.body or b"", time.time(), Config())
    assert situation is not None
    choice = Router(Config.from_json(CONFIG)).choose(situation, Knowledge(), random.random)
    return dict(headers_of(choice))


def test_every_strategy_has_been_tried() -> None:
    others = {"weighted", "least_requests", "bandit", "ab"}
    assert {case[0] for case in STRATEGY_CASES} | others == set(STRATEGIES)


def tried(gateway: RunningGateway, count: int, **headers: str) -> Counter[str]:
    """Send *count* requests and count the models they went to."""

    def send(number: int) -> str:
        return post(gateway, chat(f"Number {number}"), **headers).headers["x-ai-model"]

    with ThreadPoolExecutor(4) as pool:
        return Counter(pool.map(send, range(count)))


def test_weights_are_kept_on_every_worker(gateway: RunningGateway) -> None:
    counts = tried(gateway, 80, x_router_strategy="weighted")

    assert set(counts) == {"gpt-4.1-mini", "kimi"}
    assert 56 <= counts["gpt-4.1-mini"] <= 64


def test_least_requests_go_round(gateway: RunningGateway) -> None:
    counts = tried(gateway, 40, x_router_strategy="least_requests")

    assert len(counts) >= 4
    assert max(counts.values()) - min(counts.values()) <= 8


def test_the_bandit_leaves_a_provider_that_fails(gateway: RunningGateway) -> None:
    before = tried(gateway, 60, x_router_strategy="bandit")
    worst = before.most_common(1)[0][0]
    provider = {"gpt": "openai", "kim": "moonshot", "cla": "anthropic", "gem": "google"}[worst[:3]]
    gateway.providers[provider].set_fault(status=500)
    tried(gateway, 60, x_router_strategy="bandit")

    after = tried(gateway, 60, x_router_strategy="bandit")

    assert sum(known.failures for _, _, known in lessons_of(shared(gateway, f"learning/{provider}"))) > 3
    assert after[worst] < before[worst] / 3


def test_both_sides_of_a_comparison_are_stable(gateway: RunningGateway) -> None:
    arms: dict[str, set[str]] = {}
    for number in range(40):
        consumer = f"consumer-{number % 10}"
        response = post(
            gateway, chat("Hi"), x_router_strategy="ab", x_mse_consumer=consumer, x_ai_debug="true"
        )
        arms.setdefault(consumer, set()).add(response.headers["x-ai-reason"].partition(":")[0])

    assert all(len(arm) == 1 for arm in arms.values())
    assert len({next(iter(arm)) for arm in arms.values()}) == 2


CONSTRAINT_CASES = [
    # what excludes, the request, its headers, the model it must be
    ("quality<0.96", chat("Hi"), {"x_mse_consumer": "fussy"}, "claude-sonnet"),
    ("domain", chat(MEDICAL), {}, "claude-sonnet"),
    ("latency", chat("Hi"), {"x_mse_consumer": "pro-or-flash"}, "gemini-flash"),
    ("tier", chat("Hi"), {"x_set_ai_tier": "strong"}, "claude-sonnet"),
    ("denied", chat("Hi"), {"x_mse_consumer": "no-openai"}, "kimi"),
    ("denied", chat("Hi"), {"x_mse_consumer": "anthropic-only"}, "claude-haiku"),
    ("region", chat("Hi"), {"x_mse_consumer": "asian"}, "kimi"),
    (
        "vision",
        chat([{"type": "text", "text": "What is this?"}, IMAGE]),
        {"x_mse_consumer": "kimi-or-flash"},
        "gemini-flash",
    ),
    ("audio", chat([{"type": "text", "text": "Who speaks?"}, AUDIO]), {}, "gemini-flash"),
    ("output", chat("Hi", max_tokens=100_000), {}, "gpt-5.5"),
    ("window", chat("word " * 230_000), {"x_mse_consumer": "sonnet-or-gpt"}, "gpt-5.5"),
    ("cost", chat("Hi", max_tokens=400), {"x_mse_consumer": "thrifty"}, "gpt-4.1-mini"),
    ("budget", chat("Hi", max_tokens=1_000), {"x_set_ai_budget_remaining": "0.003"}, "gpt-4.1-mini"),
]


@pytest.mark.parametrize(("label", "document", "headers", "model"), CONSTRAINT_CASES)
def test_each_constraint_excludes_and_says_so(
    gateway: RunningGateway, label: str, document: dict[str, object], headers: dict[str, str], model: str
) -> None:
    request = sent(gateway, document, **headers)

    assert request.header("x-ai-model") == model
    excluded = (request.header("x-ai-reason") or "").partition("excluded ")[2]
    assert f"{label}: " in excluded


@pytest.mark.parametrize(
    ("path", "document", "provider"),
    [
        ("/v1/messages", chat("Hi", max_tokens=10), "anthropic"),
        ("/v1/responses", {"model": "auto", "input": "Hi"}, "openai"),
        ("/v1/completions", {"model": "auto", "prompt": "Hi"}, "openai"),
    ],
)
def test_requests_go_to_providers_that_speak_their_api(
    gateway: RunningGateway, path: str, document: dict[str, object], provider: str
) -> None:
    request = sent(gateway, document, path)

    assert request.header("x-ai-provider") == provider
    assert "format: " in (request.header("x-ai-reason") or "")


def test_an_open_breaker_excludes_its_provider_at_once(gateway: RunningGateway) -> None:
    opened = ProviderHealth(BreakerState.OPEN, time.time() + 60)
    put(gateway, breaker_key("openai"), encode_health(opened))

    request = sent(gateway, chat("Hi"))

    assert request.header("x-ai-model") == "kimi"
    assert "breaker: 2" in (request.header("x-ai-reason") or "")


def test_when_all_breakers_are_open_the_caller_is_told_when_to_come_back(gateway: RunningGateway) -> None:
    for wait_s, provider in enumerate(PROVIDERS, 30):
        opened = ProviderHealth(BreakerState.OPEN, time.time() + wait_s)
        put(gateway, breaker_key(provider), encode_health(opened))

    response = post(gateway, chat("Hi"))

    assert response.status_code == 503
    assert response.json()["error"]["code"] == "provider_unavailable"
    assert 28 <= int(response.headers["retry-after"]) <= 30


def test_a_slow_provider_is_avoided_by_the_strategy_that_minds(gateway: RunningGateway) -> None:
    for provider in PROVIDERS:
        stats = LatencyStats(
            p50_ms=50,
            p95_ms=100 if provider == "moonshot" else 9_000,
            ewma_ms=50,
            ttft_p95_ms=None,
            tokens_per_s=None,
            samples=500,
            updated_s=time.time(),
        )
        put(gateway, latency_key(provider), encode_latency(stats))

    request = sent(gateway, chat("Hi"), x_router_strategy="latency_aware")

    assert request.header("x-ai-model") == "kimi"


@pytest.mark.parametrize(
    ("document", "headers", "status", "code"),
    [
        (chat("Hi", model="gpt-6"), {}, 404, "model_not_found"),
        (chat("Hi", model="gpt-5.5"), {"x_mse_consumer": "anthropic-only"}, 403, "model_not_allowed"),
        (chat("Hi"), {"x_router_strategy": "luck"}, 400, "unknown_strategy"),
        (chat("word " * 1_200_000), {}, 400, "context_length_exceeded"),
        (chat([AUDIO]), {"x_mse_consumer": "anthropic-only"}, 400, "unsupported_input"),
        (chat("Hi", max_tokens=500_000), {}, 400, "max_tokens_exceeded"),
        (
            chat("word " * 9_000, stream=True),
            {"x_mse_consumer": "thrifty", "x_set_ai_tier": "strong"},
            400,
            "max_cost_exceeded",
        ),
        (chat("Hi"), {"x_set_ai_budget_remaining": "0"}, 429, "budget_exceeded"),
    ],
)
def test_what_no_model_may_answer_is_refused_with_the_reason(
    gateway: RunningGateway, document: dict[str, object], headers: dict[str, str], status: int, code: str
) -> None:
    response = post(gateway, document, **headers)

    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"
    assert response.json()["error"]["code"] == code
    assert not [request for control in gateway.providers.values() for request in control.requests()]


@pytest.mark.parametrize(
    ("model", "chosen", "strategy"),
    [
        ("claude-haiku", "claude-haiku", "explicit"),
        ("openai/gpt-5.5", "gpt-5.5", "explicit"),
        ("anthropic/*", "claude-haiku", "cost_optimal"),
        ("smart", "claude-sonnet", "cost_optimal"),
        ("cheap-and-cheerful", "kimi", "explicit"),
        ("auto", "gpt-4.1-mini", "cost_optimal"),
    ],
)
def test_names_stand_for_models(gateway: RunningGateway, model: str, chosen: str, strategy: str) -> None:
    request = sent(gateway, chat("Hi", model=model))

    assert (request.header("x-ai-model"), request.header("x-ai-strategy")) == (chosen, strategy)


def test_fallbacks_are_named_other_providers_first(gateway: RunningGateway) -> None:
    request = sent(gateway, chat("Hi"))

    fallbacks = (request.header("x-ai-fallbacks") or "").split(",")
    providers = [fallback.partition("/")[0] for fallback in fallbacks]
    assert len(fallbacks) == len(set(providers)) == 3
    assert "openai" not in providers


def test_the_client_of_openai_is_served(gateway: RunningGateway) -> None:
    with openai.OpenAI(base_url=f"{gateway.base_url}/v1", api_key="none", max_retries=0) as client:
        completion = client.chat.completions.create(
            model="auto", messages=[{"role": "user", "content": "Hi"}]
        )
        gateway.reset()
        stream = client.chat.completions.create(
            model="auto",
            messages=[{"role": "user", "content": "Hi"}],
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = list(stream)
        with pytest.raises(openai.NotFoundError, match="gpt-6"):
            client.chat.completions.create(model="gpt-6", messages=[{"role": "user", "content": "Hi"}])

    assert completion.model == "gpt-4.1-mini"
    assert chunks[0].model == "gpt-4.1-mini"
    assert chunks[-1].usage is not None
    assert json.loads(seen(gateway).body or b"")["stream"] is True


@pytest.mark.parametrize("stream", [False, True])
def test_the_answer_reaches_the_client_byte_for_byte(gateway: RunningGateway, stream: bool) -> None:
    document = chat("Hi", stream=stream)
    routed = post(gateway, document)
    body = seen(gateway).body
    direct = requests.post(
        gateway.providers["openai"].base_url + CHAT,
        data=body,
        headers={"content-type": "application/json"},
        timeout=10,
    )

    assert without_ids(routed.content) == without_ids(direct.content)
    assert routed.headers["content-type"] == direct.headers["content-type"]


def without_ids(answer: bytes) -> list[object]:
    lines = [line.removeprefix(b"data: ") for line in answer.split(b"\n\n") if line]
    documents = [json.loads(line) if line != b"[DONE]" else {} for line in lines]
    return [
        {key: value for key, value in document.items() if key not in ("id", "created")}
        for document in documents
    ]


BODY = (
    '{ "messages" : [ {"content":"h\\u00e9 世界 \\"model\\": \\"x\\"", "role":"user"} ],\n'
    '\t"model" :  "auto" ,"x":{"model": "inner"}, "n": 1.0e0 }\r\n'
).encode()


@pytest.mark.parametrize("cuts", [(), (1,), (90, 91, 92, 93, 94, 95), tuple(range(1, len(BODY)))])
def test_only_the_model_is_changed_however_the_body_is_cut(
    gateway: RunningGateway, cuts: tuple[int, ...]
) -> None:
    edges = [0, *cuts, len(BODY)]
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    chunks = (BODY[begin:end] for begin, end in pairwise(edges))
    connection.request(
        "POST",
        CHAT,
        chunks,
        {"content-type": "application/json", "transfer-encoding": "chunked"},
        encode_chunked=True,
    )
    response = connection.getresponse()
    response.read()
    connection.close()

    assert response.status == 200
    assert seen(gateway).body == BODY.replace(b'"auto"', b'"gpt-4.1-mini"')


def test_every_copy_of_the_model_is_set(gateway: RunningGateway) -> None:
    """Whichever of them a provider heeds, it is the one that was chosen."""
    body = (
        b'{"model":"auto","messages":[{"role":"user","content":"Hi"}],"mod\\u0065l":"auto","Model":"gpt-5.5"}'
    )

    response = requests.post(
        gateway.base_url + CHAT, body, headers={"content-type": "application/json"}, timeout=10
    )

    assert response.status_code == 200
    expected = body.replace(b'"auto"', b'"gpt-4.1-mini"').replace(b'"gpt-5.5"', b'"gpt-4.1-mini"')
    assert seen(gateway).body == expected


def test_signals_that_a_client_forged_do_nothing(gateway: RunningGateway) -> None:
    forged = {
        "x-ai-cluster": "google",
        "x-ai-model": "gpt-5.5",
        "x-ai-tier": "strong",
        "x-ai-domain": "legal",
        "x-ai-budget-remaining": "0",
        "x-ai-prompt-tokens": "1",
        "x-higress-llm-model": "gpt-5.5",
    }

    response = requests.post(gateway.base_url + CHAT, json=chat("Hi"), headers=forged, timeout=10)

    assert response.status_code == 200
    request = seen(gateway)
    assert request.header_values("x-ai-model") == ["gpt-4.1-mini"]
    assert request.header_values("x-ai-cluster") == ["openai"]
    assert request.header("x-ai-tier") is None


def test_what_is_no_request_to_a_model_goes_to_the_default_provider(gateway: RunningGateway) -> None:
    response = requests.get(f"{gateway.base_url}/v1/models", headers={"x-ai-cluster": "google"}, timeout=10)

    assert response.status_code == 200
    assert "x-ai-model" not in response.headers
    assert gateway.providers["openai"].requests_in_all() == 1


@pytest.mark.parametrize("strategy", ["cost_optimal", "weighted", "bandit", "rule_based"])
def test_the_record_of_a_decision_is_in_the_access_log(gateway: RunningGateway, strategy: str) -> None:
    request = sent(gateway, chat("Hi, my secret is 42"), x_router_strategy=strategy)
    name = request.header("x-request-id")
    assert name is not None

    [line] = eventually(lambda: [line for line in gateway.access_log if name in line])

    record = json.loads(json.loads(line)["audit"])
    assert record["request"]["id"] == name
    assert record["model"] == f"{request.header('x-ai-provider')}/{request.header('x-ai-model')}"
    again = replay(record)
    assert again.model == record["model"]
    assert ",".join(again.fallbacks) == request.header("x-ai-fallbacks")
    assert "secret" not in line


def eventually(find: Callable[[], Value]) -> Value:
    deadline = time.monotonic() + 10
    while not (found := find()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def test_debugging_shows_more(gateway: RunningGateway) -> None:
    response = post(gateway, chat("Hi"), x_ai_debug="true")

    for name in ("x-ai-reason", "x-ai-estimated-cost", "x-ai-fallbacks", "x-ai-complexity", "x-ai-domain"):
        assert response.headers[name]


def test_choices_are_counted(gateway: RunningGateway) -> None:
    name = "wasmcustom.ai_cost_optimal_router.chosen.claude-haiku.explicit"
    before = gateway.admin.stats("wasmcustom").get(name, 0)

    sent(gateway, chat("Hi", model="claude-haiku"))

    assert eventually(lambda: gateway.admin.stats("wasmcustom").get(name, 0) == before + 1)


def test_requests_at_the_same_time_do_not_mix(gateway: RunningGateway) -> None:
    models = ["auto", "gpt-5.5", "kimi", "claude-sonnet", "gemini-flash", "openai/gpt-4.1-mini"]

    def send(number: int) -> tuple[str, str, str]:
        asked = models[number % len(models)]
        response = post(gateway, chat(f"Number {number}", model=asked))
        return asked, response.headers["x-ai-model"], response.json()["model"]

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(send, range(300)))

    for asked, told, answered in answers:
        expected = "gpt-4.1-mini" if asked == "auto" else asked.rpartition("/")[2]
        assert told == answered == expected
    assert not gateway.vm_crashes()
