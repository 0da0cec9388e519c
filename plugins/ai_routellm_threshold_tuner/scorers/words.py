"""The number of words as a score: more words, harder."""

from dataclasses import dataclass

from .ngrams import split, window

__all__ = ["WordCount"]

_CHARACTERS_PER_WORD = 1.65
"""Modern Chinese prose segments into words of 1.6 to 1.7 characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WordCount:
    """Scores n words as n / (n + half_words)."""

    half_words: float = 100.0
    """How many words have the score 0.5."""

    def score(self, text: str) -> float:
        """Score a text; of a long one the ends are counted, and the rest goes on at the same rate."""
        seen = window(text)
        words, characters = split(seen)
        count = (len(words) + len(characters) / _CHARACTERS_PER_WORD) * len(text) / (len(seen) or 1)
        return count / (count + self.half_words)
