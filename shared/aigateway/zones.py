"""Time zones without a time-zone database: there are no files inside the module.

A zone is written as an offset (`UTC`, `+08:00`), as a POSIX rule (`CET-1CEST,M3.5.0,M10.5.0/3`), or as one of
the names in `NAMED`, which stand for such rules. A POSIX rule holds for all years: it says what the law is
today, not what it was in 1980.
"""

import difflib
import re
from dataclasses import dataclass
from datetime import date
from typing import Final

__all__ = ["NAMED", "UTC", "Zone", "parse_zone"]

_DAY_S: Final = 86_400
_EPOCH: Final = date(1970, 1, 1).toordinal()

_US_EASTERN: Final = "EST5EDT,M3.2.0,M11.1.0"
_US_CENTRAL: Final = "CST6CDT,M3.2.0,M11.1.0"
_EU_WEST: Final = "WET0WEST,M3.5.0/1,M10.5.0"
_EU_CENTRAL: Final = "CET-1CEST,M3.5.0,M10.5.0/3"
_EU_EAST: Final = "EET-2EEST,M3.5.0/3,M10.5.0/4"
_AU_EAST: Final = "AEST-10AEDT,M10.1.0,M4.1.0/3"

NAMED: Final = {
    "Africa/Johannesburg": "SAST-2",
    "Africa/Lagos": "WAT-1",
    "Africa/Nairobi": "EAT-3",
    "America/Argentina/Buenos_Aires": "-03:00",
    "America/Bogota": "-05:00",
    "America/Chicago": _US_CENTRAL,
    "America/Denver": "MST7MDT,M3.2.0,M11.1.0",
    "America/Halifax": "AST4ADT,M3.2.0,M11.1.0",
    "America/Lima": "-05:00",
    "America/Los_Angeles": "PST8PDT,M3.2.0,M11.1.0",
    "America/Mexico_City": "CST6",
    "America/New_York": _US_EASTERN,
    "America/Phoenix": "MST7",
    "America/Sao_Paulo": "-03:00",
    "America/Toronto": _US_EASTERN,
    "Asia/Bangkok": "+07:00",
    "Asia/Dhaka": "+06:00",
    "Asia/Dubai": "+04:00",
    "Asia/Ho_Chi_Minh": "+07:00",
    "Asia/Hong_Kong": "HKT-8",
    "Asia/Jakarta": "WIB-7",
    "Asia/Jerusalem": "IST-2IDT,M3.4.4/26,M10.5.0",
    "Asia/Karachi": "PKT-5",
    "Asia/Kolkata": "IST-5:30",
    "Asia/Manila": "PST-8",
    "Asia/Seoul": "KST-9",
    "Asia/Shanghai": "CST-8",
    "Asia/Singapore": "+08:00",
    "Asia/Taipei": "CST-8",
    "Asia/Tokyo": "JST-9",
    "Australia/Adelaide": "ACST-9:30ACDT,M10.1.0,M4.1.0/3",
    "Australia/Brisbane": "AEST-10",
    "Australia/Melbourne": _AU_EAST,
    "Australia/Perth": "AWST-8",
    "Australia/Sydney": _AU_EAST,
    "Europe/Amsterdam": _EU_CENTRAL,
    "Europe/Athens": _EU_EAST,
    "Europe/Berlin": _EU_CENTRAL,
    "Europe/Brussels": _EU_CENTRAL,
    "Europe/Bucharest": _EU_EAST,
    "Europe/Dublin": "GMT0IST,M3.5.0/1,M10.5.0",
    "Europe/Helsinki": _EU_EAST,
    "Europe/Istanbul": "+03:00",
    "Europe/Kyiv": _EU_EAST,
    "Europe/Lisbon": _EU_WEST,
    "Europe/London": "GMT0BST,M3.5.0/1,M10.5.0",
    "Europe/Madrid": _EU_CENTRAL,
    "Europe/Moscow": "MSK-3",
    "Europe/Oslo": _EU_CENTRAL,
    "Europe/Paris": _EU_CENTRAL,
    "Europe/Prague": _EU_CENTRAL,
    "Europe/Rome": _EU_CENTRAL,
    "Europe/Stockholm": _EU_CENTRAL,
    "Europe/Vienna": _EU_CENTRAL,
    "Europe/Warsaw": _EU_CENTRAL,
    "Europe/Zurich": _EU_CENTRAL,
    "Pacific/Auckland": "NZST-12NZDT,M9.5.0,M4.1.0/3",
    "Pacific/Honolulu": "HST10",
}
"""IANA names and the rules they stand for, as of the 2025 edition of the time-zone database."""

