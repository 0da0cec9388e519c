"""Calibrations: which threshold gave which share of strong requests, measured offline.

    calibration:
      scorer: linear
      points:
        - {strong_fraction: 0.2, threshold: 0.6314, quality: 0.781}
        - {strong_fraction: 0.5, threshold: 0.5572, quality: 0.812}

The laboratory writes them, from prompts or from the log of one's own traffic. A threshold is the quantile of
scores at 1 - strong_fraction, as RouteLLM's `calibrate_threshold` has it.
"""

from dataclasses import dataclass

from aigateway.config import Reader

from .estimates import interpolated

__all__ = ["Calibration"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Thresholds by share, and qualities by share if they are known."""

    scorer: str
    thresholds: tuple[tuple[float, float], ...]
    """Pairs of share and threshold; shares rise, thresholds do not."""
    qualities: tuple[tuple[float, float], ...] = ()
    """Pairs of share and quality."""

    def threshold(self, strong_fraction: float) -> float:
        """Give the threshold for a share, interpolated between the two nearest."""
        return interpolated(self.thresholds, strong_fraction)

    def quality(self, strong_fraction: float) -> float | None:
        """Estimate the quality of all answers together at a share."""
        return interpolated(self.qualities, strong_fraction) if self.qualities else None

    @classmethod
    def read(cls, reader: Reader) -> "Calibration | None":
        """Read a calibration; None if there is none."""
        scorer = reader.string("scorer", "")
        thresholds: list[tuple[float, float]] = []
        qualities: list[tuple[float, float]] = []
        for point in reader.tables("points"):
            share = point.number("strong_fraction", -1.0, at_least=0, at_most=1)
            threshold = point.number("threshold", 0.0, at_least=0, at_most=1)
            quality = point.number("quality", -1.0, at_least=0, at_most=1)
            if share < 0:
                point.refuse("strong_fraction", "a number from 0 to 1", None)
            elif thresholds and share <= thresholds[-1][0]:
                point.refuse(
                    "strong_fraction", f"more than {thresholds[-1][0]}, that of the point before", share
                )
            elif thresholds and threshold > thresholds[-1][1]:
                point.refuse("threshold", f"at most {thresholds[-1][1]}, that of the point before", threshold)
            thresholds.append((share, threshold))
            if quality >= 0:
                qualities.append((share, quality))
        if not thresholds:
            return None
        return cls(scorer=scorer, thresholds=tuple(thresholds), qualities=tuple(qualities))
