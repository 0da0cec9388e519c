import json
from random import Random

import numpy as np
import pytest

from ai_routellm_threshold_tuner import Config
from ai_routellm_threshold_tuner.scorers.linear import LinearScorer
from ai_routellm_threshold_tuner.scorers.scorer import OfText
from routerlab.metrics import curve
from routerlab.pairs import Pairs, split
from routerlab.training import BUCKETS, GRID, Learnt, learn, quantised, see, train

WORDS = [
    "river",
    "stone",
    "cloud",
    "table",
    "green",
    "seven",
    "market",
    "window",
    "letter",
    "garden",
    "engine",
]
HARD = ["integral", "tensor", "eigenvalue", "manifold"]


def made_pairs(rows: int, *, seed: int, noise: float = 0.1, domains: bool = False) -> Pairs:
    """Make prompts of which those with a hard word are gained by the strong model, but for some noise."""
    draw = Random(seed)
    prompts, gained, subjects = [], [], []
    for _ in range(rows):
        is_hard = draw.random() < 0.4
        words = draw.choices(WORDS, k=draw.randint(5, 30))
        if is_hard:
            words[draw.randrange(len(words))] = draw.choice(HARD)
        prompts.append(" ".join(words) + "?")
        gained.append(1.0 if is_hard != (draw.random() < noise) else 0.0)
        subjects.append("hard" if is_hard else draw.choice(["easy", "easier"]))
    return Pairs("made", prompts, np.zeros(rows), np.array(gained), subjects if domains else None)


@pytest.fixture(scope="module")
def learnt() -> Learnt:
    pairs = made_pairs(400, seed=1)
    return learn(pairs.strong, see(pairs.prompts), np.random.default_rng(0))


def test_the_scorer_says_what_was_learnt_up_to_a_byte_per_word(learnt: Learnt) -> None:
    prompts = [*made_pairs(50, seed=2).prompts, "", "请 证明 a + b", "x" * 5_000, "word " * 3_000]
    seen = see(prompts)
    scorer = quantised(learnt.weights)

    rounded = learnt.weights.rounded().raw(seen)

    assert [scorer.raw(prompt) for prompt in prompts] == pytest.approx(rounded.tolist(), abs=1e-9)
    assert np.abs(rounded - learnt.weights.raw(seen)).max() < 0.02 * np.ptp(rounded)


def test_a_trained_scorer_finds_the_words_that_matter() -> None:
    pairs = made_pairs(700, seed=3)
    parts = split(pairs, 300, np.random.default_rng(0))

    trained = train(parts.training, see(parts.training.prompts), np.random.default_rng(0))

    scores = [trained.scorer.score(prompt) for prompt in parts.held_out.prompts]
    assert curve(scores, parts.held_out.weak, parts.held_out.strong).apgr() > 0.7
    assert trained.cross_validated_apgr == pytest.approx(
        curve(scores, parts.held_out.weak, parts.held_out.strong).apgr(), abs=0.06
    )


def test_the_score_is_how_often_only_the_strong_model_is_right() -> None:
    pairs = made_pairs(1_500, seed=4)
    parts = split(pairs, 700, np.random.default_rng(0))
    trained = train(parts.training, see(parts.training.prompts), np.random.default_rng(0))
    scores = np.array([trained.scorer.score(prompt) for prompt in parts.held_out.prompts])

    high, low = scores > 0.6, scores < 0.4

    assert parts.held_out.strong[high].mean() == pytest.approx(scores[high].mean(), abs=0.1)
    assert parts.held_out.strong[low].mean() == pytest.approx(scores[low].mean(), abs=0.1)
    assert scores.min() >= 0
    assert scores.max() <= 1


def test_prompts_far_from_all_that_was_seen_still_differ() -> None:
    pairs = made_pairs(300, seed=5)
    trained = train(pairs, see(pairs.prompts), np.random.default_rng(0))

    scores = [trained.scorer.score(" ".join([*WORDS, *HARD[:count]])) for count in range(5)]

    assert len(set(scores)) == len(scores)


