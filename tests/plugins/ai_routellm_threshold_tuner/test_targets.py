"""Shares, costs and savings as targets."""

import random

import pytest

from ai_routellm_threshold_tuner import saving
from ai_routellm_threshold_tuner.estimates import interpolated
from ai_routellm_threshold_tuner.targets import CostTarget, FractionTarget, SavingTarget, Target
from ai_routellm_threshold_tuner.tuning import State, TuningLimits
from ai_routellm_threshold_tuner.window import Window, level_of

LIMITS = TuningLimits()


def spent(target: Target, costs_of: tuple[int, int], count: int = 3000, seed: int = 1) -> tuple[float, float]:
    """Give the mean cost of a request, and what it would have been in the strong tier.

    Hard prompts are long, and some are very long: the costs of the requests that pass are not those of all.
    """
    state = State(b"scorer 1", b"targ", 1, Window(LIMITS.window_requests))
    draw = random.Random(seed)
    total = strong_total = 0
    for _ in range(count):
        score = draw.random()
        length = draw.lognormvariate(0, 0.7) * (0.3 + 2 * score)
        strong, weak = (round(cost * length) for cost in costs_of)
        state.note_costs(strong, weak)
        goals = target.goals((strong, weak), state.mean_costs)
        passed = state.decide(level_of(score), goals, LIMITS).tier == 0
        total += strong if passed else weak
        strong_total += strong
    return total / count, strong_total / count


@pytest.mark.parametrize("nano_usd", [200_000, 500_000, 1_000_000])
def test_a_cost_is_held(nano_usd: int) -> None:
    mean, _ = spent(CostTarget(nano_usd), (1_000_000, 50_000))

    assert mean == pytest.approx(nano_usd, rel=0.03)


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.8])
def test_a_saving_is_held(fraction: float) -> None:
    mean, strong = spent(SavingTarget(fraction), (1_000_000, 50_000))

    assert 1 - mean / strong == pytest.approx(fraction, abs=0.02)


def test_a_share_alone_would_not_hold_a_saving() -> None:
    """With the same prices a share of 0.474 saves half, if costs had nothing to do with scores."""
    mean, strong = spent(FractionTarget((0.45 / 0.95,)), (1_000_000, 50_000))

    assert 1 - mean / strong < 0.4


def test_what_cannot_be_paid_for_is_not_bought() -> None:
    mean, _ = spent(CostTarget(1_000), (1_000_000, 50_000))

    assert mean < 100_000


def test_and_where_money_is_no_matter_everything_is() -> None:
    mean, strong = spent(CostTarget(10**9), (1_000_000, 50_000))

    assert mean == strong


def test_money_needs_costs() -> None:
    with pytest.raises(ValueError, match="needs the costs"):
        CostTarget(5).goals(None, (0.0, 0.0))


def test_fractions_add_up_from_the_strongest_tier_on() -> None:
    goals = FractionTarget((0.2, 0.3)).goals(None, (0.0, 0.0))

    assert [goal.share for goal in goals] == pytest.approx([0.2, 0.5])


@pytest.mark.parametrize(
    ("strong", "weak", "expected"),
    [(0, 100, 0.9), (100, 0, 0.0), (20, 80, 0.72), (50, 50, 0.45), (0, 0, 0.0)],
)
def test_the_saving_of_counts(strong: int, weak: int, expected: float) -> None:
    assert saving(strong, weak, 10.0, 1.0) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("x", "y"), [(-1, 5.0), (0, 5.0), (0.5, 4.0), (1, 3.0), (1.5, 3.0), (2, 3.0), (9, 3.0)]
)
def test_lines_through_points(x: float, y: float) -> None:
    assert interpolated([(0, 5.0), (1, 3.0), (2, 3.0)], x) == y
