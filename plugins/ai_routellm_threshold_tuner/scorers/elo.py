"""Ratings fitted anew for each prompt: battles on similar prompts count more.

That is RouteLLM's `sw_ranking`, similarity-weighted ranking (Ong et al., "RouteLLM: Learning to Route LLMs
with Preference Data", section 4.2): with s the similarity of a battle's prompt, a battle weighs
10^(s / largest s), and the strong model's win rate follows from the Bradley-Terry ratings of both. Similarity
comes from hashed words here, where RouteLLM asks a service for embeddings.

The ratings come from the iteration of Hunter ("MM algorithms for generalized Bradley-Terry models", Annals of
Statistics 32, 2004), which adds and divides only, so that they are the same on every machine.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from math import sqrt
from typing import Literal

from aigateway.config import Reader

from .similarity import SimilarTexts

__all__ = ["Battle", "SimilarBattles"]

LARGEST_INDEX = 2_000
LARGEST_FIELD = 10
"""Contestants: an iteration takes time in proportion to the square of their number."""

_ITERATIONS = 20
_ROOTS = 6
_STEPS = 64
"""10^x is taken from a table of 2^6 steps; between two of them it is a straight line, off by 0.02 %."""


def _powers_of_ten() -> list[float]:
    """Give 10^(k / 64) for k from 0 to 64, by square roots, which are exact to the last digit everywhere."""
    roots = [10.0]
    for _ in range(_ROOTS):
        roots.append(sqrt(roots[-1]))
    powers = []
    for step in range(_STEPS):
        power = 1.0
        for bit in range(_ROOTS):
            if step >> bit & 1:
                power *= roots[_ROOTS - bit]
        powers.append(power)
    return [*powers, 10.0]


_POWERS = _powers_of_ten()


def power_of_ten(exponent: float) -> float:
    """Give 10 to the power of an exponent from 0 to 1."""
    position = exponent * _STEPS
    step = min(int(position), _STEPS - 1)
    return _POWERS[step] + (_POWERS[step + 1] - _POWERS[step]) * (position - step)


@dataclass(frozen=True, slots=True)
class Battle:
    """Two contestants answered one prompt."""

    text: str
    first: str
    second: str
    winner: Literal["first", "second", "tie"]


@dataclass(frozen=True, kw_only=True)
class SimilarBattles:
    """Scores a prompt as the win rate of *strong* over *weak*."""

    battles: tuple[Battle, ...] = field(repr=False)
    strong: str = "strong"
    weak: str = "weak"

    @cached_property
    def _index(self) -> SimilarTexts:
        return SimilarTexts([battle.text for battle in self.battles])

    @cached_property
    def _contestants(self) -> dict[str, int]:
        names = {name: None for battle in self.battles for name in (battle.first, battle.second)}
        return {name: number for number, name in enumerate(names)}

    @cached_property
    def _outcomes(self) -> tuple[tuple[int, int, float], ...]:
        """The two contestants of each battle, and what the first one won of it."""
        won = {"first": 1.0, "second": 0.0, "tie": 0.5}
        numbers = self._contestants
        return tuple((numbers[b.first], numbers[b.second], won[b.winner]) for b in self.battles)

    @cached_property
    def _unweighted(self) -> list[list[float]]:
        """What each contestant has won against each other one, all battles weighing 1."""
        size = len(self._contestants)
        wins = [[0.0] * size for _ in range(size)]
        _add(wins, ((outcome, 1.0) for outcome in self._outcomes))
        # One tie of the two that matter, so that neither wins for ever.
        strong, weak = self._contestants[self.strong], self._contestants[self.weak]
        _add(wins, [((strong, weak, 0.5), 1.0)])
        return wins

    def prepare(self) -> None:
        """Build the index now, not when the first request comes."""
        _ = self._index, self._unweighted

    def score(self, text: str) -> float:
        """Score a prompt from 0 to 1."""
        found = self._index.of(text)
        wins = [row[:] for row in self._unweighted]
        if found:
            largest = max(similarity for _, similarity in found)
            extra = ((self._outcomes[n], power_of_ten(s / largest) - 1) for n, s in found)
            _add(wins, extra)
        ratings = _ratings(wins)
        strong, weak = ratings[self._contestants[self.strong]], ratings[self._contestants[self.weak]]
        return strong / (strong + weak)

    @classmethod
    def read(cls, reader: Reader) -> "SimilarBattles":
        """Read the battles: `text`, `first`, `second`, `winner`, and whom the score is about."""
        strong, weak = reader.string("strong", "strong"), reader.string("weak", "weak")
        battles = []
        entries = reader.tables("battles")
        if not 0 < len(entries) <= LARGEST_INDEX:
            reader.refuse("battles", f"a list of 1 to {LARGEST_INDEX} objects", len(entries))
        for entry in entries:
            text = entry.string("text", "")
            if not text:
                entry.refuse("text", "a non-empty string", None)
            first, second = entry.string("first", strong), entry.string("second", weak)
            if first == second:
                entry.refuse("second", "another contestant than the first", second)
            battles.append(
                Battle(text, first, second, entry.choice("winner", "tie", among=("first", "second", "tie")))
            )
        scorer = cls(battles=tuple(battles), strong=strong, weak=weak)
        if battles:
            for key, name in (("strong", strong), ("weak", weak)):
                if name not in scorer._contestants:
                    reader.refuse(key, "the name of a contestant of some battle", name)
            if len(scorer._contestants) > LARGEST_FIELD:
                reader.refuse("battles", f"at most {LARGEST_FIELD} contestants", len(scorer._contestants))
        return scorer


def _add(wins: list[list[float]], weighted: Iterable[tuple[tuple[int, int, float], float]]) -> None:
    for (first, second, won), weight in weighted:
        wins[first][second] += weight * won
        wins[second][first] += weight * (1 - won)


def _ratings(wins: list[list[float]]) -> list[float]:
    """Fit Bradley-Terry ratings to what each has won against each."""
    size = len(wins)
    everyone = range(size)
    won = [_sum(wins[i]) for i in everyone]
    games = [[wins[i][j] + wins[j][i] for j in everyone] for i in everyone]
    ratings = [1.0] * size
    for _ in range(_ITERATIONS):
        fitted = []
        for i in everyone:
            played = 0.0
            for j in everyone:
                if games[i][j]:
                    played += games[i][j] / (ratings[i] + ratings[j])
            # Who has won nothing keeps a little, or a division by nothing would follow.
            fitted.append(max(1e-6, won[i] / played) if played else ratings[i])
        ratings = fitted
    return ratings


def _sum(values: Iterable[float]) -> float:
    """Add from left to right, as `sum` did before Python 3.12: the last digit is the same in each version."""
    total = 0.0
    for value in values:
        total += value
    return total
