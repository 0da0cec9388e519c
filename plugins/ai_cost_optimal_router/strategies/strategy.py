"""What a strategy is: a plan of where to look, and, for some, an order of their own."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple, TypeAlias

from aigateway.catalog import Catalog
from aigateway.config import Reader

from ..market import LatencyView, Market, Outputs
from ..situation import Draw, Knowledge, Situation

__all__ = ["JsonObject", "Known", "Offer", "Order", "Plan", "Scene", "Stage", "Strategy"]

_WORD: Final = re.compile(r"[A-Za-z0-9._-]{1,40}")

JsonObject: TypeAlias = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What settings may refer to."""

    catalog: Catalog
    orders: Sequence[str]
    """The names of the strategies that have an order."""
    strategies: "Mapping[str, Strategy]"
    """The strategies that are read already: those before this one in the registry."""

    def patterns(self, section: Reader, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        """Read a list of models: names, `provider/name`, or either with `*`; each must stand for some."""
        patterns = section.strings(key, default)
        if patterns is not default:
            for index, pattern in enumerate(patterns):
                if not self.catalog.matching(pattern):
                    section.refuse(f"{key}[{index}]", "a model of the catalog", pattern)
        return patterns

    def word(self, section: Reader, key: str) -> str:
        """Read a name that may show in headers."""
        word = section.string(key, "?")
        if not _WORD.fullmatch(word):
            section.refuse(key, "a name of at most 40 letters, digits and ._-", None if word == "?" else word)
        return word


class Stage(NamedTuple):
    """Some models, and the order in which to take them."""

    order: str
    """The name of a strategy that has an order."""
    models: int | None = None
    """A set of the market; `None`: all that are left."""


class Plan(NamedTuple):
    """Where to look for a model, stage by stage; whoever comes up in one is left out of the next."""

    stages: tuple[Stage, ...]
    case: str = ""
    """What decided, where a strategy tells cases apart: the name of a rule, an arm or a tier."""


class Scene:
    """One decision: the situation with all that orders and plans ask of it."""

    __slots__ = (
        "_latencies",
        "draw",
        "feasible",
        "knowledge",
        "market",
        "narrowed",
        "notes",
        "outputs",
        "requested",
        "situation",
    )

    def __init__(
        self,
        situation: Situation,
        knowledge: Knowledge,
        draw: Draw,
        market: Market,
        requested: int = 0,
    ) -> None:
        self.situation: Final = situation
        self.knowledge: Final = knowledge
        self.draw: Final = draw
        self.market: Final = market
        self.feasible: int = 0
        """The set of models that meet every constraint."""
        self.narrowed = False
        """Whether models were excluded by what this request costs there: such a set is hardly met again."""
        self.requested: Final = requested
        """The set of models that the request named."""
        self.outputs: Final[Outputs] = market.outputs(knowledge.expected_output, situation.domain)
        self.notes: Final[dict[str, object]] = {}
        """What an order must keep for the record because it cannot be had again: draws, turns."""
        self._latencies: LatencyView | None = None

    @property
    def latencies(self) -> LatencyView:
        """What latency each model is taken to have now."""
        if self._latencies is None:
            self._latencies = self.market.latencies(self.knowledge.latency, self.situation.now_s)
        return self._latencies


class Offer(NamedTuple):
    """A model with what speaks for and against it, as the audit record holds it."""

    quality: float
    latency_ms: float
    cost_nano_usd: int
    extra: JsonObject
    """What the order alone knows, as `Order.extras` gave it."""


class Order:
    """Ranks models; one instance per router, so that it can remember what it has computed."""

    phrase: ClassVar[str]
    """What the first one is: `cheapest`, as in `cheapest of 4`."""

    def __init__(self, market: Market) -> None:
        self.market: Final = market

    def rank(self, models: int, scene: Scene) -> Sequence[int]:
        """Give the numbers of models in a set, the best first, or at least all that `pick` needs."""
        raise NotImplementedError

    def take(self, models: int, number: int) -> None:
        """Note that one of the set was chosen; for orders in which models take turns."""

    def terms(self, models: int, scene: Scene) -> JsonObject:
        """Give the parameters of this ranking for the record."""
        return {}

    def extras(self, numbers: Sequence[int], scene: Scene) -> Sequence[JsonObject]:
        """Give for each of some models what the record needs beside its quality, latency and cost."""
        return [{} for _ in numbers]

    @classmethod
    def score(cls, offers: Sequence[Offer], terms: JsonObject) -> Sequence[float]:
        """Score offers by what the record holds and nothing else: the lower, the better.

        Equal scores are decided by place: offers come in the order of the market.
        """
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Strategy:
    """A way to choose, with its settings; its name is its key in the registry."""

    ranks_by: ClassVar[type[Order] | None] = None
    """The order that goes by the name of this strategy, if it brings one."""

    @classmethod
    def read(cls, section: Reader, known: Known) -> "Strategy":
        """Read the settings; what is wrong is noted with the reader."""
        return cls()

    def plan(self, scene: Scene) -> Plan:
        """Say where to look for a model for this request."""
        raise NotImplementedError

    def order(self, market: Market) -> Order:
        """Make the order that `ranks_by` promises."""
        raise NotImplementedError
