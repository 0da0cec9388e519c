"""What a worker has estimated since it last said so: money spent and quality to be expected."""

from dataclasses import dataclass
from typing import Final

from .verdicts import Verdict

__all__ = ["MILLION", "Account"]

MILLION: Final = 1_000_000


@dataclass(slots=True)
class Account:
    """The sums of one pair of models, over requests."""

    cost_nano_usd: int = 0
    strong_cost_nano_usd: int = 0
    """What it would have cost to send everything to the strongest tier."""
    quality_ppm: int = 0
    """Qualities in millionths."""
    judged: int = 0
    """Requests in that sum."""

    def add(self, verdict: Verdict) -> None:
        """Put down one more request."""
        costs, pair = verdict.request.costs, verdict.request.pair
        if costs is not None:
            self.cost_nano_usd += costs[pair.tiers.index(verdict.tier)]
            self.strong_cost_nano_usd += costs[0]
        quality = verdict.quality
        if quality is not None:
            self.quality_ppm += round(quality * MILLION)
            self.judged += 1
