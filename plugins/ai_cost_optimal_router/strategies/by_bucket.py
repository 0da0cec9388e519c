"""The strategy that compares others: each caller, or each request, belongs to one arm for good."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Literal

from aigateway.config import Reader

from .by_case import Rule
from .by_score import Balanced, CostOptimal
from .strategy import Known, Plan, Scene, Strategy

__all__ = ["AB", "Arm"]

_GREATEST_WEIGHT: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Arm:
    """One side of a comparison."""

    name: str
    weight: int
    chooser: Strategy | Rule
    """A whole strategy, or models that this arm prefers."""


@dataclass(frozen=True, slots=True)
class AB(Strategy):
    """Arms in stable buckets: the same caller is always in the same arm.

    A bucket is the place of `sha256(salt/key)` between 0 and 1, and the arms share that out by weight, in
    their order. So nothing need be remembered, all workers and gateways agree, and of a changed weight only
    those notice who are between the old border and the new one.
    """

    arms: tuple[Arm, ...] = (Arm("a", 1, CostOptimal()), Arm("b", 1, Balanced()))
    by: Literal["consumer", "request"] = "consumer"
    """What is put into buckets; requests of nobody in particular go by their id."""
    salt: str = "ab"
    """Another salt makes other buckets, for a comparison that does not depend on an earlier one."""

    @classmethod
    def read(cls, section: Reader, known: Known) -> "AB":
        """Read the arms."""
        default = cls()
        given = section.tables("arms")
        arms = tuple(_read_arm(table, known) for table in given)
        if arms and not any(arm.weight for arm in arms):
            section.refuse("arms", "an arm with a weight above 0", 0)
        names = [arm.name for arm in arms]
        for index, name in enumerate(names):
            if name in names[:index]:
                section.refuse(f"arms[{index}].name", "a name of its own", name)
        return cls(
            arms or default.arms,
            section.choice("by", default.by, among=("consumer", "request")),
            section.string("salt", default.salt),
        )

    def plan(self, scene: Scene) -> Plan:
        """Find the arm, and let it plan."""
        situation = scene.situation
        key = (situation.consumer if self.by == "consumer" else None) or situation.request_id
        place = int.from_bytes(sha256(f"{self.salt}/{key}".encode("utf-8", "replace")).digest()[:8], "big")
        scene.notes["bucket"] = place / 2**64
        at = place * sum(arm.weight for arm in self.arms) >> 64
        for arm in self.arms:
            at -= arm.weight
            if at < 0:
                break
        plan = arm.chooser.plan(scene)
        return Plan(plan.stages, arm.name if isinstance(arm.chooser, Rule) else _joined(arm.name, plan.case))


def _joined(name: str, case: str) -> str:
    return f"{name}/{case}" if case else name


def _read_arm(section: Reader, known: Known) -> Arm:
    name = known.word(section, "name")
    weight = section.integer("weight", 1, at_least=0, at_most=_GREATEST_WEIGHT)
    models = known.patterns(section, "models", ())
    strategy = section.choice("strategy", "", among=tuple(known.strategies))
    if models:
        if strategy and strategy not in known.orders:
            section.refuse("strategy", "a strategy with an order, because `models` are given", strategy)
        return Arm(name, weight, Rule(name=name, models=models, then=strategy or "cost_optimal"))
    if not strategy:
        section.refuse("strategy", "a strategy, or `models`", None)
        return Arm(name, weight, CostOptimal())
    return Arm(name, weight, known.strategies[strategy])
