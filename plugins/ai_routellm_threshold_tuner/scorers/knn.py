"""A scorer that asks the nearest of a few hundred known prompts."""

from dataclasses import dataclass, field
from functools import cached_property

from aigateway.config import Reader

from .similarity import SimilarTexts

__all__ = ["NearestPrompts"]

LARGEST_INDEX = 2_000
"""Examples; a prompt is compared with all that share a word with it."""


@dataclass(frozen=True, kw_only=True)
class NearestPrompts:
    """Scores a prompt as the mean win rate of the *neighbours* nearest ones, weighted by similarity."""

    examples: tuple[str, ...] = field(repr=False)
    win_rates: tuple[float, ...] = field(repr=False)
    """How often the strong model did better on each."""
    neighbours: int = 10
    prior: float = 0.5
    """The score of a prompt that is like no example."""
    prior_weight: float = 0.2
    """How much similarity the prior is worth: a single far neighbour should not decide alone."""

    @cached_property
    def _index(self) -> SimilarTexts:
        return SimilarTexts(self.examples)

    def prepare(self) -> None:
        """Build the index now, not when the first request comes."""
        _ = self._index

    def score(self, text: str) -> float:
        """Score a prompt from 0 to 1."""
        found = sorted(self._index.of(text), key=lambda pair: (-pair[1], pair[0]))[: self.neighbours]
        total, weights = self.prior * self.prior_weight, self.prior_weight
        for number, similarity in found:
            total += similarity * self.win_rates[number]
            weights += similarity
        return total / weights if weights else self.prior

    @classmethod
    def read(cls, reader: Reader) -> "NearestPrompts":
        """Read the index: examples of `text` and `win_rate`."""
        texts: list[str] = []
        rates: list[float] = []
        entries = reader.tables("examples")
        if not 0 < len(entries) <= LARGEST_INDEX:
            reader.refuse("examples", f"a list of 1 to {LARGEST_INDEX} objects", len(entries))
        for entry in entries:
            texts.append(_required(entry, "text"))
            rate = entry.number("win_rate", -1.0, at_least=0, at_most=1)
            if rate < 0:
                entry.refuse("win_rate", "a number from 0 to 1", None)
            rates.append(rate)
        return cls(
            examples=tuple(texts),
            win_rates=tuple(rates),
            neighbours=reader.integer("neighbours", 10, at_least=1, at_most=100),
            prior=reader.number("prior", 0.5, at_least=0, at_most=1),
            prior_weight=reader.number("prior_weight", 0.2, at_least=0),
        )


def _required(entry: Reader, key: str) -> str:
    value = entry.string(key, "")
    if not value:
        entry.refuse(key, "a non-empty string", None)
    return value
