"""What one subject has spent and reserved under one limit.

The law of this file:

1. A reservation is admitted only if everything that counts, with it, is at most the limit.
2. What counts is what was spent in the window, and what is reserved for it and has not expired, by an owner
   that is not lost.
3. A charge belongs to the window in which its request was admitted. When that is over it is part of the
   lifetime sum only; it never counts in a window that the request did not begin in.
4. Whatever was spent is charged, also when its reservation does not count any more: money is never lost.
5. Windows never go back: a clock that is set back finds the window it left.

All amounts are whole nano-USD, all times whole seconds since the epoch. Nothing here knows a clock: the
caller says which `Span` of the limit's window it is.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final

from aigateway.windows import Span

from .lease import Lease

__all__ = [
    "EMPTY",
    "Account",
    "Hold",
    "Refused",
    "Reservation",
    "bring_to",
    "charge",
    "free",
    "hold",
    "renew",
    "reserve",
    "resets_s",
    "settle",
]

EXPIRY_STEP_S: Final = 60
"""Reservations that expire in the same minute are kept as one sum."""


@dataclass(frozen=True, slots=True)
class Hold:
    """The sum that one owner has reserved in one window until one minute."""

    owner: str
    window_s: int
    expires_s: int
    nano_usd: int


@dataclass(frozen=True, slots=True)
class Account:
    """What counts of one subject, under one limit."""

    window_s: int = 0
    """When the newest window that was seen begins; of a rolling one, its newest part."""
    counts_from_s: int = 0
    """When the oldest part that counts begins: `window_s`, but for a rolling window."""
    spent: tuple[tuple[int, int], ...] = ()
    """The beginning of a window, or of a part of a rolling one, and what was spent in it; oldest first."""
    holds: tuple[Hold, ...] = ()
    lifetime_nano_usd: int = 0
    """Everything that was ever charged."""
    lease: Lease | None = None
    """Of an account in Redis: what may be spent of it here. The rest is then what Redis has not heard."""

    @property
    def spent_nano_usd(self) -> int:
        """What was spent in the window."""
        return sum([nano_usd for _, nano_usd in self.spent])

    @property
    def reserved_nano_usd(self) -> int:
        """What is reserved in the window."""
        return sum([hold.nano_usd for hold in self.holds if hold.window_s >= self.counts_from_s])

    @property
    def is_idle(self) -> bool:
        """Whether nothing of it counts: without it every decision is the same."""
        return not self.spent and not self.holds and self.lease is None

    @property
    def held_nano_usd(self) -> int:
        """What is reserved altogether, also in windows that are over."""
        return sum([hold.nano_usd for hold in self.holds])


EMPTY: Final = Account()


@dataclass(frozen=True, slots=True)
class Reservation:
    """What a request was admitted with, and must be settled with, once."""

    owner: str
    window_s: int
    expires_s: int
    nano_usd: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A reservation that does not fit."""

    spent_nano_usd: int
    reserved_nano_usd: int
    resets_s: int | None
    """When enough of the window is over for it to fit, or would be for nothing spent; `None`: never."""


def bring_to(
    account: Account, span: Span, parts: int, now_s: int, lost: Collection[str] = frozenset()
) -> Account:
    """Bring an account to *now_s*: forget windows that are over, return reservations that do not count.

    Those are the ones that have expired, and those of *lost* owners.
    """
    window_s = max(account.window_s, span.start_s)
    length_s = 0 if span.end_s is None else span.end_s - span.start_s
    counts_from_s = max(account.counts_from_s, window_s - (parts - 1) * length_s)
    spent = [entry for entry in account.spent if entry[0] >= counts_from_s]
    holds = [hold for hold in account.holds if hold.expires_s > now_s and hold.owner not in lost]
    lifetime_nano_usd, lease = account.lifetime_nano_usd, account.lease
    return Account(window_s, counts_from_s, tuple(spent), tuple(holds), lifetime_nano_usd, lease)


def free(
    account: Account,
    limit_nano_usd: int,
    span: Span,
    parts: int,
    now_s: int,
    *,
    lost: Collection[str] = frozenset(),
) -> int:
    """Return what could be reserved now; never below 0."""
    current = bring_to(account, span, parts, now_s, lost)
    return max(0, limit_nano_usd - current.spent_nano_usd - current.reserved_nano_usd)


