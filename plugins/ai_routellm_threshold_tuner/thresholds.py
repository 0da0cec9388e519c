"""Where the thresholds of a pair come from, and how that is configured."""

import hashlib
from dataclasses import dataclass, field
from typing import Final, Literal

from aigateway.config import Reader

from .calibration import Calibration
from .targets import CostTarget, FractionTarget, SavingTarget, Target
from .tiers import ConfiguredPair, Pair
from .tuning import TuningLimits

__all__ = ["Mode", "Scope", "Threshold", "ThresholdBlock"]

Mode = Literal["fixed", "online", "frozen", "shadow"]
Scope = Literal["route", "route_and_domain", "everything"]

_TARGET_BYTES: Final = 4
_DEFAULT_FRACTION: Final = 0.3
_ABSENT: Final = -1.0
"""Stands for a number that is not given; none may be negative."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """Where the thresholds of a pair come from."""

    mode: Mode
    """`fixed`: they are given. `online`: they follow the traffic. `frozen`: they stay where they are.
    `shadow`: the given ones decide, and what the others would decide is only counted."""
    given: tuple[float, ...] = ()
    """Thresholds, strongest tier first: those of `fixed` and `shadow`, and where `online` begins."""
    target: Target
    """What is held online."""
    scope: Scope
    """Whose requests share a threshold."""
    limits: TuningLimits = field(default_factory=TuningLimits)
    calibration: Calibration | None = None

    @property
    def fingerprint(self) -> bytes:
        """Four bytes that change with the target."""
        return hashlib.sha256(repr(self.target).encode()).digest()[:_TARGET_BYTES]


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdBlock:
    """The object `threshold`, before it is known for which tiers it is."""

    reader: Reader
    mode: Mode
    value: float
    fraction: float
    cost_nano_usd: int
    saving: float
    scope: Scope
    limits: TuningLimits
    calibration: Calibration | None

    @classmethod
    def read(cls, reader: Reader) -> "ThresholdBlock":
        """Read the object."""
        limits = TuningLimits()
        block = cls(
            reader=reader,
            mode=reader.choice("mode", "online", among=("fixed", "online", "frozen", "shadow")),
            value=reader.number("value", _ABSENT, at_least=0, at_most=1),
            fraction=reader.number("target_strong_fraction", _ABSENT, at_least=0, at_most=1),
            cost_nano_usd=reader.amount_usd("target_cost_per_request_usd", -1),
            saving=reader.number("target_saving", _ABSENT, at_least=0, at_most=1),
            scope=reader.choice("scope", "route", among=("route", "route_and_domain", "everything")),
            limits=TuningLimits(
                window_requests=reader.integer(
                    "window_requests", limits.window_requests, at_least=64, at_most=8192
                ),
                min_samples=reader.integer("min_samples", limits.min_samples, at_least=1, at_most=8192),
                gain=reader.number("gain", limits.gain, at_least=0.001, at_most=0.2),
                max_step=reader.number("max_step", limits.max_step, above=0, at_most=1),
            ),
            calibration=Calibration.read(reader.table("calibration")),
        )
        if block.limits.min_samples > block.limits.window_requests:
            reader.refuse(
                "min_samples",
                f"at most {block.limits.window_requests}, as the window has",
                block.limits.min_samples,
            )
        targets = (block.fraction >= 0, block.cost_nano_usd >= 0, block.saving >= 0)
        if sum(targets) > 1:
            reader.refuse("target_strong_fraction", "to be the only target", sum(targets))
        return block

    def threshold_of(self, tiers: ConfiguredPair, scorer: str) -> Threshold:
        """Make the threshold of a pair that has this *scorer*; where worth decides, only names have one."""
        if tiers.pair.worth is not None:
            return Threshold(
                mode="fixed", target=FractionTarget((0.0,) * tiers.pair.boundaries), scope=self.scope
            )
        calibration = self.calibration
        if calibration is not None and calibration.scorer not in ("", scorer):
            self.reader.refuse(
                "calibration.scorer", f"{scorer!r}, the scorer of the pair", calibration.scorer
            )
        target = self._target(tiers)
        given = tiers.thresholds or self._given(tiers.pair, target)
        if self.mode in ("fixed", "shadow") and not given:
            self.reader.refuse(
                "value", f"a threshold, or thresholds of all tiers, for the mode {self.mode!r}", None
            )
        return Threshold(
            mode=self.mode,
            given=given,
            target=target,
            scope=self.scope,
            limits=self.limits,
            calibration=calibration,
        )

    def _given(self, pair: Pair, target: Target) -> tuple[float, ...]:
        """Give the thresholds that are configured or calibrated; none if neither is so."""
        if self.value >= 0:
            if pair.boundaries > 1:
                self.reader.refuse("value", "a threshold for each tier of the pair, in `tiers`", self.value)
                return ()
            return (self.value,)
        if self.calibration is None or not isinstance(target, FractionTarget):
            return ()
        shares = [goal.share for goal in target.goals(None, (0.0, 0.0))]
        return tuple([self.calibration.threshold(share) for share in shares])

    def _target(self, tiers: ConfiguredPair) -> Target:
        """Give what is held."""
        if tiers.fractions:
            if self.fraction >= 0 or self.cost_nano_usd >= 0 or self.saving >= 0:
                self.reader.refuse(
                    "target_strong_fraction", "nothing, for the tiers have fractions", "a target"
                )
            return FractionTarget(tiers.fractions)
        if tiers.pair.boundaries > 1:
            if self.mode != "fixed":
                tiers.reader.refuse("tiers", "a fraction of each tier but the last", None)
            return FractionTarget((0.0,) * tiers.pair.boundaries)
        if self.cost_nano_usd < 0 and self.saving < 0:
            return FractionTarget((self.fraction if self.fraction >= 0 else _DEFAULT_FRACTION,))
        strong, weak = (tier.prices for tier in tiers.pair.tiers)
        if strong is None or weak is None:
            tiers.reader.refuse("tiers", "prices of both, to hold an amount of money", None)
        elif (strong.input, strong.output) <= (weak.input, weak.output):
            tiers.reader.refuse("tiers", "a strong tier that costs more than the weak one", "another")
        return CostTarget(self.cost_nano_usd) if self.cost_nano_usd >= 0 else SavingTarget(self.saving)
