"""The record says what a decision was made from, and is enough to make it again."""

import json
from random import Random
from typing import Any, cast

import pytest

from ai_cost_optimal_router import Choice, Knowledge
from ai_cost_optimal_router.audit import replay
from ai_cost_optimal_router.router import headers
from aigateway.chat import Format, Need

from .models import NOW_S, a_latency, a_model, a_router, choose


def record_of(choice: Choice) -> dict[str, Any]:
    return cast(dict[str, Any], json.loads(json.dumps(choice.make_record(), allow_nan=False)))


def test_a_record_says_what_was_known_of_the_request() -> None:
    choice = choose(
        a_router(),
        prompt_tokens=1_000,
        max_tokens=200,
        needs=frozenset({Need.TOOLS, Need.JSON}),
        format=Format.CHAT,
        domain="code",
        latency="batch",
        complexity=0.25,
        tier="weak",
        requested_model="auto",
        consumer="alice",
        request_id="r1",
    )
    record = record_of(choice)

    assert record["request"] == {
        "id": "r1",
        "requested_model": "auto",
        "prompt_tokens": 1_000,
        "max_tokens": 200,
        "domain": "code",
        "latency": "batch",
        "complexity": 0.25,
        "tier": "weak",
        "needs": ["json", "tools"],
        "format": "chat_completions",
        "time_s": NOW_S,
    }
    assert record["strategy"] == "cost_optimal"
    assert record["model"] == "openai/gpt-4.1-mini"
    assert record["fallbacks"] == ["moonshot/kimi", "anthropic/claude-haiku", "google/gemini-flash"]
    assert record["estimated_cost_usd"] == "0.00036"
    assert record["feasible"] == 4
    assert record["excluded"] == {"tier": 3}
    # Who asked is not in it: the access log says that, if anybody wants it to.
    assert "alice" not in json.dumps(record)


def test_a_record_says_what_spoke_for_each_candidate() -> None:
    known = Knowledge(
        latency={"openai": a_latency(800)}, expected_output={"general": {"openai/gpt-5.5": 512.0}}
    )

    (stage,) = record_of(choose(a_router(), known, lambda: 0.9, strategy="balanced"))["stages"]

    candidates = {candidate["model"]: candidate for candidate in stage["candidates"]}
    assert candidates["openai/gpt-5.5"] == {
        "model": "openai/gpt-5.5",
        "input_nano_usd": 6_000,
        "output_nano_usd": 18_000,
        "expected_output_tokens": 512,
        "quality": 0.97,
        "latency_ms": pytest.approx(800),
    }
    assert stage["order"] == "balanced"
    assert stage["terms"]["best_quality"] == 0.98


def test_replaying_uses_nothing_but_the_record() -> None:
    record = record_of(choose(a_router(), prompt_tokens=1_000))
    candidates = record["stages"][0]["candidates"]
    kimi = next(candidate for candidate in candidates if candidate["model"] == "moonshot/kimi")

    assert replay(record).model == "openai/gpt-4.1-mini"
    kimi["input_nano_usd"] = kimi["output_nano_usd"] = 1
    assert replay(record).model == "moonshot/kimi"
    assert replay(record).estimated_cost_nano_usd == 1_400


def test_scores_come_with_a_replay() -> None:
    record = record_of(choose(a_router(), strategy="quality_first", prompt_tokens=1_000, complexity=0.7))
    again = replay(record)

    # The favourites of the task come one by one, then all the others.
    assert [stage["order"] for stage in record["stages"]] == ["quality_first"] * 3
    assert again.scores[0] == {"anthropic/claude-sonnet": -0.98}


def test_the_arm_and_the_rule_are_in_the_record() -> None:
    arms = [{"name": "rules", "strategy": "rule_based"}]
    record = record_of(choose(a_router(ab={"arms": arms}), strategy="ab", consumer="x", domain="legal"))

    assert record["case"] == "rules/safety"
    assert 0 <= record["bucket"] < 1


def test_a_record_of_a_thousand_models_is_as_short_as_of_ten() -> None:
    models = [a_model(f"m{at}", provider=f"p{at % 20}", quality=0.75 + at / 10_000) for at in range(1_000)]
    router = a_router(*models)

    for strategy in ("cost_optimal", "balanced", "weighted", "bandit", "tiered"):
        record = choose(router, draw=Random(1).random, strategy=strategy).make_record()
        assert len(json.dumps(record)) < 6_000


def test_a_record_can_be_made_later() -> None:
    router = a_router()
    known = Knowledge(latency={"openai": a_latency(9_000), "google": a_latency(100)})
    for strategy in ("balanced", "latency_aware", "weighted", "least_requests"):
        choice = choose(router, known, lambda: 0.5, strategy=strategy)
        before = choice.make_record()
        for tokens in range(1, 400, 7):
            news = Knowledge(
                latency={"openai": a_latency(1 + tokens), "moonshot": a_latency(50)},
                expected_output={"general": {"openai/gpt-5.5": float(tokens)}},
            )
            router.begin(choose(router, news, lambda: 0.5, strategy=strategy, prompt_tokens=tokens).model.key)
        assert choice.make_record() == before


def test_a_record_of_something_unknown_is_refused() -> None:
    record = record_of(choose(a_router()))
    record["stages"][0]["order"] = "rule_based"

    with pytest.raises(ValueError, match="'rule_based' is no order"):
        replay(record)


def test_the_headers_of_a_choice() -> None:
    choice = choose(a_router(), prompt_tokens=1_000, domain="code")

    assert headers(choice) == {
        "x-ai-model": "gpt-4.1-mini",
        "x-ai-provider": "openai",
        "x-ai-cluster": "openai",
        "x-ai-fallbacks": "moonshot/kimi,anthropic/claude-haiku,google/gemini-flash",
        "x-ai-strategy": "cost_optimal",
        "x-ai-reason": "cost_optimal: gpt-4.1-mini cheapest of 6; excluded latency: 1",
        "x-ai-estimated-cost": "0.00052",
        "x-higress-llm-model": "gpt-4.1-mini",
    }
    # A model without fallbacks says so, so that none from outside is believed.
    assert headers(choose(a_router(), requested_model="kimi"))["x-ai-fallbacks"] == ""


def test_a_reason_of_any_length_fits_a_header() -> None:
    model = a_model("m" * 200, provider="p" * 100)

    reason = choose(a_router(model, quality_floor=0.99)).reason

    assert len(reason) <= 256
    long = choose(
        a_router(model, strategy="rule_based", rule_based={"rules": [{"name": "n" * 40, "when": {}}]})
    ).reason
    assert len(long) == 256
    assert long.endswith("...")
