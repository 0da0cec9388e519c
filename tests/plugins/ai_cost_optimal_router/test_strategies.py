"""Each strategy by examples, and each formula against its plain form."""

from random import Random
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ai_cost_optimal_router import Config, Knowledge, Router
from ai_cost_optimal_router.strategies import STRATEGIES
from aigateway.catalog import DEFAULT_CATALOG, Catalog
from aigateway.chat import Need

from .models import NOW_S, a_latency, a_model, a_router, choose, names, never

DEFAULT = a_router()
SPEEDS = Knowledge(
    latency={
        "openai": a_latency(3_000),
        "anthropic": a_latency(1_000),
        "google": a_latency(2_000),
        "moonshot": a_latency(500),
    }
)


@pytest.mark.parametrize(
    ("situation", "expected"),
    [
        ({"prompt_tokens": 1_000}, ["gpt-4.1-mini", "kimi", "claude-haiku", "gemini-flash"]),
        ({"prompt_tokens": 1_000, "domain": "medical"}, ["claude-sonnet", "gpt-5.5"]),
        (
            {"prompt_tokens": 1_000, "domain": "legal", "latency": "batch"},
            ["gemini-pro", "claude-sonnet", "gpt-5.5"],
        ),
        ({"needs": frozenset({Need.AUDIO})}, ["gemini-flash"]),
        (
            {"needs": frozenset({Need.VISION})},
            ["gpt-4.1-mini", "claude-haiku", "gemini-flash", "claude-sonnet"],
        ),
        ({"tier": "strong"}, ["claude-sonnet", "gpt-5.5"]),
    ],
)
def test_cost_optimal(situation: dict[str, Any], expected: list[str]) -> None:
    assert names(choose(DEFAULT, strategy="cost_optimal", **situation)) == expected


def test_the_estimate_is_input_and_expected_output_at_their_prices() -> None:
    router = a_router(a_model("m", input=100, output=400), expected_output_tokens={"otherwise": 300})

    assert choose(router, prompt_tokens=1_000).estimated_cost_nano_usd == 1_000 * 100 + 300 * 400
    assert choose(router, prompt_tokens=1_000, max_tokens=50).estimated_cost_nano_usd == 100_000 + 50 * 400
    assert choose(router, prompt_tokens=1_000, max_tokens=900).estimated_cost_nano_usd == 100_000 + 300 * 400


def test_the_length_of_prompt_and_answer_decide_who_is_the_cheapest() -> None:
    router = a_router(a_model("reader", input=10, output=1_000), a_model("writer", input=100, output=100))

    assert choose(router, prompt_tokens=100_000 - 2_000).model.name == "reader"
    assert choose(router, prompt_tokens=100).model.name == "writer"
    assert choose(router, prompt_tokens=100, max_tokens=5).model.name == "reader"


def test_what_was_learnt_of_lengths_decides_who_is_the_cheapest() -> None:
    router = a_router(a_model("terse", input=100, output=500), a_model("wordy", input=100, output=400))
    learnt = Knowledge(expected_output={"code": {"p/terse": 200.0, "p/wordy": 900.0}})

    assert choose(router, learnt, domain="general").model.name == "wordy"
    assert choose(router, learnt, domain="code").model.name == "terse"


def test_what_was_learnt_of_others_stands_for_a_model_of_which_nothing_was() -> None:
    router = a_router(a_model("m", input=0, output=1))
    learnt = Knowledge(expected_output={"general": {"q/n": 10.0, "*": 2_048.0}})

    assert choose(router, learnt).estimated_cost_nano_usd == 2_048
    assert choose(router, learnt, domain="code").estimated_cost_nano_usd == 400


def test_equal_costs_go_to_the_better_model_and_then_to_the_first() -> None:
    router = a_router(
        a_model("worse", quality=0.8),
        a_model("first", quality=0.9),
        a_model("second", quality=0.9),
    )

    assert names(choose(router)) == ["first", "second", "worse"]


