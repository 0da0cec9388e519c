import math

import numpy as np
import pytest

from routerlab.metrics import bootstrap_apgr, curve, oracle_scores, summarise

HUNDRED = np.arange(100) / 100


def gains(count: int, strong_right: list[int], weak_right: list[int]) -> tuple[np.ndarray, np.ndarray]:
    weak, strong = np.zeros(count), np.zeros(count)
    weak[weak_right] = 1
    strong[strong_right] = 1
    return weak, strong


def test_a_score_that_finds_every_gain_first() -> None:
    # The ten prompts with the highest scores are the ones that only the strong model gets right.
    weak, strong = gains(100, list(range(90, 100)), [])

    found = curve(HUNDRED, weak, strong)

    assert found.strong_shares.tolist() == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1])
    assert found.gaps_recovered.tolist() == pytest.approx([0] + [1] * 10)
    assert found.apgr() == pytest.approx(0.95)
    assert found.cpt(0.5) == pytest.approx(0.05)


def test_nothing_is_strong_at_the_highest_threshold_and_everything_at_the_lowest() -> None:
    weak, strong = gains(100, list(range(50)), [])

    found = curve(HUNDRED, weak, strong)

    assert (found.strong_shares[0], found.qualities[0]) == (0, 0)
    assert (found.strong_shares[-1], found.qualities[-1]) == (1, 0.5)


def test_the_definition_of_routellm_computed_naively() -> None:
    generator = np.random.default_rng(1)
    scores = generator.integers(0, 30, 500) / 30
    weak, strong = (
        generator.integers(0, 2, 500),
        generator.integers(0, 2, 500) | (generator.random(500) < 0.3),
    )
    thresholds = sorted(set(np.quantile(scores, np.linspace(0, 1, 11))))
    points = []
    for threshold in thresholds:
        chosen = scores > threshold if threshold == thresholds[-1] else scores >= threshold
        points.append((chosen.mean(), np.where(chosen, strong, weak).mean()))
    shares, qualities = map(np.array, zip(*sorted(points), strict=True))
    low, high = np.full(len(points), weak.mean()), np.full(len(points), strong.mean())
    apgr = (np.trapezoid(qualities, shares) - np.trapezoid(low, shares)) / (
        np.trapezoid(high, shares) - np.trapezoid(low, shares)
    )

    found = summarise(scores, weak, strong)

    assert found.apgr == pytest.approx(apgr)
    target = weak.mean() + 0.5 * (strong.mean() - weak.mean())
    assert (np.diff(qualities) > 0).all(), "np.interp is defined"
    assert found.cpt50 == pytest.approx(np.interp(target, qualities, shares))


def test_on_a_curve_that_falls_the_first_crossing_counts() -> None:
    # All gains come first, then losses: 80 % of the gap is recovered long before it is exceeded and lost.
    weak, strong = gains(100, list(range(70, 100)), list(range(20)))

    found = curve(HUNDRED, weak, strong)

    assert found.gaps_recovered.max() > 1
    assert found.cpt(0.8) == pytest.approx(0.08)


def test_a_gap_that_is_never_recovered_has_no_share() -> None:
    weak, strong = gains(100, list(range(90, 100)), [])

    assert math.isnan(curve(HUNDRED, weak, strong).cpt(1.5))


def test_a_constant_score_is_worth_as_much_as_chance() -> None:
    weak, strong = gains(100, list(range(60)), [0])

    found = summarise(np.ones(100), weak, strong)

    assert found.apgr == pytest.approx(0.5)
    assert found.distinct_scores == 1


def test_tied_scores_go_to_the_strong_model_together() -> None:
    scores = np.repeat([0.2, 0.7], [60, 40])
    weak, strong = gains(100, list(range(100)), [])

    assert set(curve(scores, weak, strong).strong_shares) == {0, 0.4, 1}
    assert set(curve(np.repeat([0.2, 0.5, 0.7], [60, 20, 20]), weak, strong).strong_shares) == {
        0,
        0.2,
        0.4,
        1,
    }


def test_no_score_is_better_than_the_oracle() -> None:
    generator = np.random.default_rng(2)
    weak, strong = generator.random(300), generator.random(300) + 0.2
    oracle = summarise(oracle_scores(weak, strong), weak, strong).apgr

    assert all(summarise(generator.random(300), weak, strong).apgr < oracle for _ in range(50))
    assert oracle > 1


@pytest.mark.parametrize(
    ("scores", "weak", "strong", "message"),
    [
        ([1.0], [0, 1], [1, 1], "as many scores as answers, got 1, 2 and 2"),
        ([], [], [], "at least one prompt"),
        ([0.1, math.nan], [0, 0], [1, 1], "finite"),
        ([0.1, 0.2], [1, 1], [0, 1], "strong model better than the weak one, got 0.5000 and 1.0000"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    scores: list[float], weak: list[float], strong: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        curve(scores, weak, strong)


def test_resamples_are_paired() -> None:
    generator = np.random.default_rng(3)
    weak, strong = gains(200, list(range(100, 200)), list(range(30)))
    scores = generator.random(200)

    same, other = bootstrap_apgr([scores, scores], weak, strong, generator=generator)

    assert same == other


def test_resamples_without_a_gap_are_drawn_again() -> None:
    weak, strong = np.array([1.0, 0, 0]), np.array([0.0, 1, 1])

    drawn = [
        bootstrap_apgr([[1, 2, 3]], weak, strong, generator=np.random.default_rng(seed))[0]
        for seed in range(40)
    ]

    assert np.isfinite(drawn).all()


def test_prompts_without_a_gap_cannot_be_resampled() -> None:
    with pytest.raises(ValueError, match="strong model better"):
        bootstrap_apgr([[1, 2]], [1, 1], [0, 1], generator=np.random.default_rng(0))
