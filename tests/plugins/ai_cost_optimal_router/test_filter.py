"""The filter in a gateway: what the provider, the client and the other workers see."""

import json
from collections.abc import Iterator
from itertools import pairwise

import pytest

from ai_cost_optimal_router import Router
from ai_cost_optimal_router.audit import replay
from ai_cost_optimal_router.learning import lessons_of
from aigateway.health import BreakerState, ProviderHealth, breaker_key, encode_health
from proxytest import Answer, ConfigurationRefusedError, Exchange, Gateway
from proxywasm import Properties

NAME = "ai-cost-optimal-router"
CLASSIFIER = "ai-nexus-classifier"
CHAT = "/v1/chat/completions"
FORGED = {
    "x-ai-prompt-tokens": "1",
    "x-ai-complexity": "0.0000",
    "x-ai-tier": "strong",
    "X-AI-Cluster": "free-of-charge",
    "x-ai-model": "best",
    "x-higress-llm-model": "best",
}
ANSWER = {
    "id": "chatcmpl-1",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 1234, "total_tokens": 1244},
}
JSON = {"content-type": "application/json"}
EVENTS = {"content-type": "text/event-stream"}
LEARN_ALL = {"learning": {"share": 1, "prior_answers": 1}}


def chat(text: str = "Is it going to rain?", model: str = "auto", **more: object) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": text}]} | more


def sent(exchange: Exchange) -> dict[str, str]:
    """Return the headers by which a request that reached a provider was routed."""
    assert exchange.upstream is not None, exchange.reply.text
    return dict(exchange.upstream.headers)


def model_in(exchange: Exchange) -> object:
    assert exchange.upstream is not None
    document = exchange.upstream.json()
    assert isinstance(document, dict)
    return document["model"]


def error(exchange: Exchange) -> dict[str, object]:
    assert exchange.upstream is None
    document = exchange.reply.json()
    assert isinstance(document, dict)
    found = document["error"]
    assert isinstance(found, dict)
    return found


def learnt(gateway: Gateway, provider: str) -> dict[tuple[str, str], tuple[float, int, float, float]]:
    value = gateway.shared_data.get(f"learning/{provider}")
    return {(model, domain): tuple(known)[:4] for model, domain, known in lessons_of(value)}  # type: ignore[misc]


def test_the_cheapest_that_is_good_enough_is_chosen(gateway: Gateway) -> None:
    gateway.load(NAME)

    exchange = gateway.post(CHAT, json=chat())

    seen = sent(exchange)
    assert exchange.reply.status == 200
    assert model_in(exchange) == "gpt-4.1-mini"
    assert seen["x-ai-model"] == seen["x-higress-llm-model"] == "gpt-4.1-mini"
    assert seen["x-ai-provider"] == seen["x-ai-cluster"] == "openai"
    assert seen["x-ai-strategy"] == "cost_optimal"
    assert seen["x-ai-fallbacks"].split(",")[0] == "moonshot/kimi"
    assert seen["x-ai-reason"].startswith("cost_optimal: gpt-4.1-mini")
    assert 0 < float(seen["x-ai-estimated-cost"]) < 0.01
    assert (
        dict(exchange.reply.headers).items()
        >= {
            "x-ai-model": "gpt-4.1-mini",
            "x-ai-provider": "openai",
            "x-ai-strategy": "cost_optimal",
        }.items()
    )


def test_the_signals_of_the_classifier_are_heeded(gateway: Gateway) -> None:
    gateway.load(CLASSIFIER)
    gateway.load(NAME)

    exchange = gateway.post(CHAT, json=chat("Which diagnosis fits fever, cough and a stiff neck, doctor?"))

    seen = sent(exchange)
    assert seen["x-ai-domain"] == "medical"
    assert seen["x-ai-model"] == model_in(exchange) == "claude-sonnet"