def test_balanced_weighs_quality_cost_and_latency() -> None:
    without = choose(DEFAULT, strategy="balanced", prompt_tokens=1_000)
    with_news = choose(DEFAULT, SPEEDS, strategy="balanced", prompt_tokens=1_000)

    assert without.model.name == "gpt-4.1-mini"
    assert with_news.model.name == "kimi"


@given(
    seed=st.integers(0, 2**32),
    size=st.integers(1, 60),
    weights=st.tuples(*[st.floats(0.01, 5)] * 3),
)
def test_balanced_is_the_weighted_mean_of_normalised_shares(
    seed: int, size: int, weights: tuple[float, float, float]
) -> None:
    random = Random(seed)
    catalog = Catalog(
        a_model(
            f"m{number}",
            provider=f"p{random.randrange(5)}",
            input=random.randrange(1, 10_000),
            output=random.randrange(1, 30_000),
            quality=random.uniform(0.72, 1),
        )
        for number in range(size)
    )
    by_quality, by_cost, by_latency = weights
    config = Config.from_json(
        {"balanced": {"weights": {"quality": by_quality, "cost": by_cost, "latency": by_latency}}}
    )
    speeds = {f"p{number}": a_latency(random.uniform(100, 5_000)) for number in range(5)}
    tokens, limit = random.randrange(1, 50_000), random.choice((None, random.randrange(1, 800)))

    def share(value: float, values: list[float]) -> float:
        return 1 - (value - min(values)) / ((max(values) - min(values)) or 1)

    costs = [float(m.prices.input * tokens + m.prices.output * min(limit or 400, 400)) for m in catalog]
    waits = [speeds[m.provider].p95_ms for m in catalog]
    best = max(m.quality for m in catalog)
    scores = {
        m.name: (
            by_quality * m.quality / best + by_cost * share(cost, costs) + by_latency * share(wait, waits)
        )
        / sum(weights)
        for m, cost, wait in zip(catalog, costs, waits, strict=True)
    }
    ranked = sorted(scores.values(), reverse=True)
    assume(size == 1 or ranked[0] - ranked[1] > 1e-5)

    router = Router(Config(catalog=catalog, strategies=config.strategies))
    choice = choose(
        router, Knowledge(latency=speeds), strategy="balanced", prompt_tokens=tokens, max_tokens=limit
    )

    assert choice.model.name == max(scores, key=scores.__getitem__)


@given(seed=st.integers(0, 2**32), size=st.integers(1, 60))
def test_latency_aware_is_the_least_of_wait_and_missing_quality_and_cost(seed: int, size: int) -> None:
    random = Random(seed)
    catalog = Catalog(
        a_model(
            f"m{number}",
            provider=f"p{random.randrange(5)}",
            input=random.randrange(1, 100_000),
            output=random.randrange(1, 300_000),
            quality=random.uniform(0.72, 1),
        )
        for number in range(size)
    )
    speeds = {f"p{number}": a_latency(random.uniform(100, 1_000)) for number in range(5)}
    tokens = random.randrange(1, 50_000)
    points = {
        m.name: speeds[m.provider].p95_ms
        + (1 - m.quality) * 1_000
        + (m.prices.input * tokens + m.prices.output * 400) / 1e9 * 1_000
        for m in catalog
    }
    ranked = sorted(points.values())
    assume(size == 1 or ranked[1] - ranked[0] > 1e-4)

    router = Router(Config(catalog=catalog))
    choice = choose(router, Knowledge(latency=speeds), strategy="latency_aware", prompt_tokens=tokens)

    assert choice.model.name == min(points, key=points.__getitem__)


def test_the_weights_of_latency_aware_can_be_set() -> None:
    settings = {"latency_aware": {"weights": {"latency": 0, "quality": 0, "cost": 1}}}

    choice = choose(a_router(**settings), SPEEDS, strategy="latency_aware")

    assert names(choice) == names(choose(DEFAULT, strategy="cost_optimal"))


