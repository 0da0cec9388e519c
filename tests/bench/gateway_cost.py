"""What the classifier costs Envoy: a figure for each, beside Envoy without it, from one run.

The two run at the same time, on one worker each, and are measured in turns. Run it as
``python tests/bench/gateway_cost.py``, or with ``make bench``.
"""

import argparse
import json
import sys
from pathlib import Path

from nexus.measuring import Comparison, compare

_MODULE = Path(__file__).parents[2] / "build" / "ai-nexus.wasm"
_MEGABYTE = 1_000_000


def table(found: Comparison) -> str:
    """Return the figures as a table for people."""
    without, with_plugins = found.without, found.with_plugins
    rows = [
        ("", "without", "with", "added"),
        _row("p50 at 1 connection, ms", without.p50_ms, with_plugins.p50_ms, ".3f"),
        _row("p99 at 1 connection, ms", without.p99_ms, with_plugins.p99_ms, ".3f"),
        _row("CPU time per request, ms", without.cpu_ms_per_request, with_plugins.cpu_ms_per_request, ".3f"),
        _row(
            "requests/s that one core takes",
            without.requests_per_core_s,
            with_plugins.requests_per_core_s,
            ".0f",
        ),
        _row("ready after, s", without.envoy.ready_s, with_plugins.envoy.ready_s, ".1f"),
        _row("memory, MB", without.memory_bytes / _MEGABYTE, with_plugins.memory_bytes / _MEGABYTE, ".0f"),
    ]
    lines = [f"{name:<32}{left:>10}{right:>10}{added:>10}" for name, left, right, added in rows]
    lines.append(f"{'module, MB':<32}{'':>10}{found.module_bytes / _MEGABYTE:>10.1f}")
    return "\n".join(lines)


def as_json(found: Comparison) -> dict[str, object]:
    """Return the figures for programs."""
    figures = {
        subject.name: {
            "p50_ms": subject.p50_ms,
            "p99_ms": subject.p99_ms,
            "cpu_ms_per_request": subject.cpu_ms_per_request,
            "requests_per_core_s": subject.requests_per_core_s,
            "ready_s": subject.envoy.ready_s,
            "memory_bytes": subject.memory_bytes,
        }
        for subject in (found.without, found.with_plugins)
    }
    return figures | {"module_bytes": found.module_bytes, "body_bytes": found.body_bytes}


def _row(name: str, without: float, with_plugins: float, form: str) -> tuple[str, str, str, str]:
    return name, f"{without:{form}}", f"{with_plugins:{form}}", f"{with_plugins - without:+{form}}"


def main() -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--module", type=Path, default=_MODULE, help="(default: build/ai-nexus.wasm)")
    parser.add_argument("--rounds", type=int, default=5, help="(default: %(default)s)")
    parser.add_argument("--requests", type=int, default=2000, help="in each turn (default: %(default)s)")
    parser.add_argument("--body-bytes", type=int, default=2048, help="of a prompt (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="write JSON instead of a table")
    options = parser.parse_args()
    found = compare(
        {"ai-nexus-classifier": {}},
        module=options.module,
        rounds=options.rounds,
        requests=options.requests,
        body_bytes=options.body_bytes,
    )
    print(json.dumps(as_json(found), indent=2) if options.json else table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
