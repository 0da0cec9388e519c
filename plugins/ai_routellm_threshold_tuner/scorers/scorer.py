"""What a scorer is: something that says of a request how likely the strong model is to do better."""

from dataclasses import dataclass
from typing import Protocol

from ..prompt import Prompt

__all__ = ["OfText", "Scorer", "TextModel"]


class Scorer(Protocol):
    """What scores requests."""

    def reads_text(self, prompt: Prompt) -> bool:
        """Say whether the text is needed to score this request."""
        ...

    def score(self, prompt: Prompt) -> float:
        """Score a request from 0 to 1: how likely the strong model is to do better."""
        ...


class TextModel(Protocol):
    """What scores texts."""

    def score(self, text: str) -> float:
        """Score a text from 0 to 1."""
        ...


@dataclass(frozen=True, slots=True)
class OfText:
    """Scores requests by their text alone."""

    model: TextModel

    def reads_text(self, prompt: Prompt) -> bool:
        """Say that the text is needed."""
        return True

    def score(self, prompt: Prompt) -> float:
        """Score a request from 0 to 1."""
        return self.model.score(prompt.text or "")
