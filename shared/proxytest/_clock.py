"""Time that passes only when a test says so."""

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

EPOCH_NS = 1_750_000_000_000_000_000
"""Where the clock starts: 2025-06-15 15:06:40 UTC, an ordinary moment."""


@dataclass(slots=True)
class Timer:
    """Something due at a moment; cancelled timers stay in the queue and do nothing."""

    due_ns: int
    action: Callable[[], None]
    cancelled: bool = False

    def cancel(self) -> None:
        """Make sure the action is never run."""
        self.cancelled = True


@dataclass(slots=True)
class Clock:
    """The host's clock, wall and monotonic at once, with the timers that hang on it."""

    now_ns: int = EPOCH_NS
    _queue: list[tuple[int, int, Timer]] = field(default_factory=list)
    _order: "itertools.count[int]" = field(default_factory=itertools.count)

    def after(self, delay_ns: int, action: Callable[[], None]) -> Timer:
        """Run *action* once, *delay_ns* from now; timers due at the same moment keep their order."""
        timer = Timer(self.now_ns + delay_ns, action)
        heapq.heappush(self._queue, (timer.due_ns, next(self._order), timer))
        return timer

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass, running everything that falls due, each thing at its own moment."""
        if seconds < 0:
            raise ValueError(f"time cannot go back: advance({seconds})")
        end_ns = self.now_ns + round(seconds * 1_000_000_000)
        while self._queue and self._queue[0][0] <= end_ns:
            due_ns, _, timer = heapq.heappop(self._queue)
            if not timer.cancelled:
                self.now_ns = max(self.now_ns, due_ns)
                timer.action()
        self.now_ns = end_ns
