"""The table that every ``prove-`` command prints: one line per point, with its figure."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Point:
    """One thing to show; *figure* is what was seen and *holds* whether that is enough."""

    title: str
    figure: str = ""
    holds: bool = False

    def seen(self, figure: str, *, holds: bool) -> None:
        """Record what was seen."""
        self.figure, self.holds = figure, holds


@dataclass(slots=True)
class Points:
    """The points shown so far, printed as they come."""

    shown: list[Point] = field(default_factory=list)

    @contextmanager
    def point(self, title: str) -> Iterator[Point]:
        """Show one point. An exception on the way is a point that does not hold, and the rest still runs."""
        point = Point(title)
        start = time.monotonic()
        try:
            yield point
        except Exception as error:
            point.seen(f"{type(error).__name__}: {error}", holds=False)
        self.shown.append(point)
        verdict = "ok  " if point.holds else "FAIL"
        print(f"{verdict}  {title:<58}  {point.figure}  ({time.monotonic() - start:.1f} s)", flush=True)

    def exit_code(self) -> int:
        """Print the sum and return 0 if every point holds, otherwise 1."""
        failed = sum(not point.holds for point in self.shown)
        print(f"{len(self.shown) - failed} of {len(self.shown)} points hold", flush=True)
        return 1 if failed or not self.shown else 0
