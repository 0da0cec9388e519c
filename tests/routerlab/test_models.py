import json
import math
from itertools import combinations_with_replacement
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerlab import plots
from routerlab.files import FileError
from routerlab.models import (
    Comparison,
    ModelScores,
    Point,
    best_thresholds,
    compare_models,
    mixing,
    model_rows,
    price_of,
    read_model_scores,
)

TOPICS = {
    "law": "statute court verdict appeal",
    "code": "python loop array compile",
    "art": "paint canvas brush hue",
}


def made_scores(rows: int = 600) -> ModelScores:
    """Make models: a dear one good at all, cheap ones good at one topic each, and one good at nothing."""
    generator = np.random.default_rng(0)
    topics = generator.choice(list(TOPICS), rows)
    prompts = [
        " ".join(generator.choice([*TOPICS[topic].split(), "some", "words", "of", "all"], 12))
        for topic in topics
    ]
    good = np.column_stack(
        [
            np.full(rows, 0.8),
            *(np.where(topics == topic, 0.8, 0.2) for topic in ("law", "code")),
            np.full(rows, 0.1),
        ]
    )
    qualities = (generator.random(good.shape) < good).astype(float)
    return ModelScores(
        prompts, ("dear", "jurist", "coder", "dull"), qualities, np.array([1.0, 0.1, 0.1, 0.5])
    )


@pytest.fixture(scope="module")
def compared() -> Comparison:
    data = made_scores()
    return Comparison.mean([compare_models(data, np.random.default_rng(seed)) for seed in range(2)])


def test_a_score_for_each_model_is_as_good_as_the_best_for_much_less(compared: Comparison) -> None:
    best = compared.singles["dear"]

    assert compared.best_single() == "dear"
    assert price_of(compared.score_each, best.quality - 0.03) < 0.6 * best.price
    assert compared.chosen_score_each["jurist"].quality > compared.singles["jurist"].quality + 0.1
    assert compared.chosen_score_each["jurist"].price <= 0.101


def test_the_tuner_decides_as_was_computed(compared: Comparison) -> None:
    """Points of the tuner, which weighs nano-USD, are among those computed from prices and lambdas."""
    found = compare_models(made_scores(), np.random.default_rng(0))

    assert set(found.chosen_score_each.values()) <= set(found.score_each)
    assert len(set(found.chosen_score_each.values())) > 1


def test_one_score_is_above_mixing_by_lot(compared: Comparison) -> None:
    above = [point.quality - mixing(compared.singles.values(), point.price) for point in compared.one_score]

    assert np.mean(above) > 0.01


def test_nobody_is_better_than_the_oracle(compared: Comparison) -> None:
    for routed, known in zip(compared.score_each, compared.oracle, strict=True):
        assert routed.quality <= known.quality
    assert compared.oracle[0].quality > compared.singles["dear"].quality


def test_the_table_and_the_picture_have_every_model(compared: Comparison, tmp_path: Path) -> None:
    table = list(model_rows(compared))
    picture = plots.svg(plots.draw_models(compared))

    assert [row[0] for row in table[1:3]] == ["dear", "dull"]
    assert sorted(row[0] for row in table[3:]) == ["coder", "jurist"]
    assert all(name in picture for name in compared.singles)


def test_what_is_learnt_is_measured_on_other_questions() -> None:
    # Qualities that follow nothing: with a look at the measured ones, routing would beat every model.
    generator = np.random.default_rng(1)
    prompts = [" ".join(generator.choice(list("abcdefghij"), 8)) for _ in range(500)]
    data = ModelScores(prompts, ("a", "b", "c"), generator.random((500, 3)), np.array([1.0, 1.0, 1.0]))

    found = compare_models(data, generator)

    assert found.chosen_score_each["a"].quality < 0.56


def test_models_that_are_always_or_never_right() -> None:
    data = made_scores(200)
    data.qualities[:, 0], data.qualities[:, 3] = 1, 0

    found = compare_models(data, np.random.default_rng(0))

    assert found.score_each[0].quality == 1
    assert found.singles["dull"].quality == 0


def test_mixing_is_the_upper_hull() -> None:
    models = [Point(1, 0.5), Point(2, 0.4), Point(3, 0.9), Point(4, 0.6)]

    assert [mixing(models, price) for price in (1, 2, 3, 3.5)] == pytest.approx([0.5, 0.7, 0.9, 0.9])
    assert math.isnan(mixing(models, 0.5))


def test_the_price_of_a_quality_is_on_the_line_between_points() -> None:
    points = [Point(3, 0.8), Point(1, 0.4), Point(2, 0.6)]

    assert price_of(points, 0.7) == pytest.approx(2.5)
    assert price_of(points, 0.3) == 1
    assert math.isnan(price_of(points, 0.9))


@given(
    st.integers(1, 9).flatmap(
        lambda count: st.tuples(
            st.lists(st.sampled_from([0.1, 0.2, 0.3, 0.4, 0.5]), min_size=count, max_size=count),
            st.lists(st.lists(st.integers(-5, 5), min_size=3, max_size=3), min_size=count, max_size=count),
        )
    )
)
def test_thresholds_are_the_best_there_are(drawn: tuple[list[float], list[list[int]]]) -> None:
    scores, values = np.array(drawn[0]), np.array(drawn[1], dtype=float)

    def total(thresholds: np.ndarray) -> float:
        tiers = np.searchsorted(thresholds, scores, side="right")
        return float(values[np.arange(scores.size), tiers].sum())

    edges = [-np.inf, 0.15, 0.25, 0.35, 0.45, np.inf]
    best = max(total(np.array(pair)) for pair in combinations_with_replacement(edges, 2))

    found = best_thresholds(scores, values)

    assert total(found) == best
    assert found[0] <= found[1]


def write(folder: Path, scores: object, prices: object) -> tuple[Path, Path]:
    paths = folder / "scores.json", folder / "prices.json"
    for path, content in zip(paths, (scores, prices), strict=True):
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return paths


def test_reads_what_llmrouter_has(tmp_path: Path) -> None:
    scores = [{"question": "q", "scores": {"b": 1, "a": 0.5}, "cluster_id": 1}]
    prices = {
        "a": {"input_price": 1, "output_price": 3},
        "b": {"input_price": 0.1, "output_price": 0.1},
        "c": {},
    }

    found = read_model_scores(*write(tmp_path, scores, prices))

    assert (found.prompts, found.models) == (["q"], ("a", "b"))
    assert (found.qualities.tolist(), found.prices.tolist()) == ([[0.5, 1]], [2, 0.1])


@pytest.mark.parametrize(
    ("scores", "prices", "expected"),
    [
        ("{", {}, "scores.json:1: column 2: expected JSON"),
        ({}, {}, "expected a list of questions, got an object"),
        ([{"question": "", "scores": {"a": 1}}], {}, "[0].question: expected a text, got an empty text"),
        (
            [{"question": "q", "scores": {"a": 1}}, {"question": "q", "scores": {"b": 1}}],
            {},
            "[1].scores: expected scores of 1 models, got an object",
        ),
        ([{"question": "q", "scores": {"a": 2}}], {}, "[0].scores: expected numbers from 0 to 1"),
        (
            [{"question": "q", "scores": {"a": 1}}],
            {"a": {"input_price": 0, "output_price": 1}},
            "prices.json: a: expected an input_price and an output_price above 0, got an object",
        ),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, scores: object, prices: object, expected: str) -> None:
    with pytest.raises(FileError) as caught:
        read_model_scores(*write(tmp_path, scores, prices))

    assert expected in str(caught.value)
