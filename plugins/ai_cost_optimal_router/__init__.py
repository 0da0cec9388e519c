"""Which model answers a request: the cheapest that is good enough, or the best by another strategy.

    >>> from ai_cost_optimal_router import Config, Knowledge, Router, Situation
    >>> router = Router(Config())
    >>> choice = router.choose(Situation(prompt_tokens=1_200, domain="medical"), Knowledge(), lambda: 0.5)
    >>> choice.model.name, choice.reason
    ('claude-sonnet', 'cost_optimal: claude-sonnet cheapest of 2; excluded domain: 4, latency: 1')

Importing this package needs no proxy; `ai_cost_optimal_router.filter` is the adapter that runs inside one.
"""

from .audit import Replayed, replay
from .choice import Choice, RefusedError
from .config import Alias, Config, Policy
from .router import Router
from .situation import Evidence, Knowledge, Situation

__all__ = [
    "Alias",
    "Choice",
    "Config",
    "Evidence",
    "Knowledge",
    "Policy",
    "RefusedError",
    "Replayed",
    "Router",
    "Situation",
    "replay",
]
