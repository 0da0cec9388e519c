import hashlib

import pytest

from nexus.providers import count_tokens
from nexus.providers._answers import compose


def test_an_answer_names_provider_model_and_digest_and_repeats_nothing() -> None:
    body = b'{"messages": [{"content": "zebra"}]}'

    answer = compose("openai", "gpt-5.5", body, limit=None)

    digest = hashlib.sha256(body).hexdigest()[:16]
    assert answer.text.startswith(f"openai answers as gpt-5.5 to request {digest}:")
    assert "zebra" not in answer.text


def test_equal_requests_get_equal_answers_and_others_do_not() -> None:
    first = compose("openai", "auto", b"a", limit=None)

    assert compose("openai", "auto", b"a", limit=None) == first
    assert compose("openai", "auto", b"b", limit=None) != first


@pytest.mark.parametrize("body", [bytes([number]) for number in range(40)])
def test_an_answer_has_as_many_tokens_as_pieces(body: bytes) -> None:
    answer = compose("openai", "gpt-4.1-mini", body, limit=None)

    assert count_tokens(answer.text) == len(answer.pieces)
    assert 24 <= len(answer.pieces) <= 55
    assert answer.finish_reason == "stop"


def test_the_limit_cuts_an_answer_and_says_so() -> None:
    whole = compose("openai", "auto", b"a", limit=None)

    cut = compose("openai", "auto", b"a", limit=5)

    assert cut.pieces == whole.pieces[:5]
    assert cut.finish_reason == "length"


def test_a_limit_that_is_not_reached_changes_nothing() -> None:
    whole = compose("openai", "auto", b"a", limit=None)

    assert compose("openai", "auto", b"a", limit=len(whole.pieces)) == whole


@pytest.mark.parametrize("tokens", [1, 3, 1000])
def test_the_length_can_be_asked_for(tokens: int) -> None:
    answer = compose("openai", "auto", b"a", limit=None, tokens=tokens)

    assert len(answer.pieces) == tokens
    assert answer.finish_reason == "stop"
