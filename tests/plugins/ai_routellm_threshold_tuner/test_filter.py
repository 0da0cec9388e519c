"""The filter in a gateway: what the provider and the client see."""

import json
import random
from collections import Counter

import pytest

from ai_routellm_threshold_tuner import saving
from proxytest import ConfigurationRefusedError, Gateway
from proxytest.gateway import Exchange

NAME = "ai-routellm-threshold-tuner"
METRICS = "ai_routellm_threshold_tuner"
CHAT = "/v1/chat/completions"

MEASURED = {
    "x-ai-prompt-tokens": "100",
    "x-ai-complexity": "0.7000",
    "x-ai-domain": "general",
    "x-ai-requested-model": "auto",
}
"""What the classifier says of a request."""


def chat(text: str = "Why?", model: str = "auto", **more: object) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": text}]} | more


def measured(gateway: Gateway, complexity: float, model: str = "auto", **more: str) -> Exchange:
    """Send a request that the classifier has measured."""
    headers = MEASURED | {"x-ai-complexity": f"{complexity:.4f}", "x-ai-requested-model": model} | more
    return gateway.post(CHAT, headers=headers, json=chat(model=model))


def seen(exchange: Exchange, name: str) -> str | None:
    assert exchange.upstream is not None, exchange.reply.body
    values = exchange.upstream.headers.get_all(name)
    assert len(values) <= 1
    return values[0] if values else None


def test_a_named_threshold_decides(gateway: Gateway) -> None:
    gateway.load(NAME)

    strong = measured(gateway, 0.7, "router-complexity-0.7")
    weak = measured(gateway, 0.7, "router-complexity-0.70001")

    assert seen(strong, "x-ai-tier") == "strong"
    assert seen(weak, "x-ai-tier") == "weak"
    assert seen(strong, "x-ai-score") == "0.70000"
    assert seen(weak, "x-ai-threshold") == "0.70001"
    assert seen(strong, "x-ai-requested-model") == "auto"
    assert gateway.metrics[f"{METRICS}.requests.default.complexity.strong"] == 1
    assert gateway.metrics[f"{METRICS}.requests.default.complexity.weak"] == 1


def test_the_body_stays_as_it_was_where_signals_are_read(gateway: Gateway) -> None:
    gateway.load(NAME)

    exchange = measured(gateway, 0.7, "router-words-0.5")

    assert exchange.upstream is not None
    assert exchange.upstream.json() == chat(model="router-words-0.5")


def test_without_the_classifier_the_body_says_auto(gateway: Gateway) -> None:
    gateway.load(NAME)
    body = b'{ "model" : "router-words-0.5",\n "messages":[{"role":"user","content":"Why?"}], "x": 1.50 }'

    exchange = gateway.post(CHAT, headers={"content-type": "application/json"}, body=body)

    assert exchange.upstream is not None
    assert exchange.upstream.body == body.replace(b"router-words-0.5", b"auto")
    assert seen(exchange, "x-ai-tier") == "weak"


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("router-", "expected router-<scorer>-<threshold>"),
        ("router-words", "expected router-<scorer>-<threshold>"),
        ("router-wrds-0.5", "there is no scorer called 'wrds', did you mean 'words'?"),
        (
            "router-mf-0.11593",
            "the scorer 'mf' of RouteLLM is not configured here; there are complexity, words",
        ),
        ("router-words-much", "expected a threshold from 0 to 1, got 'much'"),
        ("router-words-1.5", "expected a threshold from 0 to 1, got '1.5'"),
        ("router-nopair-words-0.5", "there is no pair of models called 'nopair'"),
    ],
)
@pytest.mark.parametrize("is_measured", [True, False])
def test_a_wrong_name_is_refused(gateway: Gateway, model: str, message: str, is_measured: bool) -> None:
    gateway.load(NAME)
    headers = MEASURED | {"x-ai-requested-model": model} if is_measured else {}

    exchange = gateway.post(CHAT, headers=headers, json=chat(model=model))

    assert exchange.upstream is None
    assert exchange.reply.status == 400
    error = json.loads(exchange.reply.body)["error"]
    assert message in error["message"]
    assert (error["param"], error["code"]) == ("model", "invalid_router")
    assert gateway.metrics[f"{METRICS}.refused"] == 1


