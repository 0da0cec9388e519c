"""Signals cannot be forged, and no value can break a header."""

import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigateway.signals import encode_share, encode_text, forgeable


def test_every_signal_but_the_controls_is_forgeable() -> None:
    names = [
        "host",
        "x-ai-complexity",
        "X-AI-Domain",
        "x-ai-debug",
        "X-Ai-Priority",
        "x-router-strategy",
        "x-higress-llm-model",
        "X-Higress-LLM-Model",
        "x-ai-signal-of-a-later-version",
        "x-ai-",
        "x-air-quality",
        "my-x-ai-model",
    ]

    assert forgeable(names) == [
        "x-ai-complexity",
        "X-AI-Domain",
        "x-higress-llm-model",
        "X-Higress-LLM-Model",
        "x-ai-signal-of-a-later-version",
        "x-ai-",
    ]


@pytest.mark.parametrize(("value", "written"), [(0, "0.0000"), (1, "1.0000"), (0.123449, "0.1234")])
def test_shares_have_four_decimals(value: float, written: str) -> None:
    assert encode_share(value) == written


@pytest.mark.parametrize("model", ["auto", "gpt-4.1-mini", "openai/gpt-5.5", "claude:latest@2024", "ft:a~b!"])
def test_ordinary_model_names_stay_as_they_are(model: str) -> None:
    assert encode_text(model) == model


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        ("a\r\nx-evil: 1", "a%0D%0Ax-evil:%201"),
        ("模型", "%E6%A8%A1%E5%9E%8B"),
        ("50%", "50%25"),
        ("\0", "%00"),
        ("\ud800", "%3F"),
        ("", ""),
    ],
)
def test_everything_else_is_escaped(text: str, encoded: str) -> None:
    assert encode_text(text) == encoded


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=40))
def test_short_texts_can_be_had_back(text: str) -> None:
    assert unquote(encode_text(text), errors="strict") == text


@given(st.text(alphabet=st.characters(), max_size=600))
def test_any_text_makes_a_short_and_whole_header_value(text: str) -> None:
    value = encode_text(text)

    assert re.fullmatch(r"(?:[!-$&-~]|%[0-9A-F]{2}){0,256}", value)
    assert len(value) <= 256
    unquote(value, errors="strict")
