"""How long a provider takes: quantiles and means of which the past counts ever less.

Times are counted in buckets whose bounds grow by a constant factor, so every quantile is within `ACCURACY` of
the true one, whatever the distribution, and there are never more than `MOST_BUCKETS` of them (Masson, Rim and
Lee: DDSketch, VLDB 2019, section 2). Every weight halves in a half-life, and so do the sums that the means
are made of, so a mean is one weighted exponentially by age, however irregularly answers come.

Adding answers one by one or many at a time, here or in another worker, comes to the same.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from aigateway.health import LatencyStats, decode_latency, encode_latency

__all__ = [
    "ACCURACY",
    "MOST_BUCKETS",
    "Latencies",
    "Sample",
    "decode_latencies",
    "encode_latencies",
    "merge",
    "stats",
]

ACCURACY: Final = 0.05
"""Relative error of a quantile."""

_GROWTH: Final = (1 + ACCURACY) / (1 - ACCURACY)
_LOG_GROWTH: Final = math.log(_GROWTH)

_LONGEST_MS: Final = 3_600_000.0
_LAST: Final = math.ceil(math.log(_LONGEST_MS) / _LOG_GROWTH)
MOST_BUCKETS: Final = _LAST + 1
"""Bucket 0 is up to 1 ms, the last one is of an hour and longer."""

_NEGLIGIBLE: Final = 0.001
"""A bucket that weighs less than this share of one answer is let go."""

_LONGEST_LINE: Final = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One good answer."""

    total_ms: float
    """From the request's leaving to the end of the answer."""
    first_ms: float | None = None
    """To the first byte of the body, if it was streamed."""
    output_tokens: int | None = None
    """What came after it, if that is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latencies:
    """The answers of a provider, weighted by age. Buckets are weights by bucket number."""

    total: Mapping[int, float] = field(default_factory=dict)
    first: Mapping[int, float] = field(default_factory=dict)
    total_ms: float = 0.0
    """Weighted sum of the times that are counted in `total`."""
    tokens: float = 0.0
    """Weighted sum of the tokens of streams."""
    token_s: float = 0.0
    """Weighted sum of the seconds in which they came."""
    updated_s: float = 0.0
    """Epoch seconds; the weights are as of then."""


def merge(latencies: Latencies, samples: Iterable[Sample], now_s: float, half_life_s: float) -> Latencies:
    """Let *latencies* age until now, and add *samples*.

    By a clock that has stepped back nothing ages, and now is when the clock says.
    """
    kept = 0.5 ** (max(0.0, now_s - latencies.updated_s) / half_life_s)
    total = _aged(latencies.total, kept)
    first = _aged(latencies.first, kept)
    total_ms = latencies.total_ms * kept
    tokens = latencies.tokens * kept
    token_s = latencies.token_s * kept
    for sample in samples:
        bucket = _bucket(sample.total_ms)
        total[bucket] = total.get(bucket, 0.0) + 1
        total_ms += sample.total_ms
        if sample.first_ms is None:
            continue
        bucket = _bucket(sample.first_ms)
        first[bucket] = first.get(bucket, 0.0) + 1
        if sample.output_tokens and sample.total_ms > sample.first_ms:
            tokens += sample.output_tokens
            token_s += (sample.total_ms - sample.first_ms) / 1_000
    return Latencies(
        total=total, first=first, total_ms=total_ms, tokens=tokens, token_s=token_s, updated_s=now_s
    )


def stats(latencies: Latencies) -> LatencyStats | None:
    """Give the figures; `None` if there is nothing to make them of."""
    weight = sum(latencies.total.values())
    if not weight:
        return None
    p50_ms, p95_ms = _quantiles(latencies.total, (0.5, 0.95))
    return LatencyStats(
        p50_ms=round(p50_ms, 2),
        p95_ms=round(p95_ms, 2),
        ewma_ms=round(latencies.total_ms / weight, 2),
        ttft_p95_ms=round(_quantiles(latencies.first, (0.95,))[0], 2) if latencies.first else None,
        tokens_per_s=round(latencies.tokens / latencies.token_s, 1) if latencies.token_s else None,
        samples=round(weight, 2),
        updated_s=round(latencies.updated_s, 3),
    )


def encode_latencies(latencies: Latencies) -> bytes:
    """Write the line that others read, then one of our own; there must be an answer in them."""
    figures = stats(latencies)
    if figures is None:
        raise ValueError("no answers, no figures")
    members = {
        "total": _flat(latencies.total),
        "first": _flat(latencies.first),
        "total_ms": round(latencies.total_ms, 2),
        "tokens": round(latencies.tokens, 3),
        "token_s": round(latencies.token_s, 4),
        "updated_s": latencies.updated_s,
    }
    return encode_latency(figures) + b"\n" + _ENCODER.encode(members).encode()


def decode_latencies(value: bytes | None) -> Latencies:
    """Read latencies; what is absent or damaged is none at all."""
    if value is None or decode_latency(value) is None:
        return Latencies()
    line = value.partition(b"\n")[2]
    if len(line) > _LONGEST_LINE:
        return Latencies()
    try:
        members: Any = _DECODER.decode(line.decode())
        return Latencies(
            total=_buckets(members["total"]),
            first=_buckets(members["first"]),
            total_ms=_amount(members["total_ms"]),
            tokens=_amount(members["tokens"]),
            token_s=_amount(members["token_s"]),
            updated_s=_amount(members["updated_s"]),
        )
    except (LookupError, TypeError, ValueError, RecursionError):
        return Latencies()


def _bucket(ms: float) -> int:
    if ms <= 1:
        return 0
    return min(math.ceil(math.log(ms) / _LOG_GROWTH), _LAST)


def _middle_ms(bucket: int) -> float:
    """Give the time that is within `ACCURACY` of every time in *bucket*."""
    return 2 * _GROWTH**bucket / (_GROWTH + 1)


def _quantiles(buckets: Mapping[int, float], shares: tuple[float, ...]) -> list[float]:
    """Find, for each of the growing *shares*, the bucket in which that much of the weight is reached."""
    weight = sum(buckets.values())
    found: list[float] = []
    reached = 0.0
    for bucket in sorted(buckets):
        reached += buckets[bucket]
        while len(found) < len(shares) and reached >= shares[len(found)] * weight * (1 - _ROUNDING):
            found.append(_middle_ms(bucket))
    return found


_ROUNDING: Final = 1e-9


def _aged(buckets: Mapping[int, float], kept: float) -> dict[int, float]:
    return {bucket: weight * kept for bucket, weight in buckets.items() if weight * kept >= _NEGLIGIBLE}


def _flat(buckets: Mapping[int, float]) -> list[float]:
    """List bucket and weight in turns: shorter than an object, and quicker to read."""
    return [number for bucket in sorted(buckets) for number in (bucket, round(buckets[bucket], 4))]


def _buckets(flat: list[object]) -> dict[int, float]:
    buckets: dict[int, float] = {}
    for bucket, weight in zip(flat[::2], flat[1::2], strict=True):
        if type(bucket) is not int or not 0 <= bucket <= _LAST:
            raise ValueError("not a bucket")
        buckets[bucket] = _amount(weight)
    return buckets


def _amount(value: object) -> float:
    if (type(value) is float or type(value) is int) and value >= 0:
        return float(value)
    raise ValueError("not an amount")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
_DECODER: Final = json.JSONDecoder(parse_constant=_refuse_constant)
