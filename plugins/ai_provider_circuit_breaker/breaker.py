"""The breaker: what is remembered of one provider, and what each request and each outcome makes of it.

A `Breaker` is a value. `admit` asks it for a permit before a request leaves, and `settle` tells it what came
of that; both return the breaker as it is afterwards. Between workers it is one shared value with
compare-and-swap: who comes too late reads again and repeats. Time and the random number are arguments.

Clocks step back. A breaker remembers when it was changed last; by a clock that is behind that, its times are
moved back too, so that what was left of a deadline is left still.
"""

from dataclasses import dataclass, field, replace
from typing import Final

from aigateway.health import BreakerState, ProviderHealth

from .config import Settings
from .outcomes import Event, Kind
from .states import SHUT, Signal, Transition, next_state
from .window import Window, slot_of

__all__ = ["NO_PERMIT", "Breaker", "Permit", "Ruling", "admit", "claim_check", "health", "settle"]

_LATE_S: Final = 1.0
"""Workers read the clock before they write, so a time this little in the past is the present."""

_HALF_OPEN_WAIT_S: Final = 1.0
"""When to ask again if all probes are taken: one of them may be answered at any moment."""

_MOST_OPENINGS: Final = 50
"""Beyond, the time it stays open grows no more, whatever the factor."""

_COUNTED: Final = frozenset({Kind.SUCCESS, Kind.SLOW, Kind.FAILURE})


@dataclass(frozen=True, slots=True)
class Permit:
    """The right to send one request; it is handed back with the outcome."""

    generation: int
    """The breaker's, when it was given."""
    probe: int = 0
    """Which probe it is; 0 if it is none."""


NO_PERMIT: Final = Permit(0)
"""Stands for one that was never given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """What is remembered of one provider; the default is for one never heard of. Times are epoch seconds."""

    state: BreakerState = BreakerState.CLOSED
    until_s: float = 0.0
    """The deadline while it is shut out; 0 otherwise."""
    not_before_s: float = 0.0
    """The latest time before which the provider itself has asked not to be called."""
    generation: int = 0
    """Counts changes of state: what was sent before the last one says little about the present."""
    failures: int = 0
    """Failures in a row."""
    window: Window = field(default_factory=Window)
    successes: int = 0
    """Probes that were answered."""
    probes: tuple[tuple[int, float], ...] = ()
    """Probes under way: which, and when each is given up."""
    last_probe: int = 0
    openings: int = 0
    """Openings that followed soon on each other."""
    closed_s: float = 0.0
    """When probes closed it last."""
    next_check_s: float = 0.0
    """When the next active check is due, while it is open."""
    seen_s: float = 0.0
    """When this was changed last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """What has been decided, and the breaker as it is now."""

    breaker: Breaker
    """The very object that was asked about if nothing has changed."""
    permit: Permit | None = None
    """The permit, if one was asked for and given."""
    retry_s: float = 0.0
    """If it was not given, when to ask again."""
    transition: Transition | None = None


def health(breaker: Breaker, settings: Settings) -> ProviderHealth:
    """Say what others need to know of a breaker."""
    until_s = breaker.until_s
    if len(breaker.probes) >= settings.probes:
        until_s = min([expiry_s for _, expiry_s in breaker.probes])
    return ProviderHealth(breaker.state, until_s)


def admit(breaker: Breaker, now_s: float, settings: Settings) -> Ruling:
    """Ask for a permit to send a request."""
    state, now_s = _by_this_clock(breaker, now_s, settings)
    transition = None
    if state.state in SHUT:
        if now_s < state.until_s:
            return Ruling(breaker=state, retry_s=state.until_s)
        state, transition = _meet(state, Signal.EXPIRED, 0.0, now_s, settings)
    if state.state is BreakerState.CLOSED:
        return Ruling(breaker=state, permit=Permit(state.generation), transition=transition)
    under_way = [probe for probe in state.probes if probe[1] > now_s]
    if len(under_way) >= settings.probes:
        return Ruling(breaker=state, retry_s=now_s + _HALF_OPEN_WAIT_S)
    number = state.last_probe + 1
    state = replace(
        state,
        probes=(*under_way, (number, now_s + settings.probe_expiry_s)),
        last_probe=number,
        seen_s=now_s,
    )
    return Ruling(breaker=state, permit=Permit(state.generation, number), transition=transition)


