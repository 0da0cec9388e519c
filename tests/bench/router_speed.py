"""Time the router's decisions in plain Python, with 7 models and with 1,000.

    python tests/bench/router_speed.py

A decision is what a request costs beyond reading it: choosing, and writing the headers. Both catalogs are
timed in turn in one run, so that the ratio means something on a machine that others use too. The time of the
first decisions, which fill the memory of shortlists, is given apart. What counts in a gateway is the time
as WebAssembly, which `router_wasm.py` measures.
"""

import sys
import time
from dataclasses import replace
from random import Random

from router_catalog import catalog_of, knowledge_of, situations

from ai_cost_optimal_router import Config, Router
from ai_cost_optimal_router.router import headers
from ai_cost_optimal_router.strategies import STRATEGIES

SIZES = (7, 1_000)
_ROUNDS = 7
_REQUESTS = 400


def main() -> int:
    """Print the table."""
    routers, news = {}, {}
    for size in SIZES:
        catalog = catalog_of(size)
        start = time.process_time()
        routers[size] = Router(Config(catalog=catalog))
        took_ms = (time.process_time() - start) * 1e3
        news[size] = knowledge_of(catalog)
        print(f"{size:>5,} models laid out in {took_ms:.1f} ms")
    print(
        f"{'microseconds':<16}" + "".join(f"{f'{size:,}':>10}{'first':>9}" for size in SIZES) + "     ratio"
    )
    for strategy in STRATEGIES:
        requests = [replace(situation, strategy=strategy) for situation in situations(_REQUESTS)]
        best: dict[int, float] = {}
        first: dict[int, float] = {}
        for _ in range(_ROUNDS):
            for size in SIZES:
                choose, knowledge, draw = routers[size].choose, news[size], Random(3).random
                start = time.process_time()
                for situation in requests:
                    headers(choose(situation, knowledge, draw))
                took = (time.process_time() - start) / _REQUESTS * 1e6
                first.setdefault(size, took)
                best[size] = min(took, best.get(size, took))
        row = "".join(f"{best[size]:>10.1f}{first[size]:>9.1f}" for size in SIZES)
        print(f"{strategy:<16}{row}{best[SIZES[1]] / best[SIZES[0]]:>10.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
