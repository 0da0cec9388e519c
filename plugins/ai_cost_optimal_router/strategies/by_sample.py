"""The strategy that learns: it tries what may be the best as often as it may be the best."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, cast

from aigateway.config import Reader

from ..market import Market
from ..situation import Draw, Evidence
from .strategy import JsonObject, Known, Offer, Order, Plan, Scene, Stage, Strategy

__all__ = ["Bandit", "sample_beta"]

_REMEMBERED: Final = 1024
_NO_EVIDENCE: Final = Evidence()

_USUAL_INPUT: Final = 3
"""Tokens of input to one of output, when arms are told apart before any request is known."""


@dataclass(frozen=True, slots=True)
class _BanditTerms:
    cost_weight: float = 0.3
    """The share of cost in the score; the rest is the sampled chance of success."""
    prior_mass: float = 10.0
    """How many answers the quality in the catalog is worth as evidence."""
    arms: int = 6
    """Models among which samples are drawn."""

    def posterior(self, quality: float, evidence: Evidence) -> tuple[float, float]:
        """Give the parameters of the Beta distribution of a model's chance of success.

        Before anything is known any chance is as likely as any other, so both begin at 1.
        """
        return (
            1 + self.prior_mass * quality + evidence.successes,
            1 + self.prior_mass * (1 - quality) + evidence.failures,
        )

    def score(self, chance: float, cost: int, cheapest: int, dearest: int) -> float:
        """Score a model; lower is better."""
        dearness = (cost - cheapest) / (dearest - cheapest or 1)
        return self.cost_weight * dearness - (1 - self.cost_weight) * chance


class _BanditOrder(Order):
    phrase = "best sample"

    def __init__(self, market: Market, terms: _BanditTerms) -> None:
        super().__init__(market)
        self._terms = terms
        self._arms: dict[int, Sequence[int]] = {}
        self._evidence: Mapping[str, Mapping[str, Evidence]] = {}
        self._posteriors: dict[tuple[int, str], Sequence[tuple[float, float]]] = {}

    def rank(self, models: int, scene: Scene) -> Sequence[int]:
        """Draw a chance of success for each arm, and order by it and by cost."""
        market, situation, terms, draw = self.market, scene.situation, self._terms, scene.draw
        arms = self._arms_of(models)
        costs = market.costs(arms, situation.prompt_tokens, situation.max_tokens, scene.outputs)
        cheapest, dearest = min(costs), max(costs)
        drawn: list[float] = []

        def note() -> float:
            number = draw()
            drawn.append(number)
            return number

        notes = cast(dict[int, _Sample], scene.notes.setdefault("bandit", {}))
        scored = []
        for number, cost, (successes, failures) in zip(
            arms, costs, self._posteriors_of(models, scene), strict=True
        ):
            first = len(drawn)
            chance = sample_beta(successes, failures, note)
            notes[number] = successes, failures, drawn, first, len(drawn)
            scored.append((terms.score(chance, cost, cheapest, dearest), number))
        scored.sort()
        return [number for _, number in scored]

    def _arms_of(self, models: int) -> Sequence[int]:
        """Choose the models that take part: those that look best before anything is learnt."""
        arms = self._arms.get(models)
        if arms is None:
            if len(self._arms) >= _REMEMBERED:
                self._arms.clear()
            market, terms = self.market, self._terms
            arms = market.members(models)
            if len(arms) > terms.arms:
                prices = [_USUAL_INPUT * market.input_prices[i] + market.output_prices[i] for i in arms]
                low, high = min(prices), max(prices)
                scores = {
                    number: terms.score(market.qualities[number], price, low, high)
                    for number, price in zip(arms, prices, strict=True)
                }
                arms = sorted(sorted(arms, key=scores.__getitem__)[: terms.arms])
            self._arms[models] = arms
        return arms

    def _posteriors_of(self, models: int, scene: Scene) -> Sequence[tuple[float, float]]:
        """Give the distribution of each arm."""
        evidence, domain = scene.knowledge.evidence, scene.situation.domain
        if evidence is not self._evidence:
            self._evidence = evidence
            self._posteriors.clear()
        found = self._posteriors.get((models, domain))
        if found is None:
            if len(self._posteriors) >= _REMEMBERED:
                self._posteriors.clear()
            market, known = self.market, evidence.get(domain, {})
            found = self._posteriors[models, domain] = [
                self._terms.posterior(market.qualities[i], known.get(market.keys[i], _NO_EVIDENCE))
                for i in self._arms_of(models)
            ]
        return found

    def terms(self, models: int, scene: Scene) -> JsonObject:
        """Give the weights, and between what costs the share of cost was taken."""
        situation = scene.situation
        costs = self.market.costs(
            self._arms_of(models), situation.prompt_tokens, situation.max_tokens, scene.outputs
        )
        return {
            "cost_weight": self._terms.cost_weight,
            "cheapest_nano_usd": min(costs),
            "dearest_nano_usd": max(costs),
        }

    def extras(self, numbers: Sequence[int], scene: Scene) -> Sequence[JsonObject]:
        """Give the distribution of each, and the random numbers that were drawn for it."""
        notes = cast(Mapping[int, _Sample], scene.notes["bandit"])
        return [
            {"successes": successes, "failures": failures, "draws": drawn[first:end]}
            for successes, failures, drawn, first, end in (notes[number] for number in numbers)
        ]

    @classmethod
    def score(cls, offers: Sequence[Offer], terms: JsonObject) -> Sequence[float]:
        """Score by the samples, drawn again from the recorded numbers."""
        weights = _BanditTerms(cost_weight=cast(float, terms["cost_weight"]))
        cheapest, dearest = cast(int, terms["cheapest_nano_usd"]), cast(int, terms["dearest_nano_usd"])
        scores = []
        for offer in offers:
            again = iter(cast(Sequence[float], offer.extra["draws"]))
            chance = sample_beta(
                cast(float, offer.extra["successes"]),
                cast(float, offer.extra["failures"]),
                again.__next__,
            )
            scores.append(weights.score(chance, offer.cost_nano_usd, cheapest, dearest))
        return scores


_Sample: TypeAlias = tuple[float, float, Sequence[float], int, int]
"""Successes, failures, and where in all the numbers that were drawn those of one model begin and end."""


def sample_beta(successes: float, failures: float, draw: Draw) -> float:
    """Draw from the Beta distribution with these parameters, both of at least 1."""
    # Two independent normal numbers, after Box and Muller.
    radius, angle = math.sqrt(-2 * math.log(1 - draw())), math.tau * draw()
    first = _gamma(successes, radius * math.cos(angle), draw)
    return first / (first + _gamma(failures, radius * math.sin(angle), draw))


def _gamma(shape: float, normal: float, draw: Draw) -> float:
    """Make a number of the Gamma distribution of scale 1 from a normal one; *shape* is at least 1.

    The method is that of Marsaglia and Tsang, "A simple method for generating gamma variables", ACM
    Transactions on Mathematical Software 26 (2000). It seldom needs a second normal number.
    """
    d = shape - 1 / 3
    c = 1 / math.sqrt(9 * d)
    while True:
        v = 1 + c * normal
        if v > 0:
            v = v * v * v
            square = normal * normal
            u = 1 - draw()
            if u < 1 - 0.0331 * square * square or math.log(u) < square / 2 + d * (1 - v + math.log(v)):
                return d * v
        normal = math.sqrt(-2 * math.log(1 - draw())) * math.cos(math.tau * draw())


@dataclass(frozen=True, slots=True)
class Bandit(Strategy):
    """Thompson sampling over what became of earlier requests, apart for each domain.

    The chance that a model does well has a Beta distribution: the quality in the catalog to begin with, and
    what happened since. One value is drawn for each model, and the best draw wins, so that what is known to
    be good is used and what may be good is tried.
    """

    ranks_by = _BanditOrder

    terms: _BanditTerms = _BanditTerms()

    @classmethod
    def read(cls, section: Reader, known: Known) -> "Bandit":
        """Read the weights and the number of arms."""
        default = _BanditTerms()
        return cls(
            _BanditTerms(
                cost_weight=section.number("cost_weight", default.cost_weight, at_least=0, at_most=1),
                prior_mass=section.number("prior_mass", default.prior_mass, above=0, at_most=1_000_000),
                arms=section.integer("arms", default.arms, at_least=2, at_most=32),
            )
        )

    def plan(self, scene: Scene) -> Plan:
        """Look among the arms, which are everywhere when there are few models."""
        return _BY_SAMPLE

    def order(self, market: Market) -> Order:
        """Order by samples."""
        return _BanditOrder(market, self.terms)


_BY_SAMPLE: Final = Plan((Stage("bandit"), Stage("cost_optimal")))
