"""What the breaker writes is what the router reads, and anything else is nothing."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigateway.health import (
    BreakerState,
    LatencyStats,
    ProviderHealth,
    breaker_key,
    decode_health,
    decode_latency,
    encode_health,
    encode_latency,
    latency_key,
)

AMOUNTS = st.floats(min_value=0, max_value=1e12, allow_nan=False)

STATS = LatencyStats(
    p50_ms=410.0,
    p95_ms=1900.0,
    ewma_ms=500.5,
    ttft_p95_ms=None,
    tokens_per_s=61.5,
    samples=88.0,
    updated_s=1_790_000_000.25,
)


def test_keys_name_a_provider_or_a_model_of_it() -> None:
    assert breaker_key("openai") == "breaker/openai"
    assert breaker_key("openai", "gpt-4.1") == "breaker/openai/gpt-4.1"
    assert latency_key("openai") == "latency/openai"
    assert latency_key("openai", "gpt-4.1") == "latency/openai/gpt-4.1"


@given(st.sampled_from(BreakerState), AMOUNTS)
def test_health_is_read_as_written(state: BreakerState, until_s: float) -> None:
    health = ProviderHealth(state, until_s)

    assert decode_health(encode_health(health)) == health
    assert decode_health(encode_health(health) + b"\nwhatever the breaker keeps") == health


@given(
    st.builds(
        LatencyStats,
        p50_ms=AMOUNTS,
        p95_ms=AMOUNTS,
        ewma_ms=AMOUNTS,
        ttft_p95_ms=st.none() | AMOUNTS,
        tokens_per_s=st.none() | AMOUNTS,
        samples=AMOUNTS,
        updated_s=AMOUNTS,
    )
)
def test_latency_is_read_as_written(stats: LatencyStats) -> None:
    assert decode_latency(encode_latency(stats) + b"\n[1]") == stats


def test_values_can_be_read_by_people() -> None:
    assert encode_health(ProviderHealth(BreakerState.OPEN, 60.5)) == b'{"state":"open","until_s":60.5}'
    assert json.loads(encode_latency(STATS))["ttft_p95_ms"] is None


@given(st.binary(max_size=200))
def test_garbage_is_nothing(value: bytes) -> None:
    assert decode_health(value) is None
    assert decode_latency(value) is None


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"[]",
        b"{}",
        b'{"state":"ajar","until_s":0}',
        b'{"state":["open"],"until_s":0}',
        b'{"state":"open"}',
        b'{"state":"open","until_s":"60"}',
        b'{"state":"open","until_s":true}',
        b'{"state":"open","until_s":-1}',
        b'{"state":"open","until_s":NaN}',
        b'{"state":"open","until_s":Infinity}',
        b'{"state":"open","until_s":1' + b"0" * 400 + b"}",
        b'{"state":"open","until_s":0,"x":' + b"[" * 2_000 + b"]" * 2_000 + b"}",
        b"[" * 1_000,
    ],
)
def test_half_a_value_is_nothing(value: bytes | None) -> None:
    assert decode_health(value) is None
    assert decode_latency(value) is None


@pytest.mark.parametrize("name", ["p50_ms", "p95_ms", "ewma_ms", "samples", "updated_s"])
@pytest.mark.parametrize("wrong", [None, "1", -1, True, math.inf])
def test_latency_needs_its_figures(name: str, wrong: object) -> None:
    members = json.loads(encode_latency(STATS)) | {name: wrong}

    assert decode_latency(json.dumps(members).encode()) is None


@pytest.mark.parametrize(
    ("health", "admitted"),
    [
        (ProviderHealth(BreakerState.CLOSED), True),
        (ProviderHealth(BreakerState.CLOSED, 200.0), True),
        (ProviderHealth(BreakerState.OPEN, 100.5), False),
        (ProviderHealth(BreakerState.OPEN, 100.0), True),
        (ProviderHealth(BreakerState.RATE_LIMITED, 100.5), False),
        (ProviderHealth(BreakerState.UNAUTHORIZED, 100.5), False),
        (ProviderHealth(BreakerState.HALF_OPEN), True),
        (ProviderHealth(BreakerState.HALF_OPEN, 100.5), False),
    ],
)
def test_who_may_be_tried_at_100_s(health: ProviderHealth, admitted: bool) -> None:
    assert health.admits(100.0) is admitted
