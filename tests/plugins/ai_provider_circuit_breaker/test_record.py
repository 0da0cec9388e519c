"""What stands in shared data can be read by the router, by the breaker, and by people; garbage by nobody."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_provider_circuit_breaker import (
    Breaker,
    BreakerState,
    Event,
    Kind,
    Permit,
    Settings,
    admit,
    decode_breaker,
    encode_breaker,
    settle,
)
from ai_provider_circuit_breaker.record import UNKNOWN, closed_generation, count_success
from ai_provider_circuit_breaker.window import Counts, Window
from aigateway.health import ProviderHealth, decode_health

NOW = 1_790_000_000.0
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


def test_people_can_read_it() -> None:
    lines = encode_breaker(HALF_OPEN, SETTINGS).decode().split("\n")

    public, own = map(json.loads, lines[:2])
    assert public["state"] == "half_open"
    assert own["probes"] == [[17, 1_790_000_060.5]]
    assert lines[2] == "1790000000.5 298333347 9 1 0 3 0 2"


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
    public, _, counts = encode_breaker(HALF_OPEN, SETTINGS).split(b"\n")

    assert closed_generation(garbage) is None
    for value in (garbage, public + b"\n" + garbage, b"\n".join((public, garbage, counts))):
        assert decode_breaker(value) is UNKNOWN
        assert count_success(value, 0, NOW, Settings()) is None


@pytest.mark.parametrize("name", json.loads(encode_breaker(HALF_OPEN, SETTINGS).split(b"\n")[1]))
@pytest.mark.parametrize("wrong", [None, "1", [[1]], True, float("nan"), {"a": 1}])
def test_so_is_half_a_breaker(name: str, wrong: object) -> None:
    public, own, counts = encode_breaker(HALF_OPEN, SETTINGS).split(b"\n")
    members = json.loads(own) | {name: wrong}

    assert decode_breaker(b"\n".join((public, json.dumps(members).encode(), counts))) is UNKNOWN


@pytest.mark.parametrize(
    "counts",
    [
        b"",
        b"1.5",
        b"x 1",
        b"nan 1",
        b"inf 1",
        b"-1 1",
        b"1.5 -1",
        b"1.5 1 2",
        b"1.5 1 2 3 x",
        b"1.5 " + b"9" * 5000,
    ],
)
def test_so_is_one_with_damaged_counts(counts: bytes) -> None:
    head = encode_breaker(HALF_OPEN, SETTINGS).rpartition(b"\n")[0]

    assert decode_breaker(head + b"\n" + counts) is UNKNOWN


def test_nesting_ends_nothing() -> None:
    public = encode_breaker(HALF_OPEN, SETTINGS).partition(b"\n")[0]

    assert decode_breaker(public + b"\n" + b"[" * 8_000 + b"\n1.5 1") is UNKNOWN
    assert decode_breaker(public + b"\n" + b"[" * 100_000 + b"\n1.5 1") is UNKNOWN


@given(
    st.lists(
        st.tuples(
            st.sampled_from([Kind.SUCCESS, Kind.SUCCESS, Kind.FAILURE, Kind.SLOW, Kind.RATE_LIMITED]),
            st.sampled_from([0.0, 0.3, 5.9, 30.0, 100.0, -0.5, -50.0]),
        ),
        max_size=12,
    ),
    st.sampled_from([0.0, 0.3, 5.9, 30.0, 100.0, -0.5, -50.0]),
    st.sampled_from([Settings(), Settings(failure_rate=0), Settings(failure_rate=0, slow_rate=0.5)]),
    st.integers(0, 1),
)
def test_counting_a_success_in_short_is_the_same_as_in_full(
    past: list[tuple[Kind, float]], passed_s: float, settings: Settings, age: int
) -> None:
    now_s, breaker = NOW, Breaker()
    for kind, seconds in past:
        now_s += seconds
        ruling = admit(breaker, now_s, settings)
        permit = ruling.permit or Permit(ruling.breaker.generation)
        breaker = settle(
            ruling.breaker, permit, Event(kind), now_s=now_s, draw=0.5, settings=settings
        ).breaker
    value = encode_breaker(breaker, settings)
    permit = Permit(max(0, breaker.generation - age))
    now_s += passed_s

    short = count_success(value, permit.generation, now_s, settings)

    event = Event(Kind.SUCCESS)
    full = settle(decode_breaker(value), permit, event, now_s=now_s, draw=0.5, settings=settings).breaker
    if short is not None:
        assert short == encode_breaker(full, settings)


def test_a_success_right_after_another_is_counted_in_short() -> None:
    settings = Settings()
    breaker = settle(
        Breaker(), Permit(0), Event(Kind.SUCCESS), now_s=NOW, draw=0.0, settings=settings
    ).breaker
    value = encode_breaker(breaker, settings)

    assert count_success(value, 0, NOW + 0.5, settings) is not None
    assert count_success(value, 1, NOW + 0.5, settings) is None
    assert count_success(value, 0, NOW - 0.5, settings) is None
    assert count_success(value, 0, NOW + 60, settings) is None
