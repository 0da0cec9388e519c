"""Holding a target online: which tier a score gets, and what is remembered of it.

The law, for each boundary between two tiers:

- a request passes when the rank of its score in the window of recent ones is below the wanted share; so the
  threshold is a quantile of recent traffic, and of equal scores the right part passes;
- what passed too little or too much is a debt in requests, and the wanted share is the target plus `gain` for
  each request of debt. When that reaches 0 nothing passes, and at 1 everything. So, whatever the scores do,
  what has passed is never more than about 1 / `gain` requests away from the target;
- the threshold moves by no more than `max_step` per request;
- ranks are spread evenly for as long as the traffic stays as it is. When far more or fewer of the latest ones
  are below a quartile, or below the target, than should be, it has changed, and all but the last scores are
  forgotten.

Nothing here has a clock or draws random numbers. The part of equal scores that passes is chosen by the
multiples of the golden ratio, which are spread evenly, also over every second or third request.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Final

from .window import LEVELS, Window, level_of

__all__ = ["Decision", "Goal", "State", "TuningLimits", "tie_of"]

_GOLDEN: Final = 0x9E3779B1
"""2^32 divided by the golden ratio, whose multiples are spread more evenly than those of any other number
(Knuth, The Art of Computer Programming 3, section 6.4)."""

_QUARTILES: Final = (0.25, 0.5, 0.75)

_DRIFT_RATE: Final = 1 / 32
"""Weight of the newest request in the shares that are watched for drift."""
_DRIFT_DEVIATIONS: Final = 4.5
"""How many standard deviations such a share must be off. By chance that happens once in 100,000 requests."""
_DRIFT_LEAST: Final = 5 * _DRIFT_RATE
"""And at least so far: where next to nothing passes, a few in a row are still chance."""
_KEPT_AFTER_DRIFT: Final = 32

_SHARE_RATE: Final = 1 / 200
"""Weight of the newest request in the shares and costs that are reported."""

_LARGEST_DEBT: Final = 4
"""How many times the debt that stops everything is remembered: one huge request stops it for long enough."""

_VERSION: Final = 1
_HEAD: Final = struct.Struct("<BB8s4sII5d")
_BOUNDARY: Final = struct.Struct("<dddH")


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningLimits:
    """How fast and how far the threshold follows."""

    window_requests: int = 512
    """How many scores the threshold is a quantile of."""
    min_samples: int = 50
    """With fewer scores an initial threshold decides; without one, the right share of all requests passes."""
    gain: float = 0.03
    """By how much the wanted share changes for each request of debt."""
    max_step: float = 0.05
    """By how much the threshold moves from one request to the next at most."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What a request should do to a boundary: the share that should pass, and how the debt changes.

    For shares, a request adds `share` to the debt and takes 1 away if it passes. For money, it adds what the
    request may cost and takes away what it does, in units of what passing costs more on average.
    """

    share: float
    passed: float
    """By how much the debt changes if the request passes."""
    held: float
    """By how much it changes if the request does not."""

    @classmethod
    def of_share(cls, share: float) -> "Goal":
        """Pass this share of the requests."""
        return cls(share, share - 1, share)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What becomes of a request."""

    tier: int
    """The index of the tier, strongest first."""
    thresholds: tuple[int, ...]
    """The levels that were asked for, one per boundary, strongest first."""
    shares: tuple[float, ...] = ()
    """The recent share of requests that passed each boundary."""
    drifted: bool = False
    """Whether this request showed that the traffic has changed."""
    samples: int = 0
    """How many scores the thresholds come from."""


@dataclass(slots=True)
class _Boundary:
    """What is remembered of the boundary below a tier; shares are negative before the first request."""

    debt: float = 0.0
    """Requests that should have passed and did not."""
    watched: float = -1.0
    """Share of the latest ranks that were below the target."""
    share: float = -1.0
    """Share of the latest requests that passed."""
    threshold: int = LEVELS
    """The latest threshold, as a level."""