@pytest.mark.parametrize("model", ["gpt-5.5", "routers-words-0.5", "AUTO", "auto-unknown"])
def test_other_models_are_none_of_its_business(gateway: Gateway, model: str) -> None:
    gateway.load(NAME)

    exchange = measured(gateway, 0.7, model)
    unmeasured = gateway.post(CHAT, json=chat(model=model))

    assert seen(exchange, "x-ai-tier") is None
    assert seen(exchange, "x-ai-requested-model") == model
    assert seen(unmeasured, "x-ai-tier") is None
    assert unmeasured.upstream is not None
    assert unmeasured.upstream.json() == chat(model=model)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/models", b""),
        ("POST", "/v1/embeddings", b'{"model": "auto", "input": "x"}'),
        ("POST", "/v1/embeddings", b'{"model": "auto", "messages": [{"role": "user", "content": "x"}]}'),
        ("POST", CHAT, b"not JSON"),
        ("POST", CHAT, b'{"model": "auto", "messages": 5}'),
        ("POST", "/elsewhere", b'{"model": "auto"}'),
    ],
)
def test_what_is_no_request_to_a_model_passes(gateway: Gateway, method: str, path: str, body: bytes) -> None:
    gateway.load(NAME)

    exchange = gateway.request(method, path, headers={"content-type": "application/json"}, body=body)

    assert exchange.reply.status == 200
    assert exchange.upstream is not None
    assert exchange.upstream.body == body
    assert seen(exchange, "x-ai-tier") is None


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, chat("word " * 300)),
        ("/v1/completions", {"model": "auto", "prompt": "word " * 300}),
        ("/v1/responses", {"model": "auto", "input": "word " * 300}),
        ("/v1/messages", chat("word " * 300, max_tokens=5)),
        ("/elsewhere", chat("word " * 300)),
    ],
)
def test_every_api_is_read(gateway: Gateway, path: str, body: dict[str, object]) -> None:
    gateway.load(NAME, {"threshold": {"mode": "fixed", "value": 0.7}})

    exchange = gateway.post(path, json=body)

    assert seen(exchange, "x-ai-score") == "0.75000"
    assert seen(exchange, "x-ai-tier") == "strong"


def test_auto_holds_the_share(gateway: Gateway) -> None:
    gateway.load(NAME, {"threshold": {"target_strong_fraction": 0.2}})
    draw = random.Random(1)

    tiers = Counter(seen(measured(gateway, draw.betavariate(2, 8)), "x-ai-tier") for _ in range(300))

    assert tiers["strong"] == pytest.approx(60, abs=6)
    assert list(gateway.shared_data) == ["tuner/default"]


def test_equal_scores_are_divided(gateway: Gateway) -> None:
    gateway.load(NAME, {"threshold": {"target_strong_fraction": 0.4}})

    tiers = Counter(seen(measured(gateway, 0.5), "x-ai-tier") for _ in range(200))

    assert tiers["strong"] == pytest.approx(80, abs=1)


def test_workers_share_one_threshold(gateway: Gateway) -> None:
    gateway.configure(workers=3)
    gateway.load(NAME, {"threshold": {"target_strong_fraction": 0.5}})

    tiers = Counter(
        seen(gateway.post(CHAT, headers=MEASURED, json=chat(), worker=number % 3), "x-ai-tier")
        for number in range(30)
    )

    assert tiers["strong"] == 15


