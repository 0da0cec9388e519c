"""The strategy that learns: it tries what may be the best as often as it may be the best."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import cos, log, sin, sqrt, tau
from typing import Final, NamedTuple, TypeAlias, cast

from aigateway.config import Reader

from ..market import Market
from ..situation import Draw, Evidence
from .strategy import JsonObject, Known, Offer, Order, Plan, Scene, Stage, Strategy

__all__ = ["Bandit", "Beta"]

_REMEMBERED: Final = 1024
_NO_EVIDENCE: Final = Evidence()

_CANDIDATES: Final = 64
"""Models that may become arms before anything is learnt of them; the best of many."""

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

    @property
    def mean(self) -> float:
        """What is drawn on average."""
        return self.successes / (self.successes + self.failures)

    @classmethod
    def of(cls, successes: float, failures: float) -> "Beta":
        """Prepare the distribution with these parameters, both of at least 1."""
        d_successes, d_failures = successes - 1 / 3, failures - 1 / 3
        return cls(
            successes,
            failures,
            d_successes,
            1 / sqrt(9 * d_successes),
            d_failures,
            1 / sqrt(9 * d_failures),
        )

    def sample(self, draw: Draw) -> tuple[float, Sequence[float]]:
        """Draw from it; return the number with those that it was made of, from which it can be made again."""
        _, _, d, c, e, f = self
        drawn = [draw(), draw(), draw(), draw()]
        # Two independent normal numbers, after Box and Muller.
        radius, angle = sqrt(-2 * log(1 - drawn[0])), tau * drawn[1]
        x, y = radius * cos(angle), radius * sin(angle)
        # Nearly always the quick test of the method accepts them.
        v, w = 1 + c * x, 1 + f * y
        if v > 0 and drawn[2] > _QUICK * x * x * x * x:
            successes = d * v * v * v
        else:
            successes = _gamma(d, c, (x, drawn[2]), drawn, draw)
        if w > 0 and drawn[3] > _QUICK * y * y * y * y:
            failures = e * w * w * w
        else:
            failures = _gamma(e, f, (y, drawn[3]), drawn, draw)
        return successes / (successes + failures), drawn


_QUICK: Final = 0.0331


def _gamma(d: float, c: float, pair: tuple[float, float], drawn: list[float], draw: Draw) -> float:
    """Make a Gamma variable of a normal number and an even one, or draw others until they make one."""
    x, u = pair
    while True:
        v = (1 + c * x) ** 3
        if v > 0 and log(1 - u) < x * x / 2 + d * (1 - v + log(v)):
            return d * v
        more = [draw(), draw(), draw()]
        drawn += more
        x, u = sqrt(-2 * log(1 - more[0])) * cos(tau * more[1]), more[2]


_Round: TypeAlias = tuple[Sequence[int], Sequence[Beta], Sequence[tuple[float, Sequence[float]]]]
"""The arms of a ranking, their distributions, and what was drawn."""


@dataclass(frozen=True, slots=True)
class _BanditTerms:
    cost_weight: float = 0.3
    """The share of cost in the score; the rest is the sampled chance of success."""
    prior_mass: float = 10.0
    """How many answers the quality in the catalog is worth as evidence."""
    arms: int = 4
    """Models among which samples are drawn: by default as many as a choice and its fallbacks are."""

    def posterior(self, quality: float, evidence: Evidence) -> Beta:
        """Give the distribution of a model's chance of success.

        Before anything is known any chance is as likely as any other, so both parameters begin at 1.
        """
        return Beta.of(
            1 + self.prior_mass * quality + evidence.successes,
            1 + self.prior_mass * (1 - quality) + evidence.failures,
        )

    def prior(self, quality: float) -> "Beta":
        """Give that distribution before anything is known."""
        return self.posterior(quality, _NO_EVIDENCE)

    def prices(self, cheapest: int, dearest: int) -> tuple[float, float]:
        """Give what a nano-USD and what a chance of success are worth, when costs are between these."""
        return self.cost_weight / (dearest - cheapest or 1), 1 - self.cost_weight


class _BanditOrder(Order):
    phrase = "best sample"

    def __init__(self, market: Market, terms: _BanditTerms) -> None:
        super().__init__(market)
        self._terms = terms
        self._first: dict[int, tuple[tuple[float, float], dict[int, float]]] = {}
        self._evidence: Mapping[str, Mapping[str, Evidence]] = {}
        self._posteriors: dict[tuple[int, str], tuple[Sequence[int], Sequence[Beta]]] = {}

    def rank(self, models: int, scene: Scene) -> Sequence[int]:
        """Draw a chance of success for each arm, and order by it and by cost."""
        market, situation, terms, draw = self.market, scene.situation, self._terms, scene.draw
        arms, posteriors = self._posteriors_of(models, scene)
        costs = market.costs(arms, situation.prompt_tokens, situation.max_tokens, scene.outputs)
        per_nano_usd, per_chance = terms.prices(min(costs), max(costs))
        samples = [posterior.sample(draw) for posterior in posteriors]
        cast(list[_Round], scene.notes.setdefault("bandit", [])).append((arms, posteriors, samples))
        scored = [
            (per_nano_usd * cost - per_chance * chance, number)
            for number, cost, (chance, _) in zip(arms, costs, samples, strict=True)
        ]
        scored.sort()
        return [number for _, number in scored]

    def _posteriors_of(self, models: int, scene: Scene) -> tuple[Sequence[int], Sequence[Beta]]:
        """Give the arms and the distribution of each."""
        evidence, domain = scene.knowledge.evidence, scene.situation.domain
        if evidence is not self._evidence:
            self._evidence = evidence
            self._posteriors.clear()
        found = self._posteriors.get((models, domain))
        if found is None:
            if len(self._posteriors) >= _REMEMBERED:
                self._posteriors.clear()
            known = evidence.get(domain, {})
            arms = self._choose_arms(models, known)
            keys, qualities = self.market.keys, self.market.qualities
            posteriors = [
                self._terms.posterior(qualities[number], known.get(keys[number], _NO_EVIDENCE))
                for number in arms
            ]
            found = self._posteriors[models, domain] = arms, posteriors
        return found

    def _choose_arms(self, models: int, known: Mapping[str, Evidence]) -> Sequence[int]:
        """Choose the models that take part: those that look best at present, for a usual mix of tokens.

        So one that disappoints makes room for the next.
        """
        market, terms = self.market, self._terms
        first = self._first.get(models)
        if first is None:
            if len(self._first) >= _REMEMBERED:
                self._first.clear()
            numbers = market.members(models)
            prices = [_USUAL_INPUT * market.input_prices[i] + market.output_prices[i] for i in numbers]
            worth = terms.prices(min(prices), max(prices))
            scores = {
                number: worth[0] * price - worth[1] * terms.prior(market.qualities[number]).mean
                for number, price in zip(numbers, prices, strict=True)
            }
            best = sorted(numbers, key=scores.__getitem__)[:_CANDIDATES]
            first = self._first[models] = worth, {number: scores[number] for number in best}
        worth, scores = first
        if len(scores) <= terms.arms:
            return tuple(scores)
        scores = scores.copy()
        for key, evidence in known.items():
            number = market.number_of(key)
            if number is not None and models >> number & 1:
                price = _USUAL_INPUT * market.input_prices[number] + market.output_prices[number]
                mean = terms.posterior(market.qualities[number], evidence).mean
                scores[number] = worth[0] * price - worth[1] * mean
        return sorted(scores, key=scores.__getitem__)[: terms.arms]

    def terms(self, models: int, scene: Scene) -> JsonObject:
        """Give the weights, and between what costs the share of cost was taken."""
        situation = scene.situation
        rounds = cast(Sequence[_Round], scene.notes["bandit"])
        arms = next(arms for arms, _, _ in rounds if models >> arms[0] & 1)
        costs = self.market.costs(arms, situation.prompt_tokens, situation.max_tokens, scene.outputs)
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
