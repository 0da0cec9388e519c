"""What earlier plugins say is believed where it may be; what they do not say comes from the body."""

import json

import pytest

from ai_routellm_threshold_tuner.intake import Known, known_from_signals, read_chat, token_counts
from ai_routellm_threshold_tuner.prompt import Prompt
from aigateway.intake import Asked

CHAT = "/v1/chat/completions"
SIGNALS = {
    "x-ai-complexity": "0.8123",
    "x-ai-domain": "legal",
    "x-ai-prompt-tokens": "1234",
    "x-ai-max-tokens": "99",
    "x-ai-requested-model": "router-mf-0.5%25",
    "x-my-score": "0.3",
}


def body_of(**members: object) -> bytes:
    return json.dumps({"messages": [{"role": "user", "content": "Why?"}]} | members).encode()


def test_signals_say_what_is_known() -> None:
    known = known_from_signals(SIGNALS, ("x-my-score", "x-their-score"), trust_signals=True)

    assert known == Known(
        asked=Asked(None, 1_234, 99, frozenset(), "router-mf-0.5%"),
        prompt=Prompt(complexity=0.8123, headers={"x-my-score": "0.3"}),
        domain="legal",
    )
    assert known.is_measured
    assert known.model == "router-mf-0.5%"


def test_signals_that_anyone_may_have_sent_say_nothing() -> None:
    known = known_from_signals(SIGNALS, ("x-my-score",), trust_signals=False)

    assert known == Known(prompt=Prompt(headers={"x-my-score": "0.3"}))
    assert not known.is_measured
    assert known.model is None


@pytest.mark.parametrize("missing", ["x-ai-prompt-tokens", "x-ai-domain", "x-ai-complexity"])
def test_each_signal_may_be_missing(missing: str) -> None:
    headers = {name: value for name, value in SIGNALS.items() if name != missing}

    known = known_from_signals(headers, (), trust_signals=True)

    assert known.is_measured is (missing != "x-ai-prompt-tokens")
    assert known.domain == ("general" if missing == "x-ai-domain" else "legal")
    assert known.prompt.complexity == (None if missing == "x-ai-complexity" else 0.8123)


@pytest.mark.parametrize("path", [CHAT, "/elsewhere"])
def test_a_request_is_read(path: str) -> None:
    chat = read_chat(path, body_of(model="auto"))

    assert chat is not None
    assert chat.model == "auto"


@pytest.mark.parametrize("path", [CHAT, "/elsewhere"])
@pytest.mark.parametrize("body", [b"", b"not JSON", b"[1]", b'{"messages": [{"role": 1}]}'])
def test_what_no_model_could_answer_is_left_to_whoever_is_asked(path: str, body: bytes) -> None:
    assert read_chat(path, body) is None


def test_the_tokens_come_from_the_signals() -> None:
    known = known_from_signals(SIGNALS, (), trust_signals=True)

    assert token_counts(known, None, 300) == (1_234, 99)
    assert token_counts(known, None, 50) == (1_234, 50)
    assert token_counts(known, read_chat(CHAT, body_of(max_tokens=7)), 300) == (1_234, 99)


def test_without_signals_the_tokens_come_from_the_body() -> None:
    known = Known(prompt=Prompt())

    prompt_tokens, output_tokens = token_counts(known, read_chat(CHAT, body_of(max_tokens=7)), 300)

    assert 5 < prompt_tokens < 20
    assert output_tokens == 7
    assert token_counts(known, read_chat(CHAT, body_of()), 300) == (prompt_tokens, 300)


def test_a_request_that_nobody_has_read_is_taken_to_be_short() -> None:
    assert token_counts(Known(prompt=Prompt()), None, 300) == (1, 300)


def test_an_empty_prompt_is_a_token() -> None:
    known = known_from_signals({"x-ai-prompt-tokens": "0"}, (), trust_signals=True)

    assert token_counts(known, None, 300) == (1, 300)
