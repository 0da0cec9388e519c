"""``make prove-gateway``: the first slice, shown for real.

Everything that is claimed of the gateway so far, from a clean clone to the figures, one line per point.
"""

import argparse
import csv
import json
import os
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

sys.path.insert(0, str(Path(__file__).parent))
from points import Points

from nexus.ports import free_ports

ROOT = Path(__file__).parents[2]
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
    """Clone what is committed, run ``make run`` in it, and yield base URL, first provider port, seconds, process."""
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
        question = [{"role": "user", "content": "Prove that the square root of 2 is irrational."}]
        with points.point("openai client: a normal answer") as point:
            answer = client.chat.completions.create(model="auto", messages=question)  # type: ignore[call-overload] # plain dicts
            usage = answer.usage
            point.seen(
                f"{usage.prompt_tokens} + {usage.completion_tokens} tokens",
                holds=bool(answer.choices[0].message.content) and usage.completion_tokens > 0,
            )
        with points.point("openai client: a streamed answer") as point:
            stream = client.chat.completions.create(model="auto", messages=question, stream=True)  # type: ignore[call-overload] # plain dicts
            pieces = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
            point.seen(f"{len(pieces)} chunks", holds=len(pieces) > 2 and bool("".join(pieces)))
        journal = f"http://127.0.0.1:{providers_port}/__requests"
        with points.point("the provider saw the signals") as point:
            seen = dict(requests.get(journal, timeout=10).json()["requests"][-1]["headers"])
            names = ("x-ai-complexity", "x-ai-domain", "x-ai-latency", "x-ai-prompt-tokens", "x-ai-requested-model")
            missing = [name for name in names if name not in seen]
            figure = ", ".join(f"{name.removeprefix('x-ai-')} {seen.get(name)}" for name in names)
            point.seen(figure, holds=not missing)
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
            point.seen(f"{failed} failed, {classified} classified", holds=failed == 0 and classified == _PROMPTS)
        with points.point("SIGTERM stops all of it and leaves nothing") as point:
            os.kill(process.pid, signal.SIGTERM)
            process.wait(30)
            time.sleep(0.5)
            left = _leftovers("ai-nexus-clone-")
            point.seen(f"{len(left)} processes left", holds=not left)


def main() -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with routellm/*.csv (see the README)")
    options = parser.parse_args()
    points = Points()
    show_clean_clone(points, options.data)
    return points.exit_code()


if __name__ == "__main__":
    sys.exit(main())
