"""Comparing routers on labelled pairs."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .files import LabError
from .metrics import Curve, Floats, bootstrap_apgr, curve, oracle_scores
from .pairs import Pairs

__all__ = [
    "CONFIDENCE",
    "Evaluation",
    "Result",
    "Router",
    "evaluate",
    "figures",
    "headline",
    "rows",
    "text_table",
]

CONFIDENCE = 0.9
"""How often the true APGR is within the interval that is given."""

RANDOM_RUNS = 10
"""RouteLLM's evaluation takes the mean of ten runs of its random router."""


@dataclass(frozen=True, slots=True, eq=False)
class Router:
    """A name, and a score for each prompt."""

    name: str
    scores: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Result:
    """The figures of one router; shares from 0 to 1."""

    name: str
    cpt50: float
    cpt80: float
    apgr: float
    interval: tuple[float, float] | None
    """Where the APGR on other prompts of this kind would be, with `CONFIDENCE`; None if not asked for."""
    distinct_scores: int
    curve: Curve
    is_bound: bool = False
    """True for what is no router: chance, and knowing the answers."""


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """All routers on one set of pairs."""

    pairs: Pairs
    results: Sequence[Result]
    resampled: Mapping[str, Floats]
    """The APGR of each router on the same resamples of the prompts."""

    @property
    def weak_quality(self) -> float:
        """The mean quality of the weak model."""
        return float(self.pairs.weak.mean())

    @property
    def strong_quality(self) -> float:
        """The mean quality of the strong model."""
        return float(self.pairs.strong.mean())

    def result(self, name: str) -> Result:
        """Find a router's figures."""
        return next(result for result in self.results if result.name == name)

    def wins(self, name: str, other: str) -> float:
        """Give the share of resamples in which one router is better than another."""
        return float(np.mean(self.resampled[name] > self.resampled[other]))


def evaluate(
    pairs: Pairs,
    routers: Sequence[Router],
    *,
    resamples: int,
    generator: np.random.Generator,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> Evaluation:
    """Measure routers, and beside them chance and the oracle.

    Intervals are bootstrapped from *resamples* of the prompts, the same ones for every router; 0 gives none.
    Raises ValueError if there is no gap between the models.
    """
    names = [router.name for router in routers]
    if len(set(names)) < len(names):
        raise LabError(f"expected routers with different names, got {', '.join(names)}")
    oracle = _result(Router("oracle", oracle_scores(pairs.weak, pairs.strong)), pairs, None, is_bound=True)
    scores = [router.scores for router in routers]
    drawn = np.array(
        [
            bootstrap_apgr(scores, pairs.weak, pairs.strong, generator=generator)
            for _ in progress(range(resamples if routers else 0))
        ]
    ).reshape(-1, len(routers))
    found = [_result(router, pairs, _interval(drawn[:, column])) for column, router in enumerate(routers)]
    return Evaluation(
        pairs,
        [_random(pairs, generator), *found, oracle],
        {name: drawn[:, column] for column, name in enumerate(names)},
    )


def _interval(drawn: Floats) -> tuple[float, float] | None:
    if not drawn.size:
        return None
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def _result(
    router: Router, pairs: Pairs, interval: tuple[float, float] | None, *, is_bound: bool = False
) -> Result:
    traced = curve(router.scores, pairs.weak, pairs.strong)
    return Result(
        name=router.name,
        cpt50=traced.cpt(0.5),
        cpt80=traced.cpt(0.8),
        apgr=traced.apgr(),
        interval=interval,
        distinct_scores=int(np.unique(router.scores).size),
        curve=traced,
        is_bound=is_bound,
    )


def _random(pairs: Pairs, generator: np.random.Generator) -> Result:
    """Measure chance: the means of `RANDOM_RUNS` runs, and the curve of the first."""
    runs = [
        _result(Router("random", generator.random(len(pairs))), pairs, None, is_bound=True)
        for _ in range(RANDOM_RUNS)
    ]
    return Result(
        name="random",
        cpt50=float(np.mean([run.cpt50 for run in runs])),
        cpt80=float(np.mean([run.cpt80 for run in runs])),
        apgr=float(np.mean([run.apgr for run in runs])),
        interval=None,
        distinct_scores=runs[0].distinct_scores,
        curve=runs[0].curve,
        is_bound=True,
    )


def rows(evaluation: Evaluation) -> Iterator[tuple[str, ...]]:
    """Give a table: a header, and a row of text for each router."""
    yield ("router", "CPT(50)", "CPT(80)", "APGR", f"{CONFIDENCE:.0%} interval", "distinct scores")
    for result in evaluation.results:
        interval = "" if result.interval is None else "{:.3f} to {:.3f}".format(*result.interval)
        yield (
            result.name,
            f"{result.cpt50:.1%}",
            f"{result.cpt80:.1%}",
            f"{result.apgr:.3f}",
            interval,
            f"{result.distinct_scores:,}",
        )


def headline(evaluation: Evaluation) -> str:
    """Say what was measured on."""
    return (
        f"{len(evaluation.pairs):,} prompts, quality of the weak model {evaluation.weak_quality:.2%},"
        f" of the strong model {evaluation.strong_quality:.2%}"
    )


def figures(evaluation: Evaluation) -> dict[str, object]:
    """Give all figures and the points of all curves as JSON values; what does not exist is null."""
    return {
        "name": evaluation.pairs.name,
        "prompts": len(evaluation.pairs),
        "weak_quality": evaluation.weak_quality,
        "strong_quality": evaluation.strong_quality,
        "routers": [
            {
                "name": result.name,
                "cpt50": _known(result.cpt50),
                "cpt80": _known(result.cpt80),
                "apgr": result.apgr,
                "interval": result.interval,
                "distinct_scores": result.distinct_scores,
                "curve": [
                    {"threshold": threshold, "strong_share": share, "quality": quality}
                    for threshold, share, quality in zip(
                        result.curve.thresholds.tolist(),
                        result.curve.strong_shares.tolist(),
                        result.curve.qualities.tolist(),
                        strict=True,
                    )
                ],
            }
            for result in evaluation.results
        ],
    }


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def text_table(evaluation: Evaluation) -> str:
    """Write the table for a terminal."""
    return f"{evaluation.pairs.name}: {headline(evaluation)}\n{aligned(list(rows(evaluation)))}"


def aligned(table: Sequence[Sequence[str]]) -> str:
    """Write a table of texts with its columns below each other, the first to the left."""
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    lines = []
    for first, *others in table:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *cells]).rstrip())
    return "\n".join(lines)
