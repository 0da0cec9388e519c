"""Names of models that ask for routing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_routellm_threshold_tuner.names import Ask, Vocabulary
from aigateway.refusals import InvalidRequestError

WORDS = Vocabulary(
    pairs={"default": 1, "coding": 1, "three": 2},
    scorers=("mf", "bert", "sw_ranking", "v2e", "linear"),
)


@pytest.mark.parametrize(
    ("name", "ask"),
    [
        (None, Ask("default")),
        ("", Ask("default")),
        ("auto", Ask("default")),
        ("auto-coding", Ask("coding")),
        ("auto-default", Ask("default")),
        ("router-mf-0.11593", Ask("default", "mf", (0.11593,))),
        ("router-mf-0", Ask("default", "mf", (0.0,))),
        ("router-mf-1", Ask("default", "mf", (1.0,))),
        ("router-mf-.5", Ask("default", "mf", (0.5,))),
        ("router-mf-1e-3", Ask("default", "mf", (0.001,))),
        ("router-sw_ranking-0.23276", Ask("default", "sw_ranking", (0.23276,))),
        ("router-v2e-1", Ask("default", "v2e", (1.0,))),
        ("router-coding-bert-2.5E-1", Ask("coding", "bert", (0.25,))),
        ("router-three-mf-0.7,0.4", Ask("three", "mf", (0.7, 0.4))),
        ("router-three-mf-1e-1,1e-3", Ask("three", "mf", (0.1, 0.001))),
        ("gpt-5.5", None),
        ("auto-nobody", None),
        ("autorouter", None),
        ("router", None),
        ("Router-mf-0.5", None),
    ],
)
def test_what_a_name_asks_for(name: str | None, ask: Ask | None) -> None:
    assert WORDS.parse(name) == ask


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("router-", "expected router-<scorer>-<threshold>, such as router-mf-0.11593"),
        ("router--", "expected router-<scorer>-<threshold>, such as router-mf-0.11593"),
        ("router-0.5", "expected router-<scorer>-<threshold>, such as router-mf-0.11593"),
        ("router-mf-", "expected router-<scorer>-<threshold>, such as router-mf-0.11593"),
        ("router-mf", "expected router-<scorer>-<threshold>, such as router-mf-0.11593"),
        ("router-linaer-0.5", "there is no scorer called 'linaer', did you mean 'linear'?"),
        ("router-x-0.5", "there is no scorer called 'x'; there are bert, linear, mf, sw_ranking, v2e"),
        (
            "router-causal_llm-0.5",
            "the scorer 'causal_llm' of RouteLLM is not configured here; "
            "there are bert, linear, mf, sw_ranking, v2e",
        ),
        ("router-codin-mf-0.5", "there is no pair of models called 'codin', did you mean 'coding'?"),
        (
            "router-coding-fm-0.5",
            "there is no scorer called 'fm'; there are bert, linear, mf, sw_ranking, v2e",
        ),
        ("router-mf-half", "expected a threshold from 0 to 1, got 'half'"),
        ("router-mf-1.01", "expected a threshold from 0 to 1, got '1.01'"),
        ("router-mf--0.5", "expected a threshold from 0 to 1, got '-0.5'"),
        ("router-mf-nan", "expected a threshold from 0 to 1, got 'nan'"),
        ("router-mf-1_0", "expected a threshold from 0 to 1, got '1_0'"),
        ("router-mf-٣", "expected a threshold from 0 to 1, got '%D9%A3'"),
        ("router-mf-.", "expected a threshold from 0 to 1, got '.'"),
        ("router-mf-0.5,0.4", "expected one threshold, got 2"),
        ("router-three-mf-0.5", "expected 2 thresholds with commas between, got 1"),
        ("router-three-mf-0.4,0.5", "expected thresholds that fall, strongest tier first"),
    ],
)
def test_what_is_wrong_with_a_name(name: str, message: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        WORDS.parse(name)

    refusal = refused.value.refusal
    assert refusal.message.partition(": ")[2] == message
    assert (refusal.status, refusal.param, refusal.code) == (400, "model", "invalid_router")


@given(st.text(max_size=300))
def test_any_name_is_understood_or_refused_briefly(text: str) -> None:
    message = ""
    try:
        WORDS.parse(f"router-{text}")
    except InvalidRequestError as error:
        message = error.refusal.message

    assert len(message) < 400
    assert message.isascii()


def test_a_long_name_takes_no_time() -> None:
    for text in ("1e-" * 50_000, "-" * 100_000, "mf-" + "1e-1," * 30_000, "9" * 100_000):
        with pytest.raises(InvalidRequestError):
            WORDS.parse(f"router-{text}")


def test_where_auto_is_the_routers_only_routers_are_understood() -> None:
    words = Vocabulary(pairs={"default": 1}, scorers=("mf",), automatic=())

    assert words.parse("auto") is None
    assert words.parse(None) is None
    assert words.parse("router-mf-0.5") == Ask("default", "mf", (0.5,))
