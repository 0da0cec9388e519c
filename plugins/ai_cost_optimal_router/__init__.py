"""Which model answers a request: the cheapest that is good enough, or the best by another strategy.

Importing this package needs no proxy; `ai_cost_optimal_router.filter` is the adapter that runs inside one.
"""

from .choice import Choice, RefusedError
from .config import Config
from .router import Router
from .situation import Evidence, Knowledge, Situation

__all__ = ["Choice", "Config", "Evidence", "Knowledge", "RefusedError", "Router", "Situation"]
