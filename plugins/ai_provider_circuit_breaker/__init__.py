"""Which providers may be tried: circuit breakers and latency statistics, shared by all workers of a proxy.

    >>> from ai_provider_circuit_breaker import Breaker, Event, Kind, Settings, admit, settle
    >>> settings, breaker = Settings(), Breaker()
    >>> for second in range(3):
    ...     permit = admit(breaker, 1e9 + second, settings).permit
    ...     failed = Event(Kind.FAILURE, "timeout")
    ...     breaker = settle(breaker, permit, failed, now_s=1e9 + second, draw=0.0, settings=settings).breaker
    >>> breaker.state.value, breaker.until_s - 1e9
    ('open', 62.0)

Importing this package needs no proxy; `ai_provider_circuit_breaker.filter` is the adapter that runs inside
one.
"""

from .breaker import Breaker, Permit, Ruling, admit, claim_check, health, settle
from .config import Config, Limits, Settings
from .outcomes import Answer, Event, Exchange, Kind, classify
from .record import decode_breaker, encode_breaker
from .states import TABLE, BreakerState, Signal, Transition, next_state

__all__ = [
    "TABLE",
    "Answer",
    "Breaker",
    "BreakerState",
    "Config",
    "Event",
    "Exchange",
    "Kind",
    "Limits",
    "Permit",
    "Ruling",
    "Settings",
    "Signal",
    "Transition",
    "admit",
    "claim_check",
    "classify",
    "decode_breaker",
    "encode_breaker",
    "health",
    "next_state",
    "settle",
]
