"""`python -m tests.conformance.prove`: show that the emulator tells the truth, with a figure per point."""

import os
import re
import subprocess
import sys
import time

from . import __main__ as conformance
from .hosts import SCENARIOS

WANTED_SCENARIOS = 120
WANTED_SCRIPTS = 1000
WANTED_MODULES = 3
NATIVE_LEG_S = 30.0
PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]


def main() -> int:
    """Run every proof; returns the number of points that fall short."""
    proofs = (_scenarios, _scripts, _foreign_modules, _guide, _native_leg)
    return sum(not proof() for proof in proofs)


def _say(ok: bool, point: str, figure: str) -> bool:
    print(f"{'ok ' if ok else 'BAD'}  {point}: {figure}", flush=True)
    return ok


def _pytest(*arguments: str, **environment: str) -> tuple[bool, int, float]:
    """Run tests; returns whether all passed, how many did, and the seconds it took."""
    started = time.monotonic()
    result = subprocess.run(
        [*PYTEST, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        print(result.stdout[-4000:], result.stderr[-2000:], sep="\n")
    passed = re.search(r"(\d+) passed", result.stdout)
    return result.returncode == 0, int(passed[1]) if passed else 0, time.monotonic() - started


def _scenarios() -> bool:
    different = conformance.main("")
    equal = len({scenario.name for scenario in SCENARIOS}) - different
    ok = not different and equal >= WANTED_SCENARIOS
    return _say(ok, "scenarios equal on native, wasm and Envoy", f"{equal}, {WANTED_SCENARIOS} wanted")


def _scripts() -> bool:
    ok, _, seconds = _pytest(
        "tests/conformance/test_random_scripts.py", CONFORMANCE_SCRIPTS=str(WANTED_SCRIPTS)
    )
    return _say(
        ok, "random scripts equal in wasm and on Envoy", f"{WANTED_SCRIPTS if ok else 0} in {seconds:.0f} s"
    )


def _foreign_modules() -> bool:
    ok, passed, _ = _pytest("tests/proxytest/test_foreign_modules.py")
    modules = passed // 2  # each runs in the emulator and on Envoy
    return _say(
        ok and modules >= WANTED_MODULES, "modules of other SDKs run", f"{modules}, {WANTED_MODULES} wanted"
    )


def _guide() -> bool:
    ok, _, seconds = _pytest("tests/proxytest/test_guide.py")
    return _say(ok, "the guide works in an empty folder, from the wheel", f"{seconds:.0f} s")


def _native_leg() -> bool:
    started = time.monotonic()
    result = subprocess.run(["make", "test-unit"], capture_output=True, text=True, check=False)
    seconds = time.monotonic() - started
    passed = re.search(r"(\d+) passed", result.stdout)
    point = f"native leg of the whole unit suite ({passed[1] if passed else 'no'} tests)"
    ok = result.returncode == 0 and seconds < NATIVE_LEG_S
    return _say(ok, point, f"{seconds:.1f} s, at most {NATIVE_LEG_S:.0f} wanted")


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
