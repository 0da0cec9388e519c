"""The strategies there are. A new one is a class, and its line in `STRATEGIES`."""

from collections.abc import Mapping
from typing import Final

from aigateway.catalog import Catalog
from aigateway.config import Reader

from .by_bucket import AB
from .by_case import Classifier, QualityFirst, RuleBased, Tiered
from .by_sample import Bandit
from .by_score import Balanced, CostOptimal, LatencyAware
from .by_turn import LeastRequests, Weighted
from .strategy import Known, Offer, Order, Plan, Scene, Stage, Strategy

__all__ = ["STRATEGIES", "Offer", "Order", "Plan", "Scene", "Stage", "Strategy", "read_strategies"]

STRATEGIES: Final[Mapping[str, type[Strategy]]] = {
    "cost_optimal": CostOptimal,
    "balanced": Balanced,
    "latency_aware": LatencyAware,
    "quality_first": QualityFirst,
    "weighted": Weighted,
    "least_requests": LeastRequests,
    "bandit": Bandit,
    "rule_based": RuleBased,
    "classifier": Classifier,
    "tiered": Tiered,
    # Last: its arms may be any of the others.
    "ab": AB,
}


def read_strategies(reader: Reader, catalog: Catalog) -> Mapping[str, Strategy]:
    """Read the settings of all strategies, one section each."""
    orders = tuple(name for name, kind in STRATEGIES.items() if kind.ranks_by is not None)
    strategies: dict[str, Strategy] = {}
    for name, kind in STRATEGIES.items():
        known = Known(catalog=catalog, orders=orders, strategies=strategies.copy())
        strategies[name] = kind.read(reader.table(name), known)
    return strategies
