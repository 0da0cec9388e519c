"""Finding the terms of several fields in a text, all at once.

Words between spaces are looked up in one table for all fields. Phrases are searched for when their rarest
words have occurred. Where a script does not mark words, terms are found by their first two characters.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeVar

__all__ = [
    "CODE",
    "FIELDS",
    "INSTRUCTION",
    "LEGAL",
    "MEDICAL",
    "TERM_WORTH",
    "Lexicon",
    "is_searchable",
    "split_words",
]

CODE: Final = "code"
MEDICAL: Final = "medical"
LEGAL: Final = "legal"
INSTRUCTION: Final = "instruction"
FIELDS: Final = (CODE, MEDICAL, LEGAL, INSTRUCTION)

TERM_WORTH = 1.0
HINT_WORTH = 0.5

Spelling = TypeVar("Spelling", str, bytes)

_WORDS = "".join(
    chr(code).lower() if chr(code).isalnum() or chr(code) in "+#" else " " for code in range(128)
).encode() + bytes(range(128, 256))
"""A translation of UTF-8 that leaves letters, digits, `+` and `#` (C++, C#) and makes all else a space."""


def split_words(text: bytes) -> list[bytes]:
    """Split UTF-8 into words as they are looked up; letters beyond ASCII must be lower case already."""
    return text.translate(_WORDS).split()


class _Term:
    """A term in all its spellings: what it is worth in each field, and the phrases it may be part of."""

    __slots__ = ("phrases", "worth")

    def __init__(self) -> None:
        self.worth: dict[str, float] = {}
        self.phrases: list[tuple[_Term, bytes, _Term]] = []
        """Another word of the phrase, the phrase between spaces, and the term that it is."""


class Lexicon:
    """The word lists of all fields, compiled.

    *terms* count as a hit each, *hints* as half a hit. A term in Chinese characters, kana, Thai and the like
    is matched wherever it stands; any other matches whole words, in any case, and with a plural `s` or `es`.
    """

    def __init__(self, terms: Mapping[str, Iterable[str]], hints: Mapping[str, Iterable[str]]) -> None:
        self._words: dict[bytes, _Term] = {}
        self._single: dict[str, _Term] = {}
        self._beginnings: dict[tuple[str, str], list[tuple[str, _Term]]] = {}
        phrases: dict[bytes, _Term] = {}
        unspaced: dict[str, _Term] = {}
        for worth, lists in ((TERM_WORTH, terms), (HINT_WORTH, hints)):
            for field, listed in lists.items():
                for text in listed:
                    if is_unspaced(text):
                        _enter(unspaced, (text.strip(),), field, worth)
                        continue
                    spellings = _spellings(text)
                    if spellings:
                        _enter(phrases if b" " in spellings[0] else self._words, spellings, field, worth)
        for phrase, meaning in phrases.items():
            rarest, partner, *_ = sorted(phrase.split(), key=len, reverse=True)
            watched = self._words.setdefault(rarest, _Term())
            watched.phrases.append((self._words.setdefault(partner, _Term()), b" %b " % phrase, meaning))
        for text, term in unspaced.items():
            if len(text) == 1:
                self._single[text] = term
            else:
                self._beginnings.setdefault((text[0], text[1]), []).append((text, term))
        self._beginning = _beginning_pattern(self._beginnings)

    def hits(self, words: Sequence[bytes], unspaced: str) -> dict[str, float]:
        """Count hits by field, each different term once.

        *words* come from `split_words`; *unspaced* is the text if it has scripts that do not mark words, or
        empty.
        """
        found: set[_Term | None] = set(map(self._words.get, words))
        if unspaced:
            found.update(self._unspaced_terms(unspaced))
        hits = dict.fromkeys(FIELDS, 0.0)
        phrases: set[_Term] = set()
        sentence = b""
        for term in found:
            if term is None:
                continue
            for field, worth in term.worth.items():
                hits[field] += worth
            for partner, phrase, meaning in term.phrases:
                if partner in found and meaning not in phrases:
                    sentence = sentence or b" %b " % b" ".join(words)
                    if phrase in sentence:
                        phrases.add(meaning)
        for term in phrases:
            for field, worth in term.worth.items():
                hits[field] += worth
        return hits

    def _unspaced_terms(self, text: str) -> Iterable[_Term]:
        for beginning in self._beginnings.keys() & self._beginning.findall(text):
            for spelling, term in self._beginnings[beginning]:
                if len(spelling) == 2 or spelling in text:
                    yield term
        for character, term in self._single.items():
            if character in text:
                yield term


_UNSPACED = re.compile(
    # Chinese characters, kana; Thai and Lao, Burmese, Khmer; the rest of the Chinese characters.
    "[\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\U00020000-\U0003ffff]"
)


def is_unspaced(term: str) -> bool:
    """Tell whether *term* is written in a script that does not mark words."""
    return _UNSPACED.search(term) is not None


def is_searchable(term: str) -> bool:
    """Tell whether there is anything in *term* that could be found in a text."""
    return is_unspaced(term) or bool(_spellings(term))


def _enter(table: dict[Spelling, _Term], spellings: Sequence[Spelling], field: str, worth: float) -> None:
    """Enter a term into *table* under all its spellings; where it is listed twice, the higher worth holds."""
    term = table.setdefault(spellings[0], _Term())
    term.worth[field] = max(worth, term.worth.get(field, 0.0))
    for spelling in spellings[1:]:
        table.setdefault(spelling, term)


def _spellings(term: str) -> tuple[bytes, ...]:
    """Give a term as the words of a text are given, and its plurals; nothing if there is no word in it."""
    text = b" ".join(split_words(term.lower().encode("utf-8", "replace")))
    if not text:
        return ()
    return (text, text + b"s", text + b"es") if text[-1:].isalpha() else (text,)


def _beginning_pattern(beginnings: Iterable[tuple[str, str]]) -> re.Pattern[str]:
    """Compile what finds pairs that may begin a term: any first character before any second one.

    Far from all such pairs do, but the table is then asked for a tenth of the text only. The second character
    is looked at and not consumed, since it may be the first of another term.
    """
    pairs = list(beginnings)
    if not pairs:
        return re.compile(r"(?!)()()")
    first = "".join(sorted({re.escape(one) for one, _ in pairs}))
    second = "".join(sorted({re.escape(two) for _, two in pairs}))
    return re.compile(f"([{first}])(?=([{second}]))")
