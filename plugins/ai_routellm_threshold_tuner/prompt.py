"""What a scorer is given of a request."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from aigateway.chat import Role, Turn

__all__ = ["Prompt", "PromptScope", "text_in_scope"]

PromptScope = Literal["last_user", "all_user", "conversation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A request, as far as it is known."""

    text: str | None = None
    """What is asked; None while nobody has read it."""
    complexity: float | None = None
    """What an earlier plugin says of its difficulty, 0 to 1."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """The request headers that scorers have asked for, by their names in lower case."""


def text_in_scope(turns: tuple[Turn, ...], scope: PromptScope) -> str:
    """Give the text that is scored: the last turn of the user, all the user's turns, or every turn."""
    if scope == "conversation":
        return "\n".join([turn.text for turn in turns])
    said = [turn.text for turn in turns if turn.role is Role.USER]
    return "\n".join(said if scope == "all_user" else said[-1:])
