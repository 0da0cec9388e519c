"""What stands in shared data can be read by the router, by the breaker, and by people; garbage by nobody."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_provider_circuit_breaker import Breaker, BreakerState, Settings, decode_breaker, encode_breaker
from ai_provider_circuit_breaker.record import closed_generation
from ai_provider_circuit_breaker.window import Counts, Window
from aigateway.health import ProviderHealth, decode_health

SETTINGS = Settings(probes=1)
HALF_OPEN = Breaker(
    state=BreakerState.HALF_OPEN,
    generation=4,
    window=Window(298_333_347, (Counts(9, 1, 0), Counts(3, 0, 2))),
    successes=1,
    probes=((17, 1_790_000_060.5),),
    last_probe=17,
    openings=2,
    seen_s=1_790_000_000.5,
)


def test_it_is_read_as_written() -> None:
    assert decode_breaker(encode_breaker(HALF_OPEN, SETTINGS)) == HALF_OPEN


def test_the_router_reads_the_first_line() -> None:
    value = encode_breaker(HALF_OPEN, SETTINGS)

    assert decode_health(value) == ProviderHealth(BreakerState.HALF_OPEN, 1_790_000_060.5)


def test_people_can_read_both_lines() -> None:
    lines = encode_breaker(HALF_OPEN, SETTINGS).decode().split("\n")

    public, own = map(json.loads, lines)
    assert public["state"] == "half_open"
    assert own["probes"] == [[17, 1_790_000_060.5]]


@pytest.mark.parametrize("state", BreakerState)
@pytest.mark.parametrize("generation", [0, 3, 10_000])
def test_the_generation_of_a_closed_breaker_is_had_without_decoding(
    state: BreakerState, generation: int
) -> None:
    value = encode_breaker(Breaker(state=state, generation=generation), SETTINGS)

    assert closed_generation(value) == (generation if state is BreakerState.CLOSED else None)


def test_a_breaker_never_heard_of_is_closed() -> None:
    assert closed_generation(None) == 0
    assert decode_breaker(None) == Breaker()


@given(st.binary(max_size=200))
def test_garbage_is_a_breaker_that_knows_nothing(garbage: bytes) -> None:
    assert decode_breaker(garbage) == Breaker()
    assert closed_generation(garbage) is None
    public = encode_breaker(HALF_OPEN, SETTINGS).partition(b"\n")[0]
    assert decode_breaker(public + b"\n" + garbage) == Breaker()


@pytest.mark.parametrize("name", json.loads(encode_breaker(HALF_OPEN, SETTINGS).split(b"\n")[1]))
@pytest.mark.parametrize("wrong", [None, "1", [[1]], True, float("nan"), {"a": 1}])
def test_so_is_half_a_breaker(name: str, wrong: object) -> None:
    public, own = encode_breaker(HALF_OPEN, SETTINGS).split(b"\n")
    members = json.loads(own) | {name: wrong}

    assert decode_breaker(public + b"\n" + json.dumps(members).encode()) == Breaker()


def test_nesting_ends_nothing() -> None:
    public = encode_breaker(HALF_OPEN, SETTINGS).partition(b"\n")[0]

    assert decode_breaker(public + b"\n" + b"[" * 8_000) == Breaker()
    assert decode_breaker(public + b"\n" + b"[" * 100_000) == Breaker()
