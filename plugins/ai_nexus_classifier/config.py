"""The configuration of the classifier: every weight, threshold and word list that its decision uses."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

from aigateway.config import Reader

from . import word_lists
from .features import CHANCE_WORDS
from .lexicon import CODE, FIELDS, INSTRUCTION, LEGAL, MEDICAL, Lexicon, is_searchable

__all__ = ["Caps", "Config", "FollowUp", "OnRefusable", "PromptScope", "Weights"]

PromptScope = Literal["last_user", "all_user", "conversation"]
OnRefusable = Literal["refuse", "pass"]

TERMS = {
    CODE: word_lists.CODE_TERMS,
    MEDICAL: word_lists.MEDICAL_TERMS,
    LEGAL: word_lists.LEGAL_TERMS,
    INSTRUCTION: word_lists.INSTRUCTION_TERMS,
}
HINTS = {
    CODE: word_lists.CODE_HINTS,
    MEDICAL: word_lists.MEDICAL_HINTS,
    LEGAL: word_lists.LEGAL_HINTS,
    INSTRUCTION: word_lists.INSTRUCTION_HINTS,
}


_LARGEST_WEIGHT = 1_000.0
"""Complexity is 0 or 1 long before; beyond, sums could overflow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """What each feature adds to the log-odds of a request being hard."""

    bias: float = -1.55
    words: float = 0.008
    questions: float = 0.18
    code: float = 0.32
    medical: float = 0.26
    legal: float = 0.24
    instruction: float = 0.34


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """How much of each feature counts towards complexity, so that stuffing a prompt buys no better model.

    More terms of medicine or law make it surer that a prompt is about them, but hardly make it harder: on
    MMLU, hits beyond the first lower the score (`tests/bench/classifier_quality.py`).
    """

    words: float = 600
    questions: float = 10
    code: float = 3
    medical: float = 1
    legal: float = 1
    instruction: float = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowUp:
    """How a short turn inherits from what it follows."""

    words: float = 16
    """From this many words on, a turn stands for itself."""
    share: float = 0.8
    """What a turn of no words would inherit of the features before it; the share falls with its words."""


@cache
def _default_lexicon() -> Lexicon:
    return Lexicon(TERMS, HINTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The configuration of the plugin `ai-nexus-classifier`."""

    prompt_scope: PromptScope = "last_user"
    """What is measured: the last turn of the user, all of the user's turns, or every turn."""
    weights: Weights = Weights()
    caps: Caps = Caps()
    follow_up: FollowUp = FollowUp()
    batch_words: float = 1200
    """More words than this are not answered in real time."""
    batch_complexity: float = 0.88
    """Nor is a request of a higher complexity than this."""
    domain_hits: float = 0.75
    """Hits that a domain needs, beyond those of chance, before it is more than `general`."""
    chance_words: float = CHANCE_WORDS
    """Words of any text that hold one term by chance."""
    on_invalid: OnRefusable = "refuse"
    """What becomes of a request on a known path that no model could answer: status 400, or on as it is."""
    max_body_bytes: int = 16 * 1024 * 1024
    """Larger bodies are not read."""
    on_too_large: OnRefusable = "refuse"
    """What becomes of those: status 413, or on as they are, without signals."""
    lexicon: Lexicon = field(default_factory=_default_lexicon, repr=False, compare=False)
    """The word lists, compiled."""

    @classmethod
    def from_json(cls, value: object) -> "Config":
        """Read a configuration, or raise `ConfigError` with everything that is wrong with it."""
        reader = Reader(value)
        default = cls()
        weights = reader.table("weights")
        caps = reader.table("caps")
        follow_up = reader.table("follow_up")
        config = cls(
            prompt_scope=reader.choice(
                "prompt_scope", default.prompt_scope, among=("last_user", "all_user", "conversation")
            ),
            weights=Weights(
                **{
                    name: weights.number(
                        name,
                        getattr(default.weights, name),
                        at_least=-_LARGEST_WEIGHT,
                        at_most=_LARGEST_WEIGHT,
                    )
                    for name in Weights.__slots__
                }
            ),
            caps=Caps(
                **{
                    name: caps.number(name, getattr(default.caps, name), at_least=0)
                    for name in Caps.__slots__
                }
            ),
            follow_up=FollowUp(
                words=follow_up.number("words", default.follow_up.words, at_least=0),
                share=follow_up.number("share", default.follow_up.share, at_least=0, at_most=1),
            ),
            batch_words=reader.number("batch_words", default.batch_words, at_least=0),
            batch_complexity=reader.number(
                "batch_complexity", default.batch_complexity, at_least=0, at_most=1
            ),
            domain_hits=reader.number("domain_hits", default.domain_hits, above=0),
            chance_words=reader.number("chance_words", default.chance_words, above=0),
            on_invalid=reader.choice("on_invalid", default.on_invalid, among=("refuse", "pass")),
            max_body_bytes=reader.integer("max_body_bytes", default.max_body_bytes, at_least=1),
            on_too_large=reader.choice("on_too_large", default.on_too_large, among=("refuse", "pass")),
            lexicon=_lexicon(reader),
        )
        reader.finish()
        return config


def _lexicon(reader: Reader) -> Lexicon:
    """Read `terms` and `hints`, which replace lists, and their `extra_` versions, which add to them."""
    terms = _word_lists(reader, "terms", TERMS)
    hints = _word_lists(reader, "hints", HINTS)
    if terms == TERMS and hints == HINTS:
        return _default_lexicon()
    return Lexicon(terms, hints)


def _word_lists(
    reader: Reader, key: str, default: Mapping[str, tuple[str, ...]]
) -> Mapping[str, tuple[str, ...]]:
    instead, beside = reader.table(key), reader.table(f"extra_{key}")
    return {
        name: _searchable(instead, name, default[name]) + _searchable(beside, name, ()) for name in FIELDS
    }


def _searchable(lists: Reader, name: str, default: tuple[str, ...]) -> tuple[str, ...]:
    terms = lists.strings(name, default)
    for term in terms:
        if not is_searchable(term):
            lists.refuse(name, "terms with a letter or digit", term)
    return terms
