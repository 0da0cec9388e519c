"""The router's time per decision where it runs: as WebAssembly in Envoy.

Run it as ``python tests/bench/router_wasm.py``. It exits with 1 when a strategy takes longer with 7 models
than it may, or more longer with 1,000 than it may. Machines are shared, so both are measured in turn several
times, and the fastest of each counts.
"""

import argparse
import sys
from pathlib import Path

import requests

from nexus.testing import running_gateway
from wasmbuild.__main__ import main as wasmbuild

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[1]
LIMIT_MS = 0.1
"""What a decision with 7 models may take."""
LIMIT_RATIO = 1.2
"""How much longer it may be with 1,000."""


def measure(rounds: int) -> dict[str, list[float]]:
    """Return the fastest milliseconds per decision of each strategy, with 7 and with 1,000 models."""
    module = _ROOT / "build" / "tests" / "router-probe.wasm"
    parts = ["ai_cost_optimal_router", *(str(_HERE / f"router_{part}.py") for part in ("catalog", "probe"))]
    if wasmbuild([*parts, "-o", str(module), "--cache", str(_ROOT / "build" / ".wasmbuild")]):
        raise RuntimeError("the module with the probe could not be built")
    best: dict[str, list[float]] = {}
    with running_gateway({"router-probe": {}}, module=module) as gateway:
        for _ in range(rounds):
            answer = requests.get(f"{gateway.base_url}/", headers={"x-probe": "1"}, timeout=60).json()
            for strategy, nanoseconds in answer.items():
                took = [took / 1e6 for took in nanoseconds]
                best[strategy] = list(map(min, took, best.get(strategy, took)))
    return best


def main() -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="(default: %(default)s)")
    held = True
    print(f"      {'milliseconds':<16}{'7':>8}{'1,000':>8}{'ratio':>8}")
    for strategy, (few, many) in measure(parser.parse_args().rounds).items():
        good = few <= LIMIT_MS and many <= few * LIMIT_RATIO
        held = held and good
        print(f"{'ok' if good else 'FAIL':<6}{strategy:<16}{few:>8.3f}{many:>8.3f}{many / few:>8.2f}")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
