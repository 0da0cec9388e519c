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
from typing import Final, TypeAlias, cast

from aigateway.config import Reader

from ..market import Market
from ..shortlist import WANTED
from .strategy import JsonObject, Known, Offer, Order, Plan, Scene, Stage, Strategy

__all__ = ["LeastRequests", "LeastRequestsOrder", "Weighted"]

_SETS: Final = 256
"""Sets of models whose turns are remembered."""

_GREATEST_WEIGHT: Final = 10_000


class _Turns:
    """Whose turn it is among the models of one set.

    A round is as long as the sum of the weights, and in it a model of weight *w* has *w* turns, one in each
    of *w* equal parts of the round. Of all turns whose part has begun, the one is taken whose part ends
    first. Then each turn comes within its part, so at no time has a model had a whole turn more or less than
    its share. That is the fair scheduling of Baruah and others, "Proportionate progress", Algorithmica 15
    (1996).
    """

    def __init__(self, weights: Mapping[int, int]) -> None:
        divisor = math.gcd(*weights.values())
        self.weights = {number: weight // divisor for number, weight in weights.items()}
        self._round = sum(self.weights.values())
        self.served: dict[int, int] = {}
        self.ready: list[tuple[float, int]] = []
        """By the end of the part of the round in which they are due."""
        self.waiting: list[tuple[float, int]] = []
        """By the beginning of it."""
        self._begin()

    def take(self, number: int) -> None:
        """Give a model that is ready its turn."""
        served, weight = self.served[number], self.weights[number]
        self.ready.remove((_end(served, weight), number))
        self.served[number] = served + 1
        self._taken += 1
        if self._taken == self._round:
            self._begin()
            return
        insort(self.waiting, (_beginning(served + 1, weight), number))
        while self.waiting:
            number = self.waiting[0][1]
            served, weight = self.served[number], self.weights[number]
            if served * self._round > self._taken * weight:
                break
            del self.waiting[0]
            insort(self.ready, (_end(served, weight), number))

    def _begin(self) -> None:
        self._taken = 0
        self.served = dict.fromkeys(self.weights, 0)
        self.ready = sorted((_end(0, weight), number) for number, weight in self.weights.items())
        self.waiting = []


# Two different fractions of such small numbers are different floats, so the order of these is exact.


def _beginning(served: int, weight: int) -> float:
    """Say where the part of a round begins in which a model is due that has had so many turns."""
    return served / weight


def _end(served: int, weight: int) -> float:
    """Say where it ends."""
    return (served + 1) / weight


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
        queue = iter(number for part in (turns.ready, turns.waiting) for _, number in part)
        ranked = _enough(queue, models, self.market)
        if next(queue, None) is None:
            ranked += [number for number in self.market.members(models) if number not in turns.served]
        served, weights = turns.served, turns.weights
        noted = [(number, weights.get(number, 0), served.get(number, 0)) for number in ranked]
        cast(list[_Look], scene.notes.setdefault("weighted", [])).append((noted, turns.ready[: len(ranked)]))
        return ranked

    def take(self, models: int, number: int) -> None:
        """Note that a model has had its turn."""
        turns = self._turns.get(models)
        if turns is not None and number in turns.served:
            turns.take(number)

    def extras(self, numbers: Sequence[int], scene: Scene) -> Sequence[JsonObject]:
        """Give the weight of each, its turns in this round, and whether it is ready for the next."""
        found = {
            number: {
                "weight": weight,
                "served": served,
                "ready": (_end(served, weight or 1), number) in ready,
            }
            for noted, ready in cast(Sequence[_Look], scene.notes["weighted"])
            for number, weight, served in noted
        }
        return [found[number] for number in numbers]

    @classmethod
    def score(cls, offers: Sequence[Offer], terms: JsonObject) -> Sequence[float]:
        """Score by when in the round each is due; those that are not ready come after all that are."""
        scores = []
        for offer in offers:
            weight, served = cast(int, offer.extra["weight"]), cast(int, offer.extra["served"])
            if not weight:
                scores.append(_LAST)
            elif offer.extra["ready"]:
                scores.append(_end(served, weight))
            else:
                scores.append(_NOT_READY + _beginning(served, weight))
        return scores


_Look: TypeAlias = tuple[Sequence[tuple[int, int, int]], Sequence[tuple[float, int]]]
"""Models with their weights and turns, and those of them that were ready."""

_NOT_READY: Final = 2.0
_LAST: Final = 4.0


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
