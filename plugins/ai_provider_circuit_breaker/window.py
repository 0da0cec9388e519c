"""Counts of calls over a sliding window, in a few numbers.

The window is made of slots and slides by one of them at a time, so it spans nine to ten tenths of its length.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

__all__ = ["SLOTS", "Counts", "Window", "slot_of"]

SLOTS: Final = 10


def slot_of(now_s: float, window_s: float) -> int:
    """Give the number of the slot that a time is in."""
    return int(now_s * SLOTS / window_s)


class Counts(NamedTuple):
    """Calls, and how many of them failed or were slow."""

    calls: int = 0
    failed: int = 0
    slow: int = 0


@dataclass(frozen=True, slots=True)
class Window:
    """The last calls."""

    newest: int = 0
    """Number of the slot that `slots` begins with; slots are counted from the epoch."""
    slots: tuple[Counts, ...] = ()
    """The newest first; at most `SLOTS`."""

    def add(self, slot: int, *, failed: bool = False, slow: bool = False) -> "Window":
        """Count one call in *slot*, or in the newest if that is later."""
        passed = max(0, slot - self.newest)
        kept = self.slots[: max(0, SLOTS - passed)]
        head, *others = (*(Counts(),) * passed, *kept) if kept else (Counts(),)
        head = Counts(head.calls + 1, head.failed + failed, head.slow + slow)
        return Window(self.newest + passed, (head, *others))

    def total(self) -> Counts:
        """Add up what the window held at the last call."""
        return Counts(
            sum([slot.calls for slot in self.slots]),
            sum([slot.failed for slot in self.slots]),
            sum([slot.slow for slot in self.slots]),
        )
