"""Scripts are told apart by block."""

import pytest

from aigateway.scripts import (
    CYRILLIC,
    GREEK_TO_ARABIC,
    HAN,
    HANGUL,
    INDIC,
    KANA,
    LATIN,
    OTHER,
    PUNCTUATION,
    SOUTHEAST_ASIAN,
    SURROGATE,
    scripts_of,
)


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("Az09 é ő ế", LATIN),
        ("汉字漢龥", HAN),
        ("ひらカナ、。", KANA),
        ("한국어", HANGUL),
        ("Привет", CYRILLIC),
        ("ΑΩאשعربي", GREEK_TO_ARABIC),
        ("हिन्दी", INDIC),
        ("ไทย", SOUTHEAST_ASIAN),
        ("—“”，？", PUNCTUATION),
        ("😀", SURROGATE),
        ("\ud800", SURROGATE),
        ("→√", OTHER),
    ],
)
def test_each_script_is_recognised(text: str, script: bytes) -> None:
    assert set(scripts_of(text.replace(" ", ""))) == set(script)


def test_there_is_one_letter_per_utf16_unit() -> None:
    assert scripts_of("a汉😀") == LATIN + HAN + SURROGATE * 2
