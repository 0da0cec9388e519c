"""Time the router's decisions in plain Python, with 7 models and with 1,000.

    python tests/bench/router_speed.py

A decision is what a request costs beyond reading it: choosing, and writing the headers. Both catalogs are
timed in turn in one run, so that the ratio means something on a machine that others use too. Below are the
cases that the shortlists do not help: the first decisions of all, requests that few models are cheap enough
for, and news of latencies and lengths that come all the time. What counts in a gateway is the time as
WebAssembly, which `router_wasm.py` measures.
"""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

from router_catalog import catalog_of, knowledge_of, situations

from ai_cost_optimal_router import Config, Knowledge, Router, Situation
from ai_cost_optimal_router.router import headers
from ai_cost_optimal_router.strategies import STRATEGIES
from aigateway.health import LatencyStats

SIZES = (7, 1_000)
_ROUNDS = 7
_REQUESTS = 400
_NEWS_AFTER = 50
"""Decisions after which there is news: a second at 50 requests a second."""


def microseconds(router: Router, requests: Sequence[Situation], news: Callable[[int], Knowledge]) -> float:
    """Time a decision, in CPU time of this process, which other processes disturb least."""
    choose, draw = router.choose, Random(3).random
    start = time.process_time()
    for number, situation in enumerate(requests):
        headers(choose(situation, news(number), draw))
    return (time.process_time() - start) / len(requests) * 1e6


def main() -> int:
    """Print the tables."""
    routers, known = {}, {}
    for size in SIZES:
        catalog = catalog_of(size)
        start = time.process_time()
        routers[size] = Router(Config(catalog=catalog))
        took_ms = (time.process_time() - start) * 1e3
        known[size] = knowledge_of(catalog)
        print(f"{size:>5,} models laid out in {took_ms:.1f} ms")
    print(f"\n{'microseconds':<44}" + "".join(f"{size:>10,}" for size in SIZES) + "     ratio")
    for strategy in STRATEGIES:
        best: dict[int, float] = {}
        requests = [replace(situation, strategy=strategy) for situation in situations(_REQUESTS)]
        for _ in range(_ROUNDS):
            for size in SIZES:
                took = microseconds(routers[size], requests, lambda _, size=size: known[size])  # type: ignore[misc]
                best[size] = min(took, best.get(size, took))
        print_row(strategy, best)
    print()
    for strategy in ("cost_optimal", "balanced"):
        requests = [replace(situation, strategy=strategy) for situation in situations(_REQUESTS)]
        poor = [replace(situation, budget_nano_usd=200_000_000) for situation in requests]
        cases: dict[str, dict[int, float]] = {}
        for size in SIZES:
            now = known[size]
            router = Router(Config(catalog=catalog_of(size)))
            first = microseconds(router, requests, lambda _, now=now: now)  # type: ignore[misc]
            budget = microseconds(router, poor, lambda _, now=now: now)  # type: ignore[misc]
            latencies = microseconds(router, requests, moving_latencies(now))
            lengths = microseconds(router, requests, moving_lengths(now))
            for name, took in (
                (f"first {_REQUESTS}", first),
                ("budget of 20 cents", budget),
                (f"latencies move after {_NEWS_AFTER}", latencies),
                (f"lengths move after {_NEWS_AFTER}", lengths),
            ):
                cases.setdefault(name, {})[size] = took
        for name, by_size in cases.items():
            print_row(f"{strategy}, {name}", by_size)
    return 0


def moving_latencies(known: Knowledge) -> Callable[[int], Knowledge]:
    """Change all latencies by up to a tenth after every few decisions."""
    random = Random(4)

    def moved() -> dict[str, LatencyStats]:
        return {
            name: replace(stats, p95_ms=stats.p95_ms * random.uniform(0.9, 1.1))
            for name, stats in known.latency.items()
        }

    return in_turn([replace(known, latency=moved()) for _ in range(_REQUESTS // _NEWS_AFTER)])


def moving_lengths(known: Knowledge) -> Callable[[int], Knowledge]:
    """Change the length of answers of one model in a hundred after every few decisions."""
    random = Random(4)

    def moved() -> dict[str, dict[str, float]]:
        return {
            domain: {key: tokens * (1.2 if random.random() < 0.01 else 1) for key, tokens in means.items()}
            for domain, means in known.expected_output.items()
        }

    return in_turn([replace(known, expected_output=moved()) for _ in range(_REQUESTS // _NEWS_AFTER)])


def in_turn(versions: Sequence[Knowledge]) -> Callable[[int], Knowledge]:
    """Hand one version out for a few decisions, then the next."""
    return lambda number: versions[number // _NEWS_AFTER]


def print_row(name: str, took: dict[int, float]) -> None:
    """Print the figures of one case."""
    few, many = (took[size] for size in SIZES)
    print(f"{name:<44}{few:>10.1f}{many:>10.1f}{many / few:>10.2f}")


if __name__ == "__main__":
    sys.exit(main())
