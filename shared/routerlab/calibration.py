"""Finding the threshold that sends a share of one's own traffic to the strong model, or costs so much.

A request goes to the strong model when its score is at least the threshold, so all requests with the same
score go together. Thresholds are therefore tried between different scores only, and what is reported is the
share that a threshold really gives, not the one that was asked for. (A quantile, which RouteLLM's calibration
takes, overshoots on ties: with half of all scores equal it may send half of the traffic too much.)
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import yaml
from numpy.typing import NDArray

from .files import LabError
from .metrics import Floats

__all__ = ["Calibration", "Costs", "Point", "calibrate", "write_calibration"]

SHARES = tuple(step / 20 for step in range(21))


@dataclass(frozen=True, slots=True, eq=False)
class Costs:
    """What each request costs with either model, in USD."""

    strong: Floats
    weak: Floats

    @classmethod
    def of_tokens(
        cls,
        prompt_tokens: Floats,
        output_tokens: Floats,
        *,
        strong: tuple[float, float],
        weak: tuple[float, float],
    ) -> "Costs":
        """Price requests; *strong* and *weak* are USD per million tokens of input and output.

        An unknown number of tokens counts as the mean of the known ones.
        """
        found = []
        for tokens in (prompt_tokens, output_tokens):
            known = tokens[np.isfinite(tokens)]
            if not known.size:
                raise LabError("costs need the numbers of input and output tokens, and no request has them")
            found.append(np.where(np.isfinite(tokens), tokens, known.mean()))
        inputs, outputs = found
        return cls(
            (inputs * strong[0] + outputs * strong[1]) / 1e6, (inputs * weak[0] + outputs * weak[1]) / 1e6
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A threshold, and what it does to the traffic it was found on."""

    threshold: float
    strong_fraction: float
    mean_cost_usd: float | None = None
    saving: float | None = None
    """The share that is saved of what it costs to send everything to the strong model."""
    quality: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The point that was asked for, and others from all over the range."""

    scorer: str
    requests: int
    chosen: Point
    points: tuple[Point, ...]
    largest_tie: float
    """The share of requests that have one and the same score: no threshold can divide them."""


@dataclass(frozen=True, slots=True, eq=False)
class _Candidates:
    """All thresholds that make a difference, highest first; the first sends nothing to the strong model."""

    thresholds: Floats
    strong_fractions: Floats
    mean_costs: Floats | None
    qualities: Floats | None

    def at(self, number: int) -> Point:
        costs, qualities = self.mean_costs, self.qualities
        return Point(
            threshold=float(self.thresholds[number]),
            strong_fraction=float(self.strong_fractions[number]),
            mean_cost_usd=None if costs is None else float(costs[number]),
            saving=None if costs is None else float(1 - costs[number] / costs[-1]),
            quality=None if qualities is None else float(qualities[number]),
        )

    def nearest(self, strong_fraction: float) -> int:
        return int(np.abs(self.strong_fractions - strong_fraction).argmin())

    def dearest_within(self, usd: float) -> int:
        """Find the largest share of strong requests that costs no more than *usd* on average."""
        assert self.mean_costs is not None
        affordable = np.flatnonzero(self.mean_costs <= usd * (1 + 1e-9))
        if not affordable.size:
            least = self.mean_costs.min()
            raise LabError(f"a request costs at least {least:.3g} USD on average, got a target of {usd:.3g}")
        return int(affordable[-1])


def calibrate(
    scorer: str,
    scores: Floats,
    *,
    strong_fraction: float | None = None,
    cost_usd: float | None = None,
    saving: float | None = None,
    costs: Costs | None = None,
    qualities: tuple[Floats, Floats] | None = None,
) -> Calibration:
    """Find the threshold for one target: a share of requests, USD per request, or the share of cost saved.

    The share is met as nearly as ties allow. A cost is never exceeded. *qualities* are those of the weak and
    the strong model's answers, where they are known.
    """
    if sum(target is not None for target in (strong_fraction, cost_usd, saving)) != 1:
        raise LabError("expected one target: a strong fraction, a cost per request, or a saving")
    if strong_fraction is None and costs is None:
        raise LabError("a target of money needs the prices of both models")
    candidates = _candidates(scores, costs, qualities)
    if strong_fraction is not None:
        number = candidates.nearest(strong_fraction)
    else:
        assert costs is not None
        allowed = cost_usd if saving is None else (1 - saving) * float(costs.strong.mean())
        assert allowed is not None
        number = candidates.dearest_within(allowed)
    _, counts = np.unique(scores, return_counts=True)
    spread = {candidates.nearest(share) for share in SHARES} | {number}
    return Calibration(
        scorer=scorer,
        requests=scores.size,
        chosen=candidates.at(number),
        points=tuple(candidates.at(each) for each in sorted(spread)),
        largest_tie=float(counts.max() / scores.size),
    )


def write_calibration(found: Calibration, about: Iterable[str]) -> str:
    """Write YAML that stands under `calibration` in the tuner's configuration; *about* becomes comments."""
    points = []
    for point in found.points:
        entry = {"strong_fraction": round(point.strong_fraction, 6), "threshold": point.threshold}
        points.append(entry if point.quality is None else entry | {"quality": round(point.quality, 6)})
    content = {"calibration": {"scorer": found.scorer, "points": points}}
    comments = "".join(f"# {line}\n" for line in about)
    return comments + yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def _candidates(scores: Floats, costs: Costs | None, qualities: tuple[Floats, Floats] | None) -> _Candidates:
    different, members = np.unique(-scores, return_counts=True)
    descending = -different
    counts = np.concatenate([[0], np.cumsum(members)])
    order = np.argsort(-scores, kind="stable")
    edges = [float(edge) for edge in (1.0, *descending, -np.inf)]
    thresholds = [_shortest(low, high) for high, low in pairwise(edges)]
    if descending[0] >= 1:
        # Nobody can be kept from a threshold of 1, the highest there is, with a score of 1.
        thresholds, counts = thresholds[1:], counts[1:]
    return _Candidates(
        np.array(thresholds),
        counts / scores.size,
        None if costs is None else _means(costs.weak, costs.strong, order, counts),
        None if qualities is None else _means(*qualities, order, counts),
    )


def _means(weak: Floats, strong: Floats, order: NDArray[np.int64], counts: NDArray[np.int64]) -> Floats:
    """Give the mean over all requests if the first *counts* of them, in this *order*, are strong."""
    gained = np.concatenate([[0.0], np.cumsum((strong - weak)[order])])
    return np.asarray(weak.mean() + gained[counts] / weak.size)


def _shortest(low: float, high: float) -> float:
    """Give the number with the fewest digits that is above *low* and at most *high*."""
    for digits in range(17):
        shorter = math.floor(high * 10.0**digits) / 10.0**digits
        if low < shorter <= high:
            return shorter
    return high
