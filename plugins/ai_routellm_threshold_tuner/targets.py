"""Targets: what the thresholds are there to hold, a share of requests or an amount of money."""

from dataclasses import dataclass

from .tuning import Goal

__all__ = ["CostTarget", "FractionTarget", "SavingTarget", "Target"]


@dataclass(frozen=True, slots=True)
class FractionTarget:
    """These shares of the requests go to the tiers, strongest first; the rest goes to the last tier."""

    fractions: tuple[float, ...]

    def goals(self, costs: tuple[int, ...] | None, mean_costs: tuple[float, float]) -> tuple[Goal, ...]:
        """Give the goal of each boundary; a boundary is passed by its own tier and all stronger ones."""
        share, goals = 0.0, []
        for fraction in self.fractions:
            share = min(1.0, share + fraction)
            goals.append(Goal.of_share(share))
        return tuple(goals)


@dataclass(frozen=True, slots=True)
class CostTarget:
    """A request may cost so much on average; as many go to the strong one of two tiers as that pays for."""

    nano_usd: int

    def goals(self, costs: tuple[int, ...] | None, mean_costs: tuple[float, float]) -> tuple[Goal, ...]:
        """Give the goal of the one boundary, for a request that would cost *costs* in the two tiers."""
        strong, weak = _known(costs)
        return _goal_of_money(float(self.nano_usd), float(self.nano_usd), strong, weak, mean_costs)


@dataclass(frozen=True, slots=True)
class SavingTarget:
    """So much is saved of what it would cost to send everything to the strong one of two tiers."""

    fraction: float

    def goals(self, costs: tuple[int, ...] | None, mean_costs: tuple[float, float]) -> tuple[Goal, ...]:
        """Give the goal of the one boundary, for a request that would cost *costs* in the two tiers."""
        strong, weak = _known(costs)
        left = 1 - self.fraction
        return _goal_of_money(left * strong, left * mean_costs[0], strong, weak, mean_costs)


Target = FractionTarget | CostTarget | SavingTarget


def _known(costs: tuple[int, ...] | None) -> tuple[int, int]:
    if costs is None:
        raise ValueError("a target of money needs the costs of both tiers")
    return costs[0], costs[-1]


def _goal_of_money(
    allowed: float, mean_allowed: float, strong: int, weak: int, mean_costs: tuple[float, float]
) -> tuple[Goal, ...]:
    """Make a goal of what this request, and requests on average, may cost."""
    mean_strong, mean_weak = mean_costs
    # One nano-USD at least: where passing costs nothing more, any number of requests may pass.
    extra = max(1.0, mean_strong - mean_weak)
    share = max(0.0, min(1.0, (mean_allowed - mean_weak) / extra))
    return (Goal(share, (allowed - strong) / extra, (allowed - weak) / extra),)
