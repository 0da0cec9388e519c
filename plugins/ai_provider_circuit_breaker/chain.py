"""What comes after an attempt that failed: who is tried next, or why nobody is.

The law of this file:

- No target is tried twice.
- None is tried whose breaker does not give a permit; it is asked for last, so none is taken in vain.
- None is tried once the chain has lasted its time, nor if its attempts may have cost more than their limit.
- What the request is to blame for is only sent to whom that does not hold for: a text that is too long to
  larger models, one that a filter has refused to whoever configuration allows.
- Those of the provider that has just failed come after all others.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from aigateway.usage import Usage

from .breaker import NO_PERMIT, Permit, Ruling
from .config import Bounds
from .directory import Target
from .last_resort import Denied

__all__ = ["Chain", "Choice", "Stop", "Trouble", "choose", "input_cost"]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Who is tried next, with the permit, or why nobody is."""

    target: Target | None = None
    permit: Permit = NO_PERMIT
    stop: Stop | None = None
    denied: tuple[Denied, ...] = ()
    """Whose breakers said no."""


def input_cost(target: Target, prompt_tokens: int) -> int:
    """Compute what the prompt costs at *target*, in nano-USD; nothing where no price is known."""
    if target.model is None:
        return 0
    return target.model.prices.cost(Usage(input_tokens=prompt_tokens, output_tokens=0))


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
        cost = chain.spent_nano_usd + input_cost(target, chain.prompt_tokens)
        if bounds.limit_nano_usd and cost > bounds.limit_nano_usd:
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
