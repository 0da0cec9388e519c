"""Accounts of all limits, in values that many workers change by compare-and-swap.

The store is anything with `get_versioned`, `create` and `compare_and_set` as the SDK's shared data have them.
Every change is a pure function of the account it finds, and is made again when another worker was faster.
"""

from collections.abc import Callable
from typing import Final, Protocol, TypeVar
from zlib import crc32

from . import slots
from .accounts import Account

__all__ = ["Books", "BusyError", "Store"]

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


class Books:
    """Accounts by limit and subject; each limit has *slot_count* keys, which begin with *prefix*."""

    def __init__(self, store: Store, *, prefix: str, slot_count: int) -> None:
        self._store = store
        self._prefix = prefix
        self.slot_count = slot_count
        self.lost_races = 0
        """How often another worker was faster; whoever reads it may set it back."""

    def find(self, limit: str, subject: str) -> Account:
        """Return an account; an idle one if there is none."""
        current = self._store.get_versioned(self._key(limit, self._slot_of(subject)))
        return slots.find(current.value if current else None, subject)

    def unsettled_subjects(self, limit: str, slot: int) -> list[str]:
        """Return whose accounts in a slot have something that Redis must hear of, or gets back."""
        current = self._store.get_versioned(self._key(limit, slot))
        return slots.unsettled_subjects(current.value) if current else []

    def change(
        self,
        limit: str,
        subject: str,
        change: Callable[[Account], tuple[Account, Result]],
        bring: Callable[[Account], Account] | None = None,
    ) -> Result:
        """Make *change* to an account; before one is opened, those that *bring* makes idle are closed."""
        key = self._key(limit, self._slot_of(subject))
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
            f"the account under the limit {limit!r} changed {_ATTEMPTS} times while being changed"
        )

    def _slot_of(self, subject: str) -> int:
        return crc32(slots.name_of(subject)) % self.slot_count

    def _key(self, limit: str, slot: int) -> str:
        return f"{self._prefix}/{limit}/{slot}"
