"""Measuring a text: how long it is, what it asks, and which fields its words belong to.

The text is looked at once for each kind of script it holds, not once for each feature: words are split off and looked
up together in one table for all fields, and one expression finds the terms of scripts that do not mark words.

What counts as a word:

- text between white space, in every script that uses it, Korean among them;
- in scripts that do not, a number of characters: `CHARACTERS_PER_WORD`.

What counts as a hit: each *different* term once, however often it occurs, so that a term repeated a thousand times is
worth no more than a term. A hint is half a hit. Any long text holds some terms by chance, one in `CHANCE_WORDS` words,
and those are taken off again.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Final

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

CHARACTERS_PER_WORD = {"han": 1.65, "kana": 2.5, "southeast_asian": 4.5}
"""Mean length of a word: Chinese newspaper text segments into words of 1.6 to 1.7 characters; Japanese kana, which
carry inflections, and Thai, Lao, Khmer and Burmese take more."""

_HAN = "\u2e80-\u2fdf\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_KANA = "\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f"
_SOUTHEAST_ASIAN = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
_UNSPACED = _HAN + _KANA + _SOUTHEAST_ASIAN
_PUNCTUATION = "\u00a1-\u00a9\u00ab-\u00b1\u00b4-\u00b9\u00bb-\u00bf\u2000-\u206f\u2190-\u2bff\u3000-\u3004\u3008-\u303f\uff00-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65"

_HAN_CHARACTER = re.compile(f"[{_HAN}]+")
_KANA_CHARACTER = re.compile(f"[{_KANA}]+")
_UNSPACED_RUN = re.compile(f"[{_UNSPACED}]+")
_UNSPACED_OR_PUNCTUATION = re.compile(f"[{_UNSPACED}{_PUNCTUATION}]+")
_WORD = re.compile(r"[^\W_]+")
_FULL_WIDTH = re.compile("[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a]+")
_FULL_WIDTH_TO_ASCII = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}

_QUESTION = re.compile(r"\?(?![\w?/=&.])")
_WIDE_QUESTION = re.compile("[？؟⁇⁈]+")

_ASCII_WORDS = "".join(chr(code).lower() if chr(code).isalnum() else " " for code in range(128))
"""A translation of ASCII text into its words, in lower case, and spaces."""


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
    """A term in all its spellings: what it is worth per field, in half hits, and the phrases it may begin."""

    __slots__ = ("phrases", "worth")

    def __init__(self) -> None:
        self.worth: dict[str, int] = {}
        self.phrases: list[tuple[str, _Term]] = []


class Lexicon:
    """Word lists, compiled."""

    def __init__(self, terms: Mapping[str, Iterable[str]], hints: Mapping[str, Iterable[str]]) -> None:
        self._words: dict[str, _Term] = {}
        self._unspaced: dict[str, _Term] = {}
        phrases: dict[str, _Term] = {}
        for worth, lists in ((2, terms), (1, hints)):
            for field, listed in lists.items():
                for text in listed:
                    self._add(_normalised(text), field, worth, phrases)
        for phrase, term in phrases.items():
            # The longest word of a phrase is its rarest, so it is the one to watch for.
            trigger = max(phrase.split(), key=len)
            self._words.setdefault(trigger, _Term()).phrases.append((f" {phrase} ", term))
        self._unspaced_terms = _alternation(self._unspaced)

    def _add(self, text: str, field: str, worth: int, phrases: dict[str, _Term]) -> None:
        if _UNSPACED_RUN.search(text):
            spellings, table = (text,), self._unspaced
        else:
            spellings, table = _inflected(text), phrases if " " in text else self._words
        if not text:
            return
        term = table.get(text) or _Term()
        term.worth[field] = max(worth, term.worth.get(field, 0))
        for spelling in spellings:
            table.setdefault(spelling, term)

    def measure(self, text: str, chance_words: float = CHANCE_WORDS) -> Features:
        """Measure *text* in time proportional to its length."""
        found: set[_Term | None]
        if text.isascii():
            word_count: float = len(text.split())
            words = text.translate(_ASCII_WORDS).split()
            found = set(map(self._words.get, words))
            questions = len(_QUESTION.findall(text)) if "?" in text else 0
        else:
            word_count, words = _words_of(text)
            found = set(map(self._words.get, words))
            found.update(map(self._unspaced.get, self._unspaced_terms.findall(text)))
            questions = len(_QUESTION.findall(text)) + len(_WIDE_QUESTION.findall(text))
        found.discard(None)
        hits = dict.fromkeys(FIELDS, 0)
        normalised = ""
        seen: set[_Term] = set()
        for term in found:
            if term is None:
                continue
            for field, worth in term.worth.items():
                hits[field] += worth
            for phrase, meaning in term.phrases:
                normalised = normalised or f" {' '.join(words)} "
                if meaning not in seen and phrase in normalised:
                    seen.add(meaning)
                    for field, worth in meaning.worth.items():
                        hits[field] += worth
        chance = word_count / chance_words
        return Features(
            characters=len(text),
            words=word_count,
            questions=questions,
            code=max(0.0, hits[CODE] / 2 - chance),
            medical=max(0.0, hits[MEDICAL] / 2 - chance),
            legal=max(0.0, hits[LEGAL] / 2 - chance),
            instruction=max(0.0, hits[INSTRUCTION] / 2 - chance),
        )


def _words_of(text: str) -> tuple[float, list[str]]:
    """Count the words of a text in any script, and split off those that white space separates."""
    rest = _UNSPACED_OR_PUNCTUATION.sub(" ", text)
    count: float = len(rest.split())
    unspaced = len(text) - len(_UNSPACED_RUN.sub("", text))
    if unspaced:
        kana = len(text) - len(_KANA_CHARACTER.sub("", text))
        han = unspaced - kana
        count += han / CHARACTERS_PER_WORD["han"] + kana / CHARACTERS_PER_WORD["kana"]
    return count, _split(rest)


def _split(text: str) -> list[str]:
    if text.isascii():
        return text.translate(_ASCII_WORDS).split()
    text = _FULL_WIDTH.sub(lambda run: run.group().translate(_FULL_WIDTH_TO_ASCII), text)
    return _WORD.findall(text.lower())


def _normalised(text: str) -> str:
    return " ".join(_split(text)) if not _UNSPACED_RUN.search(text) else text.strip()


def _inflected(text: str) -> tuple[str, ...]:
    """Give *text* and its plurals."""
    return (text, f"{text}s", f"{text}es") if text[-1:].isalpha() else (text,)


def _alternation(terms: Iterable[str]) -> re.Pattern[str]:
    """Compile an expression that finds the longest of *terms* at each place, by first character and then the rest."""
    endings: dict[str, list[str]] = {}
    for term in sorted(terms, key=len, reverse=True):
        endings.setdefault(term[0], []).append(re.escape(term[1:]))
    branches = [re.escape(first) + f"(?:{'|'.join(rest)})" for first, rest in endings.items()]
    return re.compile("|".join(branches) or r"(?!)")
