"""The tuner as a library."""

import random

import pytest

from ai_routellm_threshold_tuner import Config, Prompt, Tuner, Verdict
from aigateway.refusals import InvalidRequestError


def tuner(**config: object) -> Tuner:
    return Tuner(Config.from_json({"scorer": "words", **config}))


def decided(tuner: Tuner, words: int, model: str | None = None, **more: object) -> Verdict:
    verdict = tuner.decide(Prompt(text="word " * words), model=model, **more)  # type: ignore[arg-type]
    assert verdict is not None
    return verdict


def test_a_named_threshold() -> None:
    verdict = decided(tuner(), 100, "router-words-0.5")

    assert verdict.signals == {"x-ai-score": "0.50000", "x-ai-threshold": "0.50000", "x-ai-tier": "strong"}
    assert verdict.learnt is None


def test_other_models_and_wrong_names() -> None:
    one = tuner()

    assert one.decide(Prompt(text="x"), model="gpt-5.5") is None
    with pytest.raises(InvalidRequestError):
        one.decide(Prompt(text="x"), model="router-words-")


def test_the_threshold_follows_the_traffic() -> None:
    one = tuner(threshold={"target_strong_fraction": 0.25})
    draw = random.Random(1)

    short = [decided(one, draw.randint(5, 50)).tier.name for _ in range(400)]
    long = [decided(one, draw.randint(200, 900)).tier.name for _ in range(400)]

    assert short.count("strong") == pytest.approx(100, abs=8)
    assert long.count("strong") == pytest.approx(100, abs=8)


def test_scopes_are_kept_apart() -> None:
    one = tuner(threshold={"target_strong_fraction": 0.5, "scope": "route_and_domain", "min_samples": 1})
    for _ in range(50):
        decided(one, 10, domain="general")
        decided(one, 500, domain="code")

    assert decided(one, 40, domain="general").tier.name == "strong"
    assert decided(one, 40, domain="code").tier.name == "weak"


def test_frozen_thresholds_apply_what_is_given_while_nothing_is_known() -> None:
    one = tuner(threshold={"mode": "frozen", "value": 0.5})

    assert [decided(one, words).tier.name for words in (99, 100)] == ["weak", "strong"]


def test_the_quality_to_expect() -> None:
    points = [
        {"strong_fraction": 0.0, "threshold": 1.0, "quality": 0.6},
        {"strong_fraction": 1.0, "threshold": 0.0, "quality": 0.8},
    ]
    calibrated = tuner(
        threshold={"target_strong_fraction": 0.5, "calibration": {"scorer": "words", "points": points}}
    )
    tiers = [{"name": "strong", "quality": 0.9}, {"name": "weak", "quality": 0.3}]

    assert decided(calibrated, 100).quality == pytest.approx(0.7, abs=0.01)
    assert decided(tuner(tiers=tiers), 100, "router-words-0.9").quality == 0.3


def test_the_initial_threshold_of_a_calibration_decides_at_first() -> None:
    points = [{"strong_fraction": 0.2, "threshold": 0.8}]
    one = tuner(
        threshold={"target_strong_fraction": 0.2, "calibration": {"scorer": "words", "points": points}}
    )

    assert [decided(one, words).tier.name for words in (399, 401)] == ["weak", "strong"]
