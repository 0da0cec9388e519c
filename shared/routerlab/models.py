"""Routing among many models: quality against price.

Prices are USD per million tokens, one number for each model, and the price of a way of routing is their mean
over all requests, as if all were equally long.

Two ways of routing are compared, and the tuner has both. *One score*: a linear scorer says how much better
the best model would be than the cheapest, and ordered thresholds divide the scores among the models that are
worth their price, those that no other beats at the same price or less. *A score each*: a linear scorer for
every model predicts its quality, and a request goes to the model with the most quality minus lambda times
price. It is the tuner itself that predicts, and that decides at the lambdas that are chosen.

Beside them: every single model; *mixing*, which is sending requests to single models by lot, whatever they
say, in the proportions that are best; and the oracle, which knows the answers.

What is learnt is learnt on one part of the questions; thresholds are set, and lambdas chosen, on a second;
all that is reported is measured on a third.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray

from ai_routellm_threshold_tuner import Config, Prompt, Tuner
from ai_routellm_threshold_tuner.scorers.linear import LinearScorer
from ai_routellm_threshold_tuner.scorers.qualities import QualityModels

from .files import Problems, describe, read_text
from .metrics import Floats
from .training import Seen, learn, quantised, see

__all__ = [
    "LAMBDAS",
    "MOST_MODELS",
    "Comparison",
    "ModelScores",
    "Point",
    "best_thresholds",
    "compare_models",
    "mixing",
    "model_rows",
    "price_of",
    "read_model_scores",
    "tuner_config",
]

LAMBDAS = (0.0, *(0.01 * 1.3**step for step in range(29)))
"""What a USD per million tokens is worth, in quality: from nothing to where only the cheapest is left."""

MOST_MODELS = 16
"""As many as the tuner has tiers."""

_TOKENS = 1_000
"""Of input, and as many of output, in each request: lambda is a matter of prices, the tuner's of costs."""
_LARGEST_WORTH_USD = 1e6
"""Of an answer, where lambda is 0 and price does not count."""

_SAME: tuple[tuple[float, float], ...] = ((0.0, 0.0), (1.0, 1.0))
"""The curve of a model that predicts qualities: what it says, from 0 to 1."""

LEARNING, CHOOSING = 0.6, 0.2
"""Parts of the questions to learn from, and to choose on; on the rest is measured."""


@dataclass(frozen=True, slots=True, eq=False)
class ModelScores:
    """Questions, and how well each model answered each, from 0 to 1."""

    prompts: Sequence[str]
    models: tuple[str, ...]
    qualities: Floats
    """A row for each prompt, a column for each model."""
    prices: Floats
    """USD per million tokens."""


