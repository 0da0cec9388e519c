"""Figures of latency against the exact ones, and what ageing does to them."""

import json
import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_provider_circuit_breaker.latency import (
    ACCURACY,
    MOST_BUCKETS,
    Latencies,
    Sample,
    decode_latencies,
    encode_latencies,
    merge,
    stats,
)
from aigateway.health import decode_latency

NOW = 1_790_000_000.0
HALF_LIFE_S = 300.0
MS = st.floats(1.0, 3_600_000.0)
SAMPLES = st.builds(
    Sample,
    total_ms=MS,
    first_ms=st.none() | st.floats(1.0, 1e5),
    output_tokens=st.none() | st.integers(0, 9_999),
)


def of(times_ms: Sequence[float], now_s: float = NOW, before: Latencies | None = None) -> Latencies:
    return merge(before or Latencies(), [Sample(total_ms=ms) for ms in times_ms], now_s, HALF_LIFE_S)


def quantile(values: Sequence[tuple[float, float]], share: float) -> float:
    """Find the exact quantile of values with weights."""
    values = sorted(values)
    reached, weight = 0.0, math.fsum(weight for _, weight in values)
    for value, each in values:
        reached += each
        if reached >= share * weight * (1 - 1e-9):
            return value
    raise AssertionError("a share is at most 1")


@given(st.lists(MS, min_size=1, max_size=200))
def test_quantiles_are_within_the_error_of_a_bucket(times_ms: list[float]) -> None:
    figures = stats(of(times_ms))

    assert figures is not None
    exact = [(ms, 1.0) for ms in times_ms]
    for found, share in ((figures.p50_ms, 0.5), (figures.p95_ms, 0.95)):
        truth = quantile(exact, share)
        assert abs(found - truth) <= truth * ACCURACY + 0.006
    assert figures.ewma_ms == pytest.approx(math.fsum(times_ms) / len(times_ms), abs=0.006)
    assert figures.samples == len(times_ms)


@given(st.lists(st.tuples(MS, st.floats(0, 600)), min_size=1, max_size=50))
def test_age_weighs_in_quantiles_and_mean_alike(calls: list[tuple[float, float]]) -> None:
    latencies, now_s = Latencies(), NOW
    exact: list[tuple[float, float]] = []
    for ms, passed_s in calls:
        now_s += passed_s
        latencies = of([ms], now_s, latencies)
        exact = [(value, weight * 0.5 ** (passed_s / HALF_LIFE_S)) for value, weight in exact] + [(ms, 1.0)]

    figures = stats(latencies)

    assert figures is not None
    # A bucket below a thousandth of an answer may be gone.
    slack = 0.001 * MOST_BUCKETS
    low, high = quantile(exact, max(0.0, 0.95 - slack)), quantile(exact, min(1.0, 0.95 + slack))
    assert low * (1 - ACCURACY) - 0.006 <= figures.p95_ms <= high * (1 + ACCURACY) + 0.006
    weight = math.fsum(weight for _, weight in exact)
    mean = math.fsum(value * weight for value, weight in exact) / weight
    assert figures.ewma_ms == pytest.approx(mean, rel=0.01 + slack, abs=0.01)


def test_the_past_counts_half_after_a_half_life() -> None:
    slow = of([1_000.0] * 8)

    figures = stats(of([100.0] * 5, NOW + HALF_LIFE_S, slow))

    assert figures is not None
    assert figures.samples == 9
    assert figures.p50_ms == pytest.approx(100, rel=ACCURACY)
    assert figures.p95_ms == pytest.approx(1_000, rel=ACCURACY)
    assert figures.ewma_ms == pytest.approx((4 * 1_000 + 5 * 100) / 9, abs=0.1)


def test_the_long_past_counts_for_nothing() -> None:
    figures = stats(of([100.0], NOW + 20 * HALF_LIFE_S, of([1_000.0] * 500)))

    assert figures is not None
    assert figures.p95_ms == pytest.approx(100, rel=ACCURACY)
    assert figures.samples == 1


