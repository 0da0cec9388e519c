"""``make prove-router``: the router, the catalog and the configuration, shown for real.

Every strategy and every constraint in a real Envoy, what holds for any catalog and any request, what a
decision costs in WebAssembly, and configurations that change under load; one line per point.
"""

import argparse
import sys
from pathlib import Path

from points import Points
from shown import show_command, show_tests


def main() -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with litellm_prices/, a second opinion on prices"
    )
    data = parser.parse_args().data.resolve()
    points = Points()
    for file in ("test_router.py", "test_router_alone.py"):
        show_tests(points, f"tests/envoy/{file}", "in Envoy")
    for name in ("strategies", "turns", "latency", "bandit", "constraints", "names", "audit"):
        show_tests(points, f"tests/plugins/ai_cost_optimal_router/test_{name}.py", name)
    show_tests(points, "tests/plugins/ai_cost_optimal_router/test_properties.py", "any catalog")
    show_command(points, "decision time, 7 and 1,000 models", "tests/bench/router_wasm.py")
    show_tests(points, "tests/nexus/catalog", "catalog")
    show_command(points, "imported prices", "tests/bench/catalog_prices.py", "--data", str(data))
    show_tests(points, "tests/nexus/test_render.py", "rendering")
    show_tests(points, "tests/envoy/test_renderings.py", "rendering")
    show_tests(points, "tests/nexus/test_compose.py", "compose")
    show_tests(points, "tests/envoy/test_rules.py", "rules")
    show_tests(points, "tests/envoy/test_routing.py", "routes and keys")
    show_tests(points, "tests/envoy/test_reload.py", "reload")
    return points.exit_code()


if __name__ == "__main__":
    sys.exit(main())
