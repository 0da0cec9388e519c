"""One breaker for all workers: read, decide, and write unless another worker was faster.

Every decision is made on the value that it then replaces, so no two workers give out the same probe, and no
outcome is lost. Requests to a provider that works write nothing before they leave.
"""

from collections.abc import Callable
from typing import Final, Protocol

from .breaker import Breaker, Permit, Ruling, admit, claim_check, settle
from .config import Settings
from .outcomes import Event
from .record import closed_generation, decode_breaker, encode_breaker

__all__ = ["SharedValues", "ask_for_check", "ask_to_send", "tell"]

_ATTEMPTS: Final = 64
"""Each attempt that fails is one of another worker that did not, so more workers than this are needed."""


class SharedValues(Protocol):
    """What is needed of shared data; `proxywasm.SharedData` is one."""

    def get(self, key: str) -> bytes | None:
        """Return the value of *key*, or None."""
        ...

    def update(self, key: str, change: Callable[[bytes | None], bytes], *, attempts: int = ...) -> bytes:
        """Store what *change* makes of the current value, calling it again as often as others are faster."""
        ...


def ask_to_send(shared: SharedValues, key: str, now_s: float, settings: Settings) -> Ruling:
    """Ask the breaker at *key* for a permit to send a request."""
    generation = closed_generation(shared.get(key))
    if generation is not None:
        return _CLOSED if generation == 0 else Ruling(breaker=_UNKNOWN, permit=Permit(generation))
    return _ruled(shared, key, settings, lambda breaker: admit(breaker, now_s, settings))


def ask_for_check(shared: SharedValues, key: str, now_s: float, settings: Settings) -> Ruling:
    """Ask the breaker at *key* for a permit to check the provider."""
    if closed_generation(shared.get(key)) is not None:
        return Ruling(breaker=_UNKNOWN)
    return _ruled(shared, key, settings, lambda breaker: claim_check(breaker, now_s, settings))


def tell(
    shared: SharedValues,
    key: str,
    permit: Permit,
    event: Event,
    *,
    now_s: float,
    draw: float,
    settings: Settings,
) -> Ruling:
    """Tell the breaker at *key* what came of a request."""
    return _ruled(
        shared,
        key,
        settings,
        lambda breaker: settle(breaker, permit, event, now_s=now_s, draw=draw, settings=settings),
    )


def _ruled(shared: SharedValues, key: str, settings: Settings, decide: Callable[[Breaker], Ruling]) -> Ruling:
    ruling = Ruling(breaker=_UNKNOWN)

    def change(value: bytes | None) -> bytes:
        nonlocal ruling
        breaker = decode_breaker(value)
        ruling = decide(breaker)
        if value is not None and ruling.breaker is breaker:
            return value
        return encode_breaker(ruling.breaker, settings)

    shared.update(key, change, attempts=_ATTEMPTS)
    return ruling


_UNKNOWN: Final = Breaker()
_CLOSED: Final = Ruling(breaker=_UNKNOWN, permit=Permit(0))
