"""The ledger: accounts of all limits, in values that many workers change by compare-and-swap.

The store is anything with `get_versioned`, `create` and `compare_and_set` as the SDK's shared data have them.
Every change is a pure function of the value it finds, and is made again when another worker was faster, so
two workers never both spend the same money. A request that is under several limits reserves them one after
the other, and gives back what it has when one refuses.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol, TypeVar
from zlib import crc32

from aigateway.windows import Window

from . import accounts, slots
from .accounts import Account, Refused, Reservation

__all__ = ["Allowance", "BusyError", "Entry", "Ledger", "Overdrawn", "Store"]

Result = TypeVar("Result")

_ATTEMPTS: Final = 200
"""Other workers may each be faster once per change; that many times in a row nobody is."""


class Versioned(Protocol):
    """A value and its version."""

    @property
    def value(self) -> bytes:
        """The bytes."""

    @property
    def version(self) -> int:
        """What `compare_and_set` wants to see again."""


class Store(Protocol):
    """Shared data."""

    def get_versioned(self, key: str) -> Versioned | None:
        """Return the value of *key*, or None."""

    def create(self, key: str, value: bytes) -> bool:
        """Store a value if there is none, and say whether that was so."""

    def compare_and_set(self, key: str, value: bytes, version: int) -> bool:
        """Store a value if the version is still that, and say whether it was."""


class BusyError(RuntimeError):
    """An account changed hands so often that a change never came through."""


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
        self._store = store
        self.owner = owner
        """Whose the reservations are from now on."""
        self.lost: Collection[str] = frozenset()
        """Owners whose reservations do not count any more."""
        self._slot_count = slot_count
        self._lasts_s = lasts_s
        self.lost_races = 0
        """How often another worker was faster; whoever reads it may set it back."""

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

        self._change(entry.allowance, change)

    def renew(self, entry: Entry, now_s: int) -> Entry:
        """Make a reservation ours, and last as long from now as a new one."""

        def change(account: Account) -> tuple[Account, Reservation]:
            return accounts.renew(account, entry.reservation, now_s, self._lasts_s, self.owner)

        return replace(entry, reservation=self._change(entry.allowance, change))

    def free_nano_usd(self, allowance: Allowance, now_s: int) -> int:
        """Return what could be reserved under *allowance* now."""
        current = self._store.get_versioned(self._key(allowance))
        account = slots.find(current.value if current else None, allowance.subject)
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

        return self._change(allowance, change, bring)

    def _give_back(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self.settle(entry, 0)

    def _change(
        self,
        allowance: Allowance,
        change: Callable[[Account], tuple[Account, Result]],
        bring: Callable[[Account], Account] | None = None,
    ) -> Result:
        """Make *change* to an account; before one is opened, those that *bring* makes idle are closed."""
        key, subject = self._key(allowance), allowance.subject
        for _ in range(_ATTEMPTS):
            current = self._store.get_versioned(key)
            value = None if current is None else current.value
            found = slots.find(value, subject)
            account, result = change(found)
            kept = slots.close_idle(value, bring) if bring is not None and found.is_idle else value
            changed = slots.put(kept, subject, account)
            if changed == value:
                return result
            if current is None:
                if self._store.create(key, changed):
                    return result
            elif self._store.compare_and_set(key, changed, current.version):
                return result
            self.lost_races += 1
        raise BusyError(
            f"the account under the limit {allowance.limit!r} changed {_ATTEMPTS} times while being changed"
        )

    def _key(self, allowance: Allowance) -> str:
        slot = crc32(allowance.subject.encode("utf-8", "replace")) % self._slot_count
        return f"budget/{allowance.limit}/{slot}"
