"""Where a request may go: the router's choice, its fallbacks, and who is left when nobody may be tried."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from aigateway.health import BreakerState, breaker_key, latency_key
from aigateway.models import Catalog, Model
from aigateway.refusals import Refusal

from .breaker import Ruling
from .config import Scope

__all__ = [
    "MAX_FALLBACKS",
    "Denied",
    "Target",
    "all_providers",
    "at_cluster",
    "chosen",
    "fallbacks",
    "least_shut",
    "refusal",
    "wait_s",
]

MAX_FALLBACKS: Final = 8
"""Of a longer list the rest is not looked at; the router names three."""

_LONGEST_LIST: Final = 4_096

_LAST_RESORT: Final = (
    BreakerState.CLOSED,
    BreakerState.HALF_OPEN,
    BreakerState.OPEN,
    BreakerState.RATE_LIMITED,
    BreakerState.UNAUTHORIZED,
)
"""What is most likely to work comes first: who failed may work by now, who refuses our key does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A provider, and the model there, if that is known."""

    provider: str
    breaker_key: str
    latency_key: str
    model: Model | None = None


@dataclass(frozen=True, slots=True)
class Denied:
    """A target that may not be tried, and why."""

    target: Target
    ruling: Ruling


def chosen(provider: str | None, model: str | None, catalog: Catalog, scope: Scope) -> Target | None:
    """Find what the headers `x-ai-provider` and `x-ai-model` say; `None` if the catalog does not know it."""
    found = catalog.find(f"{provider}/{model}") if provider and model else None
    return None if found is None else _target(found, scope)


def at_cluster(cluster: str | None, catalog: Catalog) -> Target | None:
    """Say who is at the cluster of a route; one that the catalog does not know is a provider of its own."""
    if not cluster:
        return None
    name = next((model.provider for model in catalog if model.cluster == cluster), cluster)
    return Target(provider=name, breaker_key=breaker_key(name), latency_key=latency_key(name))


def all_providers(catalog: Catalog, scope: Scope) -> Iterable[Target]:
    """Give one target for each breaker that the catalog makes."""
    targets: dict[str, Target] = {}
    for target in [_target(model, scope) for model in catalog]:
        targets.setdefault(target.breaker_key, target)
    return targets.values()


def fallbacks(names: str | None, catalog: Catalog, scope: Scope) -> list[Target]:
    """Read `x-ai-fallbacks`, names of the form `provider/model` with commas between, in their order."""
    if not names:
        return []
    found = [catalog.find(name.strip()) for name in names[:_LONGEST_LIST].split(",")[:MAX_FALLBACKS]]
    return [_target(model, scope) for model in found if model is not None]


def least_shut(denied: Sequence[Denied]) -> Denied:
    """Choose whom to try when nobody may be tried; of equals the one that opens first."""
    return min(
        denied,
        key=lambda each: (_LAST_RESORT.index(each.ruling.breaker.state), each.ruling.retry_s),
    )


def wait_s(denied: Sequence[Denied], now_s: float) -> int:
    """Say in how many whole seconds the first of them may be tried again; at least 1."""
    return max(1, math.ceil(min(each.ruling.retry_s for each in denied) - now_s))


def refusal(denied: Sequence[Denied], now_s: float) -> Refusal:
    """Say to the caller that nobody may be tried, why, and when to come again."""
    states = {each.target.provider: each.ruling.breaker.state.value.replace("_", "-") for each in denied}
    who = ", ".join(f"{provider} is {state}" for provider, state in states.items())
    message = f"No provider can take this request at present: {who}. Try again in {wait_s(denied, now_s)} s."
    return Refusal(status=503, message=message, type="server_error", code="all_providers_shut")


def _target(model: Model, scope: Scope) -> Target:
    name = model.name if scope == "model" else None
    return Target(
        provider=model.provider,
        breaker_key=breaker_key(model.provider, name),
        latency_key=latency_key(model.provider, name),
        model=model,
    )
