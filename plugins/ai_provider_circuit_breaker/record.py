"""A breaker as it stands in shared data, in three lines.

    {"state":"closed","until_s":0.0}
    {"generation":2,"failures":0,"successes":0,"probes":[],...}
    1790000000.25 298333333 14 0 0 9 1 0

The first is for others, the second is what seldom changes, the third counts: when the value was changed
last, the newest slot of the window, and calls, failures and slow calls of each slot. Nearly every request
goes to a provider that works and is answered. For those nothing is decoded before, and one number is counted
up afterwards (`count_success`); the other two lines stay as they are, bytes that have been decoded before.
"""

import json
from dataclasses import replace
from functools import lru_cache
from typing import Any, Final, NoReturn

from aigateway.health import BreakerState, ProviderHealth, decode_health, encode_health

from .breaker import Breaker, health
from .config import Settings
from .window import SLOTS, Counts, Window, slot_of

__all__ = ["UNKNOWN", "closed_generation", "count_success", "decode_breaker", "encode_breaker"]

UNKNOWN: Final = Breaker()
"""A breaker that knows nothing."""

_LONGEST: Final = 16_384
"""Bytes; a longer value is none of ours, and may be nested too deeply to parse safely."""


def encode_breaker(breaker: Breaker, settings: Settings) -> bytes:
    """Write a breaker."""
    members = {
        "generation": breaker.generation,
        "failures": breaker.failures,
        "successes": breaker.successes,
        "probes": breaker.probes,
        "last_probe": breaker.last_probe,
        "openings": breaker.openings,
        "not_before_s": breaker.not_before_s,
        "closed_s": breaker.closed_s,
        "next_check_s": breaker.next_check_s,
        "shut_until_s": breaker.until_s,
    }
    counts = [breaker.window.newest, *[count for slot in breaker.window.slots for count in slot]]
    lines = (
        encode_health(health(breaker, settings)),
        _ENCODER.encode(members).encode(),
        b"%a %b" % (breaker.seen_s, " ".join(map(str, counts)).encode()),
    )
    return b"\n".join(lines)


def decode_breaker(value: bytes | None) -> Breaker:
    """Read a breaker; what is absent or damaged is `UNKNOWN`."""
    if value is None or len(value) > _LONGEST:
        return UNKNOWN
    head, _, tail = value.rpartition(b"\n")
    breaker = _decode_head(head)
    if breaker is None:
        return UNKNOWN
    try:
        seen_s, newest, *counts = tail.split(b" ")
        numbers = list(map(_count, counts))
        slots = tuple(map(Counts, numbers[::3], numbers[1::3], numbers[2::3]))[:SLOTS]
        if len(numbers) % 3:
            return UNKNOWN
        return replace(breaker, window=Window(_count(newest), slots), seen_s=_seconds(seen_s))
    except ValueError:
        return UNKNOWN


def closed_generation(value: bytes | None) -> int | None:
    """Give the generation of a breaker that is closed, all that most requests need; `None` if it is not."""
    if value is None:
        return 0
    if not value.startswith(_CLOSED):
        return None
    number = value[len(_CLOSED) : value.find(b",", len(_CLOSED))]
    return int(number) if number.isdigit() else None


def count_success(value: bytes, generation: int, now_s: float, settings: Settings) -> bytes | None:
    """Count a success of a breaker that is closed and has nothing else to think of.

    Gives the same bytes as decoding, settling and encoding, or `None` where it takes that.
    """
    head, _, tail = value.rpartition(b"\n")
    breaker = _decode_head(head)
    if (
        breaker is None
        or breaker.state is not BreakerState.CLOSED
        or breaker.generation != generation
        or breaker.failures
        or breaker.not_before_s
    ):
        return None
    seen_s, *counts = tail.split(b" ", 3)
    try:
        if float(seen_s) > now_s:
            return None
        if not settings.failure_rate and not settings.slow_rate:
            return value
        newest, calls, others = counts
        if int(newest) != slot_of(now_s, settings.window_s):
            return None
        return b"%b\n%a %b %d %b" % (head, now_s, newest, int(calls) + 1, others)
    except ValueError:
        return None


@lru_cache(maxsize=256)
def _decode_head(head: bytes) -> Breaker | None:
    """Read the first two lines, without the counts; `None` if they are damaged."""
    public = decode_health(head)
    if public is None:
        return None
    try:
        members: Any = _DECODER.decode(head.partition(b"\n")[2].decode())
        return Breaker(
            state=public.state,
            until_s=_amount(members["shut_until_s"]),
            not_before_s=_amount(members["not_before_s"]),
            generation=_whole(members["generation"]),
            failures=_whole(members["failures"]),
            successes=_whole(members["successes"]),
            probes=tuple([(_whole(number), _amount(expiry_s)) for number, expiry_s in members["probes"]]),
            last_probe=_whole(members["last_probe"]),
            openings=_whole(members["openings"]),
            closed_s=_amount(members["closed_s"]),
            next_check_s=_amount(members["next_check_s"]),
        )
    except (LookupError, TypeError, ValueError, RecursionError):
        return None


def _count(text: bytes) -> int:
    if text.isdigit() and len(text) < _LONGEST_NUMBER:
        return int(text)
    raise ValueError("not a count")


def _seconds(text: bytes) -> float:
    seconds = float(text)
    if 0 <= seconds < _END_OF_TIME_S:
        return seconds
    raise ValueError("not a time")


def _whole(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError("not a whole number")
    return value


def _amount(value: object) -> float:
    if type(value) is float or type(value) is int:
        return float(value)
    raise ValueError("not an amount")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_LONGEST_NUMBER: Final = 19
_END_OF_TIME_S: Final = 1e15
_CLOSED: Final = encode_health(ProviderHealth(BreakerState.CLOSED)) + b'\n{"generation":'
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
_DECODER: Final = json.JSONDecoder(parse_constant=_refuse_constant)
