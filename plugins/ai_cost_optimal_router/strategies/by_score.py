"""Strategies that score what a request costs at a model: the least cost, the best balance, the least wait.

All three scores are linear in the tokens of input and output, which is what makes a shortlist possible. They
are integers, so that the order of two models never depends on rounding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias, cast

from aigateway.config import Reader
from aigateway.money import NANO_USD_PER_USD

from ..market import LatencyView, Market, Outputs, numbers_in, output_cell
from ..shortlist import WANTED, needed, needed_in_groups, prompt_cell, unbeaten
from .strategy import JsonObject, Known, Offer, Order, Plan, Scene, Stage, Strategy

__all__ = ["Balanced", "CostOptimal", "LatencyAware"]

_SMALL: Final = 16
"""Of so few models all are scored: telling the needed ones apart would cost more."""

_REMEMBERED: Final = 2048
"""Shortlists that are kept."""

_REMEMBERED_BESTS: Final = 64
"""Qualities of the best model that are kept."""

_USES_THAT_PAY: Final = 3
"""A shortlist is worth making for a cell that is used so often while latencies stay as they are."""

_PARTS: Final = 1_000_000
"""Shares of quality and latency are counted in millionths, weights too."""


class _Cell(NamedTuple):
    """The models that can matter for any size of request within a cell."""

    numbers: Sequence[int]
    ends: Sequence[int]
    """Those that can be the cheapest or the dearest, for orders that ask for them."""


_Corner: TypeAlias = tuple[int, int | None]
"""Tokens of the prompt, and the limit of the output."""

_Place: TypeAlias = tuple[int, Outputs, int, int]
"""A set of models, and a cell of sizes."""


class _LinearOrder(Order):
    """An order by a score that is linear in both counts of tokens."""

    def __init__(self, market: Market) -> None:
        super().__init__(market)
        self._cells: dict[_Place, _Cell] = {}

    def rank(self, models: int, scene: Scene) -> Sequence[int]:
        """Score the models that can matter, exactly."""
        situation = scene.situation
        cell = self._cell(models, scene)
        keys = self._keys(cell, models, (situation.prompt_tokens, situation.max_tokens), scene)
        keys.sort()
        count = self.market.count
        return [key % count for key in keys]

    def _keys(self, cell: _Cell, models: int, size: _Corner, scene: Scene) -> list[int]:
        """Score the models of a cell for one size of request; lower is better.

        A key is `score * market.count + number`, so that equal scores go by number.
        """
        raise NotImplementedError

    def _corner_keys(
        self, cell: _Cell, models: int, corners: Sequence[_Corner], scene: Scene
    ) -> list[list[int]]:
        """Score models at each corner of a cell of sizes."""
        return [self._keys(cell, models, corner, scene) for corner in corners]

    def _cell(self, models: int, scene: Scene) -> _Cell:
        if models.bit_count() <= _SMALL:
            numbers = self.market.members(models)
            return _Cell(numbers, numbers)
        if scene.narrowed:
            numbers = numbers_in(models)
            return _Cell(numbers, numbers)
        place = _place(models, scene)
        return self._cells.get(place) or self._make_cell(place, scene)

    def _make_cell(self, place: _Place, scene: Scene) -> _Cell:
        models = place[0]
        numbers = self.market.members(models)
        keys = self._corner_keys(_Cell(numbers, numbers), models, _corners(place), scene)
        return self._remember(place, self._shortened(numbers, (), keys))

    def _shortened(self, numbers: Sequence[int], ends: Sequence[int], keys: Sequence[Sequence[int]]) -> _Cell:
        providers = self.market.providers
        short = needed(keys, [providers[number] for number in numbers])
        return _Cell([numbers[at] for at in short], ends)

    def _remember(self, place: _Place, cell: _Cell) -> _Cell:
        if len(self._cells) >= _REMEMBERED:
            self._cells.clear()
        self._cells[place] = cell
        return cell


def _place(models: int, scene: Scene) -> _Place:
    situation, outputs = scene.situation, scene.outputs
    limits = output_cell(outputs, situation.max_tokens)
    return models, outputs, situation.prompt_tokens.bit_length(), limits


def _corners(place: _Place) -> Sequence[_Corner]:
    """List the corners of a cell: the least and the greatest prompt with the least and the greatest limit."""
    _, outputs, bits, limits = place
    bounds: tuple[int | None, ...] = (None,)
    if limits < len(outputs.bounds):
        bounds = (outputs.bounds[limits - 1] if limits else 0), outputs.bounds[limits] - 1
    return [(tokens, limit) for tokens in prompt_cell(bits) for limit in bounds]


class _CostOrder(_LinearOrder):
    phrase = "cheapest"

    def _keys(self, cell: _Cell, models: int, size: _Corner, scene: Scene) -> list[int]:
        count = self.market.count
        costs = self.market.costs(cell.numbers, *size, scene.outputs)
        return [cost * count + number for cost, number in zip(costs, cell.numbers, strict=True)]

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
    """An order in which latency counts, which changes all the time.

    What can matter in a cell whatever the latencies are is remembered for good, and what can matter with the
    present ones for as long as they last. As that may be a second only, it is worth finding out for those
    cells that are asked for again.
    """

    def __init__(self, market: Market) -> None:
        super().__init__(market)
        self._view: LatencyView | None = None
        self._wide: dict[tuple[_Place, int], _Cell] = {}
        self._uses: dict[_Place, int] = {}

    def rank(self, models: int, scene: Scene) -> Sequence[int]:
        """Score the models that can matter, by present latencies."""
        if scene.latencies is not self._view:
            self._view = scene.latencies
            self._cells.clear()
            self._uses.clear()
            self._look_at(scene.latencies)
        return super().rank(models, scene)

    def _look_at(self, view: LatencyView) -> None:
        """Prepare what depends on latencies alone."""
        raise NotImplementedError

    def _make_cell(self, place: _Place, scene: Scene) -> _Cell:
        models = place[0]
        wide = self._wide.get((place, scene.latencies.alone)) or self._make_wide(place, scene)
        uses = self._uses[place] = self._uses.get(place, 0) + 1
        if uses < _USES_THAT_PAY:
            return wide
        keys = self._corner_keys(wide, models, _corners(place), scene)
        return self._remember(place, self._shortened(wide.numbers, wide.ends, keys))

    def _make_wide(self, place: _Place, scene: Scene) -> _Cell:
        """Find what can matter whatever the latencies are."""
        market, view, models = self.market, scene.latencies, place[0]
        numbers = market.members(models)
        corners = _corners(place)
        costs = [market.costs(numbers, *corner, place[1]) for corner in corners]
        ends = {*unbeaten(costs), *unbeaten([[-cost for cost in at] for at in costs])}
        all_ends = [numbers[at] for at in sorted(ends)]
        keys = self._corner_keys(_Cell(numbers, all_ends), models, corners, scene)
        few = market.count_providers(models) < WANTED
        wide = needed_in_groups(keys, [view.group_of[number] for number in numbers], few)
        if len(self._wide) >= _REMEMBERED:
            self._wide.clear()
        cell = self._wide[place, view.alone] = _Cell([numbers[at] for at in wide], all_ends)
        return cell


@dataclass(frozen=True, slots=True)
class _LatencyWeights:
    latency: float = 1.0
    quality: float = 1000.0
    cost: float = 1000.0

    def for_quality(self, quality: float) -> int:
        """Give the points for what is missing in quality."""
        return round(self.quality * (1 - quality) * _POINT)

    def for_latency(self, latency_ms: float) -> int:
        """Give the points for a wait."""
        return round(self.latency * latency_ms * _POINT)

    @property
    def per_nano_usd(self) -> int:
        """The points for a nano-USD."""
        return round(self.cost * _POINT / NANO_USD_PER_USD)


_POINT: Final = 1_000_000_000_000
"""Points are counted in parts so small that a nano-USD is a whole number of them for any sensible weight."""


class _LatencyOrder(_LatencyBound):
    phrase = "least wait"

    def __init__(self, market: Market, weights: _LatencyWeights) -> None:
        super().__init__(market)
        self._weights = weights
        self._per_nano_usd = weights.per_nano_usd
        self._for_quality = [weights.for_quality(quality) for quality in market.qualities]
        self._for_latency: Sequence[int] = ()

    def _look_at(self, view: LatencyView) -> None:
        self._for_latency = [self._weights.for_latency(ms) for ms in view.group_ms]

    def _keys(self, cell: _Cell, models: int, size: _Corner, scene: Scene) -> list[int]:
        count, per_nano_usd, group_of = self.market.count, self._per_nano_usd, scene.latencies.group_of
        for_quality, for_latency = self._for_quality, self._for_latency
        costs = self.market.costs(cell.numbers, *size, scene.outputs)
        return [
            (for_quality[number] + for_latency[group_of[number]] + per_nano_usd * cost) * count + number
            for cost, number in zip(costs, cell.numbers, strict=True)
        ]

    def terms(self, models: int, scene: Scene) -> JsonObject:
        """Give the weights."""
        weights = self._weights
        return {"latency": weights.latency, "quality": weights.quality, "cost": weights.cost}

    @classmethod
    def score(cls, offers: Sequence[Offer], terms: JsonObject) -> Sequence[int]:
        """Score by latency, quality and cost."""
        weights = _LatencyWeights(*(cast(float, terms[name]) for name in ("latency", "quality", "cost")))
        return [
            weights.for_quality(offer.quality)
            + weights.for_latency(offer.latency_ms)
            + weights.per_nano_usd * offer.cost_nano_usd
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

    def for_quality(self, quality: float, best: float) -> int:
        """Give the millionths that quality earns: all for the best."""
        return self._parts(self.quality * quality / (best or 1.0))

    def for_latency(self, latency_ms: float, span: "_Span") -> int:
        """Give the millionths that speed earns: all for the fastest, none for the slowest."""
        return self._parts(
            self.latency * (span.slowest_ms - latency_ms) / ((span.slowest_ms - span.fastest_ms) or 1.0)
        )

    @property
    def for_least_cost(self) -> int:
        """The millionths that the least cost earns."""
        return self._parts(self.cost)

    def _parts(self, earned: float) -> int:
        return round(_PARTS * earned / (self.quality + self.cost + self.latency))


class _Span(NamedTuple):
    """Between what figures shares are taken: those of the models that meet every constraint."""

    best_quality: float
    fastest_ms: float
    slowest_ms: float


class _BalanceOrder(_LatencyBound):
    """Orders by `merit + for_least_cost * (dearest - cost) / (dearest - cheapest)`, the greatest first.

    To stay with integers, that is multiplied by the spread of the costs, and what all models share is left
    out. The spread is a convex function of the size of the request, and not a linear one. But within a cell
    it lies below what is interpolated between the corners, and above the difference of any two costs. So
    models are compared at the corners with both.
    """

    phrase = "best balance"

    def __init__(self, market: Market, weights: _BalanceWeights) -> None:
        super().__init__(market)
        self._weights = weights
        self._for_least_cost = weights.for_least_cost
        self._for_quality: dict[float, Sequence[int]] = {}
        self._for_latency: dict[int, Sequence[int]] = {}

    def _look_at(self, view: LatencyView) -> None:
        self._for_latency.clear()

    def _keys(self, cell: _Cell, models: int, size: _Corner, scene: Scene) -> list[int]:
        costs = self.market.costs(cell.ends, *size, scene.outputs)
        return self._spread_keys(cell, models, size, scene, max(costs) - min(costs))

    def _spread_keys(self, cell: _Cell, models: int, size: _Corner, scene: Scene, spread: int) -> list[int]:
        # One more, because where all cost the same the rest must still count.
        spread += 1
        count, for_least_cost, group_of = self.market.count, self._for_least_cost, scene.latencies.group_of
        for_quality, for_latency = self._merits(models, scene)
        costs = self.market.costs(cell.numbers, *size, scene.outputs)
        return [
            (for_least_cost * cost - (for_quality[number] + for_latency[group_of[number]]) * spread) * count
            + number
            for cost, number in zip(costs, cell.numbers, strict=True)
        ]

    def _corner_keys(
        self, cell: _Cell, models: int, corners: Sequence[_Corner], scene: Scene
    ) -> list[list[int]]:
        keys = []
        pair: tuple[int, int] | None = None
        for corner in corners:
            costs = self.market.costs(cell.ends, *corner, scene.outputs)
            if pair is None:
                pair = costs.index(max(costs)), costs.index(min(costs))
            for spread in {max(costs) - min(costs), costs[pair[0]] - costs[pair[1]]}:
                keys.append(self._spread_keys(cell, models, corner, scene, spread))
        return keys

    def _merits(self, models: int, scene: Scene) -> tuple[Sequence[int], Sequence[int]]:
        """Say what models earn by quality, and what groups of them earn by speed."""
        best = self.market.qualities[(models & -models).bit_length() - 1]
        for_quality = self._for_quality.get(best)
        if for_quality is None:
            if len(self._for_quality) >= _REMEMBERED_BESTS:
                self._for_quality.clear()
            for_quality = [self._weights.for_quality(quality, best) for quality in self.market.qualities]
            self._for_quality[best] = for_quality
        for_latency = self._for_latency.get(models)
        if for_latency is None:
            if len(self._for_latency) >= _REMEMBERED:
                self._for_latency.clear()
            span = self._span(models, scene)
            for_latency = [self._weights.for_latency(ms, span) for ms in scene.latencies.group_ms]
            self._for_latency[models] = for_latency
        return for_quality, for_latency

    def _span(self, models: int, scene: Scene) -> _Span:
        view = scene.latencies
        present = [ms for ms, group in zip(view.group_ms, view.groups, strict=True) if group & models]
        best = self.market.qualities[(models & -models).bit_length() - 1]
        return _Span(best, min(present), max(present))

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
            weights.for_least_cost * offer.cost_nano_usd
            - (
                weights.for_quality(offer.quality, span.best_quality)
                + weights.for_latency(offer.latency_ms, span)
            )
            * spread
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
