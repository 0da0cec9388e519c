"""Windows of time in which something is counted: an hour, a calendar month, the last 24 hours.

Times are whole seconds since the epoch. A window is known by when it begins, so a clock says which one it
is; whoever keeps the count decides that it never goes back to an earlier one.
"""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final

from .zones import UTC, Zone

__all__ = ["TOTAL", "Period", "Span", "Window"]

_MINUTE_S: Final = 60
_HOUR_S: Final = 3_600
_EPOCH: Final = date(1970, 1, 1).toordinal()
_EPOCH_WEEKDAY: Final = 3
"""1970-01-01 was a Thursday, and weeks begin on Monday (ISO 8601)."""

ROLLING_PARTS: Final = 60
"""A rolling window is counted in this many parts, and forgets one at a time."""


class Period(StrEnum):
    """How long a window lasts."""

    TOTAL = "total"
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    ROLLING = "rolling"


@dataclass(frozen=True, slots=True)
class Span:
    """From when to when a window lasts; the end is outside, and None when there is none."""

    start_s: int
    end_s: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A kind of window; days, weeks and months begin at midnight in *zone*."""

    period: Period
    zone: Zone = UTC
    rolling_s: int = 0
    """The length of a rolling window, at least `ROLLING_PARTS` seconds."""

    def span(self, now_s: int) -> Span:
        """Return the window around *now_s*; of a rolling one, the part that is being counted."""
        if self.period is Period.TOTAL:
            return Span(0, None)
        if self.period in _DAYS:
            return self._calendar_span(now_s)
        length_s = self._length_s
        start_s = now_s - (now_s + self._shift_s(now_s)) % length_s
        return Span(start_s, start_s + length_s)

    @property
    def parts(self) -> int:
        """How many spans in a row count together: one, but for a rolling window.

        That has one more than it is divided into, for the first and the last are not whole: what is counted
        never leaves before its time.
        """
        return ROLLING_PARTS + 1 if self.period is Period.ROLLING else 1

    @property
    def _length_s(self) -> int:
        if self.period is Period.ROLLING:
            return -(-self.rolling_s // ROLLING_PARTS)
        return _MINUTE_S if self.period is Period.MINUTE else _HOUR_S

    def _shift_s(self, now_s: int) -> int:
        """Return what must be added so that local hours begin at multiples of an hour."""
        return self.zone.offset_s(now_s) if self.period is Period.HOUR else 0

    def _calendar_span(self, now_s: int) -> Span:
        day = self.zone.day(now_s)
        if self.period is Period.DAY:
            first, after = day, day + 1
        elif self.period is Period.WEEK:
            first = day - (day + _EPOCH_WEEKDAY) % 7
            after = first + 7
        else:
            today = date.fromordinal(_EPOCH + day)
            first = day - today.day + 1
            year, month = divmod(today.year * 12 + today.month, 12)
            after = date(year, month + 1, 1).toordinal() - _EPOCH
        return Span(self.zone.midnight_s(first), self.zone.midnight_s(after))


_DAYS: Final = frozenset({Period.DAY, Period.WEEK, Period.MONTH})

TOTAL: Final = Window(period=Period.TOTAL)
"""All time is one window."""
