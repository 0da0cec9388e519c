"""Holding a share: for any scores, and through changes of the traffic."""

import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ai_routellm_threshold_tuner.tuning import Goal, State, TuningLimits
from ai_routellm_threshold_tuner.window import LEVELS, Window, level_of

SCORER, TARGET = b"scorer 1", b"targ"
LIMITS = TuningLimits()


def fresh(boundaries: int = 1, limits: TuningLimits = LIMITS) -> State:
    return State(SCORER, TARGET, boundaries, Window(limits.window_requests))


def passes(
    scores: Sequence[float], share: float, limits: TuningLimits = LIMITS, initial: Sequence[int] = ()
) -> list[bool]:
    """Say of each request whether it goes to the strong tier."""
    state, goals = fresh(limits=limits), [Goal.of_share(share)]
    return [state.decide(level_of(score), goals, limits, initial).tier == 0 for score in scores]


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=400),
    st.floats(0, 1),
    st.sampled_from([0.02, 0.03, 0.2]),
    st.sampled_from([0.001, 0.05, 1.0]),
    st.one_of(st.none(), st.integers(0, LEVELS)),
)
@example(scores=[index / 400 for index in range(400)], share=0.5, gain=0.02, step=0.05, initial=None)
@example(scores=[1 - index / 400 for index in range(400)], share=0.5, gain=0.02, step=0.05, initial=None)
@example(scores=[0.5] * 400, share=0.5, gain=0.02, step=0.05, initial=LEVELS)
def test_what_passes_never_runs_away(
    scores: list[float], share: float, gain: float, step: float, initial: int | None
) -> None:
    """Whatever the scores do: at most 1 / gain requests away from the target, and one more."""
    limits = TuningLimits(gain=gain, max_step=step)
    passed = 0

    for count, was_passed in enumerate(
        passes(scores, share, limits, () if initial is None else (initial,)), start=1
    ):
        passed += was_passed
        assert abs(passed - share * count) <= 1 / gain + 1


@pytest.mark.parametrize("share", [0.0, 0.01, 0.2, 0.5, 0.77, 0.99, 1.0])
@pytest.mark.parametrize("score", [0.0, 0.3, 1.0])
def test_equal_scores_are_divided_exactly(share: float, score: float) -> None:
    passed = passes([score] * 1000, share)

    assert sum(passed) == pytest.approx(1000 * share, abs=3)
    for start in range(0, 900, 100):
        assert sum(passed[start : start + 100]) == pytest.approx(100 * share, abs=7)


def test_the_highest_scores_pass() -> None:
    """A quantile is no lottery: beyond a narrow band about the threshold, scores decide."""
    draw = random.Random(1)
    scores = [draw.random() for _ in range(3000)]
    passed = passes(scores, 0.2)
    later = list(zip(scores, passed, strict=True))[600:]

    assert all(was_passed for score, was_passed in later if score > 0.95)
    assert not any(was_passed for score, was_passed in later if score < 0.6)
    right = sum(was_passed == (score > 0.8) for score, was_passed in later)
    assert right / len(later) > 0.94


def beta(draw: random.Random, a: float, b: float, count: int) -> list[float]:
    return [draw.betavariate(a, b) for _ in range(count)]


SHIFTS: dict[str, Callable[[random.Random], list[float]]] = {
    "harder": lambda draw: beta(draw, 2, 8, 1500) + beta(draw, 6, 4, 1500),
    "easier": lambda draw: beta(draw, 6, 4, 1500) + beta(draw, 2, 8, 1500),
    "all equal": lambda draw: beta(draw, 2, 8, 1500) + [0.5] * 1500,
    "equal, then equal to something else": lambda draw: [0.3] * 1500 + [0.7] * 1500,
    "two values, then three": lambda draw: (
        draw.choices([0.2, 0.8], k=1500) + draw.choices([0.1, 0.2, 0.9], k=1500)
    ),
    "a narrow band": lambda draw: (
        [draw.uniform(0.5, 0.501) for _ in range(1500)] + [draw.uniform(0.4, 0.401) for _ in range(1500)]
    ),
}
"""Two kinds of traffic, 1,500 requests each."""

CHANGES: dict[str, Callable[[random.Random], list[float]]] = {
    "slowly": lambda draw: [draw.betavariate(2 + index / 400, 8 - index / 500) for index in range(3000)],
    "bursts": lambda draw: [draw.betavariate(8 - 6 * (index // 40 % 2), 5) for index in range(3000)],
}
"""Traffic that goes on changing."""


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 0.8])
@pytest.mark.parametrize("shift", SHIFTS)
def test_after_a_shift_the_share_is_back_within_500_requests(shift: str, share: float) -> None:
    for seed in range(2):
        passed = passes(SHIFTS[shift](random.Random(seed)), share)

        for start in range(1500, 2501, 100):
            assert sum(passed[start : start + 500]) / 500 == pytest.approx(share, abs=0.02)


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 0.8])
@pytest.mark.parametrize("change", CHANGES)
def test_while_traffic_changes_the_share_stays_near(change: str, share: float) -> None:
    for seed in range(2):
        passed = passes(CHANGES[change](random.Random(seed)), share)

        for start in range(0, 2501, 100):
            assert sum(passed[start : start + 500]) / 500 == pytest.approx(share, abs=0.035)


def test_a_fixed_threshold_would_not_do() -> None:
    """What the tuning is there for."""
    draw = random.Random(1)
    before, after = beta(draw, 2, 8, 1500), beta(draw, 6, 4, 1500)
    threshold = sorted(before)[1200]

    assert sum(score >= threshold for score in after) / 1500 > 0.9


