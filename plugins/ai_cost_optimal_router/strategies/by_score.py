"""Strategies that score what a request costs at a model: the least cost, the best balance, the least wait.

All three scores are linear in the tokens of input and output, which is what makes a shortlist possible. They
are integers, so that the order of two models never depends on rounding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, cast

from aigateway.config import Reader

from ..market import LatencyView, Market, Outputs, output_cell
from ..shortlist import needed, prompt_cell, unbeaten
from .strategy import JsonObject, Known, Offer, Order, Plan, Scene, Stage, Strategy

__all__ = ["Balanced", "CostOptimal", "LatencyAware"]

_SMALL: Final = 16
"""Of so few models all are scored: telling the needed ones apart would cost more."""

_REMEMBERED: Final = 2048
"""Shortlists that are kept."""

_PARTS: Final = 1_000_000
"""Shares of quality and latency are counted in millionths, weights too."""


class _Cell(NamedTuple):
    """The models that can matter for any size of request within a cell."""

    numbers: Sequence[int]
    extremes: Sequence[int] | None
    """Those that can be the cheapest or the dearest; `None`: look at all *numbers*."""


class _LinearOrder(Order):
    """An order by a score that is linear in both counts of tokens."""

    def __init__(self, market: Market) -> None:
        super().__init__(market)
        self._cells: dict[tuple[int, Outputs, int, int], _Cell] = {}

    def rank(self, models: int, scene: Scene) -> Sequence[int]:
        """Score the models that can matter, exactly."""
        market, situation = self.market, scene.situation
        tokens, limit = situation.prompt_tokens, situation.max_tokens
        cell = self._cell(models, scene)
        costs = market.costs(cell.numbers, tokens, limit, scene.outputs)
        ends = cell.extremes
        spread = costs if ends is None else market.costs(ends, tokens, limit, scene.outputs)
        keys = self._keys(cell.numbers, costs, spread, models, scene)
        keys.sort()
        count = market.count
        return [key % count for key in keys]

    def _keys(
        self, numbers: Sequence[int], costs: Sequence[int], spread: Sequence[int], models: int, scene: Scene
    ) -> list[int]:
        """Score models, given what a request costs at each; lower is better.

        A key is `score * market.count + number`, so that equal scores go by number. *spread* holds the least
        and the greatest cost in the set *models*.
        """
        raise NotImplementedError

    def _corner_keys(
        self, numbers: Sequence[int], corners: Sequence[Sequence[int]], models: int, scene: Scene
    ) -> list[list[int]]:
        """Score models at each corner of a cell, given the costs there."""
        return [self._keys(numbers, costs, costs, models, scene) for costs in corners]

    def _cell(self, models: int, scene: Scene) -> _Cell:
        market, situation, outputs = self.market, scene.situation, scene.outputs
        if models.bit_count() <= _SMALL:
            return _Cell(market.members(models), None)
        limits = output_cell(outputs, situation.max_tokens)
        place = models, outputs, situation.prompt_tokens.bit_length(), limits
        cell = self._cells.get(place)
        if cell is None:
            if len(self._cells) >= _REMEMBERED:
                self._cells.clear()
            cell = self._cells[place] = self._make_cell(models, limits, scene)
        return cell

    def _make_cell(self, models: int, limits: int, scene: Scene) -> _Cell:
        market, outputs = self.market, scene.outputs
        numbers = market.members(models)
        bounds: tuple[int | None, ...] = (None,)
        if limits < len(outputs.bounds):
            least = outputs.bounds[limits - 1] if limits else 0
            bounds = least, outputs.bounds[limits] - 1
        corners = [
            market.costs(numbers, tokens, limit, outputs)
            for tokens in prompt_cell(scene.situation.prompt_tokens)
            for limit in bounds
        ]
        keys = self._corner_keys(numbers, corners, models, scene)
        short = needed(keys, [market.providers[number] for number in numbers])
        ends = {*unbeaten(corners), *unbeaten([[-cost for cost in costs] for costs in corners])}
        return _Cell([numbers[at] for at in short], [numbers[at] for at in sorted(ends)])


class _CostOrder(_LinearOrder):
    phrase = "cheapest"

    def _keys(
        self, numbers: Sequence[int], costs: Sequence[int], spread: Sequence[int], models: int, scene: Scene
    ) -> list[int]:
        count = self.market.count
        return [cost * count + number for cost, number in zip(costs, numbers, strict=True)]

    @classmethod
    def score(cls, offers: Sequence[Offer], terms: JsonObject) -> Sequence[int]:
        """Score by cost alone."""
        return [offer.cost_nano_usd for offer in offers]


@dataclass(frozen=True, slots=True)
class CostOptimal(Strategy):
    """The least estimated cost; of equals the best."""

    ranks_by = _CostOrder

    def plan(self, scene: Scene) -> Plan:
        """Look everywhere."""
        return _BY_COST

    def order(self, market: Market) -> Order:
        """Order by cost."""
        return _CostOrder(market)


_BY_COST: Final = Plan((Stage("cost_optimal"),))


class _LatencyBound(_LinearOrder):
    """An order that what was computed for is forgotten when latencies change."""

    def __init__(self, market: Market) -> None:
        super().__init__(market)
        self._view: LatencyView | None = None

    def rank(self, models: int, scene: Scene) -> Sequence[int]:
        """Score the models that can matter, by present latencies."""
        if scene.latencies is not self._view:
            self._view = scene.latencies
            self._cells.clear()
            self._forget(scene.latencies)
        return super().rank(models, scene)

    def _forget(self, view: LatencyView) -> None:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class _LatencyWeights:
    latency: float = 1.0
    quality: float = 1000.0
    cost: float = 1000.0

    def static_points(self, latency_ms: float, quality: float) -> int:
        """Give the points for what does not depend on the size of the request."""
        return round((self.latency * latency_ms + self.quality * (1 - quality)) * _POINT)

    @property
    def points_per_nano_usd(self) -> int:
        return round(self.cost * _POINT / 1_000_000_000)


_POINT: Final = 1_000_000_000_000
"""Points are counted in parts so small that a nano-USD is a whole number of them for any sensible weight."""


class _LatencyOrder(_LatencyBound):
    phrase = "least wait"

    def __init__(self, market: Market, weights: _LatencyWeights) -> None:
        super().__init__(market)
        self._weights = weights
        self._per_nano_usd = weights.points_per_nano_usd
        self._static: list[int] = []

    def _forget(self, view: LatencyView) -> None:
        self._static = list(map(self._weights.static_points, view.ms, self.market.qualities))

    def _keys(
        self, numbers: Sequence[int], costs: Sequence[int], spread: Sequence[int], models: int, scene: Scene
    ) -> list[int]:
        count, weight, static = self.market.count, self._per_nano_usd, self._static
        return [
            (static[number] + weight * cost) * count + number
            for cost, number in zip(costs, numbers, strict=True)
        ]

    def terms(self, models: int, scene: Scene) -> JsonObject:
        """Give the weights."""
        weights = self._weights
        return {"latency": weights.latency, "quality": weights.quality, "cost": weights.cost}

    @classmethod
    def score(cls, offers: Sequence[Offer], terms: JsonObject) -> Sequence[int]:
        """Score by latency, quality and cost."""
        weights = _LatencyWeights(*(cast(float, terms[name]) for name in ("latency", "quality", "cost")))
        per_nano_usd = weights.points_per_nano_usd
        return [
            weights.static_points(offer.latency_ms, offer.quality) + per_nano_usd * offer.cost_nano_usd
            for offer in offers
        ]


@dataclass(frozen=True, slots=True)
class LatencyAware(Strategy):
    """Little wait, but not at any price: `p95_ms + 1000 (1 - quality) + 1000 cost_usd`, the least.

    The formula is that of nexus. What nothing recent is known of is taken to be of median latency, and a
    small share of requests goes there to find out.
    """

    ranks_by = _LatencyOrder

    weights: _LatencyWeights = _LatencyWeights()
    explore_share: float = 0.02

    @classmethod
    def read(cls, section: Reader, known: Known) -> "LatencyAware":
        """Read the weights of the three parts, and the share of requests that explore."""
        default = cls()
        weights = section.table("weights")
        return cls(
            _LatencyWeights(
                **{
                    name: weights.number(name, getattr(default.weights, name), at_least=0, at_most=1_000_000)
                    for name in _LatencyWeights.__slots__
                }
            ),
            section.number("explore_share", default.explore_share, at_least=0, at_most=1),
        )

    def plan(self, scene: Scene) -> Plan:
        """Look everywhere, or first among those that were not heard of lately."""
        stale = scene.latencies.stale & scene.feasible
        if stale and self.explore_share and scene.draw() < self.explore_share:
            return Plan((Stage("latency_aware", stale), Stage("latency_aware")), "explore")
        return _BY_LATENCY

    def order(self, market: Market) -> Order:
        """Order by the weighted sum."""
        return _LatencyOrder(market, self.weights)


_BY_LATENCY: Final = Plan((Stage("latency_aware"),))


@dataclass(frozen=True, slots=True)
class _BalanceWeights:
    quality: float = 0.5
    cost: float = 0.3
    latency: float = 0.2

    def merit(self, quality: float, latency_ms: float, span: "_Span") -> int:
        """Give the millionths earned by quality and latency."""
        total = self.quality + self.cost + self.latency
        slowness = (latency_ms - span.fastest_ms) / ((span.slowest_ms - span.fastest_ms) or 1.0)
        earned = self.quality * quality / (span.best_quality or 1.0) + self.latency * (1 - slowness)
        return round(_PARTS * earned / total)

    @property
    def cost_parts(self) -> int:
        """The millionths that the least cost earns."""
        return round(_PARTS * self.cost / (self.quality + self.cost + self.latency))


class _Span(NamedTuple):
    """Between what figures shares are taken: those of the models that meet every constraint."""

    best_quality: float
    fastest_ms: float
    slowest_ms: float


class _BalanceOrder(_LatencyBound):
    """Orders by `merit + cost_parts * (dearest - cost) / (dearest - cheapest)`, the greatest first.

    To stay with integers, that is multiplied by the spread of the costs, and what all models share is left
    out. The spread is a convex function of the size of the request, and not a linear one. But between the
    corners of a cell it lies below what is interpolated between the corners, and above the difference of
    any two costs. So models are compared at the corners with both.
    """

    phrase = "best balance"

    def __init__(self, market: Market, weights: _BalanceWeights) -> None:
        super().__init__(market)
        self._weights = weights
        self._cost_parts = weights.cost_parts
        self._merits: dict[int, dict[int, int]] = {}

    def _forget(self, view: LatencyView) -> None:
        self._merits.clear()

    def _keys(
        self, numbers: Sequence[int], costs: Sequence[int], spread: Sequence[int], models: int, scene: Scene
    ) -> list[int]:
        return self._spread_keys(numbers, costs, max(spread) - min(spread) + 1, models, scene)

    def _spread_keys(
        self, numbers: Sequence[int], costs: Sequence[int], spread: int, models: int, scene: Scene
    ) -> list[int]:
        count, parts, merits = self.market.count, self._cost_parts, self._merits_of(models, scene)
        return [
            (parts * cost - merits[number] * spread) * count + number
            for cost, number in zip(costs, numbers, strict=True)
        ]

    def _corner_keys(
        self, numbers: Sequence[int], corners: Sequence[Sequence[int]], models: int, scene: Scene
    ) -> list[list[int]]:
        dearest = max(range(len(numbers)), key=corners[0].__getitem__)
        cheapest = min(range(len(numbers)), key=corners[0].__getitem__)
        keys = []
        for costs in corners:
            for spread in {max(costs) - min(costs) + 1, costs[dearest] - costs[cheapest] + 1}:
                keys.append(self._spread_keys(numbers, costs, spread, models, scene))
        return keys

    def _merits_of(self, models: int, scene: Scene) -> dict[int, int]:
        found = self._merits.get(models)
        if found is None:
            if len(self._merits) >= _REMEMBERED:
                self._merits.clear()
            span, merit = self._span(models, scene), self._weights.merit
            ms, qualities = scene.latencies.ms, self.market.qualities
            numbers = self.market.members(models)
            merits = {number: merit(qualities[number], ms[number], span) for number in numbers}
            found = self._merits[models] = merits
        return found

    def _span(self, models: int, scene: Scene) -> _Span:
        numbers = self.market.members(models)
        latencies = [scene.latencies.ms[number] for number in numbers]
        return _Span(self.market.qualities[numbers[0]], min(latencies), max(latencies))

    def terms(self, models: int, scene: Scene) -> JsonObject:
        """Give the weights and between what figures shares were taken."""
        situation = scene.situation
        costs = self.market.costs(
            self.market.members(models), situation.prompt_tokens, situation.max_tokens, scene.outputs
        )
        weights = self._weights
        return {
            "quality": weights.quality,
            "cost": weights.cost,
            "latency": weights.latency,
            **self._span(models, scene)._asdict(),
            "cheapest_nano_usd": min(costs),
            "dearest_nano_usd": max(costs),
        }

    @classmethod
    def score(cls, offers: Sequence[Offer], terms: JsonObject) -> Sequence[int]:
        """Score by shares of quality, cost and latency."""
        weights = _BalanceWeights(*(cast(float, terms[name]) for name in _BalanceWeights.__slots__))
        span = _Span(*(cast(float, terms[name]) for name in _Span._fields))
        spread = cast(int, terms["dearest_nano_usd"]) - cast(int, terms["cheapest_nano_usd"]) + 1
        return [
            weights.cost_parts * offer.cost_nano_usd
            - weights.merit(offer.quality, offer.latency_ms, span) * spread
            for offer in offers
        ]


@dataclass(frozen=True, slots=True)
class Balanced(Strategy):
    """The best mean of quality, cost and latency, 0.5 to 0.3 to 0.2, each normalised to 0 to 1.

    Quality is a share of the best, cost and latency are places between the least and the greatest, all
    among the models that meet every constraint.
    """

    ranks_by = _BalanceOrder

    weights: _BalanceWeights = _BalanceWeights()

    @classmethod
    def read(cls, section: Reader, known: Known) -> "Balanced":
        """Read the three weights; only their proportions count."""
        default = cls()
        weights = section.table("weights")
        values = {
            name: weights.number(name, getattr(default.weights, name), at_least=0, at_most=1_000_000)
            for name in _BalanceWeights.__slots__
        }
        if not any(values.values()):
            section.refuse("weights", "a weight above 0", 0)
            return default
        return cls(_BalanceWeights(**values))

    def plan(self, scene: Scene) -> Plan:
        """Look everywhere."""
        return _BY_BALANCE

    def order(self, market: Market) -> Order:
        """Order by the mean."""
        return _BalanceOrder(market, self.weights)


_BY_BALANCE: Final = Plan((Stage("balanced"),))
