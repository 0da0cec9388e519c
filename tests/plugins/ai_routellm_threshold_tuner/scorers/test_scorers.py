"""The other scorers, and how they are configured."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_routellm_threshold_tuner.prompt import Prompt, text_in_scope
from ai_routellm_threshold_tuner.scorers import Scorer, Scorers, ScoringService, read_scorers
from ai_routellm_threshold_tuner.scorers.elo import power_of_ten
from ai_routellm_threshold_tuner.scorers.measures import MEASURES
from aigateway.chat import Role, Turn
from aigateway.config import ConfigError, Reader

MATHS = [f"prove that the sum of {n} primes is even" for n in range(8)]
CHATTER = [f"tell me a joke about cat number {n}" for n in range(8)]


def read(*entries: dict[str, object]) -> Scorers:
    reader = Reader({"scorers": list(entries)})
    scorers = read_scorers(reader)
    reader.finish()
    return scorers


def one(**entry: object) -> Scorer:
    scorer = read({"name": "it", **entry}).by_name["it"]
    assert not isinstance(scorer, ScoringService)
    return scorer


def score(scorer: Scorer, text: str, **more: object) -> float:
    return scorer.score(Prompt(text=text, **more))  # type: ignore[arg-type]


def test_words() -> None:
    scorer = one(type="words", half_words=10)

    assert score(scorer, "") == 0
    assert score(scorer, "word " * 10) == pytest.approx(0.5)
    assert score(scorer, "word " * 10_000) == pytest.approx(10_000 / 10_010, abs=1e-4)
    assert score(scorer, "分析合同条款风险" * 33) == pytest.approx(160 / 170)


def test_complexity_is_the_classifiers_or_else_the_number_of_words() -> None:
    scorer = Scorers.built_in().by_name["complexity"]
    assert not isinstance(scorer, ScoringService)

    assert not scorer.reads_text(Prompt(complexity=0.7))
    assert scorer.score(Prompt(complexity=0.7)) == 0.7
    assert scorer.reads_text(Prompt())
    assert scorer.score(Prompt(text="word " * 100)) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"x-win-rate": "0.25"}, 0.25),
        ({"x-win-rate": "1e-3"}, 0.001),
        ({}, 0.4),
        ({"x-win-rate": "nan"}, 0.4),
        ({"x-win-rate": "1.1"}, 0.4),
        ({"x-win-rate": "high"}, 0.4),
        ({"x-win-rate": ""}, 0.4),
        ({"x-win-rate": "0" * 10_000}, 0.4),
    ],
)
def test_header(headers: dict[str, str], expected: float) -> None:
    scorer = one(type="header", header="x-win-rate", missing=0.4)

    assert not scorer.reads_text(Prompt())
    assert scorer.score(Prompt(headers=headers)) == expected


def test_knn_follows_the_nearest() -> None:
    examples = [{"text": text, "win_rate": 0.9} for text in MATHS]
    examples += [{"text": text, "win_rate": 0.1} for text in CHATTER]
    scorer = one(type="knn", examples=examples, neighbours=5, prior=0.5)

    assert score(scorer, "prove that the sum of two even numbers is even") > 0.7
    assert score(scorer, "another joke about a cat") < 0.3
    assert score(scorer, "zyx") == 0.5


def test_knn_of_chinese() -> None:
    examples = [{"text": "请证明这个数学定理", "win_rate": 0.9}, {"text": "讲一个笑话吧", "win_rate": 0.1}]
    scorer = one(type="knn", examples=examples)

    assert score(scorer, "如何证明数学定理") > 0.5 > score(scorer, "再讲一个笑话")


def battles(strong_wins: list[str], weak_wins: list[str]) -> list[dict[str, object]]:
    outcomes = [("first", strong_wins), ("second", weak_wins)]
    return [{"text": text, "winner": winner} for winner, texts in outcomes for text in texts]


def test_elo_weighs_similar_battles() -> None:
    scorer = one(type="elo", battles=battles(MATHS, CHATTER))

    assert score(scorer, "prove that the sum of odd primes is even") > 0.6
    assert score(scorer, "tell me a cat joke") < 0.4
    assert score(scorer, "zyx") == pytest.approx(0.5)


def test_elo_of_two_is_the_weighted_share_of_wins() -> None:
    """For two contestants the Bradley-Terry fit has a closed form, battles weighing 10^(s / largest s)."""
    scorer = one(type="elo", battles=battles(["a b c"] * 3, ["a b c"]))

    # All battles have the largest similarity and weigh 10; the tie that nobody fought weighs 1.
    assert score(scorer, "a b c") == pytest.approx((30 + 0.5) / 41)


def test_elo_learns_of_two_from_their_battles_with_others() -> None:
    third = [{"text": "x", "first": "strong", "second": "middle", "winner": "first"}] * 9
    third += [{"text": "x", "first": "strong", "second": "middle", "winner": "second"}] * 3
    third += [{"text": "x", "first": "middle", "second": "weak", "winner": "first"}] * 9
    third += [{"text": "x", "first": "middle", "second": "weak", "winner": "second"}] * 3
    scorer = one(type="elo", battles=third)

    # Odds of 3 twice make odds of 9, which the one tie draws towards even.
    assert 0.85 < score(scorer, "zyx") < 0.9


@given(st.floats(0, 1))
def test_powers_of_ten(exponent: float) -> None:
    assert power_of_ten(exponent) == pytest.approx(math.pow(10, exponent), rel=2e-4)


def test_tree_walks_to_a_leaf() -> None:
    nodes = [
        {"measure": "questions", "at_most": 0.0, "left": 1, "right": 2},
        {"value": 0.2},
        {"measure": "digits", "at_most": 0.1, "left": 3, "right": 4},
        {"value": 0.4},
        {"value": 0.9},
    ]
    scorer = one(type="tree", trees=[{"nodes": nodes}, {"nodes": [{"value": 0.5}]}])

    assert score(scorer, "no") == pytest.approx((0.2 + 0.5) / 2)
    assert score(scorer, "why?") == pytest.approx((0.4 + 0.5) / 2)
    assert score(scorer, "1234?") == pytest.approx((0.9 + 0.5) / 2)


def test_ensemble_is_the_weighted_mean() -> None:
    scorers = read(
        {"name": "short", "type": "words", "half_words": 10},
        {"name": "win", "type": "header", "header": "x-win"},
        {
            "name": "both",
            "type": "ensemble",
            "parts": [{"scorer": "short", "weight": 3}, {"scorer": "win"}],
        },
    )
    _, scorer = scorers.local("both")
    prompt = Prompt(text="word " * 10, headers={"x-win": "0.9"})

    assert scorer.score(prompt) == pytest.approx((3 * 0.5 + 0.9) / 4)
    assert scorer.reads_text(Prompt())
    assert scorers.headers == ("x-win",)


def test_aliases_and_services() -> None:
    scorers = read(
        {"name": "mf", "type": "alias", "of": "words"},
        {"name": "bert", "type": "service", "cluster": "scores", "fallback": "mf"},
    )
    service = scorers.by_name["bert"]

    assert scorers.by_name["mf"] is scorers.by_name["words"]
    assert isinstance(service, ScoringService)
    assert service.authority == "scores"
    assert scorers.local("bert") == ("mf", scorers.by_name["mf"])


def test_fingerprints_change_with_what_a_scorer_says() -> None:
    def fingerprints(half_words: int) -> dict[str, bytes]:
        return dict(
            read(
                {"name": "short", "type": "words", "half_words": half_words},
                {"name": "both", "type": "ensemble", "parts": [{"scorer": "short"}]},
                {"name": "mf", "type": "alias", "of": "short"},
                {"name": "other", "type": "alias", "of": "words"},
            ).fingerprints
        )

    one, same, another = fingerprints(10), fingerprints(10), fingerprints(20)

    assert one == same
    assert len(set(one.values())) == len(one)
    assert all(len(fingerprint) == 8 for fingerprint in one.values())
    changed = {name for name in one if one[name] != another[name]}
    assert changed == {"short", "both", "mf"}


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"type": "words"}, "name: expected at most 40 lower-case letters, digits and underscores"),
        ({"name": "A-b", "type": "words"}, "name: expected at most 40 lower-case letters"),
        ({"name": "a"}, "type: expected one of linear, words, "),
        ({"name": "a", "type": "word"}, "type: expected '', 'linear', 'words'"),
        (
            {"name": "a", "type": "alias", "of": "a"},
            "of: expected the name of a scorer that is listed before",
        ),
        ({"name": "a", "type": "ensemble"}, "parts: expected a list of objects with a scorer and a weight"),
        ({"name": "a", "type": "header", "header": "X y"}, "header: expected the name of a request header"),
        ({"name": "a", "type": "service", "cluster": "c"}, "fallback: expected the name of a scorer"),
        ({"name": "a", "type": "service", "fallback": "words"}, "cluster: expected the name of a cluster"),
        ({"name": "a", "type": "knn"}, "examples: expected a list of 1 to 2000 objects, got the number 0"),
        (
            {"name": "a", "type": "knn", "examples": [{"text": "x"}]},
            "examples[0].win_rate: expected a number from 0 to 1, got nothing",
        ),
        ({"name": "a", "type": "elo"}, "battles: expected a list of 1 to 2000 objects, got the number 0"),
        (
            {"name": "a", "type": "elo", "strong": "s", "battles": [{"text": "x", "first": "y"}]},
            "strong: expected the name of a contestant of some battle, got the string 's'",
        ),
        (
            {"name": "a", "type": "tree", "trees": [{"nodes": [{"measure": "short", "left": 0}]}]},
            "trees[0].nodes[0].left: expected a node from 1 to 0, got the number 0",
        ),
        ({"name": "a", "type": "tree", "trees": []}, "trees: expected a list of objects with nodes"),
        (
            {"name": "a", "type": "words", "halfwords": 3},
            "halfwords: unknown key, did you mean 'half_words'?",
        ),
    ],
)
def test_what_is_wrong_with_a_scorer(entry: dict[str, object], problem: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read(entry)

    assert any(str(one).startswith(f"scorers[0].{problem}") for one in refused.value.problems)


def test_a_service_cannot_be_part_of_another_scorer() -> None:
    with pytest.raises(ConfigError, match="expected a scorer that is no service"):
        read(
            {"name": "far", "type": "service", "cluster": "c", "fallback": "words"},
            {"name": "both", "type": "ensemble", "parts": [{"scorer": "far"}]},
        )


TURNS = (
    Turn(Role.SYSTEM, "be kind"),
    Turn(Role.USER, "first"),
    Turn(Role.ASSISTANT, "answer"),
    Turn(Role.USER, "second"),
    Turn(Role.TOOL, "result"),
)


@pytest.mark.parametrize(
    ("scope", "text"),
    [
        ("last_user", "second"),
        ("all_user", "first\nsecond"),
        ("conversation", "be kind\nfirst\nanswer\nsecond\nresult"),
    ],
)
def test_the_text_that_is_scored(scope: str, text: str) -> None:
    assert text_in_scope(TURNS, scope) == text  # type: ignore[arg-type]
    assert text_in_scope((), scope) == ""  # type: ignore[arg-type]


def test_every_measure_has_a_name_of_its_own() -> None:
    assert len(set(MEASURES)) == len(MEASURES)