BODIES = [
    b'{ "messages" : [ {"content":"h\\u00e9 \xe4\xb8\x96","role":"user"} ],\n\t"model" : "auto" , "x": 1.0 }',
    b'{"model":"auto","messages":[{"role":"user","content":"a \\"model\\": \\"x\\" {"}],"model":"gpt-5.5"}',
    b'\xef\xbb\xbf{"mod\\u0065l":"auto","messages":[{"role":"user","content":"x"}]}  ',
    b'{"messages":[{"role":"user","content":"x"}]}',
]


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_only_the_model_of_the_body_is_changed(gateway: Gateway, body: bytes, size: int) -> None:
    gateway.load(NAME, {"on_explicit_model": "override"})
    chunks = tuple(body[begin : begin + size] for begin in range(0, len(body), size))

    exchange = gateway.post(CHAT, headers=JSON | {"content-length": str(len(body))}, chunks=chunks)

    assert exchange.upstream is not None, exchange.reply.text
    expected = body.replace(b'"auto"', b'"gpt-4.1-mini"').replace(b'"gpt-5.5"', b'"gpt-4.1-mini"')
    if b"odel" not in body and b"\\u0065l" not in body:
        expected = b'{"model":"gpt-4.1-mini",' + body[1:]
    assert exchange.upstream.body == expected
    assert exchange.upstream.headers["content-length"] == str(len(expected))


def test_the_body_gets_the_name_by_which_the_provider_knows_the_model(gateway: Gateway) -> None:
    model = {
        "name": "mini",
        "provider": "openai",
        "cluster": "openai-eu",
        "upstream_name": "gpt-4.1-mini-2025-04-14",
        "prices_nano_usd_per_token": {"input": 400, "output": 1600},
        "quality": 0.8,
        "context_window_tokens": 1_000_000,
    }
    gateway.load(NAME, {"catalog": [model]})

    exchange = gateway.post(CHAT, json=chat())

    assert model_in(exchange) == "gpt-4.1-mini-2025-04-14"
    assert sent(exchange)["x-ai-model"] == "mini"
    assert sent(exchange)["x-ai-cluster"] == "openai-eu"
    assert exchange.reply.headers["x-ai-model"] == "mini"


def test_a_model_that_is_named_is_honoured(gateway: Gateway) -> None:
    gateway.load(NAME)
    body = json.dumps(chat(model="claude-sonnet")).encode()

    exchange = gateway.post(CHAT, headers=JSON, body=body)

    assert exchange.upstream is not None
    assert exchange.upstream.body == body
    assert sent(exchange)["x-ai-cluster"] == "anthropic"
    assert exchange.reply.headers["x-ai-strategy"] == "explicit"


def test_the_client_may_ask_for_a_strategy(gateway: Gateway) -> None:
    gateway.load(NAME)

    chosen = gateway.post(CHAT, json=chat(), headers={"X-Router-Strategy": "quality_first"})
    unknown = gateway.post(CHAT, json=chat(), headers={"x-router-strategy": "luck"})

    assert sent(chosen)["x-ai-model"] == "claude-sonnet"
    assert unknown.reply.status == 400
    assert "cost_optimal" in str(error(unknown)["message"])
    assert gateway.metrics["ai_cost_optimal_router.refused.unknown_strategy"] == 1


def test_the_consumer_has_a_policy(gateway: Gateway) -> None:
    gateway.load(NAME, {"consumers": {"acme": {"allow": ["anthropic/*"]}}})

    assert sent(gateway.post(CHAT, json=chat()))["x-ai-provider"] == "openai"
    acme = {"x-mse-consumer": "acme"}
    assert sent(gateway.post(CHAT, json=chat(), headers=acme))["x-ai-provider"] == "anthropic"
    denied = gateway.post(CHAT, json=chat(model="gpt-5.5"), headers=acme)
    assert denied.reply.status == 403
    assert error(denied)["code"] == "model_not_allowed"