def test_a_reload_keeps_what_was_learnt(gateway: Gateway) -> None:
    gateway.load(NAME, {"threshold": {"target_strong_fraction": 0.3}})
    for number in range(100):
        measured(gateway, number * 37 % 100 / 100)
    before = gateway.shared_data["tuner/default"]

    again = Gateway(
        host=gateway.host, module=gateway._module, profile=gateway.profile, deploy=gateway._deploy
    )
    again.load(NAME, {"threshold": {"target_strong_fraction": 0.3}, "expected_output_tokens": 7})
    again.shared_data["tuner/default"] = before
    exchange = measured(again, 0.99)

    assert seen(exchange, "x-ai-tier") == "strong"
    assert 0.6 < float(seen(exchange, "x-ai-threshold") or 0) < 0.8
    again.close()


@pytest.mark.parametrize(
    ("scope", "keys"),
    [
        ("route", {"tuner/default"}),
        ("route_and_domain", {"tuner/default/code", "tuner/default/general"}),
        ("everything", {"tuner/everything"}),
    ],
)
def test_scopes_learn_apart(gateway: Gateway, scope: str, keys: set[str]) -> None:
    gateway.load(NAME, {"threshold": {"scope": scope}})

    measured(gateway, 0.5, **{"x-ai-domain": "code"})
    measured(gateway, 0.5, **{"x-ai-domain": "nonsense"})

    assert set(gateway.shared_data) == keys


def test_there_are_not_more_keys_than_allowed(gateway: Gateway) -> None:
    gateway.load(NAME, {"threshold": {"scope": "route_and_domain"}, "max_scopes": 2})

    for domain in ("code", "medical", "legal", "general", "code"):
        measured(gateway, 0.5, **{"x-ai-domain": domain})

    assert set(gateway.shared_data) == {"tuner/default/code", "tuner/default/medical", "tuner/others"}


def test_frozen_thresholds_learn_nothing(gateway: Gateway) -> None:
    gateway.load(NAME, {"threshold": {"mode": "frozen", "target_strong_fraction": 0.25}})

    tiers = Counter(seen(measured(gateway, 0.5), "x-ai-tier") for _ in range(100))

    assert not gateway.shared_data
    assert tiers["strong"] == pytest.approx(25, abs=1)


def test_in_the_shadow_the_given_threshold_decides(gateway: Gateway) -> None:
    gateway.load(NAME, {"threshold": {"mode": "shadow", "value": 0.9, "target_strong_fraction": 0.5}})

    for _ in range(20):
        exchange = measured(gateway, 0.5)
        assert seen(exchange, "x-ai-tier") == "weak"
        assert seen(exchange, "x-ai-threshold") == "0.90000"

    assert gateway.metrics[f"{METRICS}.shadow.default.strong"] == 10


def test_three_tiers(gateway: Gateway) -> None:
    tiers = [
        {"name": "strong", "fraction": 0.2},
        {"name": "middle", "fraction": 0.3},
        {"name": "weak"},
    ]
    gateway.load(NAME, {"tiers": tiers})
    draw = random.Random(2)

    counts = Counter(seen(measured(gateway, draw.random()), "x-ai-tier") for _ in range(300))
    named = measured(gateway, 0.5, "router-complexity-0.7,0.4")

    assert counts["strong"] == pytest.approx(60, abs=6)
    assert counts["middle"] == pytest.approx(90, abs=9)
    assert seen(named, "x-ai-tier") == "middle"
    assert seen(named, "x-ai-threshold") == "0.70000,0.40000"


def test_several_pairs(gateway: Gateway) -> None:
    pairs = [
        {"name": "default"},
        {
            "name": "coding",
            "tiers": [{"name": "coder"}, {"name": "typist"}],
            "scorer": "words",
            "threshold": {"mode": "fixed", "value": 0.5},
        },
    ]
    gateway.load(NAME, {"pairs": pairs})

    by_name = measured(gateway, 0.9, "auto-coding")
    by_router = measured(gateway, 0.9, "router-coding-complexity-0.5")

    assert seen(by_name, "x-ai-tier") == "typist"
    assert seen(by_name, "x-ai-requested-model") == "auto"
    assert seen(by_router, "x-ai-tier") == "coder"


