"""What comes after an attempt that failed: who is tried next, or why nobody is.

The law of this file:

- No target is tried twice.
- None is tried whose breaker does not give a permit; it is asked for last, so none is taken in vain.
- None is tried once the chain has lasted its time, nor if that could cost more than the chain may: what the
  attempts before may have cost, whose answers nobody got, and the most that this one can.
- What the request is to blame for is only sent to whom that does not hold for: a text that is too long to
  larger models, one that a filter has refused to whoever configuration allows.
- Those of the provider that has just failed come after all others.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from .breaker import NO_PERMIT, Permit, Ruling
from .config import Bounds
from .directory import Target
from .last_resort import Denied

__all__ = ["Chain", "Choice", "Stop", "Trouble", "choose", "largest_cost", "may_have_cost"]

_FREE: Final = frozenset({"connect_failure", "unreachable", "error_event"})


class Trouble(StrEnum):
    """Why an attempt is not the last one."""

    FAILED = "failed"
    """The provider's fault: any other may do better."""
    TOO_LONG = "context_exceeded"
    """The request is too long for the model."""
    FILTERED = "content_filter"
    """A filter of the provider has refused the request."""


class Stop(StrEnum):
    """Why nobody is tried any more."""

    NOT_WANTED = "not_wanted"
    """Configuration says that this kind of error goes back to the caller."""
    DEADLINE = "deadline"
    COST = "cost"
    """Somebody could be tried, but for more than the chain may cost."""
    NONE_LEFT = "none_left"


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """The attempts at one request so far. The last one of `tried` has just failed."""

    tried: Sequence[str]
    """Names of targets."""
    failed: Target
    """Whoever has just failed."""
    candidates: Sequence[Target]
    """Everybody who may take the request, in the order of the router."""
    began_s: float
    spent_nano_usd: int = 0
    """What the attempts so far may have cost."""
    prompt_tokens: int = 0
    max_tokens: int | None = None
    """The limit of the output that the request sets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Who is tried next, with the permit, or why nobody is."""

    target: Target | None = None
    permit: Permit = NO_PERMIT
    stop: Stop | None = None
    denied: tuple[Denied, ...] = ()
    """Whose breakers said no."""


def largest_cost(target: Target, prompt_tokens: int, max_tokens: int | None, bounds: Bounds) -> int:
    """Compute the most that one answer of *target* can cost, in nano-USD; 0 where no price is known.

    That is with all the output that the request and the model allow, and with the input at its dearest: what
    a cache has of it nobody knows.
    """
    model = target.model
    if model is None:
        return 0
    limits = [limit for limit in (max_tokens, model.max_output_tokens) if limit is not None]
    prices = model.prices
    input_price = max(prices.input, prices.cached_input, prices.cache_write)
    return prompt_tokens * input_price + min(limits, default=bounds.assumed_output_tokens) * prices.output


def may_have_cost(cause: str) -> bool:
    """Tell whether an attempt that ended for *cause* without an answer may be on the bill.

    An error is not, nor what was never sent. Who went silent, or whose answer broke, may have done the work.
    """
    return cause not in _FREE and not cause.startswith("status_")


def choose(
    chain: Chain, trouble: Trouble, *, now_s: float, bounds: Bounds, ask: Callable[[Target], Ruling]
) -> Choice:
    """Choose who is tried next; *ask* asks the breaker of a target for a permit."""
    candidates = _suitable(chain, trouble, bounds)
    if candidates is None:
        return Choice(stop=Stop.NOT_WANTED)
    if bounds.deadline_s and now_s >= chain.began_s + bounds.deadline_s:
        return Choice(stop=Stop.DEADLINE)
    denied: list[Denied] = []
    stop = Stop.NONE_LEFT
    for target in candidates:
        if bounds.limit_nano_usd:
            cost = largest_cost(target, chain.prompt_tokens, chain.max_tokens, bounds)
            if chain.spent_nano_usd + cost > bounds.limit_nano_usd:
                stop = Stop.COST
                continue
        ruling = ask(target)
        if ruling.permit is not None:
            return Choice(target=target, permit=ruling.permit)
        denied.append(Denied(target, ruling))
    return Choice(stop=stop, denied=tuple(denied))


def _suitable(chain: Chain, trouble: Trouble, bounds: Bounds) -> list[Target] | None:
    """List who may be asked, in order and each once; `None` if configuration wants nobody asked."""
    tried = set(chain.tried)
    rest: list[Target] = []
    for target in chain.candidates:
        if target.name not in tried:
            tried.add(target.name)
            rest.append(target)
    if trouble is Trouble.TOO_LONG:
        return _larger(rest, chain.failed) if bounds.on_context_exceeded == "larger" else None
    elsewhere = [target for target in rest if target.provider != chain.failed.provider]
    if trouble is Trouble.FILTERED:
        return elsewhere if bounds.on_content_filter == "next" else None
    return elsewhere + [target for target in rest if target.provider == chain.failed.provider]


def _larger(targets: list[Target], than: Target) -> list[Target]:
    """List the models with more room than *than* has, if it is known how much that is."""
    if than.model is None:
        return []
    room = than.model.context_window_tokens
    return [
        target for target in targets if target.model is not None and target.model.context_window_tokens > room
    ]
