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

_CHARACTERS_PER_WORD_OF_UNSPACED = 1.65
"""Modern Chinese prose segments into words of 1.6 to 1.7 characters."""

_SAMPLED_CHARACTERS = 256
"""Of scripts without words, so many characters are looked at for repetition."""

_CLASSES = {
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
    b"E": bytes(range(0xC0, 0xF8)),
}
"""What the bytes of UTF-8 are: capitals, digits, signs, and the first bytes of all beyond ASCII (E)."""

_CLASS_OF = bytes(
    next((name[0] for name, members in _CLASSES.items() if byte in members), 0) for byte in range(256)
)
_UNCLASSED = bytes(byte for byte in range(256) if not _CLASS_OF[byte])


def measure(text: str, words: Sequence[bytes], characters: str, of: int) -> tuple[float, ...]:
    """Measure a text that has these *words*, and these *characters* of scripts without words.

    If it is a part of a text of more characters, *of* them, that text is taken to go on like it. Counts are
    brought between 0 and 1 as n / (n + h), where h is the count that gives one half.
    """
    # Without what is most of any text, the counts look at little.
    count = text.encode("utf-8", "replace").translate(_CLASS_OF, _UNCLASSED).count
    capitals, digits, signs, mathematics = count(b"A"), count(b"0"), count(b"+"), count(b"\\")
    brackets, code, lines, questions = count(b"("), count(b"{"), count(b"\n"), count(b"?")
    sentences, commas, quotes, beyond = count(b"."), count(b","), count(b'"'), count(b"E")
    size, units = len(text) or 1, len(words) + len(characters) or 1
    sample = characters[:_SAMPLED_CHARACTERS]
    length = (len(words) + len(characters) / _CHARACTERS_PER_WORD_OF_UNSPACED) * max(1.0, of / size)
    return (
        50 / (length + 50),
        sqrt(min(length, _LONGEST_WORDS) / _LONGEST_WORDS),
        min(1.0, size / (12 * units)),
        1 - (len(set(words)) + len(set(sample))) / (len(words) + len(sample) or 1),
        capitals / size,
        digits / size,
        signs / (signs + 8),
        mathematics / (mathematics + 4),
        brackets / (brackets + 8),
        code / (code + 8),
        lines / (lines + 8),
        questions / (questions + 1),
        sentences / (sentences + 8),
        commas / (commas + 8),
        quotes / (quotes + 4),
        len(characters) / size,
        max(0, beyond - len(characters)) / size,
    )
