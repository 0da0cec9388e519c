"""Limits: who may spend how much, in which time.

A limit is *per* something, and what a request has there is its subject: limit and subject together are one
account. Whoever has nothing there (no consumer, no such header) shares the account of all who have not, so
leaving a header out saves nobody from a limit.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from aigateway.config import Reader
from aigateway.money import NANO_USD_PER_USD
from aigateway.windows import ROLLING_PARTS, TOTAL, Period, Window
from aigateway.zones import UTC as UTC_ZONE
from aigateway.zones import Zone, parse_zone

__all__ = ["DEFAULT_LIMITS", "Limit", "Per", "Raise", "Spender", "read_limits"]

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_A_NAME: Final = "a name of at most 64 lower-case letters, digits, '-' and '_'"
_HEADER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_LONGEST_ROLLING_S: Final = 366 * 86_400


class Per(StrEnum):
    """What a limit is per."""

    CONSUMER = "consumer"
    HEADER = "header"
    MODEL = "model"
    PROVIDER = "provider"
    DOMAIN = "domain"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spender:
    """What a request is, as far as limits are concerned; `None` is unknown."""

    consumer: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    """Those that limits are per, by lower-case name."""
    model: str | None = None
    provider: str | None = None
    domain: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Raise:
    """More than the limit for a while."""

    subject: str | None
    """`None`: everybody."""
    nano_usd: int
    until_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One limit."""

    name: str
    per: Per
    header: str = ""
    """With `per: header`: which one, in lower case."""
    window: Window = TOTAL
    nano_usd: int
    soft_nano_usd: int | None = None
    """From here on answers carry a warning."""
    is_shadow: bool = False
    """Count and say what would be refused, and refuse nothing."""
    subjects: Mapping[str, int] = field(default_factory=dict)
    """Subjects with an amount of their own, in nano-USD."""
    raises: tuple[Raise, ...] = ()

    def subject_of(self, spender: Spender) -> str:
        """Return whose account a request is on; empty for one that all share."""
        if self.per is Per.ALL:
            return ""
        if self.per is Per.HEADER:
            return spender.headers.get(self.header, "")
        known = {
            Per.CONSUMER: spender.consumer,
            Per.MODEL: spender.model,
            Per.PROVIDER: spender.provider,
            Per.DOMAIN: spender.domain,
        }
        return known[self.per] or ""

    def nano_usd_for(self, subject: str, now_s: int) -> int:
        """Return what *subject* may spend in a window at *now_s*."""
        own = self.subjects.get(subject, self.nano_usd)
        return own + sum(
            extra.nano_usd
            for extra in self.raises
            if extra.subject in (None, subject) and now_s < extra.until_s
        )


DEFAULT_LIMITS: Final = (Limit(name="consumer-total", per=Per.CONSUMER, nano_usd=25 * NANO_USD_PER_USD),)
"""25 USD in all for each consumer, as the nexus router has it for users."""


def read_limits(reader: Reader, key: str = "limits") -> tuple[Limit, ...]:
    """Read the list of limits; an absent one reads as `DEFAULT_LIMITS`. Problems are noted with *reader*."""
    entries = reader.tables(key)
    if not entries:
        return DEFAULT_LIMITS
    limits = tuple(_read_limit(entry) for entry in entries)
    for index, (entry, limit) in enumerate(zip(entries, limits, strict=True)):
        if limit.name and any(limit.name == other.name for other in limits[:index]):
            entry.refuse("name", "a name of its own", limit.name)
    return limits


def _read_limit(entry: Reader) -> Limit:
    per = Per(entry.choice("per", "consumer", among=tuple(str(per) for per in Per)))
    header = entry.text("header", _HEADER, "the name of a header", None if per is Per.HEADER else "").lower()
    if header and per is not Per.HEADER:
        entry.refuse("header", "none unless per is 'header'", header)
    subjects = entry.table("subjects")
    return Limit(
        name=entry.text("name", _NAME, _A_NAME),
        per=per,
        header=header,
        window=_read_window(entry),
        nano_usd=entry.amount_usd("limit_usd"),
        soft_nano_usd=entry.amount_usd("soft_limit_usd") if "soft_limit_usd" in entry else None,
        is_shadow=entry.boolean("shadow", False),
        subjects={name: subjects.amount_usd(name) for name in subjects},
        raises=tuple(_read_raise(item) for item in entry.tables("raises")),
    )


def _read_window(entry: Reader) -> Window:
    period = Period(entry.choice("window", "total", among=tuple(str(period) for period in Period)))
    rolling_s = 0
    if period is Period.ROLLING:
        rolling_s = entry.integer("rolling_s", 86_400, at_least=ROLLING_PARTS, at_most=_LONGEST_ROLLING_S)
    return Window(period=period, zone=_read_zone(entry), rolling_s=rolling_s)


def _read_zone(entry: Reader) -> Zone:
    text = entry.string("timezone", "UTC")
    try:
        return parse_zone(text)
    except ValueError as error:
        expected = str(error).removeprefix("expected ").partition(", got ")[0]
        entry.refuse("timezone", expected, text)
        return UTC_ZONE


def _read_raise(item: Reader) -> Raise:
    return Raise(
        subject=item.string("subject", "") or None,
        nano_usd=item.amount_usd("extra_usd"),
        until_s=_read_instant(item, "until"),
    )


def _read_instant(item: Reader, key: str) -> int:
    text = item.value(key)
    try:
        instant = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        item.refuse(key, "a time with its offset such as '2026-12-01T00:00:00Z'", text)
        return 0
    return int((instant - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
