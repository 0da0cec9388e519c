import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ai_routellm_threshold_tuner.calibration import Calibration as TunersCalibration
from aigateway.config import Reader
from routerlab.calibration import Costs, calibrate, write_calibration
from routerlab.files import LabError

EVEN = np.arange(100) / 100


def share_at(threshold: float, scores: np.ndarray) -> float:
    return float(np.mean(scores >= threshold))


def test_a_share_of_distinct_scores_is_met_exactly() -> None:
    found = calibrate("linear", EVEN, strong_fraction=0.2)

    assert found.chosen.strong_fraction == 0.2
    assert share_at(found.chosen.threshold, EVEN) == 0.2


def test_of_ties_the_nearest_share_that_can_be_had_is_taken_and_told() -> None:
    scores = np.repeat([0.1, 0.5, 0.9], [30, 60, 10])

    few, many = (calibrate("words", scores, strong_fraction=share) for share in (0.3, 0.5))

    assert (few.chosen.strong_fraction, few.largest_tie) == (0.1, 0.6)
    assert many.chosen.strong_fraction == 0.7
    assert share_at(many.chosen.threshold, scores) == 0.7


def test_a_constant_score_is_all_or_nothing() -> None:
    found = calibrate("words", np.full(50, 0.5), strong_fraction=0.4)

    assert [point.strong_fraction for point in found.points] == [0, 1]
    assert found.chosen.strong_fraction == 0


def test_the_highest_score_there_is_cannot_be_kept_out() -> None:
    scores = np.array([0.5, 1.0, 1.0])

    found = calibrate("words", scores, strong_fraction=0.0)

    assert found.chosen.threshold == 1
    assert found.chosen.strong_fraction == pytest.approx(2 / 3)


def test_thresholds_have_no_more_digits_than_it_takes() -> None:
    found = calibrate("linear", np.array([0.123456, 0.123999, 0.7]), strong_fraction=2 / 3)

    assert found.chosen.threshold == 0.1239


@given(
    st.lists(st.floats(0, 1) | st.sampled_from([0.0, 0.25, 0.25, 1.0]), min_size=1, max_size=60),
    st.floats(0, 1),
)
def test_what_is_reported_is_what_the_threshold_does(listed: list[float], target: float) -> None:
    scores = np.array(listed)

    found = calibrate("linear", scores, strong_fraction=target)

    possible = {share_at(score, scores) for score in listed} | ({0.0} if max(listed) < 1 else set())
    assert abs(found.chosen.strong_fraction - target) == pytest.approx(
        min(abs(share - target) for share in possible)
    )
    for point in found.points:
        assert share_at(point.threshold, scores) == pytest.approx(point.strong_fraction)
        assert 0 <= point.threshold <= 1


def costs() -> Costs:
    return Costs(strong=np.linspace(2, 12, 100), weak=np.full(100, 1.0))


def test_a_cost_is_never_exceeded_and_nearly_spent() -> None:
    found = calibrate("linear", EVEN, cost_usd=4.0, costs=costs()).chosen
    paid = np.where(found.threshold <= EVEN, costs().strong, costs().weak)

    assert found.mean_cost_usd == pytest.approx(paid.mean())
    assert 3.85 < paid.mean() <= 4.0


def test_a_saving_is_of_sending_everything_to_the_strong_model() -> None:
    found = calibrate("linear", EVEN, saving=0.5, costs=costs()).chosen

    assert found.saving is not None
    assert found.mean_cost_usd is not None
    assert found.saving == pytest.approx(1 - found.mean_cost_usd / 7)
    assert 0.5 <= found.saving < 0.52


def test_what_cannot_be_paid_is_refused() -> None:
    with pytest.raises(LabError, match=r"a request costs at least 1 USD on average, got a target of 0\.5"):
        calibrate("linear", EVEN, cost_usd=0.5, costs=costs())


@pytest.mark.parametrize(("share", "saving"), [(None, None), (0.2, 0.3)])
def test_one_target_is_needed(share: float | None, saving: float | None) -> None:
    with pytest.raises(LabError, match="one target"):
        calibrate("linear", EVEN, strong_fraction=share, saving=saving, costs=costs())


def test_money_needs_prices() -> None:
    with pytest.raises(LabError, match="prices of both models"):
        calibrate("linear", EVEN, saving=0.3)


def test_unknown_tokens_count_as_the_mean_of_the_known() -> None:
    found = Costs.of_tokens(
        np.array([1e6, np.nan, 3e6]), np.array([1e6, 1e6, np.nan]), strong=(2, 10), weak=(0, 1)
    )

    assert found.strong.tolist() == [12, 14, 16]
    assert found.weak.tolist() == [1, 1, 1]


def test_no_tokens_at_all_are_refused() -> None:
    with pytest.raises(LabError, match="no request has them"):
        Costs.of_tokens(np.array([1.0]), np.array([np.nan]), strong=(1, 1), weak=(1, 1))


def test_the_tuner_reads_what_is_written_and_finds_the_threshold() -> None:
    generator = np.random.default_rng(5)
    scores = np.round(generator.random(400) ** 2, 2)
    qualities = generator.random(400), generator.random(400) + 1
    found = calibrate("mine", scores, strong_fraction=0.3, qualities=(qualities[0], qualities[1] / 2))

    written = yaml.safe_load(write_calibration(found, ["from here", "to there"]))
    reader = Reader(written)
    read = TunersCalibration.read(reader.table("calibration"))
    reader.finish()

    assert read is not None
    assert read.scorer == "mine"
    assert read.threshold(found.chosen.strong_fraction) == pytest.approx(found.chosen.threshold, abs=1e-4)
    assert found.chosen.quality is not None
    assert read.quality(found.chosen.strong_fraction) == pytest.approx(found.chosen.quality, abs=1e-4)
