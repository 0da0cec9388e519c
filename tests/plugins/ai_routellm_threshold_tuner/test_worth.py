"""Tiers that are chosen by what their answers are worth."""

import base64
import random
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_routellm_threshold_tuner import Config, Prompt, Tuner
from ai_routellm_threshold_tuner.scorers.linear import MEASURES, LinearScorer
from ai_routellm_threshold_tuner.scorers.qualities import QualityModels
from ai_routellm_threshold_tuner.worth import Worth
from aigateway.config import ConfigError

IDENTITY = [{"raw": 0, "score": 0}, {"raw": 1, "score": 1}]


def model(seed: int, buckets: int = 64) -> dict[str, object]:
    """Make a model of random weights, the largest and the smallest among them."""
    draw = random.Random(seed)
    return {
        "version": 1,
        "buckets": buckets,
        "scale": 0.003,
        "bias": draw.uniform(0, 1),
        "weights": base64.b64encode(bytes([127, 128]) + draw.randbytes(buckets - 2)).decode(),
        "dense": {name: draw.uniform(-0.1, 0.1) for name in MEASURES},
        "curve": IDENTITY,
    }


def always(quality: float) -> dict[str, object]:
    """Make a model that predicts the same of every prompt."""
    return {"buckets": 1, "weights": "AA==", "bias": quality, "curve": IDENTITY}


def by_length(slope: float, bias: float) -> dict[str, object]:
    """Make a model that predicts more, or less, of longer prompts."""
    return {"buckets": 1, "weights": "AA==", "bias": bias, "dense": {"length": slope}, "curve": IDENTITY}


def tiers(*models: dict[str, object]) -> list[dict[str, object]]:
    """Make tiers of prices that fall by a factor of ten, from 1,000 nano-USD for a token."""
    return [
        {
            "name": f"t{number}",
            "quality_model": each,
            "prices_nano_usd_per_token": {"input": 1000 // 10**number, "output": 1000 // 10**number},
        }
        for number, each in enumerate(models)
    ]


def chosen(config: Mapping[str, object], text: str = "Why?", model: str = "auto", tokens: int = 100) -> str:
    verdict = Tuner(Config.from_json(config)).decide(Prompt(text=text), model=model, prompt_tokens=tokens)
    assert verdict is not None
    return verdict.tier.name


@given(st.text(max_size=300), st.lists(st.sampled_from([16, 64, 256]), min_size=1, max_size=9))
def test_models_together_say_what_each_says_alone(text: str, sizes: list[int]) -> None:
    models = [LinearScorer.from_json(model(seed, size)) for seed, size in enumerate(sizes)]

    assert QualityModels(models).of(text) == tuple(one.score(text) for one in models)


def test_sums_do_not_run_over_into_the_next_model() -> None:
    largest = LinearScorer(scale=1, bias=0, weights=bytes([255]), dense=(0.0,) * len(MEASURES))
    words = " ".join(f"word{number}" for number in range(600)) + "".join(map(chr, range(0x4E00, 0x5000)))

    assert QualityModels([largest] * 9).of(words) == (largest.score(words),) * 9


@pytest.mark.parametrize(
    ("worth_usd", "tier"), [("0.0001", "t2"), ("0.0002", "t1"), ("0.003", "t1"), ("0.01", "t0")]
)
def test_quality_is_weighed_against_cost(worth_usd: str, tier: str) -> None:
    """100 and 300 tokens cost 400,000, 40,000 and 4,000 nano-USD: steps pay off at 0.00018 and 0.0036 USD."""
    config = {"tiers": tiers(always(0.9), always(0.8), always(0.6)), "answer_worth_usd": worth_usd}

    assert chosen(config) == tier


def test_a_tier_may_be_best_at_some_prompts_only() -> None:
    config = {"tiers": tiers(by_length(0.8, 0.1), always(0.5)), "answer_worth_usd": 100}

    assert [chosen(config, "word " * words) for words in (5, 900)] == ["t1", "t0"]


def test_long_requests_cost_more() -> None:
    config = {"tiers": tiers(always(0.9), always(0.8)), "answer_worth_usd": "0.01"}

    assert [chosen(config, tokens=tokens) for tokens in (100, 10_000)] == ["t0", "t1"]


def test_a_named_threshold_still_decides() -> None:
    config = {"tiers": tiers(always(0.9), always(0.1)), "answer_worth_usd": 100}

    assert chosen(config, "Why?", "auto") == "t0"
    assert chosen(config, "Why?", "router-words-0.9") == "t1"


def test_pairs_have_worths_of_their_own() -> None:
    mine = {"name": "mine", "tiers": tiers(always(0.2), always(0.7)), "answer_worth_usd": 1}
    config = {"pairs": [{"name": "default"}, mine], "threshold": {"mode": "fixed", "value": 0}}

    assert [chosen(config, "Why?", model) for model in ("auto", "auto-mine")] == ["strong", "t1"]


def test_what_is_said_of_it() -> None:
    config = {"tiers": tiers(always(0.875), always(0.1)), "answer_worth_usd": 1}
    verdict = Tuner(Config.from_json(config)).decide(Prompt(text="Why?"))

    assert verdict is not None
    assert verdict.signals == {"x-ai-score": "0.87500", "x-ai-tier": "t0"}
    assert verdict.quality == 0.875


def test_of_equal_worth_the_first_counts() -> None:
    worth = Worth(100, QualityModels([LinearScorer.from_json(always(0.5))]))

    assert worth.choose((0.5, 0.6, 0.5), (10, 20, 10)) == 0


GOOD = tiers(always(0.9), always(0.1))


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        (
            {"tiers": GOOD},
            "answer_worth_usd: expected US dollars, as tiers have quality models, got nothing",
        ),
        (
            {"answer_worth_usd": 1},
            "tiers: expected a quality model of each, as answers have a worth, got nothing",
        ),
        (
            {"tiers": GOOD, "answer_worth_usd": 0},
            "answer_worth_usd: expected US dollars from 0.000000001 to 1000000000, with at most 9 decimals, "
            "got the number 0",
        ),
        (
            {"tiers": [GOOD[0], {**GOOD[1], "quality_model": None}], "answer_worth_usd": 1},
            "tiers[1].quality_model: expected a model, as answers have a worth, got nothing",
        ),
        (
            {"tiers": [GOOD[0], {**GOOD[1], "quality_model": {}}], "answer_worth_usd": 1},
            "tiers[1].quality_model.weights: expected 1 bytes in base64, one per bucket, "
            "got the string '0 bytes'",
        ),
        (
            {"tiers": [GOOD[0], {"name": "x", "quality_model": always(1)}], "answer_worth_usd": 1},
            "tiers[1].prices_nano_usd_per_token: expected prices, as answers have a worth, got nothing",
        ),
        (
            {"tiers": [{**GOOD[0], "fraction": 0.5}, GOOD[1]], "answer_worth_usd": 1},
            "tiers[0].fraction: expected nothing, as answers have a worth, got the number 0.5",
        ),
        (
            {"tiers": GOOD, "answer_worth_usd": 1, "threshold": {"target_strong_fraction": 0.5}},
            "threshold: expected nothing, as answers have a worth, got an object",
        ),
    ],
)
def test_what_is_refused(config: dict[str, object], problem: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Config.from_json(config)

    assert problem in [str(one) for one in refused.value.problems]