@pytest.mark.parametrize(
    ("method", "path", "headers", "body"),
    [
        ("GET", "/v1/models", {}, b""),
        ("POST", "/v1/embeddings", JSON, b'{"input": "x", "model": "auto"}'),
        ("POST", "/upload", {"content-type": "image/png"}, b"\x89PNG"),
        ("POST", "/elsewhere", JSON, b"not JSON"),
        ("POST", "/elsewhere", JSON, b'{"model": "auto"}'),
    ],
)
def test_what_is_no_request_to_a_model_passes_as_it_is(
    gateway: Gateway, method: str, path: str, headers: dict[str, str], body: bytes
) -> None:
    gateway.load(NAME)

    exchange = gateway.request(method, path, headers=headers, body=body)

    assert exchange.upstream is not None
    assert exchange.upstream.body == body
    assert "x-ai-model" not in exchange.upstream.headers
    assert "x-ai-model" not in exchange.reply.headers
    assert gateway.metrics["ai_cost_optimal_router.passed"] == 1


def test_forged_signals_are_removed_where_the_router_is_the_first(gateway: Gateway) -> None:
    gateway.load(NAME, {"trust_signals": False})

    routed = gateway.post(CHAT, json=chat("word " * 900), headers=FORGED)
    passed = gateway.get("/v1/models", headers=FORGED)

    seen = sent(routed)
    assert seen["x-ai-cluster"] == "openai"
    assert seen["x-higress-llm-model"] == "gpt-4.1-mini"
    assert "x-ai-tier" not in seen
    assert "x-ai-prompt-tokens" not in seen
    assert float(seen["x-ai-estimated-cost"]) > 0.0001
    assert not [name for name in sent(passed) if name.startswith(("x-ai-", "x-higress"))]


def test_the_choice_of_the_router_replaces_every_copy_there_was(gateway: Gateway) -> None:
    gateway.load(NAME)
    twice = [*JSON.items(), ("x-ai-cluster", "a"), ("x-ai-cluster", "b"), ("x-ai-model", "c")]

    exchange = gateway.post(CHAT, json=chat(), headers=twice)

    assert exchange.upstream is not None
    for name in ("x-ai-cluster", "x-ai-model"):
        assert len(exchange.upstream.headers.get_all(name)) == 1
    assert exchange.upstream.headers["x-ai-cluster"] == "openai"


@pytest.mark.parametrize(
    ("headers", "body", "status", "message"),
    [
        (JSON, b"{", 400, "not valid JSON"),
        (JSON, b"[" * 100_000, 400, "levels deep"),
        (JSON, b"", 400, "an empty body"),
        (JSON, b'{"messages": [{"role": "user", "content": 5}]}', 400, "messages[0].content"),
        (JSON | {"content-encoding": "gzip"}, b"\x1f\x8b", 415, "must not be compressed"),
        (JSON, b'{"messages": [' + b" " * 2_000 + b"]}", 413, "larger than 1000 bytes"),
        (JSON, json.dumps(chat(model="gpt-6")).encode(), 404, "gpt-6"),
    ],
)
def test_what_cannot_be_routed_is_refused(
    gateway: Gateway, headers: dict[str, str], body: bytes, status: int, message: str
) -> None:
    gateway.load(NAME, {"max_body_bytes": 1_000 if b"   " in body else 10**6})

    exchange = gateway.post(CHAT, headers=headers, body=body)

    assert exchange.reply.status == status
    assert exchange.reply.headers["content-type"] == "application/json"
    assert message in str(error(exchange)["message"])
    assert gateway.metrics[f"ai_cost_optimal_router.refused.{error(exchange)['code']}"] == 1


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (JSON, b"{"),
        (JSON | {"content-encoding": "gzip"}, b"\x1f\x8b"),
        (JSON, b'{"messages": ["' + b" " * 2_000),
    ],
)
def test_or_goes_on_as_it_is_when_so_configured(
    gateway: Gateway, headers: dict[str, str], body: bytes
) -> None:
    gateway.load(NAME, {"max_body_bytes": 1_000, "on_invalid": "pass", "on_too_large": "pass"})

    exchange = gateway.post(CHAT, headers=headers, body=body)

    assert exchange.upstream is not None
    assert exchange.upstream.body == body
    assert "x-ai-cluster" not in sent(exchange)


