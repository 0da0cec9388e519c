"""The scores of the latest requests, in the order in which they came and by size.

Scores are kept as levels, whole numbers from 0 to 65,535, which is finer than the five decimals that
RouteLLM's thresholds have. The rank of a score is the share of scores above it, and among equal ones it is
theirs to divide: where a whole window is one single score, ranks still go evenly from 0 to 1.
"""

from array import array
from bisect import bisect_left, bisect_right, insort
from typing import Final

__all__ = ["LEVELS", "Window", "level_of", "score_of"]

LEVELS: Final = 65_535
"""The level of score 1."""

_TYPE: Final = "H"
_BYTES: Final = 2


def level_of(score: float) -> int:
    """Give the level of a score from 0 to 1."""
    return int(score * LEVELS + 0.5)


def score_of(level: int) -> float:
    """Give the score that a level stands for."""
    return level / LEVELS


class Window:
    """The latest levels, no more than *capacity*."""

    __slots__ = ("_arrived", "_ordered", "capacity")

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._arrived = array(_TYPE)
        self._ordered = array(_TYPE)

    def __len__(self) -> int:
        return len(self._arrived)

    def add(self, level: int) -> None:
        """Add the level of one request, and drop the oldest when there are too many."""
        self._arrived.append(level)
        insort(self._ordered, level)
        if len(self._arrived) > self.capacity:
            oldest = self._arrived.pop(0)
            del self._ordered[bisect_left(self._ordered, oldest)]

    def keep_last(self, count: int) -> None:
        """Forget all but the last *count* levels."""
        self._arrived = self._arrived[-count:]
        self._ordered = array(_TYPE, sorted(self._arrived))

    def rank(self, level: int, tie: float) -> float:
        """Give the share of levels above *level*, and of the equal ones the part *tie* of them, from 0 to 1.

        If *tie* is spread evenly over [0, 1), then so are the ranks of what comes in, whatever the scores,
        for as long as they come from where those in the window came from.
        """
        after = bisect_right(self._ordered, level)
        equal = after - bisect_left(self._ordered, level)
        return (len(self._ordered) - after + tie * equal) / (len(self._ordered) or 1)

    def level_at(self, share: float) -> int:
        """Give the level that *share* of the window reaches, some of its equals perhaps left out."""
        count = len(self._ordered)
        return self._ordered[count - 1 - min(count - 1, max(0, int(share * count)))]

    def to_bytes(self) -> bytes:
        """Write the levels, by arrival and then by size, so that reading need not sort them."""
        return self._arrived.tobytes() + self._ordered.tobytes()

    @classmethod
    def from_bytes(cls, data: bytes, capacity: int) -> "Window | None":
        """Read what `to_bytes` wrote; None if it is something else."""
        half = len(data) // 2
        if len(data) != 2 * half or half % _BYTES:
            return None
        window = cls(capacity)
        window._arrived.frombytes(data[:half])
        window._ordered.frombytes(data[half:])
        if len(window) > capacity:
            window.keep_last(capacity)
        return window
