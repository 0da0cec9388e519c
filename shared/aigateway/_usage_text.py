"""Finding what a model said in an answer or in an event of one, to count it when the provider does not."""

import json
from collections.abc import Mapping

__all__ = ["texts_of"]

_ROOTS = ("choices", "delta", "content", "output", "content_block")
"""Where the said stands: completions, events of Anthropic and Responses, their whole answers."""

_INNER = frozenset(
    {"message", "delta", "tool_calls", "function_call", "function", "content", "summary", "audio"}
)
"""What may hold more of it."""

_TEXTS = frozenset(
    {"content", "text", "refusal", "arguments", "name", "thinking", "partial_json", "transcript"}
    | {"reasoning_content", "reasoning"}
)

_MAX_PLACES = 10_000
"""Enough for any answer; it is a provider that is read."""


def texts_of(document: Mapping[str, object]) -> list[str]:
    """List what was said, thought, and called with."""
    kind = document.get("type")
    if isinstance(kind, str) and kind.endswith("audio.delta"):  # The sound itself, as base64.
        return []
    texts: list[str] = []
    pending: list[object] = [document[root] for root in _ROOTS if root in document]
    places = 0
    while pending and places < _MAX_PLACES:
        places += 1
        place = pending.pop()
        if isinstance(place, dict):
            _look_into(place, texts, pending)
        elif isinstance(place, list):
            pending += place
        elif isinstance(place, str):  # A delta of the Responses API.
            texts.append(place)
    return texts


def _look_into(place: Mapping[str, object], texts: list[str], pending: list[object]) -> None:
    for key, value in place.items():
        if not value:
            continue
        if isinstance(value, str):
            # Some servers send the same reasoning under both of its names.
            if key in _TEXTS and not (key == "reasoning" and "reasoning_content" in place):
                texts.append(value)
        elif key in _INNER:
            pending.append(value)
        elif key == "input" and isinstance(value, dict):  # Of a tool, for Anthropic.
            texts.append(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