@pytest.mark.parametrize(
    ("situation", "expected"),
    [
        ({"domain": "medical", "complexity": 0.1}, "rule_based safety: claude-sonnet"),
        ({"domain": "legal", "complexity": 0.9}, "rule_based safety: claude-sonnet"),
        ({"domain": "code", "complexity": 0.55}, "rule_based frontier: gpt-5.5"),
        ({"domain": "code", "complexity": 0.54}, "rule_based otherwise: gpt-4.1-mini"),
        ({"domain": "code", "complexity": 0.35}, "rule_based flash: gemini-flash"),
        ({"complexity": 0.35}, "rule_based flash: gemini-flash"),
        ({"complexity": 0.35, "latency": "batch"}, "rule_based otherwise: gpt-4.1-mini"),
        ({"complexity": 0.36}, "rule_based otherwise: gpt-4.1-mini"),
    ],
)
def test_rule_based(situation: dict[str, Any], expected: str) -> None:
    choice = choose(DEFAULT, strategy="rule_based", prompt_tokens=1_000, **situation)

    assert choice.reason.startswith(f"{expected} ")


@pytest.mark.parametrize(
    ("situation", "expected"),
    [
        ({"complexity": 0.5}, "kimi"),
        ({"complexity": 0.2}, "gemini-flash"),
        ({"complexity": 0.5, "domain": "legal"}, "claude-sonnet"),
    ],
)
def test_the_rule_for_a_requested_model_comes_after_the_others(
    situation: dict[str, Any], expected: str
) -> None:
    router = a_router(on_explicit_model="override", strategy="rule_based")

    assert choose(router, requested_model="kimi", **situation).model.name == expected


def test_rules_are_configuration() -> None:
    router = a_router(
        strategy="rule_based",
        rule_based={
            "rules": [
                {
                    "name": "pictures",
                    "when": {"needs": ["vision", "audio"], "prompt_tokens_at_least": 10},
                    "models": ["google/*"],
                    "then": "cost_optimal",
                },
                {"name": "vip", "when": {"consumers": ["alice"]}, "tier": "strong", "then": "quality_first"},
                {"name": "weak", "when": {"tier": "weak", "latency": "batch"}, "models": ["kimi"]},
            ],
            "otherwise": "cost_optimal",
        },
    )

    seen = choose(router, needs=frozenset({Need.VISION}), prompt_tokens=10)
    assert names(seen) == ["gemini-flash", "gpt-4.1-mini", "claude-haiku", "claude-sonnet"]
    assert choose(router, needs=frozenset({Need.VISION}), prompt_tokens=9).model.name == "gpt-4.1-mini"
    assert names(choose(router, consumer="alice"))[:2] == ["claude-sonnet", "gpt-5.5"]
    assert choose(router, tier="weak", latency="batch").model.name == "kimi"
    assert choose(router, tier="weak").model.name == "gpt-4.1-mini"


def test_a_rule_whose_favourite_must_not_be_taken_goes_on() -> None:
    router = a_router(strategy="rule_based", deny=["claude-sonnet"])

    choice = choose(router, domain="medical")

    assert choice.reason.startswith("rule_based safety: gpt-5.5 best quality of 1")


@pytest.mark.parametrize(
    ("situation", "expected"),
    [
        ({"complexity": 0.8}, "hard: claude-sonnet"),
        ({"complexity": 0.8, "domain": "code"}, "hard: claude-sonnet"),
        ({"complexity": 0.79, "domain": "code"}, "code: gpt-5.5"),
        ({"complexity": 0.4, "domain": "code"}, "code: gpt-5.5"),
        ({"complexity": 0.4}, "easy: kimi"),
        ({"complexity": 0.41}, "otherwise: gpt-4.1-mini"),
    ],
)
def test_classifier(situation: dict[str, Any], expected: str) -> None:
    choice = choose(DEFAULT, strategy="classifier", prompt_tokens=1_000, **situation)

    assert choice.reason.startswith(f"classifier {expected} ")


