"""Training the tuner's linear scorer from labelled pairs.

The model is ridge regression of the gain, strong minus weak quality, on what the scorer sees of a prompt:
hashed words and pairs of words, and a few measures. What nobody can know beforehand is how strongly to
regularise, so every recipe of a grid is tried by cross-validation inside the training rows, and the scorer is
their mean, weighted by how well they predict. With a few hundred labels the best recipe is best mostly by
luck; their mean is better than the one that looks best, and a mean of linear models is a linear model.

A recipe has

- alpha, the penalty on all weights;
- the scale of the measures other than length, which is how much less they are penalised than words;
- how much of each label is replaced by the mean gain of its domain, when pairs have one. The gain on a single
  prompt is nearly all noise, and that prompts of a domain are alike is most of what can be learnt. Means are
  shrunk towards the mean of all by `_DOMAIN_PRIOR` rows. The scorer never sees a domain.

Nothing of this looks at rows that are held out.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags, hstack
from sklearn.linear_model import LogisticRegression, Ridge

from ai_routellm_threshold_tuner.scorers.linear import MEASURES, LinearScorer, features

from .metrics import Floats, curve
from .pairs import Pairs

__all__ = [
    "BUCKETS",
    "GRID",
    "Learnt",
    "Recipe",
    "Seen",
    "Trained",
    "Weights",
    "learn",
    "quantised",
    "see",
    "train",
]

BUCKETS = 4_096
"""Weights of words, a byte each. More make no difference with a few thousand labels."""

FOLDS = 5

_DOMAIN_PRIOR = 10.0
_LENGTHS = frozenset({"short", "length"})
_LENGTH_SCALE = 0.2
"""Of the measures of length, always: that longer prompts are harder holds on everything we have seen."""

_TRUST = 0.25
"""How many rows of the likelihood a row counts for. With 1 the mean would be nearly the best recipe alone,
with 0 all would count alike. Found on the half of RouteLLM's prompts with an even hash."""

_CURVE_POINTS = 33
_CURVE_REACH = 8.0
"""Deviations from the mean score to which the curve goes."""
_LEAST_SLOPE = 0.25
"""Of the curve, in the logarithm of the odds per deviation. A scorer that found next to nothing would have
one flat curve, and four digits of a score would not tell prompts apart."""

_LARGEST_WEIGHT = 127


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One way to regularise."""

    alpha: float
    measure_scale: float
    domain_share: float


_ALPHAS = (3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0)

GRID = tuple(
    Recipe(alpha=alpha, measure_scale=scale, domain_share=share)
    for share, scale, alpha in product((0.0, 0.5, 1.0), (0.05, 0.1, 0.2), _ALPHAS)
)


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What the scorer sees of prompts: a row each of word buckets, normalised, and of measures."""

    words: csr_matrix
    measures: Floats

    def rows(self, numbers: NDArray[np.int64]) -> "Seen":
        """Select rows by number."""
        return Seen(self.words[numbers], self.measures[numbers])


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """A linear model of what is seen of a prompt."""

    words: Floats
    measures: Floats
    bias: float

    def raw(self, seen: Seen) -> Floats:
        """Predict."""
        return np.asarray(seen.words @ self.words + seen.measures @ self.measures + self.bias)

    def scaled(self, factor: float, added: float) -> "Weights":
        """Give the model that predicts *factor* times as much, and *added* more."""
        return Weights(factor * self.words, factor * self.measures, factor * self.bias + added)

    def unit(self) -> float:
        """Give what one step of a word's weight is worth when it has a byte."""
        return float(np.abs(self.words).max()) / _LARGEST_WEIGHT or 1.0

    def rounded(self) -> "Weights":
        """Give the model that a scorer with a byte per word has."""
        return Weights(np.rint(self.words / self.unit()) * self.unit(), self.measures, self.bias)


