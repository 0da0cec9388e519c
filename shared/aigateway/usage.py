"""How many tokens a model was given and gave, whichever API it answered through."""

from dataclasses import dataclass

__all__ = ["Usage"]


@dataclass(frozen=True, slots=True)
class Usage:
    """The tokens of one answer, counted alike for all providers."""

    input_tokens: int
    """Everything the model was given, with what came from a cache and what was written into one."""
    output_tokens: int
    """Everything it gave, reasoning included."""
    cached_input_tokens: int = 0
    """Of the input, what was read from a cache."""
    cache_write_tokens: int = 0
    """Of the input, what was written into a cache."""
    reasoning_tokens: int = 0
    """Of the output, what was thought and not said."""
