"""``make prove-gateway``: the first slice, shown for real.

Everything that is claimed of the gateway so far, from a clean clone to the figures, one line per point.
"""

import argparse
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from openai import OpenAI
from openai.types.chat import ChatCompletionUserMessageParam
from points import Points
from shown import ROOT, show_command, show_tests

from aigateway.tokens import estimate_tokens
from nexus import measuring
from nexus.ports import free_ports

CLASSIFIER = "ai-nexus-classifier"
_PROMPTS = 200
_START_TIMEOUT_S = 900


def prompts(data: Path) -> list[str]:
    """Return prompts of RouteLLM's MMLU and GSM8K files, evenly spread over both."""
    found: list[str] = []
    for name in ("routellm_mmlu_decontaminated.csv", "routellm_gsm8k_decontaminated.csv"):
        with (data / "routellm" / name).open(encoding="utf-8", newline="") as file:
            rows = [row["prompt"] for row in csv.DictReader(file)]
        found += rows[:: max(1, len(rows) // (_PROMPTS // 2))][: _PROMPTS // 2]
    return found


def _bare_environment(home: Path) -> dict[str, str]:
    """Return the environment of somebody who has nothing of ours: no virtual environment, no caches."""
    ours = str(Path(sys.prefix))
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("VIRTUAL_ENV", "XDG_", "MAKE", "MFLAGS", "PIP_CACHE", "PYTHON"))
    }
    path = os.pathsep.join(part for part in os.environ["PATH"].split(os.pathsep) if not part.startswith(ours))
    return environment | {"HOME": str(home), "PATH": path}


