"""The tuner where it runs: scores equal to those of plain Python to the last digit, and how long it takes.

Run it as ``python tests/bench/scorer_wasm.py DATA``, where DATA is a folder with the CSV files of RouteLLM's
evaluation (`routellm/evals` in its repository, at any depth). It exits with 1 when a score differs or a
prompt takes longer than it may. Machines are shared, so the fastest of several runs counts.
"""

import argparse
import base64
import csv
import random
import sys
from contextlib import redirect_stdout
from pathlib import Path

import requests

from ai_routellm_threshold_tuner.scorers.linear import MEASURES, LinearScorer
from nexus.testing import running_gateway
from wasmbuild.__main__ import main as wasmbuild

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[1]
LIMIT_MS = 0.15
"""What scoring a prompt of `SIZE` bytes may take."""
SIZE = 2_048
MODELS = 9
"""Whose qualities are predicted together."""
LEARN_LIMIT_MS = 0.05
"""What finding the tier of a score, and learning from it, may take."""

_KINDS = ("english", "code", "json", "chinese")
_BATCH = 250


def artifact(seed: int) -> dict[str, object]:
    """Make a model of random weights: any difference in any feature shows in the score."""
    draw = random.Random(seed)
    return {
        "version": 1,
        "buckets": 4096,
        "scale": 0.01,
        "bias": draw.uniform(-1, 1),
        "weights": base64.b64encode(draw.randbytes(4096)).decode(),
        "dense": {name: draw.uniform(-1, 1) for name in MEASURES},
    }


def corpus(kind: str) -> str:
    """Return the real texts of one kind, one after the other."""
    folder = _ROOT / "tests" / "testdata" / "tokens" / kind
    return "\n\n".join(path.read_text(encoding="utf-8") for path in sorted(folder.iterdir()))


def prompt(kind: str) -> str:
    """Return `SIZE` bytes of texts of one kind."""
    return (corpus(kind) * SIZE).encode()[:SIZE].decode(errors="ignore")


def prompts(data: Path, count: int) -> list[str]:
    """Return prompts evenly spread over the CSV files in *data*, then some in other scripts, and odd ones."""
    found: list[str] = []
    for path in sorted(data.rglob("*gsm8k*.csv")) + sorted(data.rglob("*mmlu*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            found += [row["prompt"] for row in csv.DictReader(file)]
    if len(found) < count:
        raise SystemExit(f"{data}: expected CSV files with {count} prompts, found {len(found)}")
    chosen = [found[index * len(found) // count] for index in range(count)]
    others = [
        corpus(kind.name) for kind in sorted((_ROOT / "tests/testdata/tokens").iterdir()) if kind.is_dir()
    ]
    odd = ["", " ", "\0", "\ud800", "x" * 100_000, "中" * 100_000, "\U0001f600" * 9, "\u0130\u1e9e\u2160"]
    return chosen + [text[start : start + 700] for text in others for start in range(0, 7_000, 700)] + odd


def measure(data: Path, count: int, rounds: int) -> bool:
    """Compare and time, print the result, and say whether all of it is as it should be."""
    module = _ROOT / "build" / "tests" / "scorer-probe.wasm"
    arguments = [str(_HERE / "scorer_probe.py"), "--python-path", str(_ROOT / "plugins"), "-o", str(module)]
    with redirect_stdout(sys.stderr):
        failed = wasmbuild([*arguments, "--cache", str(_ROOT / "build" / ".wasmbuild")])
    if failed:
        raise RuntimeError("the module with the probe could not be built")
    models = [artifact(seed) for seed in range(1, MODELS + 1)]
    alone = [LinearScorer.from_json(model) for model in models]
    texts = prompts(data, count)
    with running_gateway({"scorer-probe": {"models": models}}, module=module) as gateway:

        def ask(batch: list[str], **headers: str) -> dict[str, object]:
            answer = requests.post(gateway.base_url, json={"prompts": batch}, headers=headers, timeout=60)
            answered: dict[str, object] = answer.json()
            return answered

        good = True
        inside: dict[str, list[object]] = {"scores": [], "qualities": []}
        for start in range(0, len(texts), _BATCH):
            answer = ask(texts[start : start + _BATCH])
            for key, collected in inside.items():
                batch = answer[key]
                assert isinstance(batch, list)
                collected.extend(batch)
        expected: dict[str, list[object]] = {
            "scores": [alone[0].score(text).hex() for text in texts],
            "qualities": [[scorer.score(text).hex() for scorer in alone] for text in texts],
        }
        for key, found in inside.items():
            different = sum(one != other for one, other in zip(found, expected[key], strict=True))
            distinct = len(set(map(str, found)))
            verdict = "FAIL" if different else "ok  "
            print(f"{verdict}  {len(texts)} prompts, {distinct} different {key}, {different} other in wasm")
            good &= not different

        def timed(what: str, limit_ms: float, batch: list[str], probe: str) -> bool:
            times = [ask(batch, **{"x-probe": probe})["nanoseconds"] for _ in range(rounds)]
            took = min(float(str(time)) for time in times) / 1e6
            verdict = "ok  " if took <= limit_ms else "FAIL"
            print(f"{verdict}  {what:<36} {took:7.3f} ms of at most {limit_ms} ms")
            return took <= limit_ms

        for kind in _KINDS:
            good &= timed(f"scoring {SIZE:,} bytes of {kind}", LIMIT_MS, [prompt(kind)], "score")
            what = f"{MODELS} qualities, {SIZE:,} bytes of {kind}"
            good &= timed(what, LIMIT_MS, [prompt(kind)], "qualities")
        good &= timed("deciding and learning", LEARN_LIMIT_MS, [], "learn")
    return good


def main() -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with the evaluation data of RouteLLM")
    parser.add_argument("--prompts", type=int, default=2_000, help="(default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="(default: %(default)s)")
    arguments = parser.parse_args()
    return 0 if measure(arguments.data, arguments.prompts, arguments.rounds) else 1


if __name__ == "__main__":
    sys.exit(main())
