"""The states of a breaker, and what leads from one to another.

The law of this file:

- What a provider has done is first made a *signal*: one failure is none, the third in a row is `TRIPPED`.
  Counting is the business of `breaker`; here is only what a signal does.
- `TABLE` has an entry for each signal that a state can meet. One that is not there cannot be met, and asking
  for it is a mistake in the program: `next_state` raises.
- A state that shuts a provider out has a deadline. While it lasts nothing is sent there, except by way of
  last resort or to find out whether it works again (`ANSWERED`).
- The way back from `OPEN` and `UNAUTHORIZED` leads through `HALF_OPEN`, always. The way back from
  `RATE_LIMITED` does not: that provider works, has said when to come again, and gets everything then.
- The graver state stays: `UNAUTHORIZED` before `OPEN` before `RATE_LIMITED`. Its deadline may only move away.
- Only what was sent under the present state can change it, with two exceptions. That we have had enough
  (`LIMITED`) and that our key is refused (`REFUSED`) is true whenever the request was sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from aigateway.health import BreakerState

__all__ = ["SHUT", "TABLE", "BreakerState", "Signal", "Transition", "next_state"]

CLOSED: Final = BreakerState.CLOSED
OPEN: Final = BreakerState.OPEN
HALF_OPEN: Final = BreakerState.HALF_OPEN
RATE_LIMITED: Final = BreakerState.RATE_LIMITED
UNAUTHORIZED: Final = BreakerState.UNAUTHORIZED

SHUT: Final = frozenset({OPEN, RATE_LIMITED, UNAUTHORIZED})
"""The states with a deadline."""


class Signal(StrEnum):
    """What a state can meet."""

    TRIPPED = "tripped"
    """It failed too often, or was too slow too often; half-open, one probe that failed is too often."""
    LIMITED = "limited"
    """It said that we have sent too much (429)."""
    REFUSED = "refused"
    """It refused our key, or our account (401, 402, 403)."""
    EXPIRED = "expired"
    """The deadline is over, and there is a request to send."""
    ANSWERED = "answered"
    """It answered something that was sent although it was shut out."""
    RECOVERED = "recovered"
    """Enough probes were answered."""


TABLE: Final[Mapping[BreakerState, Mapping[Signal, BreakerState]]] = {
    CLOSED: {
        Signal.TRIPPED: OPEN,
        Signal.LIMITED: RATE_LIMITED,
        Signal.REFUSED: UNAUTHORIZED,
    },
    OPEN: {
        Signal.EXPIRED: HALF_OPEN,
        Signal.ANSWERED: HALF_OPEN,
        Signal.LIMITED: OPEN,
        Signal.REFUSED: UNAUTHORIZED,
    },
    HALF_OPEN: {
        Signal.RECOVERED: CLOSED,
        Signal.TRIPPED: OPEN,
        Signal.LIMITED: RATE_LIMITED,
        Signal.REFUSED: UNAUTHORIZED,
    },
    RATE_LIMITED: {
        Signal.EXPIRED: CLOSED,
        Signal.ANSWERED: RATE_LIMITED,
        Signal.LIMITED: RATE_LIMITED,
        Signal.REFUSED: UNAUTHORIZED,
    },
    UNAUTHORIZED: {
        Signal.EXPIRED: HALF_OPEN,
        Signal.ANSWERED: HALF_OPEN,
        Signal.LIMITED: UNAUTHORIZED,
        Signal.REFUSED: UNAUTHORIZED,
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """A state left for another."""

    before: BreakerState
    after: BreakerState
    signal: Signal
    until_s: float
    """The deadline of the new state; 0 if it has none."""


def next_state(state: BreakerState, signal: Signal) -> BreakerState:
    """Look up where *signal* leads from *state*; the same state if it changes nothing."""
    after = TABLE[state].get(signal)
    if after is None:
        raise ValueError(f"a breaker that is {state} cannot be {signal}")
    return after
