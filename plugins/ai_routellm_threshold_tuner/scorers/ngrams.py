"""Hashing the words of a text, and their pairs, into buckets.

The same text gives the same buckets on every machine and Python: words are cut by bytes of UTF-8, because the
tables of Unicode differ between versions, and hashed with CRC-32, because `hash` has a seed.

A character of Chinese or kana is a word of its own, so that pairs are the character bigrams that such scripts
need.
"""

import re
from array import array
from binascii import crc32

__all__ = ["BUCKETS", "WINDOW_CHARACTERS", "bucket_numbers", "hashed_words", "split_words", "window"]

BUCKETS = 65_536
"""How many there are; a table of fewer weights, a power of two, is repeated."""

WINDOW_CHARACTERS = 4_096
"""How much of a text is looked at: its beginning and its end, where the task stands."""

MAX_WORDS = 384
"""Words that are hashed, two thirds of them from the beginning; 2 KB of English have about 370."""

_HEAD_WORDS = 256

_WORDS = bytes(
    code | 0x20 if 0x41 <= code <= 0x5A else code if code >= 0x80 or chr(code).isalnum() else 0x20
    for code in range(256)
)
"""A translation of UTF-8: ASCII letters in lower case, digits, all beyond ASCII, and spaces for the rest."""

_UNSPACED_LEADS = (*(bytes([lead]) for lead in range(0xE3, 0xEA)), b"\xef\xbc")
"""First bytes of the characters U+3000 to U+9FFF: Chinese, kana, and their punctuation; and of U+FF00 to
U+FF3F, which has the rest of that."""

_UNSPACED_BEFORE_SPACED = re.compile("[\u3000-\u9fff](?=[0-9A-Za-z])")

_PAIR_SHIFT = 37
"""One word of 32 bits and 5 more, so that a word twice in a row is not always in the same bucket."""


def window(text: str) -> str:
    """Give a text of no more than about `WINDOW_CHARACTERS`: all of it, or its two ends."""
    if len(text) <= WINDOW_CHARACTERS:
        return text
    half = WINDOW_CHARACTERS // 2
    return f"{text[:half]} {text[-half:]}"


def split_words(text: str) -> list[bytes]:
    """Split a text into words in lower case, as UTF-8."""
    if text.isascii():
        return text.encode().translate(_WORDS).split()
    spaced = _UNSPACED_BEFORE_SPACED.sub(r"\g<0> ", text)
    data = spaced.encode("utf-8", "replace").translate(_WORDS)
    for lead in _UNSPACED_LEADS:
        data = data.replace(lead, b" " + lead)
    return data.split()


def hashed_words(words: list[bytes]) -> list[bytes]:
    """Give the words that are hashed: what is beyond `MAX_WORDS` is cut out of the middle."""
    if len(words) <= MAX_WORDS:
        return words
    return words[:_HEAD_WORDS] + words[_HEAD_WORDS - MAX_WORDS :]


def bucket_numbers(words: list[bytes]) -> tuple[int, ...]:
    """Give the bucket of each word, and then of each pair of neighbours: 2n - 1 numbers below `BUCKETS`.

    With c the CRC-32 of a word, the word is in bucket c mod 2^16, and the pair (c, d) in bucket
    (c xor (d >> 5)) mod 2^16. All pairs are made by one exclusive or of numbers as long as the text.
    """
    if not words:
        return ()
    hashes = array("I", map(crc32, words)).tobytes()
    number = int.from_bytes(hashes, "little")
    pairs = (number ^ (number >> _PAIR_SHIFT)).to_bytes(len(hashes), "little")
    return (*memoryview(hashes).cast("H")[::2], *memoryview(pairs).cast("H")[:-2:2])
