"""Choosing by worth: the tier whose answer is worth most beyond what it costs.

    worth = predicted quality * what a good answer is worth - cost, all in nano-USD

A single score with thresholds takes one order of tiers for granted, in which a stronger one is better at
everything. Where tiers are good at different things, each needs a prediction of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from aigateway.config import Reader

from .scorers.linear import LinearScorer
from .scorers.qualities import QualityModels

__all__ = ["Worth", "read_worth"]


@dataclass(frozen=True, slots=True)
class Worth:
    """How the tiers of a pair are chosen."""

    answer_nano_usd: int
    """What an answer of quality 1 is worth more than one of quality 0."""
    models: QualityModels = field(repr=False, compare=False)
    """They predict the quality of each tier, in the order of the tiers."""

    def choose(self, qualities: Sequence[float], costs: Sequence[int]) -> int:
        """Give the index of the tier of most worth, of several the first."""
        worths = [
            quality * self.answer_nano_usd - cost for quality, cost in zip(qualities, costs, strict=True)
        ]
        return worths.index(max(worths))


def read_worth(reader: Reader, tiers: Sequence[Reader], priced: Sequence[bool]) -> Worth | None:
    """Read `answer_worth_usd`, and the `quality_model` of each of the *tiers*; None if neither is there.

    *priced* says which tiers have prices.
    """
    given = [tier.value("quality_model") is not None for tier in tiers]
    models = [
        LinearScorer.read(tier.table("quality_model"))
        for tier, has_model in zip(tiers, given, strict=True)
        if has_model
    ]
    if reader.value("answer_worth_usd") is None:
        if models:
            reader.refuse("answer_worth_usd", "US dollars, as tiers have quality models", None)
        return None
    answer_nano_usd = reader.amount_usd("answer_worth_usd", at_least=1)
    if not models:
        reader.refuse("tiers", "a quality model of each, as answers have a worth", None)
        return None
    for tier, has_model, has_prices in zip(tiers, given, priced, strict=True):
        if not has_model:
            tier.refuse("quality_model", "a model, as answers have a worth", None)
        if not has_prices:
            tier.refuse("prices_nano_usd_per_token", "prices, as answers have a worth", None)
        for key in ("threshold", "fraction"):
            if key in tier:
                tier.refuse(key, "nothing, as answers have a worth", tier.value(key))
    if "threshold" in reader:
        reader.refuse("threshold", "nothing, as answers have a worth", reader.value("threshold"))
    return Worth(answer_nano_usd, QualityModels(models))
