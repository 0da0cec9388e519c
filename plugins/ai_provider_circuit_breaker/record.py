"""A breaker as it stands in shared data: the line that others read, then a line of its own."""

import json
from typing import Any, Final, NoReturn

from aigateway.health import BreakerState, ProviderHealth, decode_health, encode_health

from .breaker import Breaker, health
from .config import Settings
from .window import SLOTS, Counts, Window

__all__ = ["closed_generation", "decode_breaker", "encode_breaker"]

_LONGEST_LINE: Final = 8_192
"""Bytes; longer is none of ours, and may be nested too deeply to parse safely."""


def encode_breaker(breaker: Breaker, settings: Settings) -> bytes:
    """Write a breaker."""
    window = breaker.window
    members = {
        "generation": breaker.generation,
        "failures": breaker.failures,
        "window": [window.newest, *[[slot.calls, slot.failed, slot.slow] for slot in window.slots]],
        "successes": breaker.successes,
        "probes": breaker.probes,
        "last_probe": breaker.last_probe,
        "openings": breaker.openings,
        "not_before_s": breaker.not_before_s,
        "closed_s": breaker.closed_s,
        "next_check_s": breaker.next_check_s,
        "shut_until_s": breaker.until_s,
        "seen_s": breaker.seen_s,
    }
    return encode_health(health(breaker, settings)) + b"\n" + _ENCODER.encode(members).encode()


def closed_generation(value: bytes | None) -> int | None:
    """Give the generation of a breaker that is closed, which is all that most requests need; `None` if not.

    Nothing is decoded for it.
    """
    if value is None:
        return 0
    if not value.startswith(_CLOSED):
        return None
    number = value[len(_CLOSED) : value.find(b",", len(_CLOSED))]
    return int(number) if number.isdigit() else None


def decode_breaker(value: bytes | None) -> Breaker:
    """Read a breaker; what is absent or damaged is one that knows nothing."""
    public = decode_health(value)
    if value is None or public is None:
        return Breaker()
    line = value.partition(b"\n")[2]
    if len(line) > _LONGEST_LINE:
        return Breaker()
    try:
        members: Any = _DECODER.decode(line.decode())
        newest, *slots = members["window"]
        return Breaker(
            state=public.state,
            until_s=_amount(members["shut_until_s"]),
            not_before_s=_amount(members["not_before_s"]),
            generation=_count(members["generation"]),
            failures=_count(members["failures"]),
            window=Window(_count(newest), tuple([Counts(*map(_count, slot)) for slot in slots[:SLOTS]])),
            successes=_count(members["successes"]),
            probes=tuple([(_count(number), _amount(expiry_s)) for number, expiry_s in members["probes"]]),
            last_probe=_count(members["last_probe"]),
            openings=_count(members["openings"]),
            closed_s=_amount(members["closed_s"]),
            next_check_s=_amount(members["next_check_s"]),
            seen_s=_amount(members["seen_s"]),
        )
    except (LookupError, TypeError, ValueError, RecursionError):
        return Breaker()


def _count(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError("not a count")
    return value


def _amount(value: object) -> float:
    if type(value) is float or type(value) is int:
        return float(value)
    raise ValueError("not an amount")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_CLOSED: Final = encode_health(ProviderHealth(BreakerState.CLOSED)) + b'\n{"generation":'
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
_DECODER: Final = json.JSONDecoder(parse_constant=_refuse_constant)
