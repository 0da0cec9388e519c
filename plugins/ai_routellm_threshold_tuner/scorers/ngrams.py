"""Hashing the words of a text, and their pairs, into buckets.

The same text gives the same buckets on every machine and Python: words are cut by bytes of UTF-8, because the
tables of Unicode differ between versions, and hashed with CRC-32, because `hash` has a seed.

Where a script does not mark words, each character is hashed instead, and each pair of neighbours. That is
done for all characters at once, by arithmetic on one whole number that has 32 bits for each of them.
"""

import re
from array import array
from binascii import crc32
from codecs import utf_32_le_encode
from typing import Final

__all__ = ["BUCKETS", "bucket_numbers", "hashed", "split", "window"]

BUCKETS: Final = 65_536
"""How many there are; a model of fewer, a power of two, takes numbers modulo its own."""

WINDOW_CHARACTERS: Final = 4_096
"""How much of a text is looked at: its beginning and its end, where the task stands."""

HASHED_FIRST: Final = 160
HASHED_LAST: Final = 96
"""Words, and characters of scripts without words, that are hashed of a text that has more."""

_WORDS: Final = bytes(
    code | 0x20 if 0x41 <= code <= 0x5A else code if code >= 0x80 or chr(code).isalnum() else 0x20
    for code in range(256)
)
"""A translation of UTF-8: ASCII letters in lower case, digits, all beyond ASCII, and spaces for the rest."""

_UNSPACED: Final = (
    # Thai and Lao, Burmese, Khmer; Chinese, kana and their punctuation; more of that in full width.
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u9fff\uff00-\uff3f"
)
_UNSPACED_RUN: Final = re.compile(f"[{_UNSPACED}]+")
_SPACED_RUN: Final = re.compile(f"[^{_UNSPACED}]+")

_MULTIPLIER: Final = 0x9E37
"""2^16 divided by the golden ratio; it has 16 bits, so that its product with a character keeps to 32."""

_PAIR_SHIFT: Final = 37
"""The next word or character, 32 bits on, and 5 more, so that no pair of equals is in one bucket with all."""


def window(text: str) -> str:
    """Give a text of no more than about `WINDOW_CHARACTERS`: all of it, or its two ends."""
    if len(text) <= WINDOW_CHARACTERS:
        return text
    half = WINDOW_CHARACTERS // 2
    return f"{text[:half]} {text[-half:]}"


def split(text: str) -> tuple[list[bytes], str]:
    """Split a text into words, in lower case and as UTF-8, and the characters of scripts without words."""
    if text.isascii():
        return text.encode().translate(_WORDS).split(), ""
    unspaced = _SPACED_RUN.sub(" ", text)
    if len(unspaced) > 1:
        text = _UNSPACED_RUN.sub(" ", text)
    return text.encode("utf-8", "replace").translate(_WORDS).split(), unspaced.strip(" ")


def hashed(words: list[bytes], characters: str) -> tuple[list[bytes], str]:
    """Give the words and characters that are hashed: what is in the middle of many is left out."""
    if len(words) > HASHED_FIRST + HASHED_LAST:
        words = words[:HASHED_FIRST] + words[-HASHED_LAST:]
    if len(characters) > HASHED_FIRST + HASHED_LAST:
        characters = characters[:HASHED_FIRST] + characters[-HASHED_LAST:]
    return words, characters


def bucket_numbers(words: list[bytes], characters: str) -> tuple[int, ...]:
    """Give the buckets of all words, of their pairs, of all characters, and of their pairs.

    They are numbers below `BUCKETS`, 2n - 1 for n words or characters. With c the CRC-32 of a word, the word
    is in bucket c mod 2^16, and the pair (c, d) in (c xor (d >> 5)) mod 2^16. For characters c is the product
    with 40503.
    """
    numbers: tuple[int, ...] = ()
    if words:
        number = int.from_bytes(array("I", map(crc32, words)).tobytes(), "little")
        numbers = (*_low_halves(number, len(words)), *_low_halves(_paired(number), len(words))[:-1])
    if characters:
        # Straight from `codecs`: str.encode() would look this encoding up, and import a module for it.
        units, _ = utf_32_le_encode(characters)
        number = int.from_bytes(units, "little") * _MULTIPLIER
        count = len(characters)
        numbers = (*numbers, *_low_halves(number, count), *_low_halves(_paired(number), count)[:-1])
    return numbers


def _paired(number: int) -> int:
    """Join each of the 32-bit parts of *number* with the one after it."""
    return number ^ (number >> _PAIR_SHIFT)


def _low_halves(number: int, count: int) -> memoryview:
    """Give the lower 16 bits of each of the *count* 32-bit parts of *number*, least first."""
    return memoryview(number.to_bytes(4 * count, "little")).cast("H")[::2]
