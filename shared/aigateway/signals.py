"""Signals: what one plugin tells the next, as request headers.

Clients must not be able to forge them, so the first plugin removes every copy that arrives from outside,
except the controls, which are the client's to send.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, Protocol

from .chat import Need

__all__ = [
    "BUDGET_REMAINING",
    "CLUSTER",
    "COMPLEXITY",
    "CONTROLS",
    "DEBUG",
    "DOMAIN",
    "ESTIMATED_COST",
    "FAILED",
    "FALLBACKS",
    "FORGEABLE_BEGINNINGS",
    "HIGRESS_MODEL",
    "LATENCY",
    "MAX_TOKENS",
    "MODEL",
    "NEEDS",
    "PRIORITY",
    "PROMPT_TOKENS",
    "PROVIDER",
    "REASON",
    "REQUESTED_MODEL",
    "SCORE",
    "STRATEGY",
    "THRESHOLD",
    "TIER",
    "WANTED_STRATEGY",
    "decode_count",
    "decode_needs",
    "decode_text",
    "encode_needs",
    "encode_share",
    "encode_text",
    "forgeable",
    "remove_forgeable",
]

COMPLEXITY: Final = "x-ai-complexity"
"""How hard the request is, 0.0000 to 1.0000."""
DOMAIN: Final = "x-ai-domain"
"""`code`, `medical`, `legal` or `general`."""
LATENCY: Final = "x-ai-latency"
"""`realtime` or `batch`."""
PROMPT_TOKENS: Final = "x-ai-prompt-tokens"
"""Estimate of the tokens of the input; where this is, an earlier plugin has read the body."""
MAX_TOKENS: Final = "x-ai-max-tokens"
"""The limit of the output in tokens that the request sets, if any."""
REQUESTED_MODEL: Final = "x-ai-requested-model"
"""The model as in the body, made safe by `encode_text`."""
NEEDS: Final = "x-ai-needs"
"""What the model must be able to do, as `encode_needs` writes it."""

SCORE: Final = "x-ai-score"
"""How likely the strong model is to do better, 0 to 1; where worth decides, the quality of the tier."""
THRESHOLD: Final = "x-ai-threshold"
"""The score that the tier takes, or several with commas, strongest tier first."""
TIER: Final = "x-ai-tier"
"""The tier that is enough for the request."""

BUDGET_REMAINING: Final = "x-ai-budget-remaining"
"""What the caller can still spend, in USD."""

MODEL: Final = "x-ai-model"
"""The model that the request goes to, by its name in the catalog; in a response the one that answered."""
PROVIDER: Final = "x-ai-provider"
"""The provider of that model."""
CLUSTER: Final = "x-ai-cluster"
"""The cluster that the proxy routes to."""
FALLBACKS: Final = "x-ai-fallbacks"
"""Who may answer instead: `provider/model`, the best first, with commas between."""
FAILED: Final = "x-ai-failed"
"""In a response: who was asked before and failed, `provider/model` with commas between."""
STRATEGY: Final = "x-ai-strategy"
"""The strategy that chose."""
REASON: Final = "x-ai-reason"
"""Why it chose so, in a line for people."""
ESTIMATED_COST: Final = "x-ai-estimated-cost"
"""What the request is estimated to cost, in USD."""
HIGRESS_MODEL: Final = "x-higress-llm-model"
"""The model once more, where the routes of Higress look for it."""

WANTED_STRATEGY: Final = "x-router-strategy"
"""The strategy that the client wants."""
DEBUG: Final = "x-ai-debug"
"""`true` shows the client how things were decided."""
PRIORITY: Final = "x-ai-priority"
"""How much the request matters to the client."""
CONTROLS: Final = frozenset({WANTED_STRATEGY, DEBUG, PRIORITY})
"""Headers that a client may send."""

_PREFIX: Final = "x-ai-"
_ALSO_SIGNALS: Final = frozenset({HIGRESS_MODEL})

FORGEABLE_BEGINNINGS: Final = (_PREFIX, *sorted(_ALSO_SIGNALS))
"""How every name begins that `forgeable` may pick; that a request has none of them is soon known."""

MAX_TEXT_LENGTH: Final = 256
"""Characters of an encoded text; no model has a name this long."""

_SAFE_TEXT: Final = re.compile(r"[!-$&-~]{1,256}")
_ESCAPE: Final = re.compile(rb"%([0-9A-F]{2})")
_COUNT: Final = re.compile(r"[0-9]{1,10}")
_NEEDS: Final = {need.value: need for need in Need}


def forgeable(names: Iterable[str]) -> list[str]:
    """Pick the header names that only plugins may set, in the order and spelling given.

    That is every `x-ai-` header but the controls, known or not: a signal that a later version adds is
    protected before it exists. Names that do not start with one of `FORGEABLE_BEGINNINGS` need not be given.
    """
    return [
        name
        for name in names
        if ((lower := name.lower()).startswith(_PREFIX) and lower not in CONTROLS) or lower in _ALSO_SIGNALS
    ]


class RequestHeaders(Protocol):
    """Headers as filters have them, as far as removing signals is concerned."""

    def starting_with(self, *beginnings: str) -> Iterable[str]:
        """Give the names that start so."""

    def __delitem__(self, name: str) -> None:
        """Remove a header."""


def remove_forgeable(headers: RequestHeaders) -> None:
    """Remove from a request what only plugins may set, for a plugin that believes no signals."""
    for name in forgeable(headers.starting_with(*FORGEABLE_BEGINNINGS)):
        del headers[name]


def encode_share(value: float) -> str:
    """Write a number from 0 to 1 with four decimals."""
    return f"{value:.4f}"


def encode_text(text: str) -> str:
    """Make any text a safe header value that stays readable.

    Visible ASCII stays as it is. Everything else, and `%` itself, becomes `%XX` per UTF-8 byte, as in a URL,
    so the text can be had back. Longer than `MAX_TEXT_LENGTH` characters it is cut, never inside an escape.
    """
    if _SAFE_TEXT.fullmatch(text):
        return text
    pieces: list[str] = []
    room = MAX_TEXT_LENGTH
    for character in text[:MAX_TEXT_LENGTH]:
        piece = character if _SAFE_TEXT.match(character) else _escaped(character)
        room -= len(piece)
        if room < 0:
            break
        pieces.append(piece)
    return "".join(pieces)


def decode_text(value: str) -> str:
    """Undo `encode_text`; what it has not written is read as well as can be."""
    if "%" not in value and value.isascii():
        return value
    escaped = value.encode("utf-8", "surrogateescape")  # As headers hold bytes that are not UTF-8.
    return _ESCAPE.sub(lambda escape: bytes([int(escape[1], 16)]), escaped).decode("utf-8", "replace")


def decode_count(value: str | None) -> int | None:
    """Read a number of tokens; None for whatever is no whole number below ten thousand million."""
    return int(value) if value is not None and _COUNT.fullmatch(value) else None


def encode_needs(needs: frozenset[Need]) -> str:
    """Write what the model must be able to do: a subset of `vision,audio,tools,json,stream`."""
    return ",".join([need for need in Need if need in needs])


@lru_cache(maxsize=256)
def decode_needs(value: str) -> frozenset[Need]:
    """Undo `encode_needs`; what is no need is left out."""
    return frozenset([_NEEDS[word] for word in value.split(",") if word in _NEEDS])


def _escaped(character: str) -> str:
    """Write one character as `%XX` per byte; a lone surrogate, which has no UTF-8, as a question mark."""
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "replace"))
