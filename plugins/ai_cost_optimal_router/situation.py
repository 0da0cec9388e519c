"""What a decision is made from: the request as others have measured it, and what is known of the providers.

Both are plain values, so that any decision can be made again, in a test or in a REPL:

    router.choose(Situation(prompt_tokens=1_200, domain="code"), Knowledge(), draw=random.random)
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

from aigateway.chat import Format, Need
from aigateway.health import LatencyStats

__all__ = ["ANY_MODEL", "Draw", "Evidence", "Knowledge", "LatencyClass", "Situation"]

LatencyClass: TypeAlias = Literal["realtime", "batch"]

Draw: TypeAlias = Callable[[], float]
"""Gives a random number from 0 to 1, 1 excluded; where the numbers come from is the caller's affair."""

ANY_MODEL: Final = "*"
"""Stands, in `Knowledge.expected_output`, for the models that nothing has been learnt of yet."""

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


def _nothing() -> Mapping[str, Any]:
    """Give always the same empty mapping, so that knowing nothing twice is knowing the same."""
    return _NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """One request, as far as choosing a model for it is concerned; what is not known has its default."""

    prompt_tokens: int = 1
    """Estimate of the input."""
    max_tokens: int | None = None
    """The limit of the output that the request sets."""
    needs: frozenset[Need] = frozenset()
    """What the model must be able to do."""
    format: Format | None = None
    """The API that the request is written for; `None` fits every model."""
    domain: str = "general"
    latency: LatencyClass = "realtime"
    complexity: float = 0.5
    """From 0 to 1."""
    tier: str | None = None
    """What the tuner found to be enough: `strong`, `weak` or any word of the catalog."""
    requested_model: str | None = None
    """As in the body, decoded; absent, or a name of `auto_models`, leaves the choice to the router."""
    strategy: str | None = None
    """As in the header x-router-strategy, unchecked."""
    consumer: str | None = None
    """Who asks, as authentication says."""
    request_id: str = ""
    budget_nano_usd: int | None = None
    """What the caller can still spend; `None` where nobody counts."""
    now_s: float = 0.0
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """How often a model did well and badly, without any prior, which is the strategy's affair.

    Outcomes may count in parts, and less as they age, so neither number need be whole.
    """

    successes: float = 0.0
    failures: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """What is known of the providers at this moment; everything may be empty.

    Providers are named by themselves (`openai`) where something holds for all their models, and by
    `provider/model` where it holds for one, which then counts instead.

    The router remembers what it made of each mapping until it gets another one. So whoever builds these
    replaces a mapping as a whole when something in it has changed, hands out the same one while nothing has,
    and never changes one that was handed out.
    """

    closed: Mapping[str, float] = field(default_factory=_nothing)
    """Who takes no requests, and until when, in seconds since the epoch: those whose breaker is not closed.

    A model is left alone while it or its provider is listed here. Whose time has come is tried again, so it
    makes no difference whether it is still listed.
    """
    latency: Mapping[str, LatencyStats] = field(default_factory=_nothing)
    """How long they have taken lately."""
    expected_output: Mapping[str, Mapping[str, float]] = field(default_factory=_nothing)
    """Mean tokens of an answer, by domain and then by `provider/model`, or `ANY_MODEL` for all the others."""
    evidence: Mapping[str, Mapping[str, Evidence]] = field(default_factory=_nothing)
    """How they have done, by domain and then by `provider/model`."""
