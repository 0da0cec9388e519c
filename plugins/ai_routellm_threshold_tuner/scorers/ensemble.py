"""Several scorers as one."""

from dataclasses import dataclass

from ..prompt import Prompt
from .scorer import Scorer

__all__ = ["Ensemble"]


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Scores requests as the weighted mean of other scorers."""

    parts: tuple[tuple[Scorer, float], ...]
    """Scorers and weights; the weights add up to something above 0."""

    def reads_text(self, prompt: Prompt) -> bool:
        """Say whether some part needs the text."""
        return any(scorer.reads_text(prompt) for scorer, _ in self.parts)

    def score(self, prompt: Prompt) -> float:
        """Score a request from 0 to 1."""
        total = weights = 0.0
        for scorer, weight in self.parts:
            total += weight * scorer.score(prompt)
            weights += weight
        return total / weights
