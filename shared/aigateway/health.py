"""How providers are doing: what the circuit breaker leaves in shared data for the router to read.

One key per provider, and one per model of it where the breaker is so configured. The first line of a value is
a JSON object, written and read here; what the breaker needs beside it follows in further lines, which are
its own affair. So a reader parses a hundred bytes, whatever the breaker keeps.

Times are seconds since the epoch by the clock of the proxy.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = [
    "BreakerState",
    "LatencyStats",
    "ProviderHealth",
    "breaker_key",
    "decode_health",
    "decode_latency",
    "encode_health",
    "encode_latency",
    "latency_key",
]

_LONGEST_LINE: Final = 1024
"""Bytes; a longer first line is not one of ours, and may be nested too deeply to parse safely."""


def breaker_key(provider: str, model: str | None = None) -> str:
    """Name the key of a breaker: of a *provider*, or of one *model* at it."""
    return f"breaker/{provider}" if model is None else f"breaker/{provider}/{model}"


def latency_key(provider: str, model: str | None = None) -> str:
    """Name the key of latency statistics: of a *provider*, or of one *model* at it."""
    return f"latency/{provider}" if model is None else f"latency/{provider}/{model}"


class BreakerState(StrEnum):
    """What a breaker thinks of its provider."""

    CLOSED = "closed"
    """It works: requests pass."""
    OPEN = "open"
    """It fails: nothing passes before the deadline."""
    HALF_OPEN = "half_open"
    """It may work again: a few requests pass as probes."""
    RATE_LIMITED = "rate_limited"
    """It works and wants no more for now: nothing passes before the deadline, then everything."""
    UNAUTHORIZED = "unauthorized"
    """It refuses our key, or wants to be paid: nothing passes before the deadline, then a few probes."""


@dataclass(frozen=True, slots=True)
class ProviderHealth:
    """Whether a provider may be tried."""

    state: BreakerState
    until_s: float = 0.0
    """When it may be tried again; 0 if it may be now. Half-open: when the next probe is free."""

    def admits(self, now_s: float) -> bool:
        """Tell whether a request may be sent there now, as far as can be known without asking the breaker.

        Half-open, the breaker may still say no: others may have taken the last probe meanwhile.
        """
        return self.state is BreakerState.CLOSED or now_s >= self.until_s


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyStats:
    """How long a provider has taken lately; of successful answers only."""

    p50_ms: float
    """Half of the answers were complete within this, counted from the request's leaving."""
    p95_ms: float
    ewma_ms: float
    """Mean that weighs recent answers more."""
    ttft_p95_ms: float | None
    """Time to the first byte of the body of streamed answers; `None` if there were none."""
    tokens_per_s: float | None
    """Mean speed of streamed answers after their first byte; `None` if there were none."""
    samples: float
    """Answers behind these figures, each counting less as it ages; as of *updated_s*."""
    updated_s: float
    """When the last of them came."""


def encode_health(health: ProviderHealth) -> bytes:
    """Write the first line of a breaker's value, without its line feed."""
    return _line({"state": health.state.value, "until_s": health.until_s})


def decode_health(value: bytes | None) -> ProviderHealth | None:
    """Read a breaker's value; `None` for what is absent or is none."""
    members = _members(value)
    if members is None:
        return None
    name, until_s = members.get("state"), _amount(members, "until_s")
    state = _STATES.get(name) if isinstance(name, str) else None
    return None if state is None or until_s is None else ProviderHealth(state, until_s)


def encode_latency(stats: LatencyStats) -> bytes:
    """Write the first line of the value of latency statistics, without its line feed."""
    return _line({name: getattr(stats, name) for name in LatencyStats.__slots__})


def decode_latency(value: bytes | None) -> LatencyStats | None:
    """Read the value of latency statistics; `None` for what is absent or is none."""
    members = _members(value)
    if members is None:
        return None
    p50_ms = _amount(members, "p50_ms")
    p95_ms = _amount(members, "p95_ms")
    ewma_ms = _amount(members, "ewma_ms")
    samples = _amount(members, "samples")
    updated_s = _amount(members, "updated_s")
    if p50_ms is None or p95_ms is None or ewma_ms is None or samples is None or updated_s is None:
        return None
    return LatencyStats(
        p50_ms=p50_ms,
        p95_ms=p95_ms,
        ewma_ms=ewma_ms,
        ttft_p95_ms=_amount(members, "ttft_p95_ms"),
        tokens_per_s=_amount(members, "tokens_per_s"),
        samples=samples,
        updated_s=updated_s,
    )


_STATES: Final[Mapping[str, BreakerState]] = {state.value: state for state in BreakerState}


def _line(members: Mapping[str, object]) -> bytes:
    return _ENCODER.encode(members).encode()


def _members(value: bytes | None) -> Mapping[str, object] | None:
    """Parse the first line of a shared value, if it is a JSON object."""
    if value is None:
        return None
    line = value.partition(b"\n")[0]
    if len(line) > _LONGEST_LINE:
        return None
    try:
        members: object = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return members if isinstance(members, dict) else None


def _amount(members: Mapping[str, object], name: str) -> float | None:
    """Take a finite number of at least 0."""
    value = members.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
