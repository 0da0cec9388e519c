"""The ledger: accounts of all limits, in values that many workers change by compare-and-swap.

The store is anything with `get_versioned`, `create` and `compare_and_set` as the SDK's shared data have them.
Every change is a pure function of the value it finds, and is made again when another worker was faster, so
two workers never both spend the same money. A request that is under several limits reserves them one after
the other, and gives back what it has when one refuses.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar
from zlib import crc32

from aigateway.windows import Window

from . import accounts, slots
from .accounts import EMPTY, Account, Refused, Reservation

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


@dataclass(frozen=True, slots=True)
class Entry:
    """A reservation and the account it is in: what must be settled, once."""

    limit: str
    subject: str
    reservation: Reservation


@dataclass(frozen=True, slots=True)
class Overdrawn:
    """The first allowance that a request does not fit into; nothing is reserved."""

    allowance: Allowance
    refused: Refused


class Ledger:
    """Accounts in a store; *slot_count* bounds the keys of each limit."""

    def __init__(self, store: Store, *, owner: str, slot_count: int, lasts_s: int) -> None:
        self._store = store
        self._owner = owner
        self._slot_count = slot_count
        self._lasts_s = lasts_s

    def reserve(
        self, allowances: Sequence[Allowance], nano_usd: int, now_s: int
    ) -> tuple[Entry, ...] | Overdrawn:
        """Reserve *nano_usd* under every one of *allowances*, or under none."""
        entries: list[Entry] = []
        for allowance in allowances:
            result = self._reserve_one(allowance, nano_usd, now_s)
            if isinstance(result, Refused):
                self.settle(entries, 0)
                return Overdrawn(allowance, result)
            entries.append(Entry(allowance.limit, allowance.subject, result))
        return tuple(entries)

    def settle(self, entries: Sequence[Entry], actual_nano_usd: int) -> None:
        """End reservations and charge what the request did cost; call it once for what `reserve` gave."""
        for entry in entries:
            reservation = entry.reservation

            def change(account: Account, reservation: Reservation = reservation) -> tuple[Account, None]:
                return accounts.settle(account, reservation, actual_nano_usd), None

            self._change(entry.limit, entry.subject, change)

    def free_nano_usd(self, allowance: Allowance, now_s: int) -> int:
        """Return what could be reserved under *allowance* now."""
        current = self._store.get_versioned(self._key(allowance.limit, allowance.subject))
        account = slots.find(current.value if current else None, allowance.subject)
        window = allowance.window
        return accounts.free(account, allowance.nano_usd, window.span(now_s), window.parts, now_s)

    def _reserve_one(self, allowance: Allowance, nano_usd: int, now_s: int) -> Reservation | Refused:
        window = allowance.window
        span, parts = window.span(now_s), window.parts

        def change(account: Account) -> tuple[Account, Reservation | Refused]:
            return accounts.reserve(
                account,
                nano_usd,
                limit_nano_usd=allowance.nano_usd,
                span=span,
                parts=parts,
                now_s=now_s,
                owner=self._owner,
                lasts_s=self._lasts_s,
            )

        def bring(account: Account) -> Account:
            return accounts.bring_to(account, span, parts, now_s)

        return self._change(allowance.limit, allowance.subject, change, bring)

    def _change(
        self,
        limit: str,
        subject: str,
        change: Callable[[Account], tuple[Account, Result]],
        bring: Callable[[Account], Account] | None = None,
    ) -> Result:
        """Make *change* to an account; before one is opened, those that *bring* makes idle are closed."""
        key = self._key(limit, subject)
        for _ in range(_ATTEMPTS):
            current = self._store.get_versioned(key)
            value = None if current is None else current.value
            found = slots.find(value, subject)
            account, result = change(found)
            kept = slots.close_idle(value, bring) if bring is not None and found is EMPTY else value
            changed = slots.put(kept, subject, account)
            if changed == value:
                return result
            if current is None:
                if self._store.create(key, changed):
                    return result
            elif self._store.compare_and_set(key, changed, current.version):
                return result
        raise BusyError(
            f"the account under the limit {limit!r} changed {_ATTEMPTS} times while being changed"
        )

    def _key(self, limit: str, subject: str) -> str:
        return f"budget/{limit}/{crc32(subject.encode('utf-8', 'replace')) % self._slot_count}"