@given(st.lists(SAMPLES, max_size=20), st.lists(SAMPLES, max_size=20), st.floats(0, 1e4))
def test_all_at_once_or_one_by_one_is_the_same(
    first: list[Sample], second: list[Sample], passed_s: float
) -> None:
    before = merge(Latencies(), first, NOW, HALF_LIFE_S)

    together = merge(before, second, NOW + passed_s, HALF_LIFE_S)
    apart = before
    for samples in [[sample] for sample in second] or [[]]:
        apart = merge(apart, samples, NOW + passed_s, HALF_LIFE_S)

    assert apart.total == pytest.approx(together.total)
    assert apart.first == pytest.approx(together.first)
    assert apart.total_ms == pytest.approx(together.total_ms)
    assert apart.tokens == pytest.approx(together.tokens)
    assert apart.token_s == pytest.approx(together.token_s)


def test_streams_have_a_first_byte_and_a_speed() -> None:
    streams = [Sample(total_ms=2_500, first_ms=500, output_tokens=100)] * 3
    whole = [Sample(total_ms=9_000)] * 100

    figures = stats(merge(Latencies(), streams + whole, NOW, HALF_LIFE_S))

    assert figures is not None
    assert figures.ttft_p95_ms == pytest.approx(500, rel=ACCURACY)
    assert figures.tokens_per_s == 50


def test_without_streams_there_is_neither() -> None:
    figures = stats(of([100.0]))

    assert figures is not None
    assert figures.ttft_p95_ms is None
    assert figures.tokens_per_s is None


def test_what_came_all_at_once_has_no_speed() -> None:
    burst = Sample(total_ms=500, first_ms=500, output_tokens=100)

    figures = stats(merge(Latencies(), [burst], NOW, HALF_LIFE_S))

    assert figures is not None
    assert figures.tokens_per_s is None


@given(st.lists(st.floats(0, 1e12), max_size=500))
def test_it_stays_small(times_ms: list[float]) -> None:
    everything = [*times_ms, *[1.1**step for step in range(160)]]
    latencies = merge(
        Latencies(),
        [Sample(total_ms=ms, first_ms=ms, output_tokens=7) for ms in everything],
        NOW,
        HALF_LIFE_S,
    )
    latencies = of([5.0], NOW + 100.7, latencies)

    assert len(latencies.total) <= MOST_BUCKETS
    assert len(encode_latencies(latencies)) < 8_000


def test_a_clock_that_steps_back_ages_nothing_and_stops_no_ageing() -> None:
    latencies = of([100.0] * 4)

    back = of([100.0], NOW - 10_000, latencies)
    later = of([], NOW - 10_000 + HALF_LIFE_S, back)

    assert sum(back.total.values()) == 5
    assert sum(later.total.values()) == 2.5


@given(st.lists(SAMPLES, min_size=1, max_size=30), st.lists(SAMPLES, max_size=30), st.floats(0, 3_000))
def test_it_is_read_as_written(first: list[Sample], second: list[Sample], passed_s: float) -> None:
    before = merge(Latencies(), first, NOW, HALF_LIFE_S)
    latencies = merge(before, [*second, Sample(total_ms=9)], NOW + passed_s, HALF_LIFE_S)

    value = encode_latencies(latencies)
    read = decode_latencies(value)

    assert decode_latency(value) == stats(latencies)
    assert read.total == pytest.approx(latencies.total, abs=1e-4)
    assert read.first == pytest.approx(latencies.first, abs=1e-4)
    assert read.total_ms == pytest.approx(latencies.total_ms, abs=0.01)
    assert read.updated_s == latencies.updated_s


def test_nothing_has_no_figures() -> None:
    assert stats(Latencies()) is None
    with pytest.raises(ValueError, match="no answers"):
        encode_latencies(Latencies())


@given(st.binary(max_size=100))
def test_garbage_is_nothing(garbage: bytes) -> None:
    public = encode_latencies(of([100.0])).partition(b"\n")[0]

    assert decode_latencies(garbage) == Latencies()
    assert decode_latencies(public + b"\n" + garbage) == Latencies()


@pytest.mark.parametrize("name", ["total", "first", "total_ms", "tokens", "token_s", "updated_s"])
@pytest.mark.parametrize("wrong", [None, "1", [1], [-1, 1], [500, 1], [1, -1], [1.5, 1], -1, {"a": 1}])
def test_so_is_half_of_it(name: str, wrong: object) -> None:
    public, own = encode_latencies(of([100.0])).split(b"\n")
    members = json.loads(own) | {name: wrong}

    assert decode_latencies(public + b"\n" + json.dumps(members).encode()) == Latencies()


def test_absent_is_nothing() -> None:
    assert decode_latencies(None) == Latencies()