@pytest.mark.hosts("native", "wasm")  # A connection to Envoy cannot choose its worker.
def test_a_breaker_that_is_open_is_known_to_every_worker(gateway: Gateway) -> None:
    gateway.configure(workers=2)
    gateway.load(NAME)
    gateway.shared_data[breaker_key("openai")] = encode_health(
        ProviderHealth(BreakerState.OPEN, 4_000_000_000)
    )

    chosen = [sent(gateway.post(CHAT, json=chat(), worker=worker))["x-ai-provider"] for worker in (0, 1)]

    assert chosen == ["moonshot", "moonshot"]


def test_a_breaker_that_opens_is_known_soon(gateway: Gateway) -> None:
    gateway.load(NAME, {"catalog": catalog_of("openai")})
    assert gateway.post(CHAT, json=chat()).reply.status == 200
    gateway.shared_data[breaker_key("openai")] = encode_health(
        ProviderHealth(BreakerState.OPEN, 4_000_000_000)
    )
    gateway.advance(0.2)

    exchange = gateway.post(CHAT, json=chat())

    assert exchange.reply.status == 503
    assert error(exchange)["code"] == "provider_unavailable"
    assert int(exchange.reply.headers["retry-after"]) > 1_000


def catalog_of(provider: str) -> list[dict[str, object]]:
    return [
        {
            "name": "only",
            "provider": provider,
            "prices_nano_usd_per_token": {"input": 400, "output": 1600},
            "quality": 0.8,
            "context_window_tokens": 100_000,
        }
    ]


def test_the_answer_of_a_fallback_is_told_by_its_own_name(gateway: Gateway) -> None:
    gateway.load(NAME, LEARN_ALL)
    gateway.upstream.respond(200, headers=JSON | {"x-ai-model": "kimi"}, json=ANSWER)
    named = gateway.post(CHAT, json=chat())
    gateway.upstream.respond(200, headers=JSON | {"x-ai-model": "unheard-of"}, json=ANSWER)
    unknown = gateway.post(CHAT, json=chat())

    assert named.reply.headers.get_all("x-ai-model") == ["kimi"]
    assert named.reply.headers["x-ai-provider"] == "moonshot"
    assert unknown.reply.headers.get_all("x-ai-model") == ["gpt-4.1-mini"]
    assert set(learnt(gateway, "moonshot")) == {("kimi", "general")}


def test_debugging_shows_more(gateway: Gateway) -> None:
    gateway.load(CLASSIFIER)
    gateway.load(NAME)

    plain = gateway.post(CHAT, json=chat()).reply.headers
    debugged = gateway.post(CHAT, json=chat(), headers={"x-ai-debug": "true"}).reply.headers

    extra = {"x-ai-reason", "x-ai-estimated-cost", "x-ai-fallbacks", "x-ai-complexity", "x-ai-domain"}
    assert not extra & set(plain)
    assert extra <= set(debugged)
    assert debugged["x-ai-domain"] == "general"


def pieces(body: bytes, size: int) -> Iterator[bytes]:
    edges = [*range(0, len(body), size), len(body)]
    return (body[begin:end] for begin, end in pairwise(edges))


STREAM = (
    b'data: {"choices":[{"delta":{"content":"Yes"}}],"usage":null}\n\n'
    b'data: {"choices":[],"usage":{"prompt_tokens":10,"completion_tokens":1234,"total_tokens":1244}}\n\n'
    b"data: [DONE]\n\n"
)


