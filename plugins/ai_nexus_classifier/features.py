"""Measuring a text: how long it is, what it asks, and which fields its words belong to.

What counts as a word:

- text between white space, in every script that uses it, Korean among them;
- in scripts that do not, a number of characters: `CHARACTERS_PER_WORD`.

What counts as a question: a question mark, but not inside a word, an address or an expression (`a?b`), and of
several marks in a row the last.

What counts as a hit: each *different* term once, however often it occurs, so that a term repeated a thousand
times is worth no more than a term. A hint is half a hit. Any long text holds some terms by chance, one in
`CHANCE_WORDS` words, and those are taken off again.

Of a text longer than `WINDOW_CHARACTERS` the first and the last half of that are measured, and its words and
questions taken to go on at the same rate. A task stands at the beginning or at the end of a long prompt, what
is between is material, and past 600 words no amount of it changes the complexity.
"""

import re
from dataclasses import dataclass
from operator import attrgetter

from aigateway.scripts import HAN, KANA, SOUTHEAST_ASIAN, scripts_of

from .lexicon import CODE, INSTRUCTION, LEGAL, MEDICAL, TERM_WORTH, Lexicon, split_words

__all__ = ["CHANCE_WORDS", "CHARACTERS_PER_WORD", "WINDOW_CHARACTERS", "Features", "measure"]

CHANCE_WORDS = 64
"""Words of any text that hold one term by chance, found on the development half of MMLU. The optimum is flat:
from 48 to 80 the domains' F1 changes by less than 0.01."""

WINDOW_CHARACTERS = 16_384
"""Some 2,700 words of English or 10,000 of Chinese, more than any default threshold."""

UNSPACED_WINDOW_CHARACTERS = 1_024
"""How much is searched for terms where words are not marked, which takes a tenth of a microsecond per
character. So much Chinese has 600 words, from where on hits no longer change the complexity."""

CHARACTERS_PER_WORD = {HAN: 1.65, KANA: 2.5, SOUTHEAST_ASIAN: 4.5}
"""Mean length of a word. Modern Chinese prose segments into words of 1.6 to 1.7 characters. Japanese kana,
which carry inflections and foreign words, and Thai, Lao, Khmer and Burmese, which are alphabets, take
more."""

_LEAST_SHARE_OF_KANA = 0.2
"""Kana share their block with Chinese punctuation. Of the characters in Japanese about half are in that
block, of those in Chinese less than a tenth, so below this share they are punctuation."""

_UNSPACED_OR_PUNCTUATION = re.compile(
    # Chinese characters, kana, Thai and Lao, Burmese, Khmer.
    "[\u2e80-\u2fdf\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
    # Punctuation, spaces and symbols beyond ASCII, but neither letters nor digits of full width.
    "\u00a0-\u00a9\u00ab-\u00b1\u00b4\u00b6-\u00b8\u00bb\u00bf\u2000-\u206f\u2190-\u2bff\u3000-\u303f"
    "\uff00-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff9f]+"
)
_FULL_WIDTH = re.compile("[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a]+")
_TO_ASCII = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}

_QUESTION = re.compile(r"\?(?![\w?/=&.])")
_WIDE_QUESTION_MARKS = "？؟"

_CODE_FENCE = "```"
"""Begins a block of code in Markdown; a block is worth a term, whatever its language."""

_SPACE_OR_NOT = "".join(" " if chr(code).isspace() else "x" for code in range(128)).encode() + b"x" * 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """The seven features of a text; they are fractional since hints count half and inherited ones decay."""

    characters: float = 0
    words: float = 0
    questions: float = 0
    code: float = 0
    medical: float = 0
    legal: float = 0
    instruction: float = 0

    def plus(self, other: "Features", share: float) -> "Features":
        """Add a *share* of the features of another text."""
        pairs = zip(_FEATURES, _values(self), _values(other), strict=True)
        return Features(**{name: mine + share * theirs for name, mine, theirs in pairs})


_FEATURES = tuple(Features.__slots__)
_values = attrgetter(*_FEATURES)


def measure(text: str, lexicon: Lexicon, chance_words: float = CHANCE_WORDS) -> Features:
    """Measure *text*, in time proportional to its length up to `WINDOW_CHARACTERS` and constant beyond."""
    length = len(text)
    text = _ends(text, WINDOW_CHARACTERS)
    if text.isascii():
        spaced, unspaced, unspaced_words = text, "", 0.0
        questions = _questions(text)
    else:
        spaced, unspaced_words = _spaced(text), _unspaced_words(text)
        unspaced = _ends(text, UNSPACED_WINDOW_CHARACTERS) if unspaced_words else ""
        questions = _questions(text) + _wide_questions(text)
    data = spaced.encode("utf-8", "replace")
    spaced_words = _spaced_words(data)
    hits = lexicon.hits(split_words(data), unspaced)
    if _CODE_FENCE in text:
        hits[CODE] += TERM_WORTH
    chance = (spaced_words + unspaced_words * len(unspaced) / max(1, len(text))) / chance_words
    scale = max(1.0, length / WINDOW_CHARACTERS)
    return Features(
        characters=length,
        words=(spaced_words + unspaced_words) * scale,
        questions=questions * scale,
        code=max(0.0, hits[CODE] - chance),
        medical=max(0.0, hits[MEDICAL] - chance),
        legal=max(0.0, hits[LEGAL] - chance),
        instruction=max(0.0, hits[INSTRUCTION] - chance),
    )


def _ends(text: str, characters: int) -> str:
    """Give the beginning and the end of a text that is longer than *characters*."""
    if len(text) <= characters:
        return text
    half = characters // 2
    return f"{text[:half]} {text[-half:]}"


def _spaced(text: str) -> str:
    """Keep the scripts that mark words, in lower case and normal width; the others become a space."""
    spaced = _UNSPACED_OR_PUNCTUATION.sub(" ", text)
    if spaced.isascii():
        return spaced
    return _FULL_WIDTH.sub(lambda run: run.group().translate(_TO_ASCII), spaced).lower()


def _spaced_words(data: bytes) -> int:
    """Count what `data.split()` would give, in a third of the time: the places where white space ends."""
    return (b" " + data.translate(_SPACE_OR_NOT)).count(b" x")


def _unspaced_words(text: str) -> float:
    """Estimate the words of the scripts that do not mark them."""
    scripts = scripts_of(text)
    han, kana, southeast_asian = scripts.count(HAN), scripts.count(KANA), scripts.count(SOUTHEAST_ASIAN)
    if kana < _LEAST_SHARE_OF_KANA * (han + kana):
        kana = 0
    return (
        han / CHARACTERS_PER_WORD[HAN]
        + kana / CHARACTERS_PER_WORD[KANA]
        + southeast_asian / CHARACTERS_PER_WORD[SOUTHEAST_ASIAN]
    )


def _questions(text: str) -> int:
    return len(_QUESTION.findall(text)) if "?" in text else 0


def _wide_questions(text: str) -> int:
    """Count the question marks of Chinese and Arabic, two in a row as one."""
    return sum([text.count(mark) - text.count(mark * 2) for mark in _WIDE_QUESTION_MARKS if mark in text])
