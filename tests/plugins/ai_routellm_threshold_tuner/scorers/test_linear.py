"""The linear scorer: exact sums, artifacts, and what is refused."""

import base64
import random
from fractions import Fraction
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_routellm_threshold_tuner.scorers.linear import MEASURES, LinearScorer, features
from aigateway.config import ConfigError

BUCKETS = 256


def artifact(**changes: object) -> dict[str, object]:
    draw = random.Random(1)
    return {
        "version": 1,
        "buckets": BUCKETS,
        "scale": 0.01,
        "bias": -0.25,
        "weights": base64.b64encode(draw.randbytes(BUCKETS)).decode(),
        "dense": {name: draw.uniform(-1, 1) for name in MEASURES},
        **changes,
    }


def weights_of(model: dict[str, object]) -> list[int]:
    signed = base64.b64decode(str(model["weights"]))
    return [byte - 256 if byte > 127 else byte for byte in signed]


@given(st.text(max_size=200))
def test_the_score_is_what_the_formula_says(text: str) -> None:
    model = artifact()
    scorer = LinearScorer.from_json(model)
    weights, dense = weights_of(model), model["dense"]
    assert isinstance(dense, dict)
    numbers, measures = features(text)

    total = sum(weights[number % BUCKETS] for number in numbers)
    raw = -0.25 + (0.01 * total / sqrt(len(numbers)) if numbers else 0)
    raw += sum(dense[name] * value for name, value in zip(MEASURES, measures, strict=True))

    assert scorer.raw(text) == pytest.approx(raw)
    assert scorer.score(text) == pytest.approx(0.5 + raw / (2 + 2 * abs(raw)))


@given(st.text())
def test_everything_is_from_0_to_1(text: str) -> None:
    _, measures = features(text)

    assert len(measures) == len(MEASURES)
    assert all(0 <= measure <= 1 for measure in measures)
    assert 0 <= LinearScorer.from_json(artifact(scale=1000)).score(text) <= 1


@given(st.text(max_size=100))
def test_an_artifact_can_be_written_and_read(text: str) -> None:
    curve = [{"raw": -1, "score": 0.1}, {"raw": 0.5, "score": 0.8}]
    scorer = LinearScorer.from_json(artifact(curve=curve))
    again = LinearScorer.from_json(scorer.to_json())

    assert again == scorer
    assert again.score(text) == scorer.score(text)


def test_a_word_counts_once_however_often_it_is_there() -> None:
    once, _ = features("to be or not")
    often, _ = features("to be or not to be or not to be or not")

    assert len(once) == 7, "four words and three pairs"
    assert often - once == features("not to")[0] - once, "nothing new but the pair where it begins again"


def test_what_is_said_of_the_training_is_no_problem() -> None:
    scorer = LinearScorer.from_json(artifact(trained_on={"rows": 1500}, metrics={"apgr": 0.63}))

    assert scorer == LinearScorer.from_json(artifact())


@pytest.mark.parametrize(
    ("bias", "score"), [(-9, 0.1), (-1, 0.1), (0, 0.3), (0.5, 0.4), (1, 0.5), (2, 0.9), (3, 0.9)]
)
def test_a_curve_says_what_raw_values_are_worth(bias: float, score: float) -> None:
    curve = [{"raw": -1, "score": 0.1}, {"raw": 1, "score": 0.5}, {"raw": 2, "score": 0.9}]
    scorer = LinearScorer.from_json(artifact(bias=bias, dense={}, curve=curve))

    assert Fraction(scorer.score("")).limit_denominator(1000) == Fraction(str(score))


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("word " * 50, "short", 0.5),
        ("word " * 1024, "length", 1.0),
        ("一二三四五六七八九十" * 33, "short", 0.2),
        ("a b a b", "repetition", 0.5),
        ("ABCD", "capitals", 1.0),
        ("12ab", "digits", 0.5),
        ("Why? How?", "questions", 2 / 3),
        ("a\nb\nc", "lines", 0.2),
        ("中文", "unspaced", 1.0),
        ("été", "other_scripts", 2 / 3),
        ("{;}", "code", 3 / 11),
    ],
)
def test_measures(text: str, name: str, value: float) -> None:
    _, measures = features(text)

    assert measures[MEASURES.index(name)] == pytest.approx(value, rel=0.01)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"version": 2}, "version: expected 1, the version of these features, got the number 2"),
        ({"buckets": 100}, "buckets: expected a power of two, got the number 100"),
        ({"buckets": 131072}, "buckets: expected a whole number from 1 to 65536, got the number 131072"),
        ({"weights": "AA"}, "weights: expected base64 of a byte per bucket, got the string 'AA'"),
        (
            {"weights": "AAAA"},
            "weights: expected 256 bytes in base64, one per bucket, got the string '3 bytes'",
        ),
        ({"dense": {"lenght": 1}}, "dense.lenght: unknown key, did you mean 'length'?"),
        ({"scale": float("inf")}, "scale: expected a number of at least 0, got the number inf"),
        (
            {"curve": [{"raw": 1, "score": 0.5}, {"raw": 1, "score": 0.6}]},
            "curve[1].raw: expected more than 1.0, that of the point before, got the number 1.0",
        ),
        (
            {"curve": [{"raw": 1, "score": 0.5}, {"raw": 2, "score": 0.4}]},
            "curve[1].score: expected at least 0.5, that of the point before, got the number 0.4",
        ),
    ],
)
def test_what_is_no_artifact(changes: dict[str, object], problem: str) -> None:
    with pytest.raises(ConfigError) as refused:
        LinearScorer.from_json(artifact(**changes))

    assert problem in [str(one) for one in refused.value.problems]