@pytest.mark.parametrize("size", [1, 10, 10_000])
@pytest.mark.parametrize(
    ("headers", "answer"), [(JSON, json.dumps(ANSWER).encode()), (EVENTS, STREAM)], ids=["whole", "streamed"]
)
def test_the_length_of_answers_is_learnt(
    gateway: Gateway, headers: dict[str, str], answer: bytes, size: int
) -> None:
    gateway.load(NAME, LEARN_ALL)
    gateway.upstream.respond(200, headers=headers, chunks=tuple(pieces(answer, size)))

    exchange = gateway.post(CHAT, json=chat(stream=headers is EVENTS))

    assert exchange.reply.body == answer
    assert learnt(gateway, "openai") == {("gpt-4.1-mini", "general"): ((400 + 1234) / 2, 1, 1, 0)}
    assert gateway.metrics["ai_cost_optimal_router.lessons"] == 1


@pytest.mark.hosts("native", "wasm")  # A connection to Envoy cannot choose its worker.
def test_all_workers_learn_one_thing(gateway: Gateway) -> None:
    gateway.configure(workers=2)
    gateway.load(NAME, LEARN_ALL)
    gateway.upstream.respond(200, headers=JSON, json=ANSWER)

    for worker in (0, 1, 0, 1):
        gateway.post(CHAT, json=chat(), worker=worker)

    [(_, answers, successes, _)] = learnt(gateway, "openai").values()
    assert (answers, successes) == (4, 4)


@pytest.mark.hosts("native", "wasm")  # A connection to Envoy cannot choose its worker.
def test_what_was_learnt_changes_the_choice(gateway: Gateway) -> None:
    """A model that talks ten times as much is no longer the cheapest."""
    gateway.configure(workers=2)
    gateway.load(NAME, {"learning": {"share": 1, "prior_answers": 1, "memory_answers": 4}})
    long_winded = ANSWER | {"usage": {"prompt_tokens": 10, "completion_tokens": 20_000}}
    gateway.upstream.respond(200, headers=JSON, json=long_winded)
    assert sent(gateway.post(CHAT, json=chat()))["x-ai-model"] == "gpt-4.1-mini"
    gateway.upstream.respond(200, headers=JSON, json=ANSWER)
    gateway.post(CHAT, json=chat(model="kimi"))
    gateway.advance(1.1)

    chosen = {sent(gateway.post(CHAT, json=chat(), worker=worker))["x-ai-model"] for worker in (0, 1)}

    assert chosen == {"kimi"}


def test_nothing_is_learnt_when_so_configured(gateway: Gateway) -> None:
    gateway.load(NAME, {"learning": {"share": 0}})
    gateway.upstream.respond(200, headers=JSON, json=ANSWER)

    gateway.post(CHAT, json=chat(), headers={"accept-encoding": "gzip"})

    assert not learnt(gateway, "openai")
    assert gateway.arrivals[0].received.headers["accept-encoding"] == "gzip"


def test_answers_from_which_is_learnt_are_not_compressed(gateway: Gateway) -> None:
    gateway.load(NAME, LEARN_ALL)

    exchange = gateway.post(CHAT, json=chat(), headers={"accept-encoding": "gzip"})

    assert "accept-encoding" not in sent(exchange)


@pytest.mark.parametrize(
    ("status", "expected"),
    [(200, (1, 0)), (500, (0, 1)), (429, (0, 1)), (401, (0, 1)), (400, None), (404, None)],
)
def test_outcomes_are_evidence_for_the_bandit(
    gateway: Gateway, status: int, expected: tuple[int, int] | None
) -> None:
    gateway.load(NAME, {"strategy": "bandit", "learning": {"share": 0}})
    gateway.upstream.respond(status, headers=JSON, json={})

    provider = sent(gateway.post(CHAT, json=chat()))["x-ai-provider"]

    found = [known[2:] for known in learnt(gateway, provider).values()]
    assert found == ([] if expected is None else [expected])