def reserve(
    account: Account,
    nano_usd: int,
    *,
    limit_nano_usd: int | None,
    span: Span,
    parts: int,
    now_s: int,
    owner: str,
    lasts_s: int,
    lost: Collection[str] = frozenset(),
) -> tuple[Account, Reservation | Refused]:
    """Reserve *nano_usd* for at least *lasts_s* seconds, or say why not; without a limit there is no why.

    *span* is the window around *now_s*, and *parts* how many of those count together (`Window.parts`).
    """
    account = bring_to(account, span, parts, now_s, lost)
    if limit_nano_usd is not None:
        spent, reserved = account.spent_nano_usd, account.reserved_nano_usd
        over_nano_usd = spent + reserved + nano_usd - limit_nano_usd
        if over_nano_usd > 0:
            return account, Refused(spent, reserved, resets_s(account, over_nano_usd, span, parts))
    return hold(account, nano_usd, now_s, owner=owner, lasts_s=lasts_s)


def hold(
    account: Account, nano_usd: int, now_s: int, *, owner: str, lasts_s: int
) -> tuple[Account, Reservation]:
    """Reserve in an account that has been brought to the present, whatever the limit."""
    reservation = Reservation(owner, account.window_s, _expiry_s(now_s, lasts_s), nano_usd)
    return _held(account, reservation, nano_usd), reservation


def renew(
    account: Account, reservation: Reservation, now_s: int, lasts_s: int, owner: str
) -> tuple[Account, Reservation]:
    """Make a reservation of *owner* that lasts until *lasts_s* from now; one that is gone is made again.

    No limit is asked: the request was admitted, and goes on.
    """
    expires_s = max(reservation.expires_s, _expiry_s(now_s, lasts_s))
    renewed = replace(reservation, owner=owner, expires_s=expires_s)
    account = _held(account, reservation, -reservation.nano_usd)
    return _held(account, renewed, renewed.nano_usd), renewed


def settle(account: Account, reservation: Reservation, actual_nano_usd: int) -> Account:
    """End a reservation and charge what the request did cost, be it less, more, or nothing."""
    account = _held(account, reservation, -reservation.nano_usd)
    return charge(account, reservation.window_s, actual_nano_usd)


def charge(account: Account, window_s: int, nano_usd: int) -> Account:
    """Charge what was spent in the window that begins at *window_s*."""
    if not nano_usd:
        return account
    spent = dict(account.spent)
    if window_s >= account.counts_from_s:
        spent[window_s] = spent.get(window_s, 0) + nano_usd
    return Account(
        account.window_s,
        account.counts_from_s,
        tuple(sorted(spent.items())),
        account.holds,
        account.lifetime_nano_usd + nano_usd,
        account.lease,
    )


def _expiry_s(now_s: int, lasts_s: int) -> int:
    return -(-(now_s + lasts_s) // EXPIRY_STEP_S) * EXPIRY_STEP_S


def resets_s(account: Account, over_nano_usd: int, span: Span, parts: int) -> int | None:
    """Say when enough of what was spent has left the window to be within the limit."""
    if span.end_s is None:
        return None
    length_s = span.end_s - span.start_s
    for start_s, nano_usd in account.spent:
        over_nano_usd -= nano_usd
        if over_nano_usd <= 0:
            return start_s + parts * length_s
    return account.window_s + parts * length_s


def _held(account: Account, reservation: Reservation, change: int) -> Account:
    """Add *change* to the hold that *reservation* is part of; an expired hold is gone and stays gone."""
    owner, window_s, expires_s = reservation.owner, reservation.window_s, reservation.expires_s
    holds = []
    for hold in account.holds:
        if hold.expires_s == expires_s and hold.window_s == window_s and hold.owner == owner:
            change += hold.nano_usd
        else:
            holds.append(hold)
    if change > 0:
        holds.append(Hold(owner, window_s, expires_s, change))
    return Account(
        account.window_s,
        account.counts_from_s,
        account.spent,
        tuple(holds),
        account.lifetime_nano_usd,
        account.lease,
    )
