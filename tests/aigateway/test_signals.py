"""Signals cannot be forged, and no value can break a header."""

import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigateway import signals
from aigateway.chat import Need
from aigateway.signals import (
    decode_count,
    decode_needs,
    decode_text,
    encode_needs,
    encode_share,
    encode_text,
    forgeable,
)

NAMES = {
    name: value
    for name in signals.__all__
    if name.isupper() and isinstance(value := getattr(signals, name), str)
}
"""The header names among the constants."""


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


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_every_signal_is_protected_unless_it_is_a_control(name: str) -> None:
    assert forgeable([name]) == ([] if name in signals.CONTROLS else [name])
    assert name in signals.CONTROLS or name.startswith(signals.FORGEABLE_BEGINNINGS)


HEADER_NAMES = st.text(alphabet="-aeglhimorsx", max_size=12)


@given(st.sampled_from(["", "x-ai", "x-ai-", "x-higress-llm", *NAMES.values()]), HEADER_NAMES)
def test_names_that_begin_otherwise_need_not_be_given(beginning: str, rest: str) -> None:
    name = beginning + rest

    assert not forgeable([name]) or name.startswith(signals.FORGEABLE_BEGINNINGS)


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


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=256 // len("%F0%9F%98%80")))
def test_short_texts_can_be_had_back(text: str) -> None:
    assert unquote(encode_text(text), errors="strict") == text
    assert decode_text(encode_text(text)) == text


@given(st.text(alphabet=st.characters(), max_size=600))
def test_any_text_makes_a_short_and_whole_header_value(text: str) -> None:
    value = encode_text(text)

    assert re.fullmatch(r"(?:[!-$&-~]|%[0-9A-F]{2}){0,256}", value)
    assert len(value) <= 256
    unquote(value, errors="strict")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("gpt-5.5", "gpt-5.5"),
        ("100%", "100%"),
        ("%zz%4", "%zz%4"),
        ("%41%4a", "A%4a"),
        ("%FF%41", "\N{REPLACEMENT CHARACTER}A"),
        ("\udcff", "\N{REPLACEMENT CHARACTER}"),  # A byte of a header that is not UTF-8.
        ("\udcff%41", "\N{REPLACEMENT CHARACTER}A"),
    ],
)
def test_texts_that_were_never_encoded_are_read_as_well_as_can_be(value: str, text: str) -> None:
    assert decode_text(value) == text


@given(st.binary(max_size=40))
def test_whatever_a_header_holds_becomes_a_text_that_can_be_written(content: bytes) -> None:
    decode_text(content.decode("utf-8", "surrogateescape")).encode()


@pytest.mark.parametrize(
    ("value", "count"),
    [
        ("0", 0),
        ("1234", 1234),
        ("9999999999", 9_999_999_999),
        ("10000000000", None),
        ("9" * 5_000, None),
        ("-1", None),
        ("1.5", None),
        (" 1", None),
        ("\N{ARABIC-INDIC DIGIT FOUR}", None),
        ("", None),
        (None, None),
    ],
)
def test_counts_are_whole_numbers(value: str | None, count: int | None) -> None:
    assert decode_count(value) == count


def test_needs_are_listed_in_one_order() -> None:
    assert encode_needs(frozenset({Need.STREAM, Need.VISION, Need.JSON})) == "vision,json,stream"


@given(st.frozensets(st.sampled_from(Need)))
def test_needs_can_be_had_back(needs: frozenset[Need]) -> None:
    assert decode_needs(encode_needs(needs)) == needs


def test_words_that_are_no_need_are_left_out() -> None:
    assert decode_needs("vision,telepathy,,VISION") == {Need.VISION}
