"""Strategies that tell cases apart and prefer certain models in each: rules, tasks, tiers.

A preferred model that may not be taken, because a constraint excludes it, is passed over: what follows is the
next preferred one and in the end all others, so that no case fails for want of its favourite.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Final, cast

from aigateway.chat import Need
from aigateway.config import Reader

from ..market import Market
from ..shortlist import WANTED
from ..situation import LatencyClass, Situation
from .strategy import JsonObject, Known, Offer, Order, Plan, Scene, Stage, Strategy

__all__ = ["Classifier", "QualityFirst", "Rule", "RuleBased", "Tiered", "When"]

_LATENCIES: Final = ("realtime", "batch")


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """What a request must be like for a rule to hold; every condition that is given must be met."""

    domains: frozenset[str] | None = None
    needs: frozenset[Need] | None = None
    """Some of these."""
    latency: LatencyClass | None = None
    complexity_at_least: float | None = None
    complexity_at_most: float | None = None
    prompt_tokens_at_least: int | None = None
    tier: str | None = None
    consumers: frozenset[str] | None = None
    requested_model: bool | None = None
    """Whether it names a model of the catalog, which `on_explicit_model: override` leaves to rules."""

    def holds(self, situation: Situation, requested: int) -> bool:
        """Tell whether a request is like this; *requested* is the set of models that it names."""
        return not (
            (self.domains is not None and situation.domain not in self.domains)
            or (self.complexity_at_least is not None and situation.complexity < self.complexity_at_least)
            or (self.complexity_at_most is not None and situation.complexity > self.complexity_at_most)
            or (self.latency is not None and situation.latency != self.latency)
            or (self.needs is not None and self.needs.isdisjoint(situation.needs))
            or (
                self.prompt_tokens_at_least is not None
                and situation.prompt_tokens < self.prompt_tokens_at_least
            )
            or (self.tier is not None and situation.tier != self.tier)
            or (self.consumers is not None and situation.consumer not in self.consumers)
            or (self.requested_model is not None and self.requested_model != bool(requested))
        )

    @classmethod
    def read(cls, section: Reader) -> "When":
        """Read the conditions."""
        return cls(
            domains=_words(section, "domains"),
            needs=_needs(section),
            latency=cast(LatencyClass | None, section.choice("latency", "", among=_LATENCIES) or None),
            complexity_at_least=_share(section, "complexity_at_least"),
            complexity_at_most=_share(section, "complexity_at_most"),
            prompt_tokens_at_least=section.integer("prompt_tokens_at_least", 0, at_least=0) or None,
            tier=section.string("tier", "") or None,
            consumers=_words(section, "consumers"),
            requested_model=True if section.boolean("requested_model", False) else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One case: which requests it is about, and which models they had better go to."""

    name: str
    when: When = When()
    models: tuple[str, ...] = ()
    """Names or patterns, in order of preference."""
    tier: str | None = None
    """After them, the models of this tier."""
    requested: bool = False
    """Before all, the model that the request names."""
    then: str = "balanced"
    """The strategy that orders several models of one pattern, and all models that the rule does not name."""

    def plan(self, scene: Scene) -> Plan:
        """Look at the preferred models in turn, then everywhere."""
        market = scene.market
        stages = [Stage(self.then, market.matching(pattern)) for pattern in self.models]
        if self.tier is not None:
            stages.append(Stage(self.then, market.of_tier(self.tier)))
        if self.requested:
            stages.insert(0, Stage(self.then, scene.requested))
        stages.append(Stage(self.then))
        return Plan(tuple(stages), self.name)

    @classmethod
    def read(cls, section: Reader, known: Known) -> "Rule":
        """Read a rule."""
        return cls(
            name=known.word(section, "name"),
            when=When.read(section.table("when")),
            models=known.patterns(section, "models", ()),
            tier=section.string("tier", "") or None,
            requested=section.boolean("requested", False),
            then=section.choice("then", "balanced", among=known.orders),
        )


