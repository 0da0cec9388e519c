"""Finding the texts of a small index that share the rarest words with a prompt."""

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from math import sqrt

from .ngrams import bucket_numbers, hashed, split, window

__all__ = ["SimilarTexts"]

_COMMON_SHARE = 0.5
"""What occurs in a larger share of the texts says nothing about any of them."""
_LEAST_FOR_COMMON = 10
"""Of fewer texts all is kept."""


class SimilarTexts:
    """An index of texts by the buckets of their words, and of pairs of words.

    The similarity of two texts is the cosine of their sets of buckets: what they share, divided by the square
    root of the product of the sizes. Looking up takes time in proportion to what is shared.
    """

    __slots__ = ("_by_bucket", "_sizes")

    def __init__(self, texts: Sequence[str]) -> None:
        sets = [_buckets(text) for text in texts]
        counts = Counter(chain.from_iterable(sets))
        most = len(texts) * _COMMON_SHARE if len(texts) >= _LEAST_FOR_COMMON else len(texts)
        self._by_bucket: dict[int, list[int]] = {}
        self._sizes = [0] * len(texts)
        for number, buckets in enumerate(sets):
            for bucket in sorted(buckets):
                if counts[bucket] <= most:
                    self._by_bucket.setdefault(bucket, []).append(number)
                    self._sizes[number] += 1

    def of(self, text: str) -> list[tuple[int, float]]:
        """Give the numbers of the texts that are similar to *text* at all, with their similarities."""
        known = _buckets(text) & self._by_bucket.keys()
        shared = Counter(chain.from_iterable([self._by_bucket[bucket] for bucket in known]))
        # The order of sets differs from one run to the next, and sums of what comes out must not.
        return [
            (number, count / sqrt(len(known) * self._sizes[number]))
            for number, count in sorted(shared.items())
        ]


def _buckets(text: str) -> set[int]:
    return set(bucket_numbers(*hashed(*split(window(text)))))
