"""The strategy that learns: it tries what may be the best as often as it may be the best."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias, cast

from aigateway.config import Reader

from ..market import Market
from ..situation import Draw, Evidence
from .strategy import JsonObject, Known, Offer, Order, Plan, Scene, Stage, Strategy

__all__ = ["Bandit", "Beta"]

_REMEMBERED: Final = 1024
_NO_EVIDENCE: Final = Evidence()

_USUAL_INPUT: Final = 3
"""Tokens of input to one of output, when arms are told apart before any request is known."""


class Beta(NamedTuple):
    """A Beta distribution, prepared for drawing from it.

    It is `x / (x + y)` of two Gamma variables. Those are made by the method of Marsaglia and Tsang, "A simple
    method for generating gamma variables", ACM Transactions on Mathematical Software 26 (2000), for which
    each has two constants.
    """

    successes: float
    failures: float
    d_successes: float
    c_successes: float
    d_failures: float
    c_failures: float

    @classmethod
    def of(cls, successes: float, failures: float) -> "Beta":
        """Prepare the distribution with these parameters, both of at least 1."""
        d_successes, d_failures = successes - 1 / 3, failures - 1 / 3
        return cls(
            successes,
            failures,
            d_successes,
            1 / math.sqrt(9 * d_successes),
            d_failures,
            1 / math.sqrt(9 * d_failures),
        )

    def sample(self, draw: Draw) -> tuple[float, Sequence[float]]:
        """Draw from it; return the number with those that it was made of, from which it can be made again."""
        _, _, d_successes, c_successes, d_failures, c_failures = self
        drawn = [draw(), draw(), draw(), draw()]
        # Two independent normal numbers, after Box and Muller.
        radius, angle = math.sqrt(-2 * math.log(1 - drawn[0])), math.tau * drawn[1]
        successes = _gamma(d_successes, c_successes, radius * math.cos(angle), 1 - drawn[2])
        if successes is None:
            successes = _gamma_again(d_successes, c_successes, drawn, draw)
        failures = _gamma(d_failures, c_failures, radius * math.sin(angle), 1 - drawn[3])
        if failures is None:
            failures = _gamma_again(d_failures, c_failures, drawn, draw)
        return successes / (successes + failures), drawn


def _gamma(d: float, c: float, normal: float, u: float) -> float | None:
    """Make a Gamma variable of a normal one and of *u*, above 0 and up to 1; `None` for a few pairs."""
    v = 1 + c * normal
    if v <= 0:
        return None
    v = v * v * v
    square = normal * normal
    if u < 1 - 0.0331 * square * square or math.log(u) < square / 2 + d * (1 - v + math.log(v)):
        return d * v
    return None


def _gamma_again(d: float, c: float, drawn: list[float], draw: Draw) -> float:
    """Draw until there is a Gamma variable."""
    while True:
        more = [draw(), draw(), draw()]
        drawn += more
        normal = math.sqrt(-2 * math.log(1 - more[0])) * math.cos(math.tau * more[1])
        found = _gamma(d, c, normal, 1 - more[2])
        if found is not None:
            return found


_Round: TypeAlias = tuple[Sequence[int], Sequence[Beta], Sequence[tuple[float, Sequence[float]]]]
"""The arms of a ranking, their distributions, and what was drawn."""


@dataclass(frozen=True, slots=True)
class _BanditTerms:
    cost_weight: float = 0.3
    """The share of cost in the score; the rest is the sampled chance of success."""
    prior_mass: float = 10.0
    """How many answers the quality in the catalog is worth as evidence."""
    arms: int = 5
    """Models among which samples are drawn."""

    def posterior(self, quality: float, evidence: Evidence) -> Beta:
        """Give the distribution of a model's chance of success.

        Before anything is known any chance is as likely as any other, so both parameters begin at 1.
        """
        return Beta.of(
            1 + self.prior_mass * quality + evidence.successes,
            1 + self.prior_mass * (1 - quality) + evidence.failures,
        )

    def prices(self, cheapest: int, dearest: int) -> tuple[float, float]:
        """Give what a nano-USD and what a chance of success are worth, when costs are between these."""
        return self.cost_weight / (dearest - cheapest or 1), 1 - self.cost_weight


class _BanditOrder(Order):
    phrase = "best sample"

    def __init__(self, market: Market, terms: _BanditTerms) -> None:
        super().__init__(market)
        self._terms = terms
        self._arms: dict[int, Sequence[int]] = {}
        self._evidence: Mapping[str, Mapping[str, Evidence]] = {}
        self._posteriors: dict[tuple[int, str], Sequence[Beta]] = {}

    def rank(self, models: int, scene: Scene) -> Sequence[int]:
        """Draw a chance of success for each arm, and order by it and by cost."""
        market, situation, terms, draw = self.market, scene.situation, self._terms, scene.draw
        arms = self._arms_of(models)
        costs = market.costs(arms, situation.prompt_tokens, situation.max_tokens, scene.outputs)
        per_nano_usd, per_chance = terms.prices(min(costs), max(costs))
        posteriors = self._posteriors_of(models, scene)
        samples = [posterior.sample(draw) for posterior in posteriors]
        cast(list[_Round], scene.notes.setdefault("bandit", [])).append((arms, posteriors, samples))
        scored = [
            (per_nano_usd * cost - per_chance * chance, number)
            for number, cost, (chance, _) in zip(arms, costs, samples, strict=True)
        ]
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
                per_price, per_chance = terms.prices(min(prices), max(prices))
                scores = {
                    number: per_price * price - per_chance * market.qualities[number]
                    for number, price in zip(arms, prices, strict=True)
                }
                arms = sorted(sorted(arms, key=scores.__getitem__)[: terms.arms])
            self._arms[models] = arms
        return arms

    def _posteriors_of(self, models: int, scene: Scene) -> Sequence[Beta]:
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
        found = {
            number: {"successes": posterior.successes, "failures": posterior.failures, "draws": drawn}
            for arms, posteriors, samples in cast(Sequence[_Round], scene.notes["bandit"])
            for number, posterior, (_, drawn) in zip(arms, posteriors, samples, strict=True)
        }
        return [found[number] for number in numbers]

    @classmethod
    def score(cls, offers: Sequence[Offer], terms: JsonObject) -> Sequence[float]:
        """Score by the samples, drawn again from the recorded numbers."""
        weights = _BanditTerms(cost_weight=cast(float, terms["cost_weight"]))
        per_nano_usd, per_chance = weights.prices(
            cast(int, terms["cheapest_nano_usd"]), cast(int, terms["dearest_nano_usd"])
        )
        scores = []
        for offer in offers:
            parameters = (cast(float, offer.extra[name]) for name in ("successes", "failures"))
            again = iter(cast(Sequence[float], offer.extra["draws"]))
            chance, _ = Beta.of(*parameters).sample(again.__next__)
            scores.append(per_nano_usd * offer.cost_nano_usd - per_chance * chance)
        return scores


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