@dataclass(frozen=True, slots=True)
class _Ruled(Strategy):
    """A strategy made of rules: the first one that holds decides."""

    rules: tuple[Rule, ...] = ()
    otherwise: str = "balanced"
    """The strategy for requests that no rule is about."""

    list_name: ClassVar[str] = "rules"

    @classmethod
    def read(cls, section: Reader, known: Known) -> "_Ruled":
        """Read the rules, which replace the default ones, and what holds otherwise."""
        default = cls()
        given = section.tables(cls.list_name)
        rules = tuple(Rule.read(table, known) for table in given) if given else default.rules
        return cls(rules, section.choice("otherwise", default.otherwise, among=known.orders))

    def plan(self, scene: Scene) -> Plan:
        """Find the first rule that holds."""
        situation, requested = scene.situation, scene.requested
        for rule in self.rules:
            if rule.when.holds(situation, requested):
                return rule.plan(scene)
        return Plan((Stage(self.otherwise),), "otherwise")


_SAFETY: Final = ("claude-sonnet",)
_FRONTIER: Final = ("gpt-5.5",)
_FLASH: Final = ("gemini-flash",)
_SMALL: Final = ("kimi",)

_RULES: Final = (
    Rule(
        name="safety",
        when=When(domains=frozenset({"medical", "legal"})),
        models=_SAFETY,
        then="quality_first",
    ),
    Rule(
        name="frontier",
        when=When(domains=frozenset({"code"}), complexity_at_least=0.55),
        models=_FRONTIER,
        then="quality_first",
    ),
    Rule(
        name="flash",
        when=When(latency="realtime", complexity_at_most=0.35),
        models=_FLASH,
        then="cost_optimal",
    ),
    Rule(name="requested", when=When(requested_model=True), requested=True),
)
"""The rules of nexus, with the models of the default catalog."""

_TIERS_OF_COMPLEXITY: Final = (
    Rule(name="hard", when=When(complexity_at_least=0.8), models=_SAFETY, then="quality_first"),
    Rule(name="code", when=When(domains=frozenset({"code"})), models=_FRONTIER, then="quality_first"),
    Rule(name="easy", when=When(complexity_at_most=0.4), models=_SMALL, then="cost_optimal"),
)

_TASKS: Final = (
    Rule(
        name="multimodal",
        when=When(needs=frozenset({Need.VISION, Need.AUDIO})),
        models=("gemini-pro", "gpt-5.5", "claude-sonnet"),
        then="quality_first",
    ),
    Rule(
        name="long_context",
        when=When(prompt_tokens_at_least=64_000),
        models=("gemini-pro", "gpt-5.5"),
        then="quality_first",
    ),
    Rule(
        name="coding",
        when=When(domains=frozenset({"code"})),
        models=("claude-sonnet", "gpt-5.5"),
        then="quality_first",
    ),
    Rule(
        name="analysis",
        when=When(complexity_at_least=0.6),
        models=("claude-sonnet", "gpt-5.5", "gemini-pro"),
        then="quality_first",
    ),
    Rule(
        name="fast_response",
        when=When(latency="realtime", complexity_at_most=0.2),
        models=("gpt-4.1-mini", "claude-haiku", "gemini-flash"),
        then="quality_first",
    ),
)


@dataclass(frozen=True, slots=True)
class RuleBased(_Ruled):
    """Ordered rules; by default those of nexus."""

    rules: tuple[Rule, ...] = _RULES


@dataclass(frozen=True, slots=True)
class Classifier(_Ruled):
    """Tiers by complexity: hard from 0.8 on, easy up to 0.4, code apart."""

    rules: tuple[Rule, ...] = _TIERS_OF_COMPLEXITY


class _QualityOrder(Order):
    """Orders by quality, which is the order of the market."""

    phrase = "best quality"

    def rank(self, models: int, scene: Scene) -> Sequence[int]:
        """Give the best of the best providers, and the next best."""
        found: set[int] = set()
        rest = models
        while rest and len(found) < WANTED:
            number = (rest & -rest).bit_length() - 1
            found.add(number)
            rest &= ~self.market.of_provider[self.market.providers[number]]
        rest = models
        for _ in range(WANTED):
            best = rest & -rest
            if not best:
                break
            found.add(best.bit_length() - 1)
            rest ^= best
        return sorted(found)

    @classmethod
    def score(cls, offers: Sequence[Offer], terms: JsonObject) -> Sequence[float]:
        """Score by quality."""
        return [-offer.quality for offer in offers]


