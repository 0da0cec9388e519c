"""Who gets a request that nobody may be tried for, and what the caller is told instead."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aigateway.health import BreakerState
from aigateway.refusals import Refusal

from .breaker import Ruling
from .directory import Target

__all__ = ["Denied", "least_shut", "refusal", "wait_s"]

_LAST_RESORT: Final = (
    BreakerState.CLOSED,
    BreakerState.HALF_OPEN,
    BreakerState.OPEN,
    BreakerState.RATE_LIMITED,
    BreakerState.UNAUTHORIZED,
)
"""What is most likely to work comes first: who failed may work by now, who refuses our key does not."""


@dataclass(frozen=True, slots=True)
class Denied:
    """A target that may not be tried, and why."""

    target: Target
    ruling: Ruling


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
