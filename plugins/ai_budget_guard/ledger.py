"""The ledger of one proxy: accounts of all limits, in its shared data.

Two workers never both spend the same money: see `books`. A request that is under several limits reserves them
one after the other, and gives back what it has when one refuses.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from aigateway.windows import Window

from . import accounts
from .accounts import Account, Refused, Reservation
from .books import Books, BusyError, Store

__all__ = ["Allowance", "Entry", "Ledger", "Overdrawn"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What one subject may spend under one limit at this moment."""

    limit: str
    """The name of the limit."""
    subject: str
    """The consumer, model or whatever the limit is per; empty for one that is for all."""
    nano_usd: int
    window: Window
    is_enforced: bool = True
    """Whether a request that does not fit is refused, and not only counted."""
    pays_for: frozenset[str] | None = None
    """The models, as `provider/name`, whose answers it pays for; `None`: everybody's."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A reservation and the account it is in: what must be settled, once."""

    allowance: Allowance
    reservation: Reservation
    counted_nano_usd: int
    """All that counted right after it: what was spent and is reserved, this included."""

    @property
    def free_nano_usd(self) -> int:
        """What was left beside it; never below 0."""
        return max(0, self.allowance.nano_usd - self.counted_nano_usd)

    @property
    def is_over(self) -> bool:
        """Whether it would have been refused, had the limit been enforced."""
        return self.counted_nano_usd > self.allowance.nano_usd


@dataclass(frozen=True, slots=True)
class Overdrawn:
    """The first allowance that a request does not fit into; nothing is reserved."""

    allowance: Allowance
    refused: Refused


class Ledger:
    """Accounts in a store; *slot_count* bounds the keys of each limit."""

    def __init__(self, store: Store, *, owner: str, slot_count: int, lasts_s: int) -> None:
        self.books = Books(store, prefix="budget", slot_count=slot_count)
        self.owner = owner
        """Whose the reservations are from now on."""
        self.lost: Collection[str] = frozenset()
        """Owners whose reservations do not count any more."""
        self._lasts_s = lasts_s

    def reserve(
        self, allowances: Sequence[Allowance], nano_usd: int, now_s: int
    ) -> tuple[Entry, ...] | Overdrawn:
        """Reserve *nano_usd* under every one of *allowances*, or under none."""
        entries: list[Entry] = []
        try:
            for allowance in allowances:
                result = self._reserve_one(allowance, nano_usd, now_s)
                if isinstance(result, Refused):
                    self._give_back(entries)
                    return Overdrawn(allowance, result)
                entries.append(result)
        except BusyError:
            self._give_back(entries)
            raise
        return tuple(entries)

    def settle(self, entry: Entry, actual_nano_usd: int) -> None:
        """End a reservation and charge what the request did cost; call it once for what `reserve` gave."""
        reservation = entry.reservation

        def change(account: Account) -> tuple[Account, None]:
            return accounts.settle(account, reservation, actual_nano_usd), None

        self.books.change(entry.allowance.limit, entry.allowance.subject, change)

    def renew(self, entry: Entry, now_s: int) -> Entry:
        """Make a reservation ours, and last as long from now as a new one."""

        def change(account: Account) -> tuple[Account, Reservation]:
            return accounts.renew(account, entry.reservation, now_s, self._lasts_s, self.owner)

        allowance = entry.allowance
        reservation = self.books.change(allowance.limit, allowance.subject, change)
        return replace(entry, reservation=reservation)

    def free_nano_usd(self, allowance: Allowance, now_s: int) -> int:
        """Return what could be reserved under *allowance* now."""
        account = self.books.find(allowance.limit, allowance.subject)
        window = allowance.window
        return accounts.free(
            account, allowance.nano_usd, window.span(now_s), window.parts, now_s, lost=self.lost
        )

    def _reserve_one(self, allowance: Allowance, nano_usd: int, now_s: int) -> Entry | Refused:
        window = allowance.window
        span, parts = window.span(now_s), window.parts

        def change(account: Account) -> tuple[Account, Entry | Refused]:
            account, result = accounts.reserve(
                account,
                nano_usd,
                limit_nano_usd=allowance.nano_usd if allowance.is_enforced else None,
                span=span,
                parts=parts,
                now_s=now_s,
                owner=self.owner,
                lost=self.lost,
                lasts_s=self._lasts_s,
            )
            if isinstance(result, Refused):
                return account, result
            return account, Entry(allowance, result, account.spent_nano_usd + account.reserved_nano_usd)

        def bring(account: Account) -> Account:
            return accounts.bring_to(account, span, parts, now_s, self.lost)

        return self.books.change(allowance.limit, allowance.subject, change, bring)

    def _give_back(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self.settle(entry, 0)