def test_the_model_itself_where_there_is_no_router(gateway: Gateway) -> None:
    tiers = [
        {"name": "strong", "model": "claude-sonnet"},
        {"name": "weak", "model": "our-own", "prices_nano_usd_per_token": {"input": 1, "output": 2}},
    ]
    gateway.load(NAME, {"tiers": tiers, "hand_over": "model"})

    strong = measured(gateway, 0.9, "router-complexity-0.5")
    weak = measured(gateway, 0.1, "router-complexity-0.5")

    assert strong.upstream is not None
    assert weak.upstream is not None
    assert seen(strong, "x-higress-llm-model") == seen(strong, "x-ai-model") == "claude-sonnet"
    assert seen(strong, "x-ai-provider") == seen(strong, "x-ai-cluster") == "anthropic"
    assert weak.upstream.json() == chat(model="our-own")
    assert seen(weak, "x-ai-requested-model") == "our-own"
    assert seen(weak, "x-ai-provider") is None


def test_forged_signals_are_removed_where_nobody_else_does(gateway: Gateway) -> None:
    gateway.load(NAME, {"trust_signals": False, "threshold": {"mode": "fixed", "value": 0.5}})
    forged = MEASURED | {"x-ai-tier": "strong", "x-ai-anything": "1", "x-ai-complexity": "1.0"}

    routed = gateway.post(CHAT, headers=forged, json=chat("hi"))
    passed = gateway.get("/v1/models", headers=forged)

    assert seen(routed, "x-ai-tier") == "weak"
    assert seen(routed, "x-ai-anything") is None
    assert seen(passed, "x-ai-tier") is None


def test_a_request_that_cannot_be_read_goes_to_the_strongest_tier(gateway: Gateway) -> None:
    gateway.load(NAME, {"scorer": "words", "max_body_bytes": 50})

    exchange = gateway.post(CHAT, headers=MEASURED, json=chat("x" * 100))

    assert seen(exchange, "x-ai-tier") == "strong"
    assert seen(exchange, "x-ai-score") is None
    assert gateway.metrics[f"{METRICS}.unscored"] == 1


def test_a_body_that_is_called_compressed_is_not_read_whatever_it_is(gateway: Gateway) -> None:
    gateway.load(NAME, {"scorer": "words"})

    exchange = gateway.post(CHAT, headers=MEASURED | {"content-encoding": "gzip"}, json=chat())

    assert seen(exchange, "x-ai-tier") == "strong"
    assert gateway.metrics[f"{METRICS}.unscored"] == 1


def test_a_client_that_debugs_sees_the_score(gateway: Gateway) -> None:
    gateway.load(NAME)

    debugged = measured(gateway, 0.7, "router-complexity-0.5", **{"x-ai-debug": "true"})
    other = measured(gateway, 0.7, "router-complexity-0.5")

    assert debugged.reply.headers["x-ai-score"] == "0.70000"
    assert debugged.reply.headers["x-ai-tier"] == "strong"
    assert "x-ai-score" not in other.reply.headers


SERVICE = {
    "scorer": "mf",
    "scorers": [
        {"name": "mf", "type": "service", "cluster": "routellm", "fallback": "words", "timeout_ms": 50},
    ],
    "threshold": {"mode": "fixed", "value": 0.5},
}


def test_a_service_scores(gateway: Gateway) -> None:
    service = gateway.cluster("routellm")
    service.respond(json={"score": 0.123456})
    gateway.load(NAME, SERVICE)

    exchange = measured(gateway, 0.9, "router-mf-0.11593")

    assert seen(exchange, "x-ai-score") == "0.12346"
    assert seen(exchange, "x-ai-tier") == "strong"
    [asked] = exchange.callouts
    assert (asked.method, asked.path) == ("POST", "/score")
    assert asked.json() == {"prompt": "Why?"}


