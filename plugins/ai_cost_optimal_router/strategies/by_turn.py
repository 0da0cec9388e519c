"""Strategies that share requests out among models that are equally welcome.

Whose turn it is, and who is busy, is remembered in the memory of one worker and nowhere else. What is even in
each worker is even in sum, no request waits for a lock, and when a worker ends, nothing of it remains to be
cleared up. Who the equals are depends on the request, so each set of models has turns of its own.
"""

import math
from bisect import insort
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Final, cast

from aigateway.config import Reader

from ..market import Market
from ..shortlist import WANTED
from .strategy import JsonObject, Known, Offer, Order, Plan, Scene, Stage, Strategy

__all__ = ["LeastRequests", "LeastRequestsOrder", "Weighted"]

_SETS: Final = 256
"""Sets of models whose turns are remembered."""

_GREATEST_WEIGHT: Final = 10_000


class _Turns:
    """Whose turn it is among the models of one set."""

    def __init__(self, weights: Mapping[int, int]) -> None:
        divisor = math.gcd(*weights.values())
        self.weights = {number: weight // divisor for number, weight in weights.items()}
        self.left = 0
        self.served: dict[int, int] = {}
        self.queue: list[tuple[float, int]] = []
        self.begin()

    def begin(self) -> None:
        """Begin a new round."""
        self.left = sum(self.weights.values())
        self.served = dict.fromkeys(self.weights, 0)
        self.queue = sorted((_turn(0, weight), number) for number, weight in self.weights.items())

    def take(self, number: int) -> None:
        """Give a model its turn."""
        self.left -= 1
        if not self.left:
            self.begin()
            return
        served, weight = self.served[number], self.weights[number]
        self.queue.remove((_turn(served, weight), number))
        self.served[number] = served + 1
        insort(self.queue, (_turn(served + 1, weight), number))


def _turn(served: int, weight: int) -> float:
    """Say when in a round a model is due that has had so many turns: in the middle of its share.

    Two different fractions of such small numbers are different floats, so the order is exact, and after a
    round, as long as the sum of the weights, everyone has had as many turns as its weight says.
    """
    return (2 * served + 1) / (2 * weight)


class _WeightedOrder(Order):
    """Smooth weighted round robin: turns in proportion to weights, and nobody's turns in a row."""

    phrase = "next in turn"

    def __init__(self, market: Market, weights: Sequence[int]) -> None:
        super().__init__(market)
        self._weights = weights
        self._turns: dict[int, _Turns] = {}

    def rank(self, models: int, scene: Scene) -> Sequence[int]:
        """Give the models in order of their turns; those without a weight come last."""
        turns = self._turns.get(models)
        if turns is None:
            numbers = self.market.members(models)
            # Where nobody has a weight, all have the same.
            weights = {number: self._weights[number] for number in numbers if self._weights[number]}
            if len(self._turns) >= _SETS:
                self._turns.clear()
            turns = self._turns[models] = _Turns(weights or dict.fromkeys(numbers, 1))
        ranked = _enough((number for _, number in turns.queue), models, self.market)
        if len(ranked) == len(turns.queue):
            ranked += [number for number in self.market.members(models) if number not in turns.served]
        notes = cast(dict[int, tuple[int, int]], scene.notes.setdefault("weighted", {}))
        for number in ranked:
            notes[number] = turns.served.get(number, 0), turns.weights.get(number, 0)
        return ranked

    def take(self, models: int, number: int) -> None:
        """Note that a model has had its turn."""
        turns = self._turns.get(models)
        if turns is not None and number in turns.served:
            turns.take(number)

    def extras(self, numbers: Sequence[int], scene: Scene) -> Sequence[JsonObject]:
        """Give the turns that each has had in this round, and its weight."""
        notes = cast(Mapping[int, tuple[int, int]], scene.notes["weighted"])
        return [{"served": notes[number][0], "weight": notes[number][1]} for number in numbers]

    @classmethod
    def score(cls, offers: Sequence[Offer], terms: JsonObject) -> Sequence[float]:
        """Score by when in the round each is due."""
        extras = [cast(Mapping[str, int], offer.extra) for offer in offers]
        return [_turn(extra["served"], extra["weight"]) if extra["weight"] else math.inf for extra in extras]


@dataclass(frozen=True, slots=True)
class _Pool(Strategy):
    quality_within: float | None = None
    """How far below the best a model may be to count as its equal; `None`: as far as constraints allow."""

    def _equals(self, models: int, market: Market) -> int:
        """Narrow a set to those that are about as good as its best."""
        if self.quality_within is None or not models:
            return models
        best = market.qualities[(models & -models).bit_length() - 1]
        return models & market.with_quality(best - self.quality_within)


@dataclass(frozen=True, slots=True)
class Weighted(_Pool):
    """Turns by weight among equals."""

    ranks_by = _WeightedOrder

    weights: tuple[tuple[tuple[str, ...], int], ...] = ()
    """Names or patterns, and what each of their models weighs; the first that fits counts. Models that none
    fits get requests only if all else fails. Without any weights, all weigh the same."""

    @classmethod
    def read(cls, section: Reader, known: Known) -> "Weighted":
        """Read the weights."""
        return cls(
            quality_within=_quality_within(section),
            weights=tuple(
                (
                    known.patterns(entry, "models", ("*",)),
                    entry.integer("weight", 1, at_least=0, at_most=_GREATEST_WEIGHT),
                )
                for entry in section.tables("weights")
            ),
        )

    def plan(self, scene: Scene) -> Plan:
        """Look among those with a weight, then everywhere by cost."""
        market = scene.market
        models = scene.feasible
        if self.weights:
            listed = (market.matching_any(patterns) for patterns, weight in self.weights if weight)
            models &= reduce(or_, listed, 0)
        return Plan((Stage("weighted", self._equals(models, market)), Stage("cost_optimal")))

    def order(self, market: Market) -> Order:
        """Order by turns."""
        weights = [0 if self.weights else 1] * market.count
        for patterns, weight in reversed(self.weights):
            for number in market.members(market.matching_any(patterns)):
                weights[number] = weight
        return _WeightedOrder(market, weights)


class LeastRequestsOrder(Order):
    """Who has the fewest requests under way, and of those whose last one is the longest ago."""

    phrase = "fewest requests"

    def __init__(self, market: Market) -> None:
        super().__init__(market)
        self._under_way = [0] * market.count
        self._queues: dict[int, list[int]] = {}

    def begin(self, number: int) -> None:
        """Note that a request was sent to a model."""
        self._under_way[number] += 1

    def end(self, number: int) -> None:
        """Note that one has ended."""
        self._under_way[number] = max(0, self._under_way[number] - 1)

    def rank(self, models: int, scene: Scene) -> Sequence[int]:
        """Give the models in order of requests under way."""
        queue = self._queues.get(models)
        if queue is None:
            if len(self._queues) >= _SETS:
                self._queues.clear()
            queue = self._queues[models] = list(self.market.members(models))
        under_way = self._under_way
        idle = iter(number for number in queue if not under_way[number])
        ranked = _enough(idle, models, self.market)
        if next(idle, None) is None:
            ranked += sorted((number for number in queue if under_way[number]), key=under_way.__getitem__)
        notes = cast(dict[int, tuple[int, int]], scene.notes.setdefault("least_requests", {}))
        for turn, number in enumerate(ranked):
            notes[number] = under_way[number], turn
        return ranked

    def take(self, models: int, number: int) -> None:
        """Put a model at the end of the queue."""
        queue = self._queues.get(models)
        if queue is not None and number in queue:
            queue.remove(number)
            queue.append(number)

    def extras(self, numbers: Sequence[int], scene: Scene) -> Sequence[JsonObject]:
        """Give how many requests are under way at each, and its turn among equals."""
        notes = cast(Mapping[int, tuple[int, int]], scene.notes["least_requests"])
        return [{"under_way": notes[number][0], "turn": notes[number][1]} for number in numbers]

    @classmethod
    def score(cls, offers: Sequence[Offer], terms: JsonObject) -> Sequence[float]:
        """Score by requests under way, then by turn."""
        extras = [cast(Mapping[str, int], offer.extra) for offer in offers]
        return [extra["under_way"] + extra["turn"] / (len(offers) + extra["turn"] + 1) for extra in extras]


@dataclass(frozen=True, slots=True)
class LeastRequests(_Pool):
    """The model with the fewest requests under way, among equals."""

    ranks_by = LeastRequestsOrder

    models: tuple[str, ...] = ("*",)
    """Who takes part, by name or pattern; the others get requests only if all of these fail."""

    @classmethod
    def read(cls, section: Reader, known: Known) -> "LeastRequests":
        """Read who takes part."""
        default = cls()
        return cls(
            quality_within=_quality_within(section),
            models=known.patterns(section, "models", default.models),
        )

    def plan(self, scene: Scene) -> Plan:
        """Look among those that take part, then everywhere by cost."""
        models = scene.feasible & scene.market.matching_any(self.models)
        return Plan((Stage("least_requests", self._equals(models, scene.market)), Stage("cost_optimal")))

    def order(self, market: Market) -> Order:
        """Order by requests under way."""
        return LeastRequestsOrder(market)


def _enough(ranked: Iterable[int], models: int, market: Market) -> list[int]:
    """Take from the beginning of *ranked* what `pick` needs."""
    wanted = min(WANTED, market.count_providers(models))
    taken: list[int] = []
    seen: set[int] = set()
    for number in ranked:
        taken.append(number)
        seen.add(market.providers[number])
        if len(seen) == wanted and len(taken) >= WANTED:
            break
    return taken


def _quality_within(section: Reader) -> float | None:
    value = section.number("quality_within", -1.0, at_least=0, at_most=1)
    return None if value < 0 else value
