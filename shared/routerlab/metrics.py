"""How good a router between a weak and a strong model is, by the definitions of RouteLLM's evaluation.

A router gives each prompt a score; prompts with a score of at least the threshold go to the strong model.
Moving the threshold traces a curve of quality over the share of strong calls. Ong et al., "RouteLLM: Learning
to Route LLMs with Preference Data" (arXiv 2406.18665), section 2, define on it:

- PGR, performance gap recovered: where the quality lies between the weak model (0) and the strong one (1);
- APGR, the mean PGR over all shares of strong calls, 0.5 for chance; it exceeds 1 if the weak model knows
  much that the strong one does not and the router can tell;
- CPT(x), call-performance threshold: the least share of strong calls that recovers *x* of the gap.

RouteLLM's `evals/benchmarks.py` and `evaluate.py` compute them from 11 thresholds, the edges of the deciles
of the scores, with the trapezoidal rule and linear interpolation, and so do we. At the highest of them, which
is the highest score, nothing goes to the strong model.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Curve", "Floats", "Summary", "bootstrap_apgr", "curve", "oracle_scores", "summarise"]

Floats = NDArray[np.float64]

_DECILES = np.linspace(0, 1, 11)


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Quality by share of strong calls, one entry per threshold, in order of rising share."""

    thresholds: Floats
    strong_shares: Floats
    qualities: Floats
    weak_quality: float
    strong_quality: float

    @property
    def gaps_recovered(self) -> Floats:
        """The PGR at each threshold."""
        return (self.qualities - self.weak_quality) / (self.strong_quality - self.weak_quality)

    def apgr(self) -> float:
        """Give the mean PGR over all shares of strong calls; a constant score is worth 0.5, like chance."""
        width = self.strong_shares[-1] - self.strong_shares[0]
        return float(np.trapezoid(self.gaps_recovered, self.strong_shares) / width)

    def cpt(self, gap: float) -> float:
        """Give the least share of strong calls that recovers *gap*, or NaN if none does.

        Where quality rises with the share this is the `np.interp` of RouteLLM's evaluation. On a curve that
        also falls, np.interp is not defined, and the first crossing counts.
        """
        found = self.gaps_recovered
        reached = np.flatnonzero(found >= gap)
        if not reached.size:
            return float("nan")
        right = int(reached[0])
        if right == 0:
            return float(self.strong_shares[0])
        left = right - 1
        return float(
            np.interp(
                gap,
                [found[left], found[right]],
                [self.strong_shares[left], self.strong_shares[right]],
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The figures of one router: shares from 0 to 1, and how many different scores it gave."""

    cpt50: float
    cpt80: float
    apgr: float
    distinct_scores: int


def curve(scores: ArrayLike, weak: ArrayLike, strong: ArrayLike) -> Curve:
    """Trace quality over the share of strong calls at the deciles of *scores*.

    *weak* and *strong* are the quality of the two models' answers to each prompt, 1 for a right one. Equal
    deciles, which tied scores have, count once.

    Raises ValueError if the lengths differ, nothing is there, a value is not finite, or the strong model is
    not better than the weak one, so that there is no gap to recover.
    """
    score, low, high = (np.asarray(values, dtype=np.float64) for values in (scores, weak, strong))
    if not score.size == low.size == high.size:
        raise ValueError(f"expected as many scores as answers, got {score.size}, {low.size} and {high.size}")
    if not score.size:
        raise ValueError("expected at least one prompt, got none")
    if not (np.isfinite(score).all() and np.isfinite(low).all() and np.isfinite(high).all()):
        raise ValueError("expected finite numbers as scores and qualities")
    weak_quality, strong_quality = float(low.mean()), float(high.mean())
    if strong_quality <= weak_quality:
        found = f"{strong_quality:.4f} and {weak_quality:.4f}"
        raise ValueError(f"expected a strong model better than the weak one, got {found}")
    thresholds = np.unique(np.quantile(score, _DECILES))[::-1]
    if thresholds.size == 1:
        thresholds = np.repeat(thresholds, 2)
    # Once sorted, every threshold is a position: what is above it, and what that adds to the weak model.
    order = np.argsort(-score, kind="stable")
    gained = np.concatenate([[0.0], np.cumsum((high - low)[order])])
    counts = np.searchsorted(-score[order], -thresholds, side="right")
    counts[0] = 0
    return Curve(
        thresholds=thresholds,
        strong_shares=counts / score.size,
        qualities=weak_quality + gained[counts] / score.size,
        weak_quality=weak_quality,
        strong_quality=strong_quality,
    )


def summarise(scores: ArrayLike, weak: ArrayLike, strong: ArrayLike) -> Summary:
    """Give CPT(50), CPT(80) and APGR."""
    found = curve(scores, weak, strong)
    return Summary(
        cpt50=found.cpt(0.5),
        cpt80=found.cpt(0.8),
        apgr=found.apgr(),
        distinct_scores=int(np.unique(np.asarray(scores, dtype=np.float64)).size),
    )


def oracle_scores(weak: ArrayLike, strong: ArrayLike) -> Floats:
    """Score prompts by the answers themselves, which no router can know: the upper bound.

    Scores are distinct, so that every share of strong calls can be had.
    """
    gained = np.asarray(strong, dtype=np.float64) - np.asarray(weak, dtype=np.float64)
    ranks = np.empty(gained.size)
    ranks[np.argsort(gained, kind="stable")] = np.arange(gained.size)
    return ranks


def bootstrap_apgr(
    scores: Sequence[ArrayLike], weak: ArrayLike, strong: ArrayLike, *, generator: np.random.Generator
) -> list[float]:
    """Give the APGR of several routers on as many prompts, drawn from these with replacement.

    All routers get the same draw, so over many draws the differences say whether one router is better than
    another or only lucky with these prompts. A draw in which the strong model is not better is repeated.

    Raises ValueError, like `curve`, if it is not better on the prompts themselves.
    """
    low, high = np.asarray(weak, dtype=np.float64), np.asarray(strong, dtype=np.float64)
    if high.mean() <= low.mean():
        raise ValueError("expected a strong model better than the weak one")
    drawn = generator.integers(0, low.size, low.size)
    while high[drawn].mean() <= low[drawn].mean():
        drawn = generator.integers(0, low.size, low.size)
    return [curve(np.asarray(each)[drawn], low[drawn], high[drawn]).apgr() for each in scores]