@pytest.mark.parametrize("status", [200, 503])
def test_who_failed_before_another_was_asked_is_known_by_that(gateway: Gateway, status: int) -> None:
    gateway.load(NAME, LEARN_ALL)
    chosen, fallback = "openai/gpt-4.1-mini", "moonshot/kimi"
    answer = {"x-ai-model": "kimi", "x-ai-provider": "moonshot", "x-ai-failed": f"{chosen},other/unknown"}
    gateway.upstream.respond(status, headers=JSON | answer, json={})

    seen = sent(gateway.post(CHAT, json=chat()))

    assert f"{seen['x-ai-provider']}/{seen['x-ai-model']}" == chosen
    assert fallback in seen["x-ai-fallbacks"]
    assert learnt(gateway, "openai")["gpt-4.1-mini", "general"][2:] == (0, 1)
    assert learnt(gateway, "moonshot")["kimi", "general"][2:] == ((1, 0) if status == 200 else (0, 1))


def test_who_failed_and_was_the_last_to_answer_has_failed_once(gateway: Gateway) -> None:
    gateway.load(NAME, LEARN_ALL)
    answer = {"x-ai-model": "gpt-4.1-mini", "x-ai-failed": "openai/gpt-4.1-mini"}
    gateway.upstream.respond(503, headers=JSON | answer, json={})

    gateway.post(CHAT, json=chat())

    assert learnt(gateway, "openai")["gpt-4.1-mini", "general"][2:] == (0, 1)


def test_the_bandit_leaves_a_model_that_fails(gateway: Gateway) -> None:
    gateway.load(NAME, {"strategy": "bandit", "knowledge": {"latency_refresh_s": 0}})
    gateway.upstream.respond_with(
        lambda received: Answer(status=500 if received.headers["x-ai-provider"] == "openai" else 200)
    )
    chosen = [sent(gateway.post(CHAT, json=chat()))["x-ai-provider"] for _ in range(120)]

    assert chosen[-40:].count("openai") <= 6
    assert len(set(chosen)) > 1


def test_a_score_in_the_response_counts_instead_of_the_outcome(gateway: Gateway) -> None:
    gateway.load(NAME, LEARN_ALL | {"feedback": {"header": "x-score"}})
    gateway.upstream.respond(200, headers=JSON | {"x-score": "0.25"}, json={})

    gateway.post(CHAT, json=chat())

    assert learnt(gateway, "openai")["gpt-4.1-mini", "general"][2:] == (0.25, 0.75)


def test_judgements_are_taken_from_those_who_may_judge(gateway: Gateway) -> None:
    rules = {"path": "/v1/feedback", "consumers": ["evaluator"], "weight": 2}
    gateway.load(NAME, {"feedback": rules})
    judgement = {"model": "kimi", "domain": "code", "score": 0.5}

    taken = gateway.post("/v1/feedback", json=judgement, headers={"x-mse-consumer": "evaluator"})
    wrong = gateway.post("/v1/feedback", json={}, headers={"x-mse-consumer": "evaluator"})
    refused = gateway.post("/v1/feedback", json=judgement)

    assert [exchange.reply.status for exchange in (taken, wrong, refused)] == [204, 400, 403]
    assert all(exchange.upstream is None for exchange in (taken, wrong, refused))
    assert learnt(gateway, "moonshot") == {("kimi", "code"): (400, 0, 1, 1)}


def test_what_was_chosen_is_counted(gateway: Gateway) -> None:
    gateway.load(NAME, {"on_explicit_model": "override"})

    gateway.post(CHAT, json=chat())
    gateway.post(CHAT, json=chat(model="claude-sonnet"))
    gateway.post(CHAT, json=chat(), headers={"x-router-strategy": "quality_first"})

    counted = gateway.metrics
    assert counted["ai_cost_optimal_router.chosen.gpt-4.1-mini.cost_optimal"] == 2
    assert counted["ai_cost_optimal_router.chosen.claude-sonnet.quality_first"] == 1
    assert counted["ai_cost_optimal_router.overridden"] == 1
    assert counted["ai_cost_optimal_router.estimated_cost_nano_usd"] > 1_000


