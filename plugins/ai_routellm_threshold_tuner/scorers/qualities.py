"""Several linear models that look at a text once: the quality to be expected of each of several answers."""

from array import array
from collections.abc import Sequence
from operator import itemgetter
from typing import Final

from .linear import LinearScorer, features
from .ngrams import BUCKETS

__all__ = ["QualityModels"]

_FIELD_BYTES: Final = 4
"""Of a sum of weights: at most 1,022 buckets of 255 each."""


class QualityModels:
    """Predicts the qualities of answers, 0 to 1, each with all the digits that its model has when alone.

    The weights of all models in a bucket are one whole number, with 32 bits for each. So looking them up and
    adding them takes little longer for nine models than for one.
    """

    __slots__ = ("_models", "_packed")

    def __init__(self, models: Sequence[LinearScorer]) -> None:
        self._models = tuple(models)
        buckets = max(len(model.weights) for model in models)
        columns = [model.weights * (buckets // len(model.weights)) for model in models]
        # What is no power of two is refused by whoever has read the models.
        rows = [array("I", row) for row in zip(*columns, strict=False)]
        packed = [int.from_bytes(row.tobytes(), "little") for row in rows]
        self._packed = packed * (BUCKETS // len(packed))

    def of(self, text: str) -> tuple[float, ...]:
        """Predict the quality of each model's answer to a prompt."""
        numbers, measures = features(text)
        total = sum(itemgetter(*numbers, 0, 0)(self._packed)) - 2 * self._packed[0]
        totals = memoryview(total.to_bytes(_FIELD_BYTES * len(self._models), "little")).cast("I")
        return tuple(
            [
                model.score_of(model.raw_of(each, len(numbers), measures))
                for model, each in zip(self._models, totals, strict=True)
            ]
        )