def claim_check(breaker: Breaker, now_s: float, settings: Settings) -> Ruling:
    """Ask for a permit to check an open provider; in each interval one is given, to whoever asks first."""
    state, now_s = _by_this_clock(breaker, now_s, settings)
    due_s = max(state.next_check_s, state.not_before_s)
    if state.state is not BreakerState.OPEN or not settings.check_s or now_s < due_s:
        return Ruling(breaker=state, retry_s=due_s)
    next_check_s = now_s + _grown_s(settings.check_s, state.openings, settings)
    state = replace(state, next_check_s=next_check_s, seen_s=now_s)
    return Ruling(breaker=state, permit=Permit(state.generation))


def settle(
    breaker: Breaker, permit: Permit, event: Event, *, now_s: float, draw: float, settings: Settings
) -> Ruling:
    """Take note of what came of the request that *permit* was for; *draw* is random, from 0 to 1."""
    state, now_s = _by_this_clock(breaker, now_s, settings)
    transition = None
    is_current = permit.generation == state.generation
    if event.retry_after_s is not None:
        state = _asked_to_wait(state, event.retry_after_s, now_s, settings)
    if is_current:
        state = _counted(state, permit, event.kind, now_s, settings)
    signal = _signal(state, event.kind, is_current, now_s, settings)
    if signal is not None:
        state, transition = _meet(state, signal, draw, now_s, settings)
    return Ruling(breaker=state, transition=transition)


def _asked_to_wait(breaker: Breaker, wait_s: float, now_s: float, settings: Settings) -> Breaker:
    """Remember `Retry-After`; of several, and of the deadline there is already, the latest counts."""
    wanted_s = now_s + min(wait_s, settings.retry_after_limit_s)
    not_before_s = max(breaker.not_before_s, wanted_s)
    until_s = max(breaker.until_s, not_before_s) if breaker.state in SHUT else breaker.until_s
    return replace(breaker, not_before_s=not_before_s, until_s=until_s, seen_s=now_s)


def _counted(breaker: Breaker, permit: Permit, kind: Kind, now_s: float, settings: Settings) -> Breaker:
    """Count what happened under the present state."""
    if breaker.state is BreakerState.HALF_OPEN:
        probes = tuple([probe for probe in breaker.probes if probe[0] != permit.probe])
        answered = kind is Kind.SUCCESS or (kind is Kind.SLOW and not settings.slow_rate)
        return replace(breaker, probes=probes, successes=breaker.successes + answered, seen_s=now_s)
    if breaker.state is not BreakerState.CLOSED or kind not in _COUNTED:
        return breaker
    failed = kind is Kind.FAILURE
    window = breaker.window
    if settings.failure_rate or settings.slow_rate:
        window = window.add(slot_of(now_s, settings.window_s), failed=failed, slow=kind is Kind.SLOW)
    if failed:
        return replace(breaker, failures=breaker.failures + 1, window=window, seen_s=now_s)
    if breaker.failures or breaker.not_before_s or window is not breaker.window:
        return replace(breaker, failures=0, not_before_s=0.0, window=window, seen_s=now_s)
    return breaker


def _signal(
    breaker: Breaker, kind: Kind, is_current: bool, now_s: float, settings: Settings
) -> Signal | None:
    """Say what the breaker meets, if anything, now that *kind* has been counted."""
    if kind is Kind.RATE_LIMITED:
        return Signal.LIMITED
    if kind is Kind.UNAUTHORIZED:
        return Signal.REFUSED
    if not is_current or kind is Kind.NOT_COUNTED:
        return None
    if breaker.state is BreakerState.CLOSED:
        is_bad = kind is Kind.FAILURE or kind is Kind.SLOW
        return Signal.TRIPPED if is_bad and _is_too_much(breaker, settings) else None
    if breaker.state is BreakerState.HALF_OPEN:
        if kind is Kind.FAILURE or (kind is Kind.SLOW and settings.slow_rate):
            return Signal.TRIPPED
        return Signal.RECOVERED if breaker.successes >= settings.successes else None
    return Signal.ANSWERED if kind is not Kind.FAILURE and now_s >= breaker.not_before_s else None


