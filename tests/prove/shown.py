"""Points that other programs make: test files, and commands that print tables of their own."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

from points import Points

ROOT = Path(__file__).parents[2]


def show_tests(points: Points, file: str, what: str) -> None:
    """Run the tests in *file* against a real Envoy: one point for each test function, with its cases."""
    with tempfile.NamedTemporaryFile(suffix=".xml") as report:
        # Of the two forms of the report the older one has a place for what a test records of itself.
        options = ["-q", "-o", "junit_family=xunit1", f"--junit-xml={report.name}"]
        command = [sys.executable, "-m", "pytest", *options, file]
        thorough = os.environ | {"HYPOTHESIS_PROFILE": "thorough"}
        subprocess.run(command, cwd=ROOT, env=thorough, stdout=subprocess.DEVNULL, check=False)
        cases = list(ElementTree.parse(report.name).iter("testcase"))
    by_name: dict[str, list[bool]] = {}
    for case in cases:
        name = case.attrib["name"].partition("[")[0].removeprefix("test_").replace("_", " ")
        by_name.setdefault(name, []).append(case.find("failure") is None and case.find("error") is None)
        for seen in case.iter("property"):
            print(f"      {case.attrib['name'].partition('[')[2].rstrip(']')}: {seen.attrib['value']}")
    for name, passed in by_name.items():
        with points.point(f"{what}: {name}") as point:
            point.seen(f"{sum(passed)} of {len(passed)} cases", holds=all(passed))
    if not cases:
        with points.point(what) as point:
            point.seen("no test has run", holds=False)


def show_command(points: Points, title: str, *command: str) -> None:
    """Run a command that prints its own table; its last line is the figure of the point."""
    with points.point(title) as point:
        finished = subprocess.run(
            [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False
        )
        *table, figure = finished.stdout.splitlines() or [""]
        print("\n".join(f"      {line}" for line in table), flush=True)
        if finished.returncode:
            figure += f" (exit code {finished.returncode}) {finished.stderr[-300:]}"
        point.seen(figure.strip(), holds=finished.returncode == 0)
