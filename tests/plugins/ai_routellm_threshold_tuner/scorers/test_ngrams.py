"""Hashing words and pairs: the same numbers everywhere, and what counts as a word."""

from binascii import crc32
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_routellm_threshold_tuner.scorers.ngrams import (
    BUCKETS,
    HASHED_FIRST,
    HASHED_LAST,
    bucket_numbers,
    hashed,
    split,
    window,
)


@pytest.mark.parametrize(
    ("text", "words", "characters"),
    [
        ("", [], ""),
        ("Why IS the sky-blue? x2", ["why", "is", "the", "sky", "blue", "x2"], ""),
        ("Été À café", ["Été", "À", "café"], ""),
        ("안녕 하세요", ["안녕", "하세요"], ""),
        ("分析这份合同", [], "分析这份合同"),
        ("用Python写，好吗", ["python"], "用 写，好吗"),
        ("“quoted” – dash", ["“quoted”", "–", "dash"], ""),
        ("สวัสดี", [], "สวัสดี"),
        ("a\ud800b", ["a", "b"], ""),
        ("😀 ok", ["😀", "ok"], ""),
    ],
)
def test_what_is_a_word(text: str, words: list[str], characters: str) -> None:
    found, rest = split(text)

    assert [word.decode() for word in found] == words
    assert rest == characters


def pair(first: int, second: int) -> int:
    return first ^ second >> 5


@given(st.lists(st.binary(min_size=1, max_size=9), max_size=30))
def test_words_are_hashed_one_by_one_and_in_pairs(words: list[bytes]) -> None:
    codes = [crc32(word) for word in words]
    expected = codes + [pair(a, b) for a, b in pairwise(codes)]

    assert bucket_numbers(words, "") == tuple(code % BUCKETS for code in expected)


@given(st.text(st.characters(min_codepoint=0x3000, max_codepoint=0x9FFF), max_size=30))
def test_characters_are_hashed_one_by_one_and_in_pairs(characters: str) -> None:
    codes = [ord(character) * 40503 for character in characters]
    expected = codes + [pair(a, b) for a, b in pairwise(codes)]

    assert bucket_numbers([], characters) == tuple(code % BUCKETS for code in expected)


def test_neighbouring_characters_do_not_share_buckets() -> None:
    """The common characters of Chinese stand in blocks; a table of 4,096 buckets must keep them apart."""
    numbers = bucket_numbers([], "".join(map(chr, range(0x4E00, 0x5200))))[:1024]

    assert len({number % 4096 for number in numbers}) == 1024


def test_of_many_words_the_middle_is_left_out() -> None:
    words = [b"%d" % number for number in range(1000)]
    kept, characters = hashed(words, "中" * 50 + "文" * 950)

    assert kept == words[:HASHED_FIRST] + words[-HASHED_LAST:]
    assert characters == "中" * 50 + "文" * (HASHED_FIRST + HASHED_LAST - 50)


def test_of_a_long_text_the_ends_are_looked_at() -> None:
    text = "a" * 5000 + "b" * 5000

    assert window(text) == "a" * 2048 + " " + "b" * 2048
    assert window(text[:4096]) == text[:4096]