def test_drift_is_seen_soon_and_seldom_without_reason() -> None:
    draw = random.Random(7)
    state, goals = fresh(), [Goal.of_share(0.2)]
    for score in beta(draw, 2, 8, 20_000):
        state.decide(level_of(score), goals, LIMITS)
    assert state.drifts <= 1
    before = state.drifts

    drifted = [state.decide(level_of(score), goals, LIMITS).drifted for score in beta(draw, 6, 4, 60)]

    assert state.drifts > before
    assert drifted.index(True) < 40
    assert len(state.window) < 130


@pytest.mark.parametrize("workers", [2, 5])
def test_workers_that_lose_races_hold_the_share_together(workers: int) -> None:
    """Compare-and-swap as shared data does it: who has read an old value must begin again."""
    draw = random.Random(workers)
    stored, version = b"", 0
    goals = [Goal.of_share(0.3)]
    reads: list[tuple[bytes, int]] = [(stored, version)] * workers
    pending = [draw.random() for _ in range(workers)]
    passed = decided = lost = 0
    while decided < 2000:
        worker = draw.randrange(workers)
        data, seen = reads[worker]
        state = State.from_bytes(data or None, SCORER, TARGET, 1, LIMITS.window_requests)
        decision = state.decide(level_of(pending[worker]), goals, LIMITS)
        if seen == version:
            stored, version = state.to_bytes(), version + 1
            passed += decision.tier == 0
            decided += 1
            pending[worker] = draw.random()
        else:
            lost += 1
        # The other workers read now and then, so what they know is often old.
        reads[worker] = (stored, version)

    assert lost > 500
    assert State.from_bytes(stored, SCORER, TARGET, 1, 512).count == 2000
    assert passed / 2000 == pytest.approx(0.3, abs=0.01)


def test_three_tiers_each_get_their_share() -> None:
    draw = random.Random(3)
    goals = [Goal.of_share(0.2), Goal.of_share(0.5)]
    state = fresh(boundaries=2)
    tiers = [state.decide(level_of(draw.betavariate(2, 5)), goals, LIMITS).tier for _ in range(2000)]

    assert [tiers.count(tier) / 2000 for tier in range(3)] == pytest.approx([0.2, 0.3, 0.5], abs=0.01)
    decision = state.decide(LEVELS, goals, LIMITS)
    assert decision.thresholds[0] > decision.thresholds[1]


def test_the_threshold_moves_by_steps() -> None:
    limits = TuningLimits(max_step=0.01)
    state, goals = fresh(limits=limits), [Goal.of_share(0.5)]
    draw = random.Random(4)
    scores = [draw.random() / 4 for _ in range(300)] + [1 - draw.random() / 4 for _ in range(300)]
    before: int | None = None
    for score in scores:
        (threshold,) = state.decide(level_of(score), goals, limits).thresholds
        if len(state.window) > limits.min_samples and before is not None:
            assert abs(threshold - before) <= level_of(0.01)
        before = threshold


def test_with_few_samples_the_initial_threshold_decides() -> None:
    draw = random.Random(5)
    scores = [draw.random() for _ in range(LIMITS.min_samples - 1)]

    assert passes(scores, 0.3, initial=[level_of(0.7)]) == [score >= 0.7 for score in scores]


@given(st.lists(st.floats(0, 1), max_size=120), st.integers(1, 3))
def test_bytes_give_the_same_state(scores: list[float], boundaries: int) -> None:
    goals = [Goal.of_share(0.2 + 0.2 * index) for index in range(boundaries)]
    kept, written = fresh(boundaries), fresh(boundaries).to_bytes()
    for score in scores:
        kept.note_costs(5.0, 1.0)
        first = kept.decide(level_of(score), goals, LIMITS)
        state = State.from_bytes(written, SCORER, TARGET, boundaries, LIMITS.window_requests)
        state.note_costs(5.0, 1.0)
        assert state.decide(level_of(score), goals, LIMITS) == first
        written = state.to_bytes()
    assert written == kept.to_bytes()


def learnt() -> State:
    state, goals = fresh(), [Goal.of_share(0.2)]
    draw = random.Random(6)
    for _ in range(200):
        state.decide(level_of(draw.random()), goals, LIMITS)
    return state


@pytest.mark.parametrize("data", [None, b"", b"\x01", b"\x00" * 500, b"\xff" * 3000])
def test_other_bytes_are_a_new_state(data: bytes | None) -> None:
    assert State.from_bytes(data, SCORER, TARGET, 1, 512).to_bytes() == fresh().to_bytes()


def test_a_new_scorer_begins_anew() -> None:
    state = State.from_bytes(learnt().to_bytes(), b"scorer 2", TARGET, 1, 512)

    assert (len(state.window), state.count) == (0, 0)


def test_a_new_number_of_tiers_begins_anew() -> None:
    assert len(State.from_bytes(learnt().to_bytes(), SCORER, TARGET, 2, 512).window) == 0


def test_a_new_target_keeps_the_scores_and_owes_nothing() -> None:
    state = State.from_bytes(learnt().to_bytes(), SCORER, b"else", 1, 512)
    draw = random.Random(7)
    goals = [Goal.of_share(0.6)]

    passed = [state.decide(level_of(draw.random()), goals, LIMITS).tier == 0 for _ in range(100)]

    assert len(state.window) == 300
    assert sum(passed) == pytest.approx(60, abs=8)


def test_applying_learns_nothing() -> None:
    state = learnt()
    before = state.to_bytes()
    goals = [Goal.of_share(0.2)]

    tiers = [state.apply(level_of(score / 100), goals, 0.5).tier for score in range(100)]

    assert state.to_bytes() == before
    assert tiers == sorted(tiers, reverse=True)
    assert tiers.count(0) == pytest.approx(20, abs=5)