def _is_too_much(breaker: Breaker, settings: Settings) -> bool:
    """Tell whether a closed breaker has to open."""
    if breaker.failures >= settings.failures:
        return True
    total = breaker.window.total()
    if total.calls < settings.window_requests:
        return False
    return _reaches(total.failed, settings.failure_rate, total.calls) or _reaches(
        total.slow, settings.slow_rate, total.calls
    )


def _reaches(count: int, rate: float, calls: int) -> bool:
    return rate > 0 and count >= rate * calls


def _meet(
    breaker: Breaker, signal: Signal, draw: float, now_s: float, settings: Settings
) -> tuple[Breaker, Transition | None]:
    """Go where the table says. A new state begins with nothing counted; a deadline only moves away."""
    after = next_state(breaker.state, signal)
    openings = _openings(breaker, signal, now_s, settings)
    until_s = not_before_s = 0.0
    if after in SHUT:
        not_before_s = breaker.not_before_s
        own_s = now_s + _shut_s(signal, openings, settings) * (1 + settings.jitter * draw)
        said_when = signal is Signal.LIMITED and not_before_s >= now_s
        until_s = max(breaker.until_s, not_before_s, 0.0 if said_when else own_s)
    if after is breaker.state:
        return replace(breaker, until_s=until_s, seen_s=now_s), None
    changed = Breaker(
        state=after,
        until_s=until_s,
        not_before_s=not_before_s,
        generation=breaker.generation + 1,
        openings=openings,
        closed_s=now_s if signal is Signal.RECOVERED else breaker.closed_s,
        next_check_s=now_s + _grown_s(settings.check_s, openings, settings),
        seen_s=now_s,
    )
    return changed, Transition(before=breaker.state, after=after, signal=signal, until_s=until_s)


def _openings(breaker: Breaker, signal: Signal, now_s: float, settings: Settings) -> int:
    """Count an opening; one long after the last closing is the first again."""
    if signal is not Signal.TRIPPED:
        return breaker.openings
    is_first = breaker.state is BreakerState.CLOSED and now_s > breaker.closed_s + settings.repeat_s
    return 1 if is_first else min(breaker.openings + 1, _MOST_OPENINGS)


def _shut_s(signal: Signal, openings: int, settings: Settings) -> float:
    """Say how long we ourselves shut a provider out, jitter aside."""
    if signal is Signal.TRIPPED:
        return min(_grown_s(settings.open_s, openings, settings), settings.open_limit_s)
    if signal is Signal.LIMITED:
        return settings.rate_limit_s
    return settings.unauthorized_s if signal is Signal.REFUSED else 0.0


def _grown_s(first_s: float, openings: int, settings: Settings) -> float:
    return first_s * settings.growth ** (openings - 1) if openings else first_s


def _by_this_clock(breaker: Breaker, now_s: float, settings: Settings) -> tuple[Breaker, float]:
    """Give the breaker in the time of a clock that says *now_s*, and the time that it is."""
    behind_s = breaker.seen_s - now_s
    if behind_s <= 0:
        return breaker, now_s
    if behind_s <= _LATE_S:
        return breaker, breaker.seen_s
    shifted = replace(
        breaker,
        until_s=max(0.0, breaker.until_s - behind_s),
        not_before_s=max(0.0, breaker.not_before_s - behind_s),
        closed_s=max(0.0, breaker.closed_s - behind_s),
        next_check_s=max(0.0, breaker.next_check_s - behind_s),
        probes=tuple([(number, max(0.0, expiry_s - behind_s)) for number, expiry_s in breaker.probes]),
        window=Window(min(breaker.window.newest, slot_of(now_s, settings.window_s)), breaker.window.slots),
        seen_s=now_s,
    )
    return shifted, now_s