@dataclass(frozen=True, slots=True)
class Point:
    """A way of routing: its mean price, and its mean quality."""

    price: float
    quality: float

    @classmethod
    def mean(cls, points: Sequence["Point"]) -> "Point":
        """Give the mean of both."""
        count = len(points)
        return cls(
            sum(point.price for point in points) / count, sum(point.quality for point in points) / count
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Comparison:
    """What was measured on questions that nothing was learnt from or chosen on."""

    singles: Mapping[str, Point]
    one_score: Sequence[Point]
    """One point for each of `LAMBDAS`."""
    score_each: Sequence[Point]
    oracle: Sequence[Point]
    chosen_one_score: Mapping[str, Point]
    """By single model: the best by the choosing part of what costs no more than the model does there."""
    chosen_score_each: Mapping[str, Point]
    """The same, decided by the tuner."""
    configs: Mapping[str, Mapping[str, object]]
    """The tuner's configurations that did so; of several comparisons, those of the first."""

    def best_single(self) -> str:
        """Name the single model with the most quality."""
        return max(self.singles, key=lambda name: self.singles[name].quality)

    @classmethod
    def mean(cls, comparisons: Sequence["Comparison"]) -> "Comparison":
        """Give the mean of comparisons on different parts of the same questions."""
        first = comparisons[0]

        def of_list(name: str) -> list[Point]:
            found: list[Sequence[Point]] = [getattr(each, name) for each in comparisons]
            return [Point.mean(points) for points in zip(*found, strict=True)]

        def of_models(name: str) -> dict[str, Point]:
            found: list[Mapping[str, Point]] = [getattr(each, name) for each in comparisons]
            return {model: Point.mean([points[model] for points in found]) for model in first.singles}

        return cls(
            singles=of_models("singles"),
            one_score=of_list("one_score"),
            score_each=of_list("score_each"),
            oracle=of_list("oracle"),
            chosen_one_score=of_models("chosen_one_score"),
            chosen_score_each=of_models("chosen_score_each"),
            configs=first.configs,
        )


def read_model_scores(scores: Path, prices: Path) -> ModelScores:
    """Read questions with scores, and prices, as LLMRouter has them in `data/`.

    *scores* is a list of `{"question": ..., "scores": {model: 0 to 1}}`, *prices* an object of
    `{"input_price": ..., "output_price": ...}` by model. The price of a model is the mean of both.

    Raises FileError with everything that is wrong in them.
    """
    problems = Problems(scores)
    listed = _json(scores, problems)
    if not isinstance(listed, list) or not listed:
        problems.add(0, "", "a list of questions", describe(listed))
    problems.finish()
    assert isinstance(listed, list)
    first = listed[0].get("scores") if isinstance(listed[0], dict) else None
    models = tuple(sorted(first)) if isinstance(first, dict) else ()
    if len(models) > MOST_MODELS:
        problems.add(0, "[0].scores", f"at most {MOST_MODELS} models", str(len(models)))
    prompts, qualities = [], []
    for number, entry in enumerate(listed):
        question = entry.get("question") if isinstance(entry, dict) else None
        found = entry.get("scores") if isinstance(entry, dict) else None
        if not isinstance(question, str) or not question:
            problems.add(0, f"[{number}].question", "a text", describe(question))
        elif not isinstance(found, dict) or tuple(sorted(found)) != models:
            problems.add(0, f"[{number}].scores", f"scores of {len(models)} models", describe(found))
        elif not all(_is_number(value) and 0 <= value <= 1 for value in found.values()):
            problems.add(0, f"[{number}].scores", "numbers from 0 to 1", "others")
        else:
            prompts.append(question)
            qualities.append([float(found[model]) for model in models])
    problems.finish()
    return ModelScores(prompts, models, np.array(qualities), _prices(prices, models))


def _prices(path: Path, models: Sequence[str]) -> Floats:
    problems = Problems(path)
    listed = _json(path, problems)
    found = []
    for model in models:
        entry = listed.get(model) if isinstance(listed, dict) else None
        both = [
            entry.get(key) if isinstance(entry, dict) else None for key in ("input_price", "output_price")
        ]
        numbers = [float(value) for value in both if _is_number(value) and value > 0]
        if len(numbers) < len(both):
            problems.add(0, model, "an input_price and an output_price above 0", describe(entry))
        found.append(sum(numbers) / 2)
    problems.finish()
    return np.array(found)


def _json(path: Path, problems: Problems) -> object:
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        problems.add(error.lineno, f"column {error.colno}", "JSON", f"an error: {error.msg}")
        return None


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def compare_models(
    data: ModelScores,
    generator: np.random.Generator,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
    seen: Seen | None = None,
) -> Comparison:
    """Learn, choose and measure, on three parts of the questions that are drawn anew."""
    seen = see(data.prompts) if seen is None else seen
    order = generator.permutation(len(data.prompts))
    ends = np.cumsum([round(LEARNING * order.size), round(CHOOSING * order.size)])
    learning, choosing, measuring = (np.sort(part) for part in np.split(order, ends))
    models = [
        _quality_model(data.qualities[learning, model], seen, learning, generator)
        for model in progress(range(len(data.models)))
    ]
    predict = QualityModels(models).of
    each = np.zeros(data.qualities.shape)
    for row in (*choosing, *measuring):
        each[row] = predict(data.prompts[row])
    tiers = _worth_their_price(data.qualities[learning].mean(axis=0), data.prices)
    gain = _predicted_gain(data, tiers, seen, learning, generator)

    def routed_by_one(value: float, part: NDArray[np.int64]) -> NDArray[np.int64]:
        thresholds = best_thresholds(
            gain[choosing], data.qualities[choosing][:, tiers] - value * data.prices[tiers]
        )
        return tiers[np.searchsorted(thresholds, gain[part], side="right")]

    def routed_by_each(value: float, part: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.asarray((each[part] - value * data.prices).argmax(axis=1))

    def oracle(value: float, part: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.asarray((data.qualities[part] - value * data.prices).argmax(axis=1))

    def points(
        route: Callable[[float, NDArray[np.int64]], NDArray[np.int64]], part: NDArray[np.int64]
    ) -> list[Point]:
        return [_point(data, route(value, part), part) for value in LAMBDAS]

    singles = {
        name: _point(data, np.full(measuring.size, model), measuring)
        for model, name in enumerate(data.models)
    }
    one_score, score_each = points(routed_by_one, measuring), points(routed_by_each, measuring)
    chosen = _chosen(points(routed_by_each, choosing), data)
    configs = {number: tuner_config(data, models, LAMBDAS[number]) for number in set(chosen.values())}
    by_tuner = {
        number: _point(data, _routed_by_tuner(data, config, measuring), measuring)
        for number, config in configs.items()
    }
    return Comparison(
        singles=singles,
        one_score=one_score,
        score_each=score_each,
        oracle=points(oracle, measuring),
        chosen_one_score={
            name: one_score[number] for name, number in _chosen(points(routed_by_one, choosing), data).items()
        },
        chosen_score_each={name: by_tuner[number] for name, number in chosen.items()},
        configs={name: configs[number] for name, number in chosen.items()},
    )


def tuner_config(data: ModelScores, models: Sequence[LinearScorer], value: float) -> dict[str, object]:
    """Give the tuner's configuration in which *models* predict qualities and *value* is lambda.

    Requests are taken to have a thousand tokens, and answers, too. The strongest tier, which gets what cannot
    be read, is that of the best model on average.
    """
    order = np.argsort(-data.qualities.mean(axis=0), kind="stable")
    worth_usd = min(_LARGEST_WORTH_USD, 2 * _TOKENS / 1e6 / value) if value else _LARGEST_WORTH_USD
    return {
        "answer_worth_usd": round(worth_usd, 9),
        "expected_output_tokens": _TOKENS,
        "tiers": [
            {
                "name": f"{re.sub('[^A-Za-z0-9]', '_', data.models[model])[:36]}_{model}",
                "model": data.models[model],
                "prices_nano_usd_per_token": dict.fromkeys(
                    ("input", "output"), round(1_000 * data.prices[model])
                ),
                "quality_model": models[model].to_json(),
            }
            for model in order
        ],
    }


def _routed_by_tuner(
    data: ModelScores, config: Mapping[str, object], rows: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Have the tuner decide, and give the numbers of the models."""
    tuner = Tuner(Config.from_json(config))
    numbers = {name: number for number, name in enumerate(data.models)}
    found = []
    for row in rows:
        verdict = tuner.decide(Prompt(text=data.prompts[row]), prompt_tokens=_TOKENS)
        assert verdict is not None
        assert verdict.tier.model is not None
        found.append(numbers[verdict.tier.model])
    return np.array(found)


def mixing(singles: Iterable[Point], price: float) -> float:
    """Give the most quality that sending requests to single models by lot has at a mean *price*.

    It is the upper hull of the single models; NaN below the cheapest.
    """
    models = list(singles)
    found = [model.quality for model in models if model.price <= price]
    for cheap in models:
        for dear in models:
            if cheap.price <= price < dear.price:
                share = (price - cheap.price) / (dear.price - cheap.price)
                found.append(cheap.quality + share * (dear.quality - cheap.quality))
    return max(found, default=math.nan)


def model_rows(found: Comparison) -> Iterator[tuple[str, ...]]:
    """Give a table: a header, and a row of text for each single model, dearest first."""
    yield ("model alone", "USD/M", "quality", "one score: USD/M", "quality", "a score each: USD/M", "quality")
    for name, single in sorted(found.singles.items(), key=lambda item: (-item[1].price, -item[1].quality)):
        points = (single, found.chosen_one_score[name], found.chosen_score_each[name])
        yield (name, *(cell for point in points for cell in (f"{point.price:.3f}", f"{point.quality:.2%}")))


def price_of(points: Iterable[Point], quality: float) -> float:
    """Give the least price at which points, joined by lines, reach a quality; NaN if none does."""
    ordered = sorted(points, key=lambda point: point.price)
    for left, right in pairwise(ordered):
        if left.quality >= quality:
            return left.price
        if right.quality >= quality:
            share = (quality - left.quality) / (right.quality - left.quality)
            return left.price + share * (right.price - left.price)
    return math.nan


def best_thresholds(scores: Floats, values: Floats) -> Floats:
    """Find the rising thresholds that divide *scores* among tiers so that the sum of *values* is largest.

    *values* has a row for each score and a column for each tier, in the order of the tiers. Exact, by dynamic
    programming over the sorted scores; equal scores are not divided.
    """
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    sums = np.vstack([np.zeros(values.shape[1]), np.cumsum(values[order], axis=0)])
    allowed = np.concatenate([[True], ordered[1:] > ordered[:-1], [True]])
    best, origins = sums[:, 0], []
    for tier in range(1, values.shape[1]):
        begun = np.where(allowed, best - sums[:, tier], -np.inf)
        highest = np.maximum.accumulate(begun)
        origins.append(np.maximum.accumulate(np.where(begun >= highest, np.arange(begun.size), 0)))
        best = highest + sums[:, tier]
    place, places = scores.size, []
    for origin in reversed(origins):
        place = int(origin[place])
        places.append(place)
    edges = np.concatenate([[-np.inf], (ordered[1:] + ordered[:-1]) / 2, [np.inf]])
    return np.asarray(edges[places[::-1]])


def _worth_their_price(qualities: Floats, prices: Floats) -> NDArray[np.int64]:
    """Give the models that no other beats at the same price or less, cheapest first."""
    found: list[int] = []
    for model in np.lexsort((-qualities, prices)):
        if not found or qualities[model] > qualities[found[-1]]:
            found.append(int(model))
    return np.array(found)


def _quality_model(
    qualities: Floats, seen: Seen, rows: NDArray[np.int64], generator: np.random.Generator
) -> LinearScorer:
    """Learn to predict a model's quality, with a byte per weight as in a gateway."""
    learnt = learn(qualities, seen.rows(rows), generator)
    # Predictions have no unit yet; the line that fits them best gives them that of quality.
    deviations, mean = learnt.predicted - learnt.predicted.mean(), qualities.mean()
    slope = float(deviations @ qualities / max(deviations @ deviations, 1e-12))
    added = float(mean - slope * learnt.predicted.mean())
    return quantised(learnt.weights.scaled(slope, added), _SAME)


def _predicted_gain(
    data: ModelScores,
    tiers: NDArray[np.int64],
    seen: Seen,
    rows: NDArray[np.int64],
    generator: np.random.Generator,
) -> Floats:
    """Learn how much better the dearest of the tiers is than the cheapest, and predict it on all rows."""
    gains = data.qualities[rows][:, tiers[-1]] - data.qualities[rows][:, tiers[0]]
    return learn(gains, seen.rows(rows), generator).weights.rounded().raw(seen)


def _point(data: ModelScores, routed: NDArray[np.int64], rows: NDArray[np.int64]) -> Point:
    return Point(float(data.prices[routed].mean()), float(data.qualities[rows, routed].mean()))


def _chosen(choosing: Sequence[Point], data: ModelScores) -> dict[str, int]:
    """Choose, for each model, the lambda that was best among those that cost no more than the model."""
    found = {}
    for name, price in zip(data.models, data.prices, strict=True):
        affordable = [number for number, point in enumerate(choosing) if point.price <= price + 1e-9]
        found[name] = max(affordable or [len(choosing) - 1], key=lambda number: choosing[number].quality)
    return found
