"""Measuring a text: how long it is, what it asks, and which fields its words belong to.

The text is not searched once for each feature. Its words are split off and looked up together in one table for all
fields, and one expression finds the terms of scripts that do not mark words.

What counts as a word:

- text between white space, in every script that uses it, Korean among them;
- in scripts that do not, a number of characters: `CHARACTERS_PER_WORD`.

What counts as a hit: each *different* term once, however often it occurs, so that a term repeated a thousand times is
worth no more than a term. A hint is half a hit. Any long text holds some terms by chance, one in `CHANCE_WORDS` words,
and those are taken off again.

Of a text longer than `WINDOW_CHARACTERS` the first and the last half of that are measured, and its words and questions
taken to go on at the same rate: a task stands at the beginning or at the end of a long prompt, what is between is
material, and past 600 words no amount of it changes the complexity.
"""

import codecs
import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, fields
from typing import Final, TypeVar

from aigateway.scripts import HAN, KANA, SOUTHEAST_ASIAN, scripts_of

__all__ = [
    "CHANCE_WORDS",
    "CHARACTERS_PER_WORD",
    "CODE",
    "FIELDS",
    "INSTRUCTION",
    "LEGAL",
    "MEDICAL",
    "Features",
    "Lexicon",
]

CODE: Final = "code"
MEDICAL: Final = "medical"
LEGAL: Final = "legal"
INSTRUCTION: Final = "instruction"
FIELDS: Final = (CODE, MEDICAL, LEGAL, INSTRUCTION)

CHANCE_WORDS = 64
"""Words of any text that hold one term by chance; measured on the development half of MMLU's other subjects."""

WINDOW_CHARACTERS = 16_384
"""Some 2,700 words of English or 10,000 of Chinese, more than any default threshold."""

CHARACTERS_PER_WORD = {HAN: 1.65, KANA: 2.5, SOUTHEAST_ASIAN: 4.5}
"""Mean length of a word: Chinese newspaper text segments into words of 1.6 to 1.7 characters; Japanese kana, which
carry inflections, and Thai, Lao, Khmer and Burmese take more."""

_HAN = "\u2e80-\u2fdf\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_KANA = "\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"
_SOUTHEAST_ASIAN = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
_UNSPACED = _HAN + _KANA + _SOUTHEAST_ASIAN
_PUNCTUATION = "\u00a0-\u00a9\u00ab-\u00b1\u00b4-\u00b9\u00bb-\u00bf\u2000-\u206f\u2190-\u2bff\u3000-\u3004\u3008-\u303f\uff00-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65"

_KANA_RUN = re.compile(f"[{_KANA}]+")
_UNSPACED_RUN = re.compile(f"[{_UNSPACED}]+")
_SPACED_RUN = re.compile(f"[^{_UNSPACED}]+")
_PAIR = 2

Spelling = TypeVar("Spelling", str, bytes)
_UNSPACED_OR_PUNCTUATION = re.compile(f"[{_UNSPACED}{_PUNCTUATION}]+")
_FULL_WIDTH = re.compile("[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a]+")
_FULL_WIDTH_TO_ASCII = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}

_QUESTION = re.compile(r"\?(?![\w?/=&.])")
_WIDE_QUESTIONS = tuple((mark, re.compile(f"{mark}+")) for mark in "？؟")

_WORDS = "".join(chr(code).lower() if chr(code).isalnum() else " " for code in range(128)).encode() + bytes(
    range(128, 256)
)
"""A translation of UTF-8 into words and spaces, in lower case for ASCII."""

_SPACE_OR_NOT = "".join(" " if chr(code).isspace() else "x" for code in range(128)).encode() + b"x" * 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """The seven features of a text; hits are fractional since hints count half and inherited ones decay."""

    characters: float = 0
    words: float = 0
    questions: float = 0
    code: float = 0
    medical: float = 0
    legal: float = 0
    instruction: float = 0

    def plus(self, other: "Features", share: float) -> "Features":
        """Add a *share* of the features of another text."""
        return Features(
            **{name: getattr(self, name) + share * getattr(other, name) for name in _FEATURE_NAMES}
        )


_FEATURE_NAMES = tuple(field.name for field in fields(Features))


class _Term:
    """A term in all its spellings: what it is worth per field, in half hits, and the phrases it may be part of."""

    __slots__ = ("phrases", "worth")

    def __init__(self) -> None:
        self.worth: dict[str, int] = {}
        self.phrases: list[tuple[_Term, bytes, _Term]] = []
        """Another word of the phrase, the phrase between spaces, and the term that it is."""


class _Beginning:
    """Two characters with which terms begin that no spaces surround; a value that a set tells apart at no cost."""

    __slots__ = ("terms",)

    def __init__(self) -> None:
        self.terms: list[tuple[str, _Term]] = []


