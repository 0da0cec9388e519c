"""Signals: what one plugin tells the next, as request headers.

Clients must not be able to forge them, so the first plugin removes every copy that arrives from outside,
except the controls, which are the client's to send.
"""

import re
from collections.abc import Iterable
from typing import Final

__all__ = [
    "COMPLEXITY",
    "CONTROLS",
    "DOMAIN",
    "LATENCY",
    "MAX_TOKENS",
    "NEEDS",
    "PROMPT_TOKENS",
    "REQUESTED_MODEL",
    "encode_share",
    "encode_text",
    "forgeable",
]

COMPLEXITY: Final = "x-ai-complexity"
"""How hard the request is, 0.0000 to 1.0000."""
DOMAIN: Final = "x-ai-domain"
"""`code`, `medical`, `legal` or `general`."""
LATENCY: Final = "x-ai-latency"
"""`realtime` or `batch`."""
PROMPT_TOKENS: Final = "x-ai-prompt-tokens"
"""Estimate of the tokens of the input."""
MAX_TOKENS: Final = "x-ai-max-tokens"
"""The limit of the output in tokens that the request sets, if any."""
REQUESTED_MODEL: Final = "x-ai-requested-model"
"""The model as in the body, made safe by `encode_text`."""
NEEDS: Final = "x-ai-needs"
"""What the model must be able to do: a subset of `vision,audio,tools,json,stream`."""

CONTROLS: Final = frozenset({"x-router-strategy", "x-ai-debug", "x-ai-priority"})
"""Headers that a client may send."""

_PREFIX = "x-ai-"
_ALSO_SIGNALS = frozenset({"x-higress-llm-model"})

MAX_TEXT_LENGTH: Final = 256
"""Characters of an encoded text; no model has a name this long."""

_SAFE_TEXT = re.compile(r"[!-$&-~]{1,256}")


def forgeable(names: Iterable[str]) -> list[str]:
    """Pick the header names that only plugins may set, in the order and spelling given.

    That is every `x-ai-` header but the controls, known or not: a signal that a later version adds is
    protected before it exists.
    """
    return [
        name
        for name in names
        if ((lower := name.lower()).startswith(_PREFIX) and lower not in CONTROLS) or lower in _ALSO_SIGNALS
    ]


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


def _escaped(character: str) -> str:
    """Write one character as `%XX` per byte; a lone surrogate, which has no UTF-8, as a question mark."""
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "replace"))
