"""Measures of a text that need no vocabulary: lengths and shares, each from 0 to 1.

All are made of whole numbers, divisions and square roots, which give the same result to the last digit on
every machine; logarithms and exponentials do not.
"""

from collections.abc import Sequence
from math import sqrt
from typing import Final

__all__ = ["MEASURES", "measure"]

MEASURES: Final = (
    "short",
    "length",
    "characters_per_word",
    "repetition",
    "capitals",
    "digits",
    "number_signs",
    "mathematics",
    "brackets",
    "code",
    "lines",
    "questions",
    "sentences",
    "commas",
    "quotes",
    "unspaced",
    "other_scripts",
)
"""Their names, in the order in which `measure` gives them."""

_LONGEST_WORDS = 1_024
"""A text of more words is as long as one of these."""

_CLASSES = {
    b"a": b"abcdefghijklmnopqrstuvwxyz",
    b"A": b"ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    b"0": b"0123456789",
    b"+": b"+-*/=<>%",
    b"\\": b"\\$^~|",
    b"(": b"()[]",
    b"{": b"{};_`#@&",
    b"\n": b"\n",
    b"?": b"?",
    b".": b".!:",
    b",": b",",
    b'"': b"\"'",
    b"H": bytes(range(0xE3, 0xEA)),
    b"E": bytes([*range(0xC0, 0xE3), *range(0xEA, 0xF8)]),
}
"""What the bytes of UTF-8 are: first letters, digits, signs; then first bytes of Chinese and kana (H) and of
all other characters beyond ASCII (E)."""


def _class_table() -> bytes:
    table = bytearray(b" " * 256)
    for name, members in _CLASSES.items():
        for member in members:
            table[member] = name[0]
    return bytes(table)


_CLASS_OF = _class_table()


def measure(data: bytes, words: Sequence[bytes], length: int) -> tuple[float, ...]:
    """Measure UTF-8 that has these *words*; *length* is the number of words of the whole text.

    Counts are brought between 0 and 1 as n / (n + h), where h is the count that gives one half.
    """
    count = data.translate(_CLASS_OF).count
    letters, capitals, digits = count(b"a"), count(b"A"), count(b"0")
    signs, mathematics, brackets, code = count(b"+"), count(b"\\"), count(b"("), count(b"{")
    lines, questions, sentences, commas = count(b"\n"), count(b"?"), count(b"."), count(b",")
    quotes, unspaced, others = count(b'"'), count(b"H"), count(b"E")
    written = letters + capitals + digits + unspaced + others
    return (
        50 / (length + 50),
        sqrt(min(length, _LONGEST_WORDS) / _LONGEST_WORDS),
        min(1.0, written / (12 * len(words) or 1)),
        1 - len(set(words)) / (len(words) or 1),
        capitals / (letters + capitals + 1),
        digits / (written or 1),
        signs / (signs + 8),
        mathematics / (mathematics + 4),
        brackets / (brackets + 8),
        code / (code + 8),
        lines / (lines + 8),
        questions / (questions + 1),
        sentences / (sentences + 8),
        commas / (commas + 8),
        quotes / (quotes + 4),
        unspaced / (written or 1),
        others / (written or 1),
    )