def test_a_rule_of_higress_has_a_router_of_its_own(gateway: Gateway) -> None:
    gateway.load(
        NAME,
        {
            "strategy": "cost_optimal",
            "_rules_": [{"_match_domain_": ["best.example"], "strategy": "quality_first"}],
        },
    )

    def model(authority: str) -> str:
        return sent(gateway.post(CHAT, json=chat(), headers={":authority": authority}))["x-ai-model"]

    assert model("other.example") == "gpt-4.1-mini"
    assert model("best.example") == "claude-sonnet"
    assert model("other.example") == "gpt-4.1-mini"


def test_rules_without_a_configuration_beside_them_are_enough(gateway: Gateway) -> None:
    gateway.load(NAME, {"_rules_": [{"_match_domain_": ["best.example"], "strategy": "quality_first"}]})

    inside = gateway.post(CHAT, json=chat(), headers={":authority": "best.example"})
    outside = gateway.post(CHAT, json=chat(), headers={":authority": "other.example"})

    assert sent(inside)["x-ai-model"] == "claude-sonnet"
    assert "x-ai-model" not in sent(outside)


def test_requests_under_way_are_spread(gateway: Gateway) -> None:
    gateway.load(NAME, {"strategy": "least_requests"})
    gateway.upstream.hold()

    exchanges = [gateway.post(CHAT, json=chat()) for _ in range(8)]
    counts = [sent(exchange)["x-ai-model"] for exchange in exchanges]

    assert max(counts.count(model) for model in counts) <= 2
    for call in gateway.upstream.calls:
        call.start(200, end=True)
    assert sent(gateway.post(CHAT, json=chat()))["x-ai-model"] in counts


def test_a_wrong_configuration_is_refused(gateway: Gateway) -> None:
    with pytest.raises(ConfigurationRefusedError):
        gateway.load(NAME, {"feedback": {"path": "/v1/feedback"}})


def test_no_prompt_is_logged(gateway: Gateway) -> None:
    gateway.load(NAME)

    gateway.post(CHAT, json=chat("my secret"))
    gateway.post(CHAT, headers=JSON, body=b'{"my secret"')
    gateway.post(CHAT, json=chat("my secret", model="no-such-model"))

    assert not any("secret" in record.message for record in gateway.logs)


@pytest.mark.hosts("native")
def test_when_the_router_fails_a_request_goes_on_as_it_came(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Router, "choose", fail)
    gateway.load(NAME, {"trust_signals": False})

    exchange = gateway.post(CHAT, json=chat(), headers=FORGED)

    assert exchange.reply.status == 200
    assert model_in(exchange) == "auto"
    assert not [name for name in sent(exchange) if name.startswith(("x-ai-", "x-higress"))]
    assert "ZeroDivisionError" in gateway.logs[-1].message


@pytest.mark.hosts("native")
@pytest.mark.parametrize("audit", [True, False])
def test_the_record_of_the_decision_is_left_as_a_property(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, audit: bool
) -> None:
    """What access logs make of it is tested with Envoy."""
    left: dict[str, object] = {}
    monkeypatch.setattr(Properties, "set", lambda self, name, value: left.update({name: value}))
    gateway.load(NAME, {"audit": audit})

    gateway.post(CHAT, json=chat("my secret"))

    assert set(left) == ({"ai_nexus.router"} if audit else set())
    if audit:
        record = json.loads(str(left["ai_nexus.router"]))
        assert replay(record).model == record["model"] == "openai/gpt-4.1-mini"
        assert "secret" not in str(left)
