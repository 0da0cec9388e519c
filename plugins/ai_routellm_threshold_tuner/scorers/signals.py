"""Scores that others have computed, and left in a header."""

from dataclasses import dataclass, field

from ..prompt import Prompt
from .words import WordCount

__all__ = ["Complexity", "HeaderScore", "share_in"]


def share_in(text: str | None) -> float | None:
    """Read a number from 0 to 1; None for anything else."""
    try:
        value = float(text) if text is not None and len(text) <= 40 else -1.0
    except ValueError:
        return None
    return value if 0 <= value <= 1 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Complexity:
    """The complexity that the classifier has found; where there is none, the number of words."""

    words: WordCount = field(default_factory=WordCount)

    def reads_text(self, prompt: Prompt) -> bool:
        """Say whether the text is needed for this request."""
        return prompt.complexity is None

    def score(self, prompt: Prompt) -> float:
        """Score a prompt from 0 to 1."""
        return self.words.score(prompt.text or "") if prompt.complexity is None else prompt.complexity


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderScore:
    """The number in a request header, from a service or plugin before this one."""

    header: str
    missing: float = 0.5
    """The score where there is no header, or no number from 0 to 1 in it."""

    def reads_text(self, prompt: Prompt) -> bool:
        """Say whether the text is needed for this request."""
        return False

    def score(self, prompt: Prompt) -> float:
        """Score a prompt from 0 to 1."""
        value = share_in(prompt.headers.get(self.header))
        return self.missing if value is None else value