def test_the_body_is_rewritten_after_a_service_has_answered(gateway: Gateway) -> None:
    gateway.cluster("routellm").respond(json={"score": 0.9})
    gateway.load(NAME, SERVICE)

    exchange = gateway.post(CHAT, json=chat("Why?", "router-mf-0.5", max_tokens=9))

    assert exchange.upstream is not None
    assert exchange.upstream.json() == chat("Why?", "auto", max_tokens=9)
    assert seen(exchange, "x-ai-tier") == "strong"


@pytest.mark.parametrize("body", [b"", b"[]", b'{"score": "high"}', b'{"score": 1.5}', b'{"score": true}'])
def test_where_it_fails_another_scorer_stands_in(gateway: Gateway, body: bytes) -> None:
    service = gateway.cluster("routellm")
    service.respond(status=200, body=body)
    gateway.load(NAME, SERVICE)

    exchange = measured(gateway, 0.9)

    assert seen(exchange, "x-ai-score") == "0.00990"
    assert gateway.metrics[f"{METRICS}.service_failed"] == 1
    assert gateway.metrics[f"{METRICS}.requests.default.words.weak"] == 1


def test_a_service_that_fails_is_left_alone_for_a_moment(gateway: Gateway) -> None:
    service = gateway.cluster("routellm")
    service.respond(status=503)
    gateway.load(NAME, SERVICE)

    assert len(measured(gateway, 0.9).callouts) == 1
    assert len(measured(gateway, 0.9).callouts) == 0
    gateway.advance(1.1)
    assert len(measured(gateway, 0.9).callouts) == 1
    assert gateway.metrics[f"{METRICS}.service_skipped"] == 1


def test_a_service_that_is_late_is_not_waited_for(gateway: Gateway) -> None:
    gateway.cluster("routellm").hold()
    gateway.load(NAME, SERVICE)

    exchange = measured(gateway, 0.9)
    assert not exchange.has_reply
    gateway.advance(0.06)

    assert seen(exchange, "x-ai-tier") == "weak"


def test_scores_of_who_stands_in_are_remembered_apart(gateway: Gateway) -> None:
    gateway.cluster("routellm").respond(status=503)
    gateway.load(NAME, SERVICE | {"threshold": {"target_strong_fraction": 0.5}})

    measured(gateway, 0.9)

    assert set(gateway.shared_data) == {"tuner/default/words"}


def test_the_gauges(gateway: Gateway) -> None:
    gateway.load(
        NAME,
        {
            "tiers": [
                {
                    "name": "strong",
                    "prices_nano_usd_per_token": {"input": 1000, "output": 0},
                    "quality": 0.9,
                },
                {"name": "weak", "prices_nano_usd_per_token": {"input": 100, "output": 0}, "quality": 0.7},
            ],
            "threshold": {"target_strong_fraction": 0.25},
        },
    )
    for _ in range(40):
        measured(gateway, 0.5)
    gateway.advance(1.1)

    metrics = gateway.metrics
    strong = metrics[f"{METRICS}.requests.default.complexity.strong"]
    weak = metrics[f"{METRICS}.requests.default.complexity.weak"]
    assert strong + weak == 40
    assert metrics[f"{METRICS}.estimated_cost_nano_usd.default"] == 100 * (strong * 1000 + weak * 100)
    assert metrics[f"{METRICS}.estimated_strong_cost_nano_usd.default"] == 100 * 40 * 1000
    assert metrics[f"{METRICS}.saving_ppm.default"] == round(1_000_000 * saving(strong, weak, 1000, 100))
    assert metrics[f"{METRICS}.estimated_quality_ppm.default"] == (strong * 900_000 + weak * 700_000) // 40
    assert metrics[f"{METRICS}.threshold_ppm.default"] == pytest.approx(500_000, abs=10)
    assert 200_000 < metrics[f"{METRICS}.strong_share_ppm.default"] < 300_000
    assert metrics[f"{METRICS}.samples.default"] == 40


