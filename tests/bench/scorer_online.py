"""One threshold in a real Envoy, while the traffic changes from MMLU to GSM8K and back.

Run it as ``python tests/bench/scorer_online.py DATA``, where DATA is a folder with the CSV files of
RouteLLM's evaluation (`routellm/evals` in its repository, at any depth). It prints a table, draws the share
of strong requests over time beside that of a fixed threshold, and exits with 1 when the share is not back
within 2 points of the target 500 requests after a change.
"""

import argparse
import csv
import http.client
import json
import random
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from nexus.testing import RunningGateway, running_gateway
from routerlab.plots import save
from wasmbuild.__main__ import main as wasmbuild

_ROOT = Path(__file__).parents[2]
WORKERS = 2
CONNECTIONS = 8
TARGET = 0.2
WINDOW = 500
"""Requests within which the share must be back, and over which it is measured."""
LIMIT = 0.02


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of one request."""

    kind: str
    score: float
    is_strong: bool


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of the run with one kind of traffic."""

    kind: str
    start: int
    end: int
    online: float
    """Share of strong requests from `WINDOW` requests after the change on."""
    worst: float
    """How far any `WINDOW` requests in a row were off, from there on."""
    fixed: float
    """The share that the threshold of the first kind of traffic would have given."""


def prompts(data: Path, name: str) -> list[str]:
    """Return the prompts of one of the benchmarks, in an order that does not go by subject."""
    found: list[str] = []
    for path in sorted(data.rglob(f"*{name}*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            found += [row["prompt"] for row in csv.DictReader(file)]
    if not found:
        raise SystemExit(f"{data}: expected a CSV file with {name} in its name, found none")
    random.Random(1).shuffle(found)
    return found


def traffic(data: Path) -> list[tuple[str, str]]:
    """Return pairs of kind and prompt: one benchmark, the other, and the first again."""
    mmlu, gsm8k = prompts(data, "mmlu"), prompts(data, "gsm8k")
    half = 1_500
    kinds = [("MMLU", mmlu[:half]), ("GSM8K", gsm8k), ("MMLU", mmlu[half : 2 * half])]
    return [(kind, prompt) for kind, some in kinds for prompt in some]


def ask(gateway: RunningGateway, requests: Sequence[tuple[str, str]]) -> list[Answered]:
    """Send all requests over several connections, in their order."""
    local = threading.local()
    opened: list[http.client.HTTPConnection] = []

    def send(request: tuple[str, str]) -> Answered:
        kind, prompt = request
        if not hasattr(local, "connection"):
            local.connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=60)
            opened.append(local.connection)
        body = json.dumps({"model": "auto", "messages": [{"role": "user", "content": prompt}]})
        headers = {"content-type": "application/json", "x-ai-debug": "true"}
        local.connection.request("POST", "/v1/chat/completions", body, headers)
        response = local.connection.getresponse()
        response.read()
        if response.status != 200:
            raise RuntimeError(f"the gateway answered {response.status}")
        return Answered(
            kind, float(response.headers["x-ai-score"]), response.headers["x-ai-tier"] == "strong"
        )

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        answered = list(pool.map(send, requests))
    for connection in opened:
        connection.close()
    return answered


def run(data: Path) -> list[Answered]:
    """Build classifier and tuner, start Envoy with them, and send the traffic through."""
    module = _ROOT / "build" / "tests" / "tuner-online.wasm"
    plugins = ["ai_nexus_classifier", "ai_routellm_threshold_tuner"]
    with redirect_stdout(sys.stderr):
        failed = wasmbuild([*plugins, "-o", str(module), "--cache", str(_ROOT / "build" / ".wasmbuild")])
    if failed:
        raise RuntimeError("the module could not be built")
    config = {"threshold": {"target_strong_fraction": TARGET}}
    chain = {"ai-nexus-classifier": {}, "ai-routellm-threshold-tuner": config}
    with running_gateway(chain, module=module, workers=WORKERS) as gateway:
        return ask(gateway, traffic(data))


def phases(answered: Sequence[Answered]) -> Iterator[Phase]:
    """Measure each kind of traffic in turn."""
    scores = sorted(one.score for one in answered[: _end(answered, 0)])
    threshold = scores[int(len(scores) * (1 - TARGET))]
    start = 0
    while start < len(answered):
        end = _end(answered, start)
        settled = [one.is_strong for one in answered[start + WINDOW : end]]
        worst = max(
            abs(sum(settled[first : first + WINDOW]) / WINDOW - TARGET)
            for first in range(len(settled) - WINDOW + 1)
        )
        fixed = sum(one.score >= threshold for one in answered[start:end]) / (end - start)
        kind = answered[start].kind
        yield Phase(kind, start, end, sum(settled) / len(settled), worst, fixed)
        start = end


def _end(answered: Sequence[Answered], start: int) -> int:
    kind = answered[start].kind
    return next((n for n in range(start, len(answered)) if answered[n].kind != kind), len(answered))


def draw(answered: Sequence[Answered], found: Sequence[Phase], path: Path) -> None:
    """Draw the share of strong requests over time."""
    scores = sorted(one.score for one in answered[: found[0].end])
    threshold = scores[int(len(scores) * (1 - TARGET))]
    width = 200
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    axes = figure.subplots()
    places = range(width, len(answered) + 1)
    for label, strong in (
        ("follows the traffic", [one.is_strong for one in answered]),
        ("fixed, calibrated on MMLU", [one.score >= threshold for one in answered]),
    ):
        shares = [100 * sum(strong[place - width : place]) / width for place in places]
        axes.plot(places, shares, label=label)
    axes.axhspan(100 * (TARGET - LIMIT), 100 * (TARGET + LIMIT), alpha=0.15, color="grey")
    for phase in found:
        axes.axvline(phase.start, color="grey", linewidth=0.8)
        axes.annotate(phase.kind, (phase.start + 30, 1), xycoords=("data", "axes fraction"), va="top")
    axes.set_ylim(bottom=0)
    axes.set_xlabel(f"requests through Envoy, {WORKERS} workers")
    axes.set_ylabel(f"strong, % of the last {width}")
    axes.set_title(f"Target: {TARGET:.0%} strong")
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    save(figure, path)


def main() -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with the evaluation data of RouteLLM")
    parser.add_argument(
        "--plot",
        type=Path,
        default=_ROOT / "build" / "prove-threshold" / "online.svg",
        help="(default: %(default)s)",
    )
    arguments = parser.parse_args()
    answered = run(arguments.data)
    found = list(phases(answered))
    draw(answered, found, arguments.plot)
    for phase in found:
        verdict = "ok  " if phase.worst <= LIMIT else "FAIL"
        count = phase.end - phase.start
        print(f"{verdict}  {phase.kind:<6} {count:>5} requests: {phase.online:5.1%} strong, ", end="")
        print(f"any {WINDOW} off by at most {phase.worst:.1%}; a fixed threshold: {phase.fixed:.1%}")
    print(f"plot: {arguments.plot}")
    return 0 if all(phase.worst <= LIMIT for phase in found) else 1


if __name__ == "__main__":
    sys.exit(main())