def tie_of(count: int) -> float:
    """Give the *count*th of a sequence of numbers in [0, 1) that is spread evenly."""
    return (count * _GOLDEN & 0xFFFFFFFF) / 2**32


class State:
    """What all workers know of one kind of traffic."""

    __slots__ = (
        "_boundaries",
        "_quartiles",
        "count",
        "drifts",
        "mean_costs",
        "scorer",
        "target",
        "window",
    )

    def __init__(self, scorer: bytes, target: bytes, boundaries: int, window: Window) -> None:
        self.scorer = scorer
        """Eight bytes that tell scores of one scorer from those of another."""
        self.target = target
        """Four bytes that tell one target from another."""
        self.window = window
        self.count = 0
        """Requests decided."""
        self.drifts = 0
        """How often the traffic has changed."""
        self.mean_costs = (-1.0, -1.0)
        """What requests cost lately in the strongest and in the weakest tier, in nano-USD."""
        self._boundaries = [_Boundary() for _ in range(boundaries)]
        self._quartiles = list(_QUARTILES)
        """Share of the latest ranks that were below each quartile."""

    def note_costs(self, strongest: float, weakest: float) -> None:
        """Learn what the next request costs in the strongest and in the weakest tier."""
        strong, weak = self.mean_costs
        self.mean_costs = (_moved(strong, strongest, _SHARE_RATE), _moved(weak, weakest, _SHARE_RATE))

    def decide(
        self, level: int, goals: Sequence[Goal], limits: TuningLimits, initial: Sequence[int] = ()
    ) -> Decision:
        """Decide about the next request, whose score has this *level*, and learn from it.

        *goals* and *initial*, the thresholds to begin with, are those of the boundaries, strongest first.
        """
        tie = tie_of(self.count)
        self.count += 1
        self.window.add(level)
        rank = self.window.rank(level, tie)
        is_learnt = len(self.window) >= limits.min_samples
        tier = len(goals)
        wanted = 0.0
        for index, (boundary, goal) in enumerate(zip(self._boundaries, goals, strict=True)):
            # What passes one boundary passes all below it.
            wanted = max(wanted, min(1.0, goal.share + limits.gain * boundary.debt))
            if is_learnt:
                passes = self._passes(boundary, level, rank, wanted, limits)
            elif initial:
                boundary.threshold = initial[index]
                passes = level >= boundary.threshold
            else:
                boundary.threshold = self.window.level_at(wanted)
                passes = tie < wanted
            if (passes or wanted >= 1) and wanted > 0:
                tier = min(tier, index)
            has_passed = tier <= index
            largest = _LARGEST_DEBT / limits.gain
            debt = boundary.debt + (goal.passed if has_passed else goal.held)
            boundary.debt = max(-largest, min(largest, debt))
            share = goal.share if boundary.share < 0 else boundary.share
            boundary.share = _moved(share, has_passed, _SHARE_RATE)
        drifted = is_learnt and self._has_drifted(rank, goals)
        if drifted:
            self._forget(limits)
        return self._decision(tier, drifted)

    def apply(self, level: int, goals: Sequence[Goal], tie: float) -> Decision:
        """Decide by what is known and learn nothing; *tie*, in [0, 1), divides equal scores."""
        rank = self.window.rank(level, tie)
        passed = (index for index, goal in enumerate(goals) if rank < goal.share)
        return self._decision(next(passed, len(goals)), False)

    def _passes(
        self, boundary: _Boundary, level: int, rank: float, wanted: float, limits: TuningLimits
    ) -> bool:
        """Move the threshold towards its quantile and say whether *level* passes."""
        quantile = self.window.level_at(wanted)
        step = max(1, level_of(limits.max_step))
        boundary.threshold = max(boundary.threshold - step, min(boundary.threshold + step, quantile))
        return rank < wanted if boundary.threshold == quantile else level >= boundary.threshold

    def _has_drifted(self, rank: float, goals: Sequence[Goal]) -> bool:
        """Follow the shares of ranks that are watched, and say whether one is too far off to be chance."""
        self._quartiles = [
            _moved(watched, rank < quartile, _DRIFT_RATE)
            for watched, quartile in zip(self._quartiles, _QUARTILES, strict=True)
        ]
        is_off = any(map(_is_off, self._quartiles, _QUARTILES))
        for boundary, goal in zip(self._boundaries, goals, strict=True):
            watched = goal.share if boundary.watched < 0 else boundary.watched
            boundary.watched = _moved(watched, rank < goal.share, _DRIFT_RATE)
            is_off = is_off or _is_off(boundary.watched, goal.share)
        return is_off

    def _forget(self, limits: TuningLimits) -> None:
        """Begin anew with the latest scores; what is owed stays owed."""
        self.drifts += 1
        self.window.keep_last(max(_KEPT_AFTER_DRIFT, limits.min_samples))
        self._quartiles = list(_QUARTILES)
        for boundary in self._boundaries:
            boundary.watched = -1.0

    def _decision(self, tier: int, drifted: bool) -> Decision:
        return Decision(
            tier=tier,
            thresholds=tuple([boundary.threshold for boundary in self._boundaries]),
            shares=tuple([boundary.share for boundary in self._boundaries]),
            drifted=drifted,
            samples=len(self.window),
        )

    def to_bytes(self) -> bytes:
        """Write the state as a value of shared data."""
        head = _HEAD.pack(
            _VERSION,
            len(self._boundaries),
            self.scorer,
            self.target,
            self.count & 0xFFFFFFFF,
            self.drifts & 0xFFFFFFFF,
            *self.mean_costs,
            *self._quartiles,
        )
        bounds = [_BOUNDARY.pack(b.debt, b.watched, b.share, b.threshold) for b in self._boundaries]
        return b"".join([head, *bounds, self.window.to_bytes()])

    @classmethod
    def from_bytes(
        cls, data: bytes | None, scorer: bytes, target: bytes, boundaries: int, capacity: int
    ) -> "State":
        """Read what `to_bytes` wrote.

        Scores of another *scorer*, another number of *boundaries*, nothing, and what cannot be read give a
        new state. Under another *target* the scores stay and nothing is owed.
        """
        start = _HEAD.size + boundaries * _BOUNDARY.size
        fresh = cls(scorer, target, boundaries, Window(capacity))
        if data is None or len(data) < start:
            return fresh
        version, count_of_boundaries, its_scorer, its_target, *numbers = _HEAD.unpack_from(data)
        window = Window.from_bytes(data[start:], capacity)
        if (version, count_of_boundaries, its_scorer) != (_VERSION, boundaries, scorer) or window is None:
            return fresh
        state = cls(scorer, target, 0, window)
        state.count, state.drifts, strong, weak, *state._quartiles = numbers
        state.mean_costs = (strong, weak)
        state._boundaries = [_Boundary(*each) for each in _BOUNDARY.iter_unpack(data[_HEAD.size : start])]
        if its_target != target:
            for boundary in state._boundaries:
                boundary.debt, boundary.watched, boundary.share = 0.0, -1.0, -1.0
        return state


def _is_off(watched: float, share: float) -> bool:
    """Say whether a share of the latest ranks is too far from what it should be to be chance."""
    # The variance of an average with weights a (1 - a)^k is a / (2 - a) of that of one term.
    deviation = sqrt(_DRIFT_RATE / (2 - _DRIFT_RATE) * share * (1 - share))
    return abs(watched - share) > max(_DRIFT_LEAST, _DRIFT_DEVIATIONS * deviation)


def _moved(average: float, value: float, rate: float) -> float:
    """Move an average towards one more value; while it is negative there is none, and the value is it."""
    return float(value) if average < 0 else average + rate * (value - average)