@dataclass(frozen=True, slots=True)
class QualityFirst(_Ruled):
    """The best quality, with a list of favourites per task."""

    ranks_by = _QualityOrder

    rules: tuple[Rule, ...] = _TASKS
    otherwise: str = "quality_first"

    list_name: ClassVar[str] = "tasks"

    def order(self, market: Market) -> Order:
        """Order by quality."""
        return _QualityOrder(market)


@dataclass(frozen=True, slots=True, kw_only=True)
class CostTier:
    """Models by what they cost, and the requests that they are enough for."""

    name: str
    up_to_nano_usd: int | None
    """The mean price of a token, three of input to one of output; `None`: any."""
    complexity_below: float | None


_COST_TIERS: Final = (
    CostTier(name="cheap", up_to_nano_usd=2_000, complexity_below=0.35),
    CostTier(name="balanced", up_to_nano_usd=5_000, complexity_below=0.65),
    CostTier(name="premium", up_to_nano_usd=None, complexity_below=None),
)


@dataclass(frozen=True, slots=True)
class Tiered(Strategy):
    """Cheap models for easy requests, dear ones for hard ones; upwards where a tier has none to offer."""

    tiers: tuple[CostTier, ...] = _COST_TIERS
    within: str = "cost_optimal"
    """The strategy that chooses within a tier."""

    @classmethod
    def read(cls, section: Reader, known: Known) -> "Tiered":
        """Read the tiers, cheapest first; the last has no bounds."""
        default = cls()
        given = section.tables("tiers")
        tiers = tuple(_read_tier(table, known, index == len(given) - 1) for index, table in enumerate(given))
        for index, (tier, next_tier) in enumerate(pairwise(tiers)):
            if not _rises(tier.up_to_nano_usd, next_tier.up_to_nano_usd):
                section.refuse(f"tiers[{index + 1}]", "a higher price than the tier before", next_tier.name)
            if not _rises(tier.complexity_below, next_tier.complexity_below):
                section.refuse(f"tiers[{index + 1}]", "more complexity than the tier before", next_tier.name)
        return cls(tiers or default.tiers, section.choice("within", default.within, among=known.orders))

    def plan(self, scene: Scene) -> Plan:
        """Begin with the tier for this complexity, go up, and only then down."""
        complexity = scene.situation.complexity
        start = 0
        for tier in self.tiers:
            if tier.complexity_below is None or complexity < tier.complexity_below:
                break
            start += 1
        sets: list[int] = []
        below = 0
        for tier in self.tiers:
            up_to = scene.market.everything
            if tier.up_to_nano_usd is not None:
                up_to = scene.market.priced_up_to(tier.up_to_nano_usd)
            sets.append(up_to & ~below)
            below = up_to
        turns = (*sets[start:], *reversed(sets[:start]))
        return Plan(tuple(Stage(self.within, models) for models in turns), self.tiers[start].name)


def _read_tier(section: Reader, known: Known, is_last: bool) -> CostTier:
    name = known.word(section, "name")
    if is_last:
        return CostTier(name=name, up_to_nano_usd=None, complexity_below=None)
    return CostTier(
        name=name,
        up_to_nano_usd=round(
            1_000 * section.number("up_to_usd_per_million_tokens", 1.0, above=0, at_most=1_000_000)
        ),
        complexity_below=section.number("complexity_below", 0.5, above=0, at_most=1),
    )


def _rises(lower: float | None, upper: float | None) -> bool:
    return lower is None or upper is None or lower < upper


def _words(section: Reader, key: str) -> frozenset[str] | None:
    return frozenset(section.strings(key, ())) or None


def _share(section: Reader, key: str) -> float | None:
    value = section.number(key, -1.0, at_least=0, at_most=1)
    return None if value < 0 else value


def _needs(section: Reader) -> frozenset[Need] | None:
    known = {str(need): need for need in Need}
    words = section.strings("needs", ())
    for index, word in enumerate(words):
        if word not in known:
            section.refuse(f"needs[{index}]", f"one of {', '.join(known)}", word)
    return frozenset(known[word] for word in words if word in known) or None
