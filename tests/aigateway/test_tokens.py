"""Tokens are estimated within a tenth of what cl100k_base counts."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigateway.chat import ChatRequest, Format, Role, Turn
from aigateway.tokens import (
    SAMPLED_CHARACTERS,
    TOKENS_PER_REPLY,
    TOKENS_PER_TURN,
    estimate_prompt_tokens,
    estimate_tokens,
)

TEXTS = Path(__file__).parents[1] / "testdata" / "tokens"
COUNTS: dict[str, int] = json.loads((TEXTS / "counts.json").read_text())
KINDS = ("chinese", "code", "english", "json")


def texts_of(kind: str) -> dict[str, str]:
    return {name: (TEXTS / name).read_text("utf-8") for name in COUNTS if name.split("/")[0] == kind}


def test_every_text_of_the_fixture_is_counted_and_there_are_enough() -> None:
    on_disk = {str(path.relative_to(TEXTS)) for path in TEXTS.glob("*/*.txt")}

    assert set(COUNTS) == on_disk
    assert all(len(texts_of(kind)) >= 15 for kind in KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_the_mean_error_is_below_a_tenth(kind: str) -> None:
    errors = [abs(estimate_tokens(text) / COUNTS[name] - 1) for name, text in texts_of(kind).items()]

    assert sum(errors) / len(errors) < 0.10
    assert max(errors) < 0.30


@pytest.mark.parametrize("kind", KINDS)
def test_a_long_text_costs_what_its_parts_cost(kind: str) -> None:
    texts = texts_of(kind)
    joined = "".join(texts.values()) * 40
    counted = sum(COUNTS[name] for name in texts) * 40

    assert len(joined) > 4 * SAMPLED_CHARACTERS
    assert estimate_tokens(joined) == pytest.approx(counted, rel=0.10)


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("", 0, 0),
        (" ", 1, 1),
        ("hi", 1, 1),
        ("😀" * 10, 10, 40),
        ("Привет, как дела? Всё хорошо, спасибо.", 12, 30),
        ("こんにちは、元気ですか。今日はいい天気ですね。", 15, 35),
        ("안녕하세요, 오늘 날씨가 정말 좋네요.", 12, 35),
        ("สวัสดีครับ วันนี้อากาศดีมาก", 15, 45),
        ("\ud800" * 5, 1, 20),
        ("\0" * 100, 1, 100),
    ],
)
def test_other_texts_are_of_the_right_order(text: str, least: int, most: int) -> None:
    assert least <= estimate_tokens(text) <= most


@given(st.text(alphabet=st.characters(), max_size=300))
def test_any_text_costs_something_but_no_more_than_a_few_tokens_per_character(text: str) -> None:
    tokens = estimate_tokens(text)

    assert (tokens == 0) == (text == "")
    assert tokens <= 4 * len(text)


def test_messages_cost_their_frames() -> None:
    def cost(*texts: str) -> int:
        turns = tuple(Turn(Role.USER, text) for text in texts)
        return estimate_prompt_tokens(ChatRequest(format=Format.CHAT, turns=turns))

    assert cost() == TOKENS_PER_REPLY
    assert cost("") == TOKENS_PER_REPLY + TOKENS_PER_TURN
    assert cost(*[""] * 10) - cost(*[""] * 9) >= TOKENS_PER_TURN


def test_a_completion_has_no_frame() -> None:
    request = ChatRequest(format=Format.COMPLETION, turns=(Turn(Role.USER, "Hello"),))

    assert estimate_prompt_tokens(request) == estimate_tokens("Hello")


def test_payloads_media_and_token_ids_are_added() -> None:
    bare = ChatRequest(format=Format.CHAT, turns=(Turn(Role.USER, "Hello there"),))
    laden = ChatRequest(
        format=Format.CHAT,
        turns=bare.turns,
        payloads=('{"name":"get_weather"}',),
        media_tokens=765,
        token_ids=100,
    )

    difference = estimate_prompt_tokens(laden) - estimate_prompt_tokens(bare)
    assert 865 < difference < 885
