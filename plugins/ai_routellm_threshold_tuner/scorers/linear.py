"""A linear scorer: weights for hashed words and pairs of words, in a few kilobytes, and for dense measures.

    raw = bias + (scale * sum of the weights of all buckets) / sqrt(buckets) + sum of dense weight * measure

A bucket that is hit several times counts once: that a word is there says more than how often. Weights of
buckets are whole numbers from -128 to 127 and their sum is exact, in any order; what follows are additions,
multiplications, divisions and square roots in one order. So a score is the same to the last digit on every
machine, in WebAssembly and outside.
"""

import base64
import binascii
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import sqrt
from operator import itemgetter

from aigateway.config import Reader

from .measures import MEASURES, measure
from .ngrams import BUCKETS, bucket_numbers, hashed, split, window

__all__ = ["MEASURES", "LinearScorer", "features"]

VERSION = 1
"""The version of the features. An artifact trained on others would give nonsense, so it is refused."""

_SIGN_OFFSET = 128


def features(text: str) -> tuple[frozenset[int], tuple[float, ...]]:
    """Give what a text is scored by: the numbers of buckets, below 65,536, and the measures.

    A model of fewer buckets takes a number modulo its own, and counts those that then are equal. The measures
    are in the order of `MEASURES`.
    """
    seen = window(text)
    words, characters = split(seen)
    numbers = frozenset(bucket_numbers(*hashed(words, characters)))
    return numbers, measure(seen, words, characters, len(text))


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearScorer:
    """Scores the text of a prompt; made of an artifact that the laboratory trains."""

    scale: float
    """What one unit of a bucket's weight is worth."""
    bias: float
    weights: bytes = field(repr=False)
    """A byte per bucket, a power of two of them: the weight plus 128."""
    dense: tuple[float, ...]
    """A weight per measure."""
    curve: tuple[tuple[float, float], ...] = ()
    """Points (raw, score) with rising raw values: the score between two is interpolated, beyond the ends
    constant. Without points the score is raw, squashed as 1/2 + raw / (2 + 2 |raw|)."""
    _table: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_table", self.weights * (BUCKETS // len(self.weights)))

    def score(self, text: str) -> float:
        """Score a prompt from 0 to 1: how likely the strong model is to do better."""
        return self.score_of(self.raw(text))

    def raw(self, text: str) -> float:
        """Give what the curve is applied to."""
        numbers, measures = features(text)
        # One more number, so that there are always two, and the getter gives a tuple.
        total = sum(itemgetter(*numbers, 0, 0)(self._table)) - 2 * self._table[0]
        return self.raw_of(total, len(numbers), measures)

    def raw_of(self, total: int, count: int, measures: tuple[float, ...]) -> float:
        """Give what the curve is applied to, of the sum of *count* bytes of `weights`, and measures."""
        raw = self.bias
        if count:
            raw += self.scale * (total - _SIGN_OFFSET * count) / sqrt(count)
        for weight, value in zip(self.dense, measures, strict=True):
            raw += weight * value
        return raw

    def score_of(self, raw: float) -> float:
        """Give the score of a raw value."""
        return _interpolated(self.curve, raw) if self.curve else 0.5 + raw / (2 + 2 * abs(raw))

    def to_json(self) -> dict[str, object]:
        """Write the artifact that `read` takes."""
        return {
            "version": VERSION,
            "buckets": len(self.weights),
            "scale": self.scale,
            "bias": self.bias,
            "weights": base64.b64encode(bytes((byte - _SIGN_OFFSET) % 256 for byte in self.weights)).decode(),
            "dense": dict(zip(MEASURES, self.dense, strict=True)),
            "curve": [{"raw": raw, "score": score} for raw, score in self.curve],
        }

    @classmethod
    def read(cls, reader: Reader) -> "LinearScorer":
        """Read an artifact; what is wrong with it is noted in the reader.

        What it says of its training, `trained_on` and `metrics`, is for people.
        """
        for about in ("trained_on", "metrics"):
            reader.value(about)
        version = reader.integer("version", VERSION, at_least=1)
        if version != VERSION:
            reader.refuse("version", f"{VERSION}, the version of these features", version)
        buckets = reader.integer("buckets", 1, at_least=1, at_most=BUCKETS)
        if buckets & (buckets - 1):
            reader.refuse("buckets", "a power of two", buckets)
        dense = reader.table("dense")
        return cls(
            scale=reader.number("scale", 1.0, at_least=0),
            bias=reader.number("bias", 0.0),
            weights=_weights(reader, buckets),
            dense=tuple(dense.number(name, 0.0) for name in MEASURES),
            curve=_curve(reader),
        )

    @classmethod
    def from_json(cls, artifact: Mapping[str, object]) -> "LinearScorer":
        """Read an artifact that stands alone; raises `ConfigError`."""
        reader = Reader(artifact)
        scorer = cls.read(reader)
        reader.finish()
        return scorer


def _weights(reader: Reader, buckets: int) -> bytes:
    """Read a signed byte per bucket, in base64."""
    zeros = bytes([_SIGN_OFFSET])
    text = reader.string("weights", "")
    try:
        signed = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        reader.refuse("weights", "base64 of a byte per bucket", text)
        return zeros
    if not text or len(signed) != buckets:
        reader.refuse("weights", f"{buckets} bytes in base64, one per bucket", f"{len(signed)} bytes")
        return zeros
    return bytes((byte + _SIGN_OFFSET) % 256 for byte in signed)


def _curve(reader: Reader) -> tuple[tuple[float, float], ...]:
    """Read the points of the curve: raw values must rise, and scores must not fall."""
    points: list[tuple[float, float]] = []
    for point in reader.tables("curve"):
        raw = point.number("raw", 0.0)
        score = point.number("score", 0.0, at_least=0, at_most=1)
        if points and raw <= points[-1][0]:
            point.refuse("raw", f"more than {points[-1][0]}, that of the point before", raw)
        elif points and score < points[-1][1]:
            point.refuse("score", f"at least {points[-1][1]}, that of the point before", score)
        points.append((raw, score))
    return tuple(points)


def _interpolated(curve: tuple[tuple[float, float], ...], raw: float) -> float:
    """Give the score of *raw* between its two neighbours on the curve."""
    after = bisect_right(curve, raw, key=itemgetter(0))
    if after == 0:
        return curve[0][1]
    if after == len(curve):
        return curve[-1][1]
    (left, low), (right, high) = curve[after - 1], curve[after]
    return low + (high - low) * (raw - left) / (right - left)
