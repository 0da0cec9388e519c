"""Many requests through the gateway: every answer checked, and Envoy's memory watched.

Run it as ``python tests/bench/gateway_load.py``. It exits with 1 when an answer is wrong, a VM dies, or the
memory still grows after the first 10,000 requests.
"""

import argparse
import json
import sys
from pathlib import Path

from nexus.measuring import Soak, soak

_MODULE = Path(__file__).parents[2] / "build" / "ai-nexus.wasm"
_MEGABYTE = 1_000_000


def problems_of(found: Soak, requests: int) -> list[str]:
    """Return what is not as it should be."""
    problems = [f"{count} times {what}" for what, count in found.load.errors.items()]
    if found.answered != requests:
        problems.append(f"the provider has seen {found.answered} requests")
    if not found.is_flat:
        problems.append(f"memory has grown by {found.growth:.1%} since it settled")
    return problems + found.crashes


def report(found: Soak) -> str:
    """Return the figures for people."""
    load, settled = found.load, found.settled
    sizes = f"{settled[0] / _MEGABYTE:.1f} MB once settled, {settled[-1] / _MEGABYTE:.1f} MB at the end"
    return "\n".join(
        [
            f"answers   {load.completed} right, {sum(load.errors.values())} wrong",
            f"rate      {load.requests_per_s:.0f} requests/s",
            f"latency   p50 {load.percentile_ms(50):.2f} ms, p99 {load.percentile_ms(99):.2f} ms",
            f"memory    {sizes}, highest {max(settled) / _MEGABYTE:.1f} MB: {found.growth:+.2%}",
        ]
    )


def as_json(found: Soak) -> dict[str, object]:
    """Return the figures for programs."""
    return {
        "completed": found.load.completed,
        "errors": dict(found.load.errors),
        "answered": found.answered,
        "requests_per_s": found.load.requests_per_s,
        "p50_ms": found.load.percentile_ms(50),
        "p99_ms": found.load.percentile_ms(99),
        "memory_bytes": found.memory,
        "memory_growth": found.growth,
        "memory_is_flat": found.is_flat,
        "crashes": found.crashes,
    }


def main() -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--module", type=Path, default=_MODULE, help="(default: build/ai-nexus.wasm)")
    parser.add_argument("--requests", type=int, default=100_000, help="(default: %(default)s)")
    parser.add_argument("--connections", type=int, default=16, help="(default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="of Envoy (default: %(default)s)")
    parser.add_argument("--stream", action="store_true", help="ask for streamed answers")
    parser.add_argument("--json", action="store_true", help="write JSON instead of text")
    options = parser.parse_args()

    def progress(finished: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{finished} of {options.requests}", end="", file=sys.stderr, flush=True)

    found = soak(
        {"ai-nexus-classifier": {}},
        module=options.module,
        requests=options.requests,
        connections=options.connections,
        workers=options.workers,
        stream=options.stream,
        on_progress=progress,
    )
    if sys.stderr.isatty():
        print(file=sys.stderr)
    print(json.dumps(as_json(found), indent=2) if options.json else report(found))
    problems = problems_of(found, options.requests)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