@contextmanager
def clean_clone() -> Iterator[tuple[str, int, float, subprocess.Popen[str]]]:
    """Run ``make run`` in a clone of what is committed.

    Yields the base URL, the first provider's port, the seconds it took, and the process.
    """
    with tempfile.TemporaryDirectory(prefix="ai-nexus-clone-") as folder:
        clone, home = Path(folder) / "ai-nexus", Path(folder) / "home"
        home.mkdir()
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(clone)], check=True)
        gateway, providers = free_ports(2), free_ports(4)
        ports = {
            "GATEWAY_PORT": str(gateway),
            "ADMIN_PORT": str(gateway + 1),
            "PROVIDERS_PORT": str(providers),
            "WORKERS": "2",
        }
        start = time.monotonic()
        process = subprocess.Popen(
            ["make", "run"],
            cwd=clone,
            env=_bare_environment(home) | ports,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            yield _ready_url(process), providers, time.monotonic() - start, process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait(30)


def _ready_url(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    deadline = time.monotonic() + _START_TIMEOUT_S
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("gateway ready on "):
            return line.split()[-1]
        if time.monotonic() > deadline:
            break
    raise RuntimeError("make run did not get ready:\n" + "".join(lines[-20:]))


def _leftovers(folder_mark: str) -> list[str]:
    """Return the command lines of processes that mention the clone."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if folder_mark in command:
            found.append(command.strip())
    return found


def show_clean_clone(points: Points, data: Path) -> None:
    """Show point 1: from a clean clone to answers."""
    with clean_clone() as (url, providers_port, seconds, process):
        with points.point("clean clone: make run, ready") as point:
            point.seen(f"{seconds:.0f} s from nothing", holds=True)
        client = OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0)
        question: ChatCompletionUserMessageParam = {
            "role": "user",
            "content": "Prove that the square root of 2 is irrational.",
        }
        with points.point("openai client: a normal answer") as point:
            answer = client.chat.completions.create(model="auto", messages=[question])
            usage = answer.usage
            assert usage is not None
            point.seen(
                f"{usage.prompt_tokens} + {usage.completion_tokens} tokens",
                holds=bool(answer.choices[0].message.content) and usage.completion_tokens > 0,
            )
        with points.point("openai client: a streamed answer") as point:
            stream = client.chat.completions.create(model="auto", messages=[question], stream=True)
            pieces = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
            point.seen(f"{len(pieces)} chunks", holds=len(pieces) > 2 and bool("".join(pieces)))
        journal = f"http://127.0.0.1:{providers_port}/__requests"
        with points.point("the provider saw the signals") as point:
            seen = dict(requests.get(journal, timeout=10).json()["requests"][-1]["headers"])
            names = ("complexity", "domain", "latency", "prompt-tokens", "requested-model")
            figure = ", ".join(f"{name} {seen.get(f'x-ai-{name}')}" for name in names)
            point.seen(figure, holds=all(f"x-ai-{name}" in seen for name in names))
        with points.point(f"{_PROMPTS} real prompts pass") as point:
            failed = 0
            for prompt in prompts(data):
                body = {"model": "auto", "messages": [{"role": "user", "content": prompt}]}
                reply = requests.post(f"{url}/v1/chat/completions", json=body, timeout=30)
                failed += reply.status_code != requests.codes.ok
            classified = sum(
                any(name == "x-ai-complexity" for name, _ in entry["headers"])
                for entry in requests.get(journal, timeout=10).json()["requests"][-_PROMPTS:]
            )
            point.seen(
                f"{failed} failed, {classified} classified", holds=failed == 0 and classified == _PROMPTS
            )
        with points.point("SIGTERM stops all of it and leaves nothing") as point:
            os.kill(process.pid, signal.SIGTERM)
            process.wait(30)
            time.sleep(0.5)
            left = _leftovers("ai-nexus-clone-")
            point.seen(f"{len(left)} processes left", holds=not left)


def show_soak(points: Points, module: Path, requests_in_all: int) -> None:
    """Show point 3: many requests, and memory that stays."""
    with points.point(f"{requests_in_all:,} requests, 2 workers: no error") as point:
        found = measuring.soak({CLASSIFIER: {}}, module=module, requests=requests_in_all, workers=2)
        errors = sum(found.load.errors.values())
        point.seen(
            f"{errors} errors, {found.answered:,} answered, {len(found.crashes)} crashes,"
            f" {found.load.requests_per_s:,.0f} requests/s",
            holds=errors == 0 and found.answered == requests_in_all and not found.crashes,
        )
    with points.point("memory flat after the first 10,000") as point:
        first, last = found.settled[0] / 1e6, found.settled[-1] / 1e6
        point.seen(f"{first:.0f} MB, at the end {last:.0f} MB ({found.growth:+.2%})", holds=found.is_flat)


def show_figures(points: Points, module: Path) -> None:
    """Show point 4: what the filter costs, beside Envoy without it in the same run."""
    with points.point("cost, measured beside Envoy without the filter") as point:
        found = measuring.compare({CLASSIFIER: {}}, module=module)
        point.seen("2 KB prompts, measured in turns", holds=True)
    one, other = found.without, found.with_plugins
    figures = (
        ("p50 at 1 connection", one.p50_ms, other.p50_ms, "ms", ".3f"),
        ("p99 at 1 connection", one.p99_ms, other.p99_ms, "ms", ".3f"),
        ("requests/s and core", one.requests_per_core_s, other.requests_per_core_s, "", ",.0f"),
        ("time to ready", one.envoy.ready_s, other.envoy.ready_s, "s", ".1f"),
        ("memory, 1 worker", one.memory_bytes / 1e6, other.memory_bytes / 1e6, "MB", ",.0f"),
    )
    for title, without, with_filter, unit, form in figures:
        with points.point(title) as point:
            added = f"{with_filter - without:+{form}} {unit}".strip()
            point.seen(f"{without:{form}} without, {with_filter:{form}} with: {added}", holds=True)
    with points.point("module size") as point:
        size = found.module_bytes / 2**20
        point.seen(f"{size:.2f} MiB of at most 16", holds=size <= 16)


def show_token_estimate(points: Points) -> None:
    """Show how far the estimate is off the counts of cl100k_base in the fixture, by kind of text."""
    folder = ROOT / "tests" / "testdata" / "tokens"
    errors: dict[str, list[float]] = {}
    for name, tokens in json.loads((folder / "counts.json").read_text()).items():
        estimate = estimate_tokens((folder / name).read_text(encoding="utf-8"))
        errors.setdefault(name.partition("/")[0], []).append(abs(estimate - tokens) / tokens)
    for kind, found in errors.items():
        with points.point(f"token estimate, {kind}: mean absolute error") as point:
            mean = sum(found) / len(found)
            point.seen(f"{mean:.1%} over {len(found)} texts, at most 10 %", holds=mean <= 0.10)


def show_build(points: Points) -> None:
    """Show what a build takes: from nothing, and for a changed plugin."""
    with tempfile.TemporaryDirectory(prefix="ai-nexus-build-") as folder:
        work = Path(folder)
        shutil.copytree(ROOT / "plugins" / "ai_nexus_classifier", work / "ai_nexus_classifier")
        command = [sys.executable, "-m", "wasmbuild", str(work / "ai_nexus_classifier")]
        command += ["-o", str(work / "module.wasm")]
        for title, limit_s in (("build, cold", 120), ("build, changed plugin", 30)):
            with points.point(title) as point:
                start = time.monotonic()
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
                took = time.monotonic() - start
                point.seen(f"{took:.0f} s of at most {limit_s}", holds=took <= limit_s)
            with (work / "ai_nexus_classifier" / "filter.py").open("a") as file:
                file.write("\nCHANGED = True\n")


def main() -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with routellm/*.csv (see the README)"
    )
    parser.add_argument("--module", type=Path, default=ROOT / "build" / "ai-nexus.wasm")
    parser.add_argument("--requests", type=int, default=100_000, help="of the soak (default: %(default)s)")
    options = parser.parse_args()
    data = str(options.data.resolve() / "routellm")
    points = Points()
    show_clean_clone(points, options.data)
    show_tests(points, "tests/envoy/test_bad_input.py", "bad input")
    show_tests(points, "tests/envoy/test_hostile_filter.py", "bad filter")
    show_soak(points, options.module, options.requests)
    show_figures(points, options.module)
    show_build(points)
    show_token_estimate(points)
    show_command(points, "classifier: time in WebAssembly", "tests/bench/classifier_wasm.py")
    show_command(points, "classifier: quality on public data", "tests/bench/classifier_quality.py", data)
    return points.exit_code()


if __name__ == "__main__":
    sys.exit(main())