_OFFSET = re.compile(r"([+-])(\d\d):(\d\d)")
_TIME = r"[+-]?\d{1,3}(?::\d\d){0,2}"
_ABBREVIATION = r"(?:[A-Za-z]{3,}|<[A-Za-z0-9+-]+>)"
_CHANGE = rf"M(\d{{1,2}})\.([1-5])\.([0-6])(?:/({_TIME}))?"
_POSIX = re.compile(rf"{_ABBREVIATION}({_TIME})(?:{_ABBREVIATION}({_TIME})?,{_CHANGE},{_CHANGE})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Change:
    """A day of each year on which the clocks change: *week* 5 is the last one, *weekday* 0 is Sunday."""

    month: int
    week: int
    weekday: int
    time_s: int
    """Seconds after local midnight, on the clock that is being changed."""

    def local_s(self, year: int) -> int:
        """Return when it is, in seconds of the local clock since 1970."""
        first = date(year, self.month, 1)
        day = 1 + (self.weekday - first.isoweekday()) % 7 + 7 * (self.week - 1)
        while day > _days_in_month(year, self.month):
            day -= 7
        return (first.toordinal() - _EPOCH + day - 1) * _DAY_S + self.time_s


@dataclass(frozen=True, slots=True)
class Zone:
    """What local clocks show; offsets are seconds east of UTC."""

    standard_offset_s: int
    daylight_offset_s: int = 0
    begins: Change | None = None
    """When daylight saving begins; none has neither a beginning nor an end."""
    ends: Change | None = None

    def offset_s(self, now_s: int) -> int:
        """Return by how much local clocks are ahead of UTC at *now_s*, seconds since the epoch."""
        if self.begins is None or self.ends is None:
            return self.standard_offset_s
        year = date.fromordinal(_EPOCH + (now_s + self.standard_offset_s) // _DAY_S).year
        begins_s = self.begins.local_s(year) - self.standard_offset_s
        ends_s = self.ends.local_s(year) - self.daylight_offset_s
        if begins_s < ends_s:
            return self.daylight_offset_s if begins_s <= now_s < ends_s else self.standard_offset_s
        return self.standard_offset_s if ends_s <= now_s < begins_s else self.daylight_offset_s

    def midnight_s(self, day: int) -> int:
        """Return when the local *day*, counted from 1970-01-01, begins, in seconds since the epoch.

        Where clocks are put forward at midnight the day begins later than its midnight would have been.
        """
        local_s = day * _DAY_S
        for offset_s in sorted({self.standard_offset_s, self._largest_offset_s()}, reverse=True):
            instant_s = local_s - offset_s
            if self.offset_s(instant_s) == offset_s:
                return instant_s
        return local_s - self.standard_offset_s

    def day(self, now_s: int) -> int:
        """Return the local day of *now_s*, counted from 1970-01-01."""
        return (now_s + self.offset_s(now_s)) // _DAY_S

    def _largest_offset_s(self) -> int:
        return self.standard_offset_s if self.begins is None else self.daylight_offset_s


UTC: Final = Zone(0)


def parse_zone(text: str) -> Zone:
    """Read a zone, or raise ValueError that says what was expected."""
    text = text.strip()
    if text in ("UTC", "Z"):
        return UTC
    offset = _OFFSET.fullmatch(text)
    if offset:
        sign, hours, minutes = offset.groups()
        if int(hours) <= 14 and int(minutes) < 60:
            return Zone((1 if sign == "+" else -1) * (int(hours) * 3600 + int(minutes) * 60))
    if text in NAMED:
        return parse_zone(NAMED[text])
    posix = _POSIX.fullmatch(text)
    zone = _posix_zone(posix) if posix else None
    if zone is None:
        near = difflib.get_close_matches(text, NAMED, n=1)
        hint = f", did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            "expected a time zone as 'UTC', '+08:00', 'Europe/Berlin' (one of a list) or "
            f"'CET-1CEST,M3.5.0,M10.5.0/3', got {text[:60]!r}{hint}"
        )
    return zone


def _posix_zone(match: re.Match[str]) -> Zone | None:
    """Make a zone of a POSIX rule, whose offsets count west of UTC; None if a number is out of range."""
    standard, daylight, *changes = match.groups()
    standard_s = -_seconds(standard)
    if changes[0] is None:
        return Zone(standard_s) if abs(standard_s) <= 14 * 3600 else None
    daylight_s = standard_s + 3600 if daylight is None else -_seconds(daylight)
    begins, ends = _change(changes[:4]), _change(changes[4:])
    if begins is None or ends is None or max(abs(standard_s), abs(daylight_s)) > 15 * 3600:
        return None
    return Zone(standard_s, daylight_s, begins, ends)


def _change(parts: list[str]) -> Change | None:
    month, week, weekday, time = parts
    if not 1 <= int(month) <= 12:
        return None
    return Change(int(month), int(week), int(weekday), _seconds(time) if time else 2 * 3600)


def _seconds(text: str) -> int:
    """Read `[+-]h[:mm[:ss]]`."""
    sign = -1 if text.startswith("-") else 1
    parts = [int(part) for part in text.lstrip("+-").split(":")]
    return sign * sum(part * unit for part, unit in zip(parts, (3600, 60, 1), strict=False))


def _days_in_month(year: int, month: int) -> int:
    following = date(year + month // 12, month % 12 + 1, 1)
    return (following - date(year, month, 1)).days
