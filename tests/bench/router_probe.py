"""A filter that times the router where it runs, in the proxy.

A request with the header ``x-probe`` is answered with the nanoseconds that a decision takes: for each
strategy, with 7 models and with 1,000, which are timed in turn.
"""

import json
import time
from dataclasses import replace
from random import Random

from router_catalog import catalog_of, knowledge_of, situations

from ai_cost_optimal_router.config import Config
from ai_cost_optimal_router.router import Router, headers
from ai_cost_optimal_router.strategies import STRATEGIES
from proxywasm import CONTINUE, HttpFilter, Outcome, PluginContext, Reply, Request, plugin

SIZES = (7, 1_000)
_REQUESTS = 200
_PART = 10
_ROUNDS = 6


class Bench(PluginContext[object]):
    """The routers, laid out once."""

    def on_configure(self) -> None:
        """Lay out both catalogs."""
        catalogs = {size: catalog_of(size) for size in SIZES}
        self.routers = {size: Router(Config(catalog=catalog)) for size, catalog in catalogs.items()}
        self.news = {size: knowledge_of(catalog) for size, catalog in catalogs.items()}
        self.requests = situations(_REQUESTS)


@plugin("router-probe", config=lambda value: value, context=Bench)
class RouterProbe(HttpFilter[object]):
    """Answers `{strategy: [ns with 7, ns with 1,000]}`: the mean of a decision with its headers."""

    plugin: Bench

    def on_request_headers(self, request: Request) -> Outcome:
        """Time each strategy."""
        if "x-probe" not in request.headers:
            return CONTINUE
        answer = {strategy: self._time(strategy) for strategy in STRATEGIES}
        return Reply(200, json.dumps(answer).encode(), headers={"content-type": "application/json"})

    def _time(self, strategy: str) -> list[float]:
        """Time both catalogs in turn, a few requests at a time, of which the fastest round counts."""
        best: dict[tuple[int, int], int] = {}
        draw = Random(3).random
        for _ in range(_ROUNDS):
            for first in range(0, _REQUESTS, _PART):
                part = self.plugin.requests[first : first + _PART]
                requests = [replace(situation, strategy=strategy) for situation in part]
                for size in SIZES:
                    choose, knowledge = self.plugin.routers[size].choose, self.plugin.news[size]
                    start = time.perf_counter_ns()
                    for situation in requests:
                        headers(choose(situation, knowledge, draw))
                    took = time.perf_counter_ns() - start
                    best[size, first] = min(took, best.get((size, first), took))
        return [
            sum(took for (size, _), took in best.items() if size == wanted) / _REQUESTS for wanted in SIZES
        ]
