"""Means and evidence come out as they were put in, and never grow without bound."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_cost_optimal_router import learning
from ai_cost_optimal_router.learning import (
    Learning,
    Learnt,
    Lesson,
    learn,
    learning_key,
    lessons_of,
    read_learning,
)
from aigateway.config import ConfigError, Reader

RULES = Learning(prior_answers=10, memory_answers=50, evidence_half_life_s=100.0, evidence_limit=20.0)


def lesson(
    tokens: int | None = None,
    reward: float | None = None,
    *,
    model: str = "m",
    domain: str = "code",
    was_limited: bool = False,
    weight: float = 1.0,
) -> Lesson:
    return Lesson(
        model=model,
        domain=domain,
        output_tokens=tokens,
        reward=reward,
        was_limited=was_limited,
        weight=weight,
    )


def taught(*lessons: Lesson, value: bytes | None = None, now_s: float = 0.0) -> bytes:
    for one in lessons:
        value = learn(value, one, expected_tokens=400, now_s=now_s, rules=RULES)
    assert value is not None
    return value


def known(value: bytes, model: str = "m", domain: str = "code") -> Learnt:
    return {(name, about): learnt for name, about, learnt in lessons_of(value)}[model, domain]


def test_the_first_answers_move_the_mean_from_the_prior() -> None:
    one = known(taught(lesson(1_500)))
    many = known(taught(*[lesson(1_500)] * 40))

    assert one.mean_tokens == pytest.approx((10 * 400 + 1_500) / 11, abs=0.001)
    assert one.answers == 1
    assert many.mean_tokens == pytest.approx((10 * 400 + 40 * 1_500) / 50, abs=0.5)


def test_later_answers_replace_earlier_ones() -> None:
    before = taught(*[lesson(1_000)] * 500)
    after = taught(*[lesson(100)] * 500, value=before)

    assert known(before).mean_tokens == pytest.approx(1_000, rel=0.01)
    assert known(after).mean_tokens == pytest.approx(100, rel=0.01)
    assert known(after).answers == RULES.memory_answers


def test_the_mean_of_a_spread_is_found() -> None:
    draws = random.Random(1)
    lessons = [lesson(draws.randrange(200, 401)) for _ in range(2_000)]

    assert known(taught(*lessons)).mean_tokens == pytest.approx(300, rel=0.07)


def test_an_answer_that_was_cut_off_teaches_only_upwards() -> None:
    assert known(taught(lesson(50, was_limited=True))).mean_tokens == 400
    assert known(taught(lesson(50, was_limited=True))).answers == 0
    assert known(taught(lesson(5_000, was_limited=True))).mean_tokens > 400


@pytest.mark.parametrize("tokens", [None, -1, 10**15])
def test_what_is_no_length_teaches_nothing(tokens: int | None) -> None:
    assert known(taught(lesson(tokens))) == Learnt(400, 0, 0, 0, 0)


def test_rewards_count_in_parts() -> None:
    learnt = known(taught(lesson(reward=1), lesson(reward=0.25), lesson(reward=0, weight=3)))

    assert (learnt.successes, learnt.failures) == (1.25, 3.75)
    assert learnt.answers == 0


def test_evidence_is_forgotten_with_time() -> None:
    value = taught(lesson(reward=1), lesson(reward=0), now_s=1_000)
    later = taught(lesson(reward=0), value=value, now_s=1_100)

    assert known(value).evidence_at(1_100, 100) == (0.5, 0.5)
    assert (known(later).successes, known(later).failures) == (0.5, 1.5)


def test_a_clock_that_steps_back_forgets_nothing() -> None:
    value = taught(lesson(reward=1), now_s=1_000)
    value = taught(lesson(reward=1), value=value, now_s=10)

    assert known(value) == Learnt(400, 0, 2, 0, 1_000)


def test_evidence_is_bounded_and_so_turns_round_soon() -> None:
    good = taught(*[lesson(reward=1)] * 1_000)
    turned = taught(*[lesson(reward=0)] * 20, value=good)

    assert known(good).successes == pytest.approx(20, abs=0.01)
    assert known(turned).successes + known(turned).failures == pytest.approx(20, abs=0.1)
    assert known(turned).failures > known(turned).successes


def test_models_and_domains_are_kept_apart() -> None:
    value = taught(
        lesson(1_000, model="m"),
        lesson(2_000, model="m", domain="legal"),
        lesson(3_000, model="mm"),
        lesson(reward=1, model="m"),
        lesson(4_000, model="m-2"),
    )

    assert [(name, about) for name, about, _ in lessons_of(value)] == [
        ("m", "legal"),
        ("mm", "code"),
        ("m", "code"),
        ("m-2", "code"),
    ]
    assert known(value).successes == 1
    assert known(value).mean_tokens == pytest.approx(454.5, abs=0.1)


def test_when_there_is_no_room_what_was_left_alone_longest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "LARGEST_VALUE_BYTES", 1_000)
    value: bytes | None = None
    for number in range(100):
        value = taught(lesson(100, model=f"model-{number}"), lesson(100, model="busy"), value=value)
        assert len(value) <= 1_000
    assert value is not None

    names = [name for name, _, _ in lessons_of(value)]
    assert names[-2:] == ["model-99", "busy"]
    assert len(names) > 20


@given(st.binary(max_size=200), st.integers(min_value=0, max_value=9_999))
def test_garbage_is_survived(value: bytes, tokens: int) -> None:
    list(lessons_of(value))

    assert known(learn(value, lesson(tokens), expected_tokens=400, now_s=5, rules=RULES)).answers == 1


@pytest.mark.parametrize(
    "line",
    [
        b"m code nan 1 1 1 1\n",
        b"m code inf 1 1 1 1\n",
        b"m code -1 1 1 1 1\n",
        b"m code 1 1 1e400 1 1\n",
        b"m code 1 1 1 1\n",
        b"m code a b c d e\n",
    ],
)
def test_lines_that_make_no_sense_are_begun_anew(line: bytes) -> None:
    assert list(lessons_of(line)) == []
    assert known(taught(lesson(reward=1), value=line)) == Learnt(400, 0, 1, 0, 0)


@given(
    st.lists(
        st.tuples(
            st.integers(min_value=0, max_value=100_000),
            st.floats(min_value=0, max_value=1),
            st.floats(min_value=0, max_value=1_000),
        ),
        min_size=1,
        max_size=60,
    )
)
def test_what_was_learnt_stays_within_what_was_taught(lessons: list[tuple[int, float, float]]) -> None:
    value: bytes | None = None
    now_s = 0.0
    for tokens, reward, wait_s in lessons:
        now_s += wait_s
        value = taught(lesson(tokens, reward), value=value, now_s=now_s)
    assert value is not None

    learnt = known(value)
    lengths = [400, *[tokens for tokens, _, _ in lessons]]
    assert min(lengths) - 0.1 <= learnt.mean_tokens <= max(lengths) + 0.1
    assert learnt.successes + learnt.failures <= RULES.evidence_limit + 0.01


def test_the_key_names_the_provider() -> None:
    assert learning_key("openai") == "learning/openai"


def test_the_configuration_is_read_and_checked() -> None:
    reader = Reader({"learning": {"share": 1, "memory_answers": 7}})
    assert read_learning(reader) == Learning(share=1, memory_answers=7)
    reader.finish()

    wrong = Reader({"learning": {"share": 2, "prior_answers": 0, "half_life": 1}})
    read_learning(wrong)
    with pytest.raises(ConfigError) as raised:
        wrong.finish()
    assert [problem.path for problem in raised.value.problems] == [
        "learning.share",
        "learning.prior_answers",
        "learning.half_life",
    ]