def test_a_saving_is_held(gateway: Gateway) -> None:
    tiers = [
        {"name": "strong", "prices_nano_usd_per_token": {"input": 1000, "output": 0}},
        {"name": "weak", "prices_nano_usd_per_token": {"input": 100, "output": 0}},
    ]
    gateway.load(NAME, {"tiers": tiers, "threshold": {"target_saving": 0.6}})
    draw = random.Random(3)
    for _ in range(300):
        complexity = draw.random()
        # Hard prompts are longer: holding the share of requests would not hold the saving.
        measured(gateway, complexity, **{"x-ai-prompt-tokens": str(int(100 + 900 * complexity))})
    gateway.advance(1.1)

    assert gateway.metrics[f"{METRICS}.saving_ppm.default"] == pytest.approx(600_000, abs=20_000)


def test_a_change_of_the_traffic_is_counted(gateway: Gateway) -> None:
    gateway.load(NAME)
    draw = random.Random(4)
    for _ in range(100):
        measured(gateway, draw.betavariate(2, 8))
    for _ in range(60):
        measured(gateway, draw.betavariate(8, 2))

    assert gateway.metrics[f"{METRICS}.drifts"] >= 1


def test_a_wrong_configuration_is_refused(gateway: Gateway) -> None:
    with pytest.raises(ConfigurationRefusedError):
        gateway.load(NAME, {"threshold": {"mode": "fixed"}})


def test_no_prompt_is_logged(gateway: Gateway) -> None:
    gateway.load(NAME, SERVICE)

    gateway.post(CHAT, json=chat("my secret"))
    gateway.post(CHAT, json=chat("my secret", "router-x-y"))

    assert not any("secret" in record.message for record in gateway.logs)


BY_WORTH = {
    "answer_worth_usd": "0.002",
    "tiers": [
        {
            "name": name,
            "prices_nano_usd_per_token": {"input": price, "output": price},
            "quality_model": {
                "buckets": 1,
                "weights": "AA==",
                "bias": bias,
                "dense": {"length": slope},
                "curve": [{"raw": 0, "score": 0}, {"raw": 1, "score": 1}],
            },
        }
        for name, price, bias, slope in (("large", 1000, 0.5, 0.5), ("small", 10, 0.75, -0.5))
    ],
}
"""The large tier is better at long prompts, and 400 tokens cost 0.000396 USD more there."""


@pytest.mark.parametrize("is_measured", [True, False])
def test_the_tier_of_most_worth(gateway: Gateway, is_measured: bool) -> None:
    gateway.load(NAME, BY_WORTH)
    headers = MEASURED if is_measured else {}

    short = gateway.post(CHAT, headers=headers, json=chat("Why?"))
    long = gateway.post(CHAT, headers={**headers, "x-ai-debug": "true"}, json=chat("word " * 1024))

    assert (seen(short, "x-ai-tier"), seen(long, "x-ai-tier")) == ("small", "large")
    assert (seen(long, "x-ai-score"), seen(long, "x-ai-threshold")) == ("1.00000", None)
    assert long.reply.headers["x-ai-tier"] == "large"
    assert gateway.metrics[f"{METRICS}.requests.default.worth.small"] == 1
    assert gateway.metrics[f"{METRICS}.requests.default.worth.large"] == 1


def test_what_is_unreadable_has_no_worth_and_goes_to_the_strongest_tier(gateway: Gateway) -> None:
    gateway.load(NAME, BY_WORTH)

    exchange = gateway.post(CHAT, headers={**MEASURED, "content-encoding": "gzip"}, body=b"\x1f\x8b")

    assert seen(exchange, "x-ai-tier") == "large"
    assert gateway.metrics[f"{METRICS}.unscored"] == 1


def test_a_named_threshold_decides_also_where_worth_does(gateway: Gateway) -> None:
    gateway.load(NAME, BY_WORTH)

    assert seen(measured(gateway, 0.7, "router-complexity-0.6"), "x-ai-tier") == "large"
    assert seen(measured(gateway, 0.7, "router-complexity-0.8"), "x-ai-tier") == "small"