def test_nothing_to_find_gives_scores_that_four_digits_tell_apart() -> None:
    pairs = made_pairs(200, seed=6, noise=0.5)
    trained = train(pairs, see(pairs.prompts), np.random.default_rng(0))

    scores = {round(trained.scorer.score(prompt), 4) for prompt in pairs.prompts}

    assert len(scores) > 100


def test_the_same_draw_trains_the_same_scorer_and_another_one_hardly_differs() -> None:
    pairs = made_pairs(200, seed=7)
    seen = see(pairs.prompts)
    first, again, other = (train(pairs, seen, np.random.default_rng(seed)) for seed in (1, 1, 2))

    assert first.scorer == again.scorer
    raw = [[each.scorer.raw(prompt) for prompt in pairs.prompts] for each in (first, other)]
    assert np.corrcoef(raw[0], raw[1])[0, 1] > 0.99


def test_domains_help_when_labels_are_noise() -> None:
    with_domains = made_pairs(150, seed=8, noise=0.35, domains=True)
    without = Pairs("made", with_domains.prompts, with_domains.weak, with_domains.strong)
    unseen = made_pairs(2_000, seed=9, noise=0)
    seen, seen_later = see(with_domains.prompts), see(unseen.prompts)

    better, worse = (
        curve(
            learn(pairs.strong, seen, np.random.default_rng(0), domains=pairs.domains).weights.raw(
                seen_later
            ),
            unseen.weak,
            unseen.strong,
        ).apgr()
        for pairs in (with_domains, without)
    )

    assert better > worse + 0.02


def test_recipes_that_predict_better_say_more(learnt: Learnt) -> None:
    by_alpha = {
        alpha: sum(share for recipe, share in learnt.shares.items() if recipe.alpha == alpha)
        for alpha in {recipe.alpha for recipe in GRID}
    }

    assert sum(by_alpha.values()) == pytest.approx(1)
    assert by_alpha[1_000.0] < min(by_alpha[3.0], by_alpha[10.0]), "so few words need no strong penalty"
    assert all(recipe.domain_share == 0 for recipe in learnt.shares), "there are no domains"


def test_predictions_of_a_fold_do_not_depend_on_its_own_labels() -> None:
    # Labels that follow nothing: predicting them from themselves would show as a correlation.
    draw = np.random.default_rng(10)
    pairs = made_pairs(300, seed=10)

    found = learn(draw.random(300), see(pairs.prompts), draw)
    fitted = learn(pairs.strong, see(pairs.prompts), draw)

    targets = np.random.default_rng(10).random(300)
    assert abs(np.corrcoef(found.predicted, targets)[0, 1]) < 0.2
    assert np.corrcoef(fitted.predicted, pairs.strong)[0, 1] > 0.5


def test_the_artifact_is_small_and_the_tuner_reads_it() -> None:
    pairs = made_pairs(200, seed=11)
    trained = train(pairs, see(pairs.prompts), np.random.default_rng(0))

    text = json.dumps(trained.artifact(trained_on={"rows": 200}, metrics={"apgr": 0.6}))
    artifact = json.loads(text)

    assert len(text) < 2.5 * BUCKETS
    assert LinearScorer.from_json(artifact) == trained.scorer
    config = Config.from_json({"scorers": [{"name": "mine", "type": "linear", "model": artifact}]})
    assert config.scorers.by_name["mine"] == OfText(trained.scorer)


@pytest.mark.parametrize(
    ("strong", "message"),
    [
        ([1, 0, 1], "at least 5 rows, got 3"),
        ([1] * 8, "rows on which the strong model is better and others"),
        ([0] * 8, "rows on which the strong model is better and others"),
    ],
)
def test_nothing_to_learn_is_refused(strong: list[float], message: str) -> None:
    pairs = Pairs("made", ["a b"] * len(strong), np.zeros(len(strong)), np.array(strong, dtype=float))

    with pytest.raises(ValueError, match=message):
        train(pairs, see(pairs.prompts), np.random.default_rng(0))
