"""A window holds the calls of its slots, however they came."""

from hypothesis import given
from hypothesis import strategies as st

from ai_provider_circuit_breaker.window import SLOTS, Counts, Window

CALLS = st.lists(st.tuples(st.integers(0, 60), st.booleans(), st.booleans()))


@given(CALLS)
def test_what_is_counted_is_what_is_in_the_window(calls: list[tuple[int, bool, bool]]) -> None:
    calls.sort()
    window = Window()
    for slot, failed, slow in calls:
        window = window.add(slot, failed=failed, slow=slow)

    newest = calls[-1][0] if calls else 0
    inside = [call for call in calls if call[0] > newest - SLOTS]
    assert window.total() == Counts(
        len(inside), sum(failed for _, failed, _ in inside), sum(slow for _, _, slow in inside)
    )
    assert len(window.slots) <= SLOTS


def test_a_call_from_before_the_newest_slot_counts_with_it() -> None:
    window = Window().add(100).add(40, failed=True)

    assert window == Window(100, (Counts(2, 1, 0),))


def test_a_long_pause_empties_it() -> None:
    window = Window().add(100, failed=True).add(100 + SLOTS)

    assert window.total() == Counts(1, 0, 0)
