"""Estimating how many tokens a request costs, without a vocabulary.

A tokenizer of the cl100k family cuts text into words, numbers, runs of punctuation and line breaks, and then
words into pieces. The estimate counts what it would cut: spaces, letters, capitals, digits, punctuation and
line breaks of ASCII text, and the characters of other scripts, each at its own rate. Pairs are counted beside
single characters because a run of spaces, digits or signs costs less than its length.

The rates were fitted, by least absolute relative error with equal weight for each kind, to about 1,600 texts:
English prompts and prose, source code in several languages, JSON documents, Chinese articles and messages,
and program messages in 19 other languages. None of them is among the texts in `tests/testdata/tokens`, which
check the result.
"""

import re

from .chat import ChatRequest, Format
from .scripts import (
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

__all__ = ["TOKENS_PER_REPLY", "TOKENS_PER_TURN", "estimate_prompt_tokens", "estimate_tokens"]

TOKENS_PER_TURN = 4
"""What a message costs beside its text: three for its frame and one for its role (OpenAI's counting rule)."""

TOKENS_PER_REPLY = 3
"""What the opening of the answer costs, by the same rule."""

SAMPLED_CHARACTERS = 16_384
"""How much of a longer text is looked at, in evenly spread slices; their rate goes for the rest."""

_SLICES = 16

_LOOKED_UP_CHARACTERS = 256
"""Of a text in Chinese; the share of whole characters among so many is off by 3 % on average."""

_PER_ASCII = (
    (b" ", 0.570),
    (b"  ", -1.077),
    (b"a", 0.100),
    (b"A", 0.135),  # Names in camel case and abbreviations are cut into more pieces.
    (b"0", 1.411),
    (b"00", -1.949),
    (b".", 0.951),
    (b"..", -1.050),
    (b"\n", 1.185),
)
"""What each class of ASCII characters, and each pair of a class, adds."""


def _class_of(code: int) -> str:
    character = chr(code)
    if character == "\n":
        return "\n"
    if character.isspace():
        return " "
    if character.isdigit():
        return "0"
    if character.isalpha():
        return "a" if character.islower() else "A"
    return "."


_CLASSES = "".join(_class_of(code) for code in range(128)).encode() + b"." * 128
"""A translation of ASCII text into the classes of its characters."""

_PER_WHOLE_HAN = 0.786
"""A character that is a token: less than one, since the most frequent words are tokens as well."""
_PER_SPLIT_HAN = 2.413
"""A character that is split into the tokens of its bytes."""

_WHOLE_HAN = re.compile(
    "["
    "一万三上下不与专业东两个中串为主么义之也书了事二于五些交产享京人亿今介从他付代以们件价任份企优会传但"
    "位体何余作你使例供価保信修倍值停像元先入全公共关其具内円册再写出击分列则初利别到制前力功加务动動包化"
    "北区十午华单南即历原去县参及友反发取变口只可台右号司合同名后向否含听启告员周命和品哈商問器四回因国图"
    "土在地场址型城基報場填增声处备复外多大天失头女好如始子字存学安宋完定实审客家容密对导将小少尔就局展山"
    "岁州工左已市布常平年并广序库应店度建开异式引张当录形影径待後得微心必志态思性总息您情意感成我或户所手"
    "打找技投报拉持指按换据排接推提播支收改放政效数整文料断新方族无日时明易星是時景更最月有服期木未本机权"
    "束条来板构析果查标样核格案检模次款止正此步歳段每比民気水求江汽没治法注活流海消清游源火点無然片版物特"
    "率环现球理生用由电男画界番登的监目直相省看県真知码确示社票私种科秒称移程稍税稿空立站章端笑符第等签简"
    "算管箱米类系素索约级线组经结给络统编网置美老考者而联能自至色节英藏行表装西要見见规视角解言計記話読计"
    "认议记论设证评试话询该详语误说请读调象责败账货购费资起超路身车转软载辑输达过运近还这进连述退送选通速"
    "造連道邮部都配释里重量金钟钮链销错键长開間関门闭问间队阳陆限院除雅集雷需非面音页项预频题额首验高黑"
    "]+"
)
"""The 549 Chinese characters that are tokens of cl100k_base."""

_PER_CHARACTER = (
    (LATIN, 1.86),  # Accented; each breaks up the word around it.
    (KANA, 0.95),
    (PUNCTUATION, 1.00),
    (CYRILLIC, 0.50),
    (GREEK_TO_ARABIC, 0.86),
    (HANGUL, 1.13),
    (INDIC, 1.38),
    (SOUTHEAST_ASIAN, 0.95),
    (SURROGATE, 1.20),
    (OTHER, 1.80),
)
"""What each character of a script adds; Latin is counted without its ASCII."""


def estimate_tokens(text: str) -> int:
    """Estimate the tokens of *text* under the cl100k_base vocabulary; at least 1 unless it is empty."""
    if not text:
        return 0
    scale = 1.0
    if len(text) > SAMPLED_CHARACTERS:
        scale = len(text) / SAMPLED_CHARACTERS
        text = _sample(text)
    if text.isascii():
        tokens = _ascii_tokens(text.encode())
    else:
        in_ascii = text.encode("ascii", "ignore")
        tokens = _ascii_tokens(in_ascii) + _other_tokens(text, len(in_ascii))
    return max(1, round(tokens * scale))


def estimate_prompt_tokens(request: ChatRequest) -> int:
    """Estimate what the input of *request* costs, with its frame, its tools, images and audio."""
    texts = [turn.text for turn in request.turns]
    texts += request.payloads
    frame = 0
    if request.format is not Format.COMPLETION:
        frame = len(request.turns) * TOKENS_PER_TURN + TOKENS_PER_REPLY
    return estimate_tokens("\n".join(texts)) + frame + request.media_tokens + request.token_ids


def _sample(text: str) -> str:
    """Take `_SLICES` equal slices of *text*, the first from its start and the last from its end."""
    length = SAMPLED_CHARACTERS // _SLICES
    step = (len(text) - length) / (_SLICES - 1)
    starts = [round(index * step) for index in range(_SLICES)]
    return "".join([text[start : start + length] for start in starts])


def _ascii_tokens(text: bytes) -> float:
    classes = text.translate(_CLASSES)
    return sum([rate * classes.count(sign) for sign, rate in _PER_ASCII])


def _other_tokens(text: str, ascii_length: int) -> float:
    """Estimate what the characters beyond ASCII add."""
    scripts = scripts_of(text)
    tokens = _PER_CHARACTER[0][1] * -ascii_length
    tokens += sum([rate * scripts.count(script) for script, rate in _PER_CHARACTER])
    han = scripts.count(HAN)
    if han:
        # Which characters are whole is looked up for some of them, at even distances; their share goes for
        # the rest.
        looked_up = text[:: len(text) // _LOOKED_UP_CHARACTERS + 1]
        whole = (len(looked_up) - len(_WHOLE_HAN.sub("", looked_up))) / max(
            1, scripts_of(looked_up).count(HAN)
        )
        tokens += han * (_PER_WHOLE_HAN * whole + _PER_SPLIT_HAN * (1 - whole))
    return tokens
