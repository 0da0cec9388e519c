"""Reading the usage objects of all providers into one.

What they differ in:

- OpenAI's chat and text completions say `prompt_tokens` and `completion_tokens`, its Responses and Anthropic
  `input_tokens` and `output_tokens`.
- OpenAI's input includes what came from a cache; Anthropic's excludes what came from one and what was written
  into one, which stand beside it.
- OpenAI's output includes reasoning. xAI's and Google's does not, but their `total_tokens` does.
- Cached tokens are in the details of the input (OpenAI), in `prompt_cache_hit_tokens` (DeepSeek) or in
  `cached_tokens` (Moonshot).
- Moonshot puts the usage of a stream into the last of its `choices`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Counts", "counts_of", "find_usage"]

LARGEST_COUNT = 1_000_000_000_000
"""A larger number is no count of tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What a usage object says; None where it says nothing."""

    input_tokens: int | None = None
    """All of the input for OpenAI, what no cache had part in for Anthropic."""
    output_tokens: int | None = None
    total_tokens: int | None = None
    cached_input_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    cache_is_beside: bool = False
    """Whether the tokens of the cache are not part of `input_tokens`."""

    def updated(self, later: "Counts") -> "Counts":
        """Replace what *later* says: Anthropic counts the input first and the output at the end."""

        def newer(name: str) -> int | None:
            value: int | None = getattr(later, name)
            return getattr(self, name) if value is None else value

        return Counts(
            input_tokens=newer("input_tokens"),
            output_tokens=newer("output_tokens"),
            total_tokens=newer("total_tokens"),
            cached_input_tokens=newer("cached_input_tokens"),
            cache_write_tokens=newer("cache_write_tokens"),
            reasoning_tokens=newer("reasoning_tokens"),
            cache_is_beside=self.cache_is_beside or later.cache_is_beside,
        )


def find_usage(document: Mapping[str, object]) -> Mapping[str, object] | None:
    """Find the usage object of an answer, or of one event of it."""
    places = [document, document.get("message"), document.get("response")]  # Anthropic's start, Responses.
    choices = document.get("choices")
    if isinstance(choices, list):
        places += reversed(choices)
    for place in places:
        usage = place.get("usage") if isinstance(place, dict) else None
        if isinstance(usage, dict):
            return usage
    return None


def counts_of(usage: Mapping[str, object]) -> Counts | None:
    """Read a usage object; None if there is no count of tokens in it."""
    of_prompt = "prompt_tokens" in usage or "completion_tokens" in usage
    kinds = ("prompt", "completion") if of_prompt else ("input", "output")
    given, got = (_count(usage, f"{kind}_tokens") for kind in kinds)
    if given is None and got is None:
        return None
    details, reasoning = (_details(usage, f"{kind}_tokens_details") for kind in kinds)
    read = _count(usage, "cache_read_input_tokens")
    written = _count(usage, "cache_creation_input_tokens")
    return Counts(
        input_tokens=given,
        output_tokens=got,
        total_tokens=_count(usage, "total_tokens"),
        cached_input_tokens=_first(
            _count(details, "cached_tokens"),
            read,
            _count(usage, "prompt_cache_hit_tokens"),
            _count(usage, "cached_tokens"),
        ),
        cache_write_tokens=written,
        reasoning_tokens=_count(reasoning, "reasoning_tokens"),
        # With `prompt_tokens` beside them the same names come from gateways that count as OpenAI does.
        cache_is_beside=not of_prompt and (read is not None or written is not None),
    )


def _count(values: Mapping[str, object], key: str) -> int | None:
    value = values.get(key)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_COUNT:
        return value
    return None


def _details(usage: Mapping[str, object], key: str) -> Mapping[str, object]:
    details = usage.get(key)
    return details if isinstance(details, dict) else {}


def _first(*counts: int | None) -> int | None:
    return next((count for count in counts if count is not None), None)
