"""``make prove-conformance``: the emulator tells the truth, one line per point, each with its figure."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from points import Point, Points

ROOT = Path(__file__).parents[2]
WANTED_SCENARIOS = 120
WANTED_SCRIPTS = 1000
WANTED_MODULES = 3
NATIVE_LEG_S = 30.0


@dataclass(frozen=True, slots=True)
class Run:
    """A command that has ended: its last lines say what it did."""

    ok: bool
    output: str
    seconds: float

    def figure(self, pattern: str) -> tuple[int, ...]:
        """Return the last numbers in the output that *pattern* has groups for; zeros if it says nothing."""
        found = re.findall(pattern, self.output)
        last = found[-1] if found else ("0",) * re.compile(pattern).groups
        return tuple(map(int, (last,) if isinstance(last, str) else last))


def run(*command: str, **environment: str) -> Run:
    """Run a command in the repository; show what it said if it failed."""
    start = time.monotonic()
    finished = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if finished.returncode:
        print(finished.stdout[-6000:], flush=True)
    return Run(finished.returncode == 0, finished.stdout, time.monotonic() - start)


@contextmanager
def tested(points: Points, title: str, path: str, **environment: str) -> Iterator[tuple[Point, Run, int]]:
    """Show a point by running tests; yields with how many have passed."""
    with points.point(title) as point:
        ran = run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", path, **environment)
        yield point, ran, ran.figure(r"(\d+) passed")[0]


def main() -> int:
    """Show every point; return the exit code."""
    points = Points()
    with points.point("scenarios equal on native, wasm and Envoy") as point:
        ran = run(sys.executable, "-m", "tests.conformance")
        equal, of = ran.figure(r"(\d+) of (\d+) scenarios equal on 3 hosts")
        holds = ran.ok and equal == of >= WANTED_SCENARIOS
        point.seen(f"{equal} of {of}, {WANTED_SCENARIOS} wanted", holds=holds)
    scripts = "tests/conformance/test_random_scripts.py"
    many = str(WANTED_SCRIPTS)
    title = "random scripts equal in wasm and on Envoy"
    with tested(points, title, scripts, CONFORMANCE_SCRIPTS=many) as (point, ran, passed):
        point.seen(many if ran.ok else "0", holds=ran.ok and passed > 0)
    modules = "tests/proxytest/test_foreign_modules.py"
    with tested(points, "modules of other SDKs run", modules) as (point, ran, passed):
        found = passed // 2  # Each runs in the emulator and on Envoy.
        point.seen(f"{found}, {WANTED_MODULES} wanted", holds=ran.ok and found >= WANTED_MODULES)
    guide = "tests/proxytest/test_guide.py"
    with tested(points, "the guide works in an empty folder, from the wheel", guide) as (point, ran, passed):
        point.seen("all of it" if ran.ok else "not all of it", holds=ran.ok and passed > 0)
    with points.point("native leg of the whole unit suite") as point:
        ran = run("make", "test-unit")
        (passed,) = ran.figure(r"(\d+) passed")
        figure = f"{passed} tests in {ran.seconds:.1f} s, at most {NATIVE_LEG_S:.0f} wanted"
        point.seen(figure, holds=ran.ok and passed > 0 and ran.seconds < NATIVE_LEG_S)
    return points.exit_code()


if __name__ == "__main__":
    sys.exit(main())