@dataclass(frozen=True, slots=True, eq=False)
class Learnt:
    """Weights, whose predictions are in no particular unit."""

    weights: Weights
    predicted: Floats
    """What weights that were learnt from the other folds predict of each row."""
    shares: Mapping[Recipe, float]
    """How much each recipe has to say; all together 1."""


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """What is learnt from."""

    targets: Floats
    domains: NDArray[np.int64] | None
    """Numbers of domains, from 0."""
    seen: Seen

    def select(self, numbers: NDArray[np.int64]) -> "_Rows":
        return _Rows(
            self.targets[numbers],
            None if self.domains is None else self.domains[numbers],
            self.seen.rows(numbers),
        )

    def smoothed(self, share: float) -> Floats:
        """Give the targets, a *share* of each replaced by the shrunk mean of its domain."""
        if not share or self.domains is None:
            return self.targets
        counts, sums = np.bincount(self.domains), np.bincount(self.domains, self.targets)
        means = (sums + _DOMAIN_PRIOR * self.targets.mean()) / (counts + _DOMAIN_PRIOR)
        return np.asarray((1 - share) * self.targets + share * means[self.domains])


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A scorer, and what is known of it without having looked at rows held out."""

    scorer: LinearScorer
    shares: Mapping[Recipe, float]
    """How much each recipe has to say; all together 1."""
    cross_validated_apgr: float

    def artifact(self, **about: Mapping[str, object]) -> dict[str, object]:
        """Give the JSON object that the tuner reads, with objects *about* the training beside the weights."""
        return self.scorer.to_json() | about


def see(prompts: Sequence[str], progress: Callable[[Sequence[str]], Iterator[str]] = iter) -> Seen:
    """Turn prompts into what the scorer sees, with the very code that does so in the gateway."""
    numbers: list[frozenset[int]] = []
    measures: list[tuple[float, ...]] = []
    for prompt in progress(prompts):
        found, measured = features(prompt)
        numbers.append(found)
        measures.append(measured)
    counts = np.array([len(found) for found in numbers])
    ends = np.concatenate([[0], np.cumsum(counts)])
    columns = np.array([number % BUCKETS for found in numbers for number in found], dtype=np.int64)
    words = csr_matrix((np.ones(columns.size), columns, ends), shape=(len(prompts), BUCKETS))
    words.sum_duplicates()
    return Seen(csr_matrix(diags(1 / np.sqrt(np.maximum(counts, 1))) @ words), np.array(measures))


def train(
    pairs: Pairs,
    seen: Seen,
    generator: np.random.Generator,
    progress: Callable[[Sequence[Recipe]], Iterator[Recipe]] = iter,
) -> Trained:
    """Train a scorer on all *pairs*, of which *seen* is what the scorer sees.

    Raises ValueError if there is nothing to learn: fewer rows than folds, or the same model best everywhere.
    """
    if len(pairs) < FOLDS:
        raise ValueError(f"expected at least {FOLDS} rows, got {len(pairs)}")
    if np.unique(pairs.strong > pairs.weak).size < 2:
        raise ValueError("expected rows on which the strong model is better and others, got only one kind")
    learnt = learn(pairs.strong - pairs.weak, seen, generator, domains=pairs.domains, progress=progress)
    return Trained(
        scorer=quantised(learnt.weights, _score_curve(learnt.predicted, pairs)),
        shares=learnt.shares,
        cross_validated_apgr=curve(learnt.predicted, pairs.weak, pairs.strong).apgr(),
    )


def learn(
    targets: Floats,
    seen: Seen,
    generator: np.random.Generator,
    *,
    domains: Sequence[str] | None = None,
    progress: Callable[[Sequence[Recipe]], Iterator[Recipe]] = iter,
) -> Learnt:
    """Learn to predict numbers, one for each prompt, from what the scorer sees of it."""
    numbers = None if domains is None else np.unique(np.array(domains), return_inverse=True)[1]
    rows = _Rows(targets, numbers, seen)
    folds = [np.sort(fold) for fold in np.array_split(generator.permutation(targets.size), FOLDS)]
    recipes = [recipe for recipe in GRID if domains is not None or not recipe.domain_share]
    predicted = np.array([_out_of_fold(rows, recipe, folds) for recipe in progress(recipes)])
    shares = _shares(predicted, targets)
    # Strong penalties give small numbers; in units of its own deviation each recipe says the same amount.
    deviations = predicted.std(axis=1)
    factors = np.divide(shares, deviations, out=np.zeros_like(shares), where=deviations > 1e-9)
    fitted = [_fit(rows, recipe) for recipe in recipes]
    mean = Weights(
        factors @ np.array([weights.words for weights in fitted]),
        factors @ np.array([weights.measures for weights in fitted]),
        float(factors @ np.array([weights.bias for weights in fitted])),
    )
    return Learnt(mean, factors @ predicted, dict(zip(recipes, map(float, shares), strict=True)))


def _shares(predicted: Floats, gains: Floats) -> Floats:
    """Weigh recipes by the likelihood of the gains under their predictions, with Gaussian errors."""
    squared = ((predicted - gains) ** 2).mean(axis=1)
    log_likelihoods = -_TRUST * gains.size * squared / (2 * max(squared.min(), 1e-12))
    shares = np.exp(log_likelihoods - log_likelihoods.max())
    return np.asarray(shares / shares.sum())


def _out_of_fold(rows: "_Rows", recipe: Recipe, folds: Sequence[NDArray[np.int64]]) -> Floats:
    """Predict each row with weights that were learnt from the other folds."""
    predicted = np.empty(rows.targets.size)
    for fold in folds:
        others = np.setdiff1d(np.arange(rows.targets.size), fold)
        predicted[fold] = _fit(rows.select(others), recipe).raw(rows.seen.rows(fold))
    return predicted


def _fit(rows: "_Rows", recipe: Recipe) -> Weights:
    seen = rows.seen
    scales = np.array([_LENGTH_SCALE if name in _LENGTHS else recipe.measure_scale for name in MEASURES])
    means, deviations = seen.measures.mean(axis=0), seen.measures.std(axis=0)
    # A measure that never changes in training says nothing, and must not blow up where it does change.
    factors = np.divide(scales, deviations, out=np.zeros_like(scales), where=deviations > 1e-6)
    inputs = hstack([seen.words, csr_matrix((seen.measures - means) * factors)]).tocsr()
    model = Ridge(alpha=recipe.alpha, solver="sparse_cg", tol=1e-5)
    model.fit(inputs, rows.smoothed(recipe.domain_share))
    found = np.asarray(model.coef_)
    measures = found[BUCKETS:] * factors
    return Weights(found[:BUCKETS], measures, float(model.intercept_ - means @ measures))


def _score_curve(raw: Floats, pairs: Pairs) -> tuple[tuple[float, float], ...]:
    """Give points of the curve that makes of a raw value the probability that only the strong model is right.

    It is logistic regression on rows that were not trained on. Between points the tuner interpolates; they
    reach so far beyond what was seen that no two prompts are at an end together.
    """
    centre, deviation = float(raw.mean()), float(raw.std()) or 1.0
    model = LogisticRegression()
    model.fit(((raw - centre) / deviation)[:, None], pairs.strong > pairs.weak)
    slope, bias = max(float(model.coef_[0, 0]), _LEAST_SLOPE), float(model.intercept_[0])
    places = np.linspace(-_CURVE_REACH, _CURVE_REACH, _CURVE_POINTS)
    scores = 1 / (1 + np.exp(-(slope * places + bias)))
    return tuple(
        (centre + deviation * float(place), round(float(score), 9))
        for place, score in zip(places, scores, strict=True)
    )


def quantised(weights: Weights, points: tuple[tuple[float, float], ...] = ()) -> LinearScorer:
    """Make a scorer of weights, those of words rounded to a byte each."""
    return LinearScorer(
        scale=weights.unit(),
        bias=weights.bias,
        weights=(np.rint(weights.words / weights.unit()) + _LARGEST_WEIGHT + 1).astype(np.uint8).tobytes(),
        dense=tuple(map(float, weights.measures)),
        curve=points,
    )
