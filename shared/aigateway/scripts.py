"""Telling which scripts a text is written in, at C speed.

In UTF-16 the upper byte of a character names a block of 256, and nearly every script fills blocks of its own.
So one slice and one translation turn a text into a string of script letters, on which `bytes.count` does the
rest.
"""

import codecs
from typing import Final

__all__ = [
    "CYRILLIC",
    "GREEK_TO_ARABIC",
    "HAN",
    "HANGUL",
    "INDIC",
    "KANA",
    "LATIN",
    "OTHER",
    "PUNCTUATION",
    "SOUTHEAST_ASIAN",
    "SURROGATE",
    "scripts_of",
]

LATIN: Final = b"L"
"""ASCII and accented Latin."""
HAN: Final = b"H"
"""Chinese characters, also where Japanese and Korean use them."""
KANA: Final = b"K"
"""Kana, and the punctuation of Chinese and Japanese, which shares their block."""
HANGUL: Final = b"G"
CYRILLIC: Final = b"C"
GREEK_TO_ARABIC: Final = b"A"
"""Greek, Armenian, Hebrew, Arabic and their neighbours."""
INDIC: Final = b"I"
"""The scripts of India and Sri Lanka."""
SOUTHEAST_ASIAN: Final = b"T"
"""Thai, Lao, Burmese and Khmer, which do not mark words."""
PUNCTUATION: Final = b"P"
"""Dashes, quotation marks, and full-width forms."""
SURROGATE: Final = b"S"
"""Half of a character beyond 16 bits, such as an emoji."""
OTHER: Final = b"O"
"""Symbols, and scripts that are not told apart."""

_BLOCKS = (
    (LATIN, (0x00, 0x01, 0x02, 0x1E)),
    (GREEK_TO_ARABIC, (0x03, 0x05, 0x06, 0x07)),
    (CYRILLIC, (0x04,)),
    (INDIC, range(0x09, 0x0E)),
    (SOUTHEAST_ASIAN, (0x0E, 0x10, 0x17)),
    (PUNCTUATION, (0x20, 0xFF)),
    (KANA, (0x30, 0x31)),
    (HAN, (*range(0x34, 0xA0), 0x2E, 0xF9, 0xFA)),
    (HANGUL, (0x11, *range(0xAC, 0xD8))),
    (SURROGATE, range(0xD8, 0xE0)),
)


def _table() -> bytes:
    table = bytearray(OTHER * 256)
    for script, blocks in _BLOCKS:
        for block in blocks:
            table[block] = script[0]
    return bytes(table)


_SCRIPTS = _table()


def scripts_of(text: str) -> bytes:
    """Give the script of each UTF-16 unit of *text*."""
    # Straight from `codecs`: str.encode() would look this encoding up, and import a module on the first time.
    units, _ = codecs.utf_16_le_encode(text, "surrogatepass")
    return units[1::2].translate(_SCRIPTS)
