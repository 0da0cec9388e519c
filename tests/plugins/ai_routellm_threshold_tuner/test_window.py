"""Ranks among the latest scores."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_routellm_threshold_tuner.tuning import tie_of
from ai_routellm_threshold_tuner.window import LEVELS, Window, level_of, score_of

LEVEL = st.integers(0, LEVELS)


def window_of(levels: list[int], capacity: int = 100) -> Window:
    window = Window(capacity)
    for level in levels:
        window.add(level)
    return window


@given(st.integers(0, LEVELS))
def test_levels_stand_for_scores(level: int) -> None:
    assert level_of(score_of(level)) == level


@given(st.floats(0, 1))
def test_a_level_is_closer_than_the_fifth_decimal_of_a_threshold(score: float) -> None:
    assert score_of(level_of(score)) == pytest.approx(score, abs=0.000_008)


@given(st.lists(LEVEL, min_size=1, max_size=60), st.integers(1, 20), LEVEL, st.floats(0, 0.99))
def test_a_rank_is_what_is_above_and_a_part_of_what_is_equal(
    levels: list[int], capacity: int, level: int, tie: float
) -> None:
    window = window_of(levels, capacity)
    kept = levels[-capacity:]

    above, equal = sum(one > level for one in kept), sum(one == level for one in kept)

    assert len(window) == len(kept)
    assert window.rank(level, tie) == pytest.approx((above + tie * equal) / len(kept))


@given(st.lists(LEVEL, min_size=1, max_size=60), st.floats(0, 1))
def test_a_share_of_the_window_reaches_its_level(levels: list[int], share: float) -> None:
    level = window_of(levels).level_at(share)

    assert sum(one > level for one in levels) <= share * len(levels)
    assert share == 1 or sum(one >= level for one in levels) > share * len(levels) - 1e-9


@given(st.lists(LEVEL, max_size=60), st.integers(1, 70), st.lists(LEVEL, max_size=9))
def test_bytes_give_the_same_window(levels: list[int], capacity: int, more: list[int]) -> None:
    window = window_of(levels)
    read = Window.from_bytes(window.to_bytes(), capacity)

    assert read is not None
    expected = window_of(levels, capacity)
    assert read.to_bytes() == expected.to_bytes()
    for level in more:
        read.add(level)
        expected.add(level)
    assert read.to_bytes() == expected.to_bytes()


@pytest.mark.parametrize("data", [b"x", b"xy", b"xyz", b"123456"])
def test_other_bytes_are_none(data: bytes) -> None:
    assert Window.from_bytes(data, 10) is None


def test_the_last_can_be_kept() -> None:
    window = window_of([9, 1, 5, 3])
    window.keep_last(2)

    assert window.to_bytes() == window_of([5, 3]).to_bytes()


@pytest.mark.parametrize("step", [1, 2, 3, 5, 7, 10])
@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 0.9])
def test_ties_are_spread_evenly_over_every_few_requests(step: int, share: float) -> None:
    """Clients that take turns must all get their part."""
    for offset in range(step):
        below = sum(tie_of(count) < share for count in range(offset, 1000 * step, step))
        assert below == pytest.approx(1000 * share, abs=12)