class Lexicon:
    """Word lists, compiled."""

    def __init__(self, terms: Mapping[str, Iterable[str]], hints: Mapping[str, Iterable[str]]) -> None:
        self._words: dict[bytes, _Term] = {}
        phrases: dict[bytes, _Term] = {}
        unspaced: dict[str, _Term] = {}
        for worth, lists in ((2, terms), (1, hints)):
            for field, listed in lists.items():
                for text in listed:
                    if _UNSPACED_RUN.search(text):
                        _add(unspaced, (text.strip(),), field, worth)
                    else:
                        spellings = _spellings(text)
                        _add(phrases if b" " in spellings[0] else self._words, spellings, field, worth)
        for phrase, meaning in phrases.items():
            # The longest words of a phrase are its rarest. Only when both occur is the text searched for it.
            rarest, partner, *_ = sorted(phrase.split(), key=len, reverse=True)
            watched = self._words.setdefault(rarest, _Term())
            watched.phrases.append((self._words.setdefault(partner, _Term()), b" %b " % phrase, meaning))
        self._pairs: dict[int, _Beginning] = {}
        for text, term in unspaced.items():
            self._pairs.setdefault(_pairs_of(text)[0], _Beginning()).terms.append((text, term))

    def measure(self, text: str, chance_words: float = CHANCE_WORDS) -> Features:
        """Measure *text*, in time proportional to its length up to `WINDOW_CHARACTERS` and constant beyond."""
        length = len(text)
        scale = 1.0
        if length > WINDOW_CHARACTERS:
            scale = length / WINDOW_CHARACTERS
            text = f"{text[: WINDOW_CHARACTERS // 2]} {text[-WINDOW_CHARACTERS // 2 :]}"
        spaced = text
        unspaced_words = 0.0
        if not text.isascii():
            spaced = _UNSPACED_OR_PUNCTUATION.sub(" ", text)
            if not spaced.isascii():
                spaced = _FULL_WIDTH.sub(_half_width, spaced).lower()
            unspaced_words = _unspaced_words(text)
        data = spaced.encode("utf-8", "replace")
        word_count = _spaced_words(data) + unspaced_words
        words = data.translate(_WORDS).split()
        found = set(map(self._words.get, words))
        if unspaced_words:
            found |= self._unspaced_terms(text)
        found.discard(None)
        hits = _hits(found, words)
        chance = word_count / chance_words
        return Features(
            characters=length,
            words=word_count * scale,
            questions=_questions(text) * scale,
            code=max(0.0, hits[CODE] / 2 - chance),
            medical=max(0.0, hits[MEDICAL] / 2 - chance),
            legal=max(0.0, hits[LEGAL] / 2 - chance),
            instruction=max(0.0, hits[INSTRUCTION] / 2 - chance),
        )

    def _unspaced_terms(self, text: str) -> set[_Term | None]:
        """Find terms in scripts that do not mark words, by looking up each pair of neighbouring characters."""
        text = _SPACED_RUN.sub(" ", text)
        begun = set(map(self._pairs.get, _pairs_of(text)))
        begun.discard(None)
        return {
            term
            for beginning in begun
            if beginning is not None
            for spelling, term in beginning.terms
            if len(spelling) == _PAIR or spelling in text
        }


def _add(table: dict[Spelling, _Term], spellings: tuple[Spelling, ...], field: str, worth: int) -> None:
    """Enter a term into *table* under all its spellings; where it is listed twice, the higher worth holds."""
    if spellings[0]:
        term = table.setdefault(spellings[0], _Term())
        term.worth[field] = max(worth, term.worth.get(field, 0))
        for spelling in spellings[1:]:
            table.setdefault(spelling, term)


def _hits(found: Set[_Term | None], words: list[bytes]) -> dict[str, int]:
    """Add up what the terms found are worth, in half hits, and those phrases whose trigger is among them."""
    hits = dict.fromkeys(FIELDS, 0)
    met: set[_Term] = set()
    sentence = b""
    for term in found:
        if term is None:
            continue
        for field, worth in term.worth.items():
            hits[field] += worth
        for partner, phrase, meaning in term.phrases:
            if partner not in found or meaning in met:
                continue
            sentence = sentence or b" %b " % b" ".join(words)
            if phrase in sentence:
                met.add(meaning)
                for field, worth in meaning.worth.items():
                    hits[field] += worth
    return hits


def _questions(text: str) -> int:
    count = len(_QUESTION.findall(text)) if "?" in text else 0
    if not text.isascii():
        count += sum([len(marks.findall(text)) for mark, marks in _WIDE_QUESTIONS if mark in text])
    return count


def _spaced_words(data: bytes) -> int:
    """Count what `data.split()` would split into, in a third of the time: the places where white space ends."""
    return (b" " + data.translate(_SPACE_OR_NOT)).count(b" x")


def _unspaced_words(text: str) -> float:
    """Estimate the words of the scripts that do not mark them."""
    scripts = scripts_of(text)
    han = scripts.count(HAN)
    # Kana share their block with Chinese punctuation, most of which is two signs.
    kana = scripts.count(KANA) - text.count("、") - text.count("。")
    if kana:
        kana = len(text) - len(_KANA_RUN.sub("", text))
    southeast_asian = scripts.count(SOUTHEAST_ASIAN)
    return (
        han / CHARACTERS_PER_WORD[HAN]
        + kana / CHARACTERS_PER_WORD[KANA]
        + southeast_asian / CHARACTERS_PER_WORD[SOUTHEAST_ASIAN]
    )


def _spellings(term: str) -> tuple[bytes, ...]:
    """Give a term as the words of a text are given, and its plurals."""
    text = b" ".join(term.lower().encode("utf-8", "replace").translate(_WORDS).split())
    return (text, text + b"s", text + b"es") if text[-1:].isalpha() else (text,)


def _half_width(run: re.Match[str]) -> str:
    return run.group().translate(_FULL_WIDTH_TO_ASCII)


def _pairs_of(text: str) -> list[int]:
    """Give each two neighbouring characters as one number, first those at even and then those at odd places."""
    units, _ = codecs.utf_16_le_encode(text, "surrogatepass")
    even = memoryview(units)[: len(units) & ~3].cast("I")
    odd = memoryview(units)[2 : 2 + (len(units) - 2 & ~3)].cast("I") if len(units) > 2 else []
    return [*even, *odd]