@pytest.mark.parametrize(
    ("situation", "expected"),
    [
        ({"needs": frozenset({Need.VISION}), "latency": "batch"}, "multimodal: gemini-pro"),
        ({"needs": frozenset({Need.VISION})}, "multimodal: gpt-5.5"),
        ({"prompt_tokens": 64_000, "latency": "batch"}, "long_context: gemini-pro"),
        ({"domain": "code"}, "coding: claude-sonnet"),
        ({"complexity": 0.6}, "analysis: claude-sonnet"),
        ({"complexity": 0.2}, "fast_response: gpt-4.1-mini"),
        ({"complexity": 0.5}, "otherwise: claude-sonnet"),
    ],
)
def test_quality_first(situation: dict[str, Any], expected: str) -> None:
    choice = choose(DEFAULT, strategy="quality_first", **situation)

    assert choice.reason.startswith(f"quality_first {expected} ")


def test_quality_first_without_favourites_is_the_order_of_quality() -> None:
    router = a_router(quality_first={"tasks": [{"name": "any", "then": "quality_first"}]})

    choice = choose(router, strategy="quality_first")

    assert names(choice) == ["claude-sonnet", "gpt-5.5", "gemini-flash", "kimi"]


@pytest.mark.parametrize(
    ("situation", "expected"),
    [
        ({"complexity": 0.34}, "cheap: gpt-4.1-mini"),
        ({"complexity": 0.35}, "balanced: gemini-flash"),
        ({"complexity": 0.65}, "premium: claude-sonnet"),
        # No tier below premium has a model for medicine, so the choice goes upwards.
        ({"complexity": 0.1, "domain": "medical"}, "cheap: claude-sonnet"),
        # None of premium hears, so it goes down after all.
        ({"complexity": 0.9, "needs": frozenset({Need.AUDIO})}, "premium: gemini-flash"),
    ],
)
def test_tiered(situation: dict[str, Any], expected: str) -> None:
    choice = choose(DEFAULT, strategy="tiered", prompt_tokens=1_000, **situation)

    assert choice.reason.startswith(f"tiered {expected} ")


def test_the_fallbacks_of_a_tier_go_upwards() -> None:
    choice = choose(DEFAULT, strategy="tiered", prompt_tokens=1_000, complexity=0.4)

    assert names(choice) == ["gemini-flash", "claude-sonnet", "gpt-5.5", "kimi"]


def test_tiers_are_configuration() -> None:
    tiers = [
        {"name": "low", "up_to_usd_per_million_tokens": 0.4, "complexity_below": 0.5},
        {"name": "high"},
    ]
    router = a_router(strategy="tiered", tiered={"tiers": tiers, "within": "quality_first"})

    # (3 * 0.2 + 0.8) / 4 = 0.35 dollars per million tokens
    assert choose(router, complexity=0.4).reason.startswith("tiered low: gpt-4.1-mini ")
    assert choose(router, complexity=0.5).reason.startswith("tiered high: claude-sonnet ")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_chooses_from_the_default_catalog(strategy: str) -> None:
    choice = choose(DEFAULT, SPEEDS, Random(1).random, strategy=strategy, now_s=NOW_S)

    assert choice.strategy == strategy
    assert choice.reason.startswith(f"{strategy}")
    assert choice.model in DEFAULT_CATALOG.models
    assert len(choice.fallbacks) == 3


@pytest.mark.parametrize("strategy", [name for name in STRATEGIES if name != "bandit"])
def test_where_chance_has_no_part_no_random_number_is_drawn(strategy: str) -> None:
    assert choose(DEFAULT, SPEEDS, never, strategy=strategy).strategy == strategy
