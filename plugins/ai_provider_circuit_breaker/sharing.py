"""One breaker for all workers: read, decide, and write unless another worker was faster.

Every decision is made on the value that it then replaces, so no two workers give out the same probe, and no
outcome is lost. Requests to a provider that works write nothing before they leave.
"""

from collections.abc import Callable
from typing import Final, Protocol

from .breaker import Breaker, Permit, Ruling, admit, claim_check, settle
from .config import Settings
from .outcomes import Event, Kind
from .record import UNKNOWN, closed_generation, count_success, decode_breaker, encode_breaker
from .states import Transition

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
        return _CLOSED if generation == 0 else Ruling(breaker=UNKNOWN, permit=Permit(generation))
    return _ruled(shared, key, settings, lambda breaker: admit(breaker, now_s, settings))


def ask_for_check(shared: SharedValues, key: str, now_s: float, settings: Settings) -> Ruling:
    """Ask the breaker at *key* for a permit to check the provider."""
    if closed_generation(shared.get(key)) is not None:
        return Ruling(breaker=UNKNOWN)
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
) -> Transition | None:
    """Tell the breaker at *key* what came of a request."""
    transition = None
    is_success = event.kind is Kind.SUCCESS and not permit.probe

    def change(value: bytes | None) -> bytes:
        nonlocal transition
        transition = None
        if is_success and value is not None:
            counted = count_success(value, permit.generation, now_s, settings)
            if counted is not None:
                return counted
        breaker = decode_breaker(value)
        ruling = settle(breaker, permit, event, now_s=now_s, draw=draw, settings=settings)
        transition = ruling.transition
        return _written(ruling.breaker, breaker, value, settings)

    shared.update(key, change, attempts=_ATTEMPTS)
    return transition


def _ruled(shared: SharedValues, key: str, settings: Settings, decide: Callable[[Breaker], Ruling]) -> Ruling:
    ruling = Ruling(breaker=UNKNOWN)

    def change(value: bytes | None) -> bytes:
        nonlocal ruling
        breaker = decode_breaker(value)
        ruling = decide(breaker)
        return _written(ruling.breaker, breaker, value, settings)

    shared.update(key, change, attempts=_ATTEMPTS)
    return ruling


def _written(after: Breaker, before: Breaker, value: bytes | None, settings: Settings) -> bytes:
    """Give the value to store: the old one if nothing has changed and it was not damaged."""
    if value is None or after is not before or before is UNKNOWN:
        return encode_breaker(after, settings)
    return value


_CLOSED: Final = Ruling(breaker=UNKNOWN, permit=Permit(0))
