"""The whole table, entry by entry, and what follows from its law."""

import pytest

from ai_provider_circuit_breaker import TABLE, BreakerState, Signal, next_state

CLOSED = BreakerState.CLOSED
OPEN = BreakerState.OPEN
HALF_OPEN = BreakerState.HALF_OPEN
RATE_LIMITED = BreakerState.RATE_LIMITED
UNAUTHORIZED = BreakerState.UNAUTHORIZED

# A row per state; `None`: the signal cannot be met.
EXPECTED = {
    #               tripped    limited       refused       expired    answered   recovered
    CLOSED:       (OPEN,      RATE_LIMITED, UNAUTHORIZED, None,      None,         None),
    OPEN:         (None,      OPEN,         UNAUTHORIZED, HALF_OPEN, HALF_OPEN,    None),
    HALF_OPEN:    (OPEN,      RATE_LIMITED, UNAUTHORIZED, None,      None,         CLOSED),
    RATE_LIMITED: (None,      RATE_LIMITED, UNAUTHORIZED, CLOSED,    RATE_LIMITED, None),
    UNAUTHORIZED: (None,      UNAUTHORIZED, UNAUTHORIZED, HALF_OPEN, HALF_OPEN,    None),
}  # fmt: skip


@pytest.mark.parametrize("state", BreakerState)
@pytest.mark.parametrize("signal", Signal)
def test_every_entry(state: BreakerState, signal: Signal) -> None:
    expected = EXPECTED[state][list(Signal).index(signal)]

    if expected is None:
        with pytest.raises(ValueError, match=f"a breaker that is {state} cannot be {signal}"):
            next_state(state, signal)
    else:
        assert next_state(state, signal) is expected


def test_every_state_has_a_row_and_can_be_left() -> None:
    assert set(TABLE) == set(BreakerState)
    for state, row in TABLE.items():
        assert set(row.values()) - {state}


def test_who_is_open_or_unauthorized_gets_back_through_half_open_alone() -> None:
    assert [state for state, row in TABLE.items() if CLOSED in row.values()] == [HALF_OPEN, RATE_LIMITED]


def test_a_limit_never_takes_a_graver_state_away() -> None:
    for state in (OPEN, UNAUTHORIZED):
        assert next_state(state, Signal.LIMITED) is state
