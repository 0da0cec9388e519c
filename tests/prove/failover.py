"""``make prove-failover``: the circuit breaker and failover between providers, shown for real.

The transition table, random histories against a reference, sixteen faults with what was expected of each, a
provider that dies under load and comes back, and what all of it costs; one line per point.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from xml.etree import ElementTree

import aiohttp
from points import Points
from shown import ROOT, show_tests

from nexus.controls import AdminPage, ProviderControl
from nexus.description import Gateway, Retries
from nexus.measuring import Comparison, compare
from nexus.ports import free_ports
from nexus.render import render
from nexus.stack import providers_command
from nexus.testing import describe_gateway, describe_plugin, running_envoy

_BREAKER = "ai-provider-circuit-breaker"
_CLASSIFIER = "ai-nexus-classifier"
_UNITS = "tests/plugins/ai_provider_circuit_breaker"
_SCENARIOS = "tests/envoy/test_failover.py"

_RATE = 200
_LIVES_S, _DEAD_S, _BACK_S = 4.0, 7.0, 8.0
_OPEN_S = 3.0
"""How long an open breaker lets nothing through, which is its probe interval."""

_MODELS = {"openai": "gpt-5.5", "anthropic": "claude-sonnet", "google": "gemini-pro"}
_MOST_CPU_MS = 0.6


def main() -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--module", type=Path, default=ROOT / "build" / "ai-nexus.wasm")
    parser.add_argument("--only", choices=["table", "scenarios", "death", "time"], help="show this alone")
    arguments = parser.parse_args()
    points = Points()
    parts: dict[str, Callable[[], None]] = {
        "table": lambda: _show_table(points),
        "scenarios": lambda: _show_scenarios(points),
        "death": lambda: _show_death(points, arguments.module),
        "time": lambda: _show_time(points, arguments.module),
    }
    for name, show in parts.items():
        if arguments.only in (None, name):
            show()
    return points.exit_code()


def _show_table(points: Points) -> None:
    for name, what in (
        ("states", "transition table"),
        ("machine", "model-based"),
        ("sharing", "several workers"),
        ("breaker", "breaker"),
        ("outcomes", "what is a failure"),
        ("demand", "what a request asks for"),
        ("chain", "who is next"),
        ("attempt", "one attempt"),
    ):
        show_tests(points, f"{_UNITS}/test_{name}.py", what)


def _show_scenarios(points: Points) -> None:
    """Run the tests in Envoy, and print of each scenario what was expected and what was seen."""
    with tempfile.NamedTemporaryFile(suffix=".xml") as report:
        # Of the two forms of the report the older one has a place for what a test records of itself.
        options = ["-q", "-o", "junit_family=xunit1", f"--junit-xml={report.name}"]
        command = [sys.executable, "-m", "pytest", *options, _SCENARIOS]
        subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=False)
        cases = list(ElementTree.parse(report.name).iter("testcase"))
    shown = 0
    for case in cases:
        wrong = [entry for kind in ("failure", "error") for entry in case.findall(kind)]
        properties = {entry.attrib["name"]: entry.attrib["value"] for entry in case.iter("property")}
        title = case.attrib["name"].removeprefix("test_").replace("_", " ")
        if "expected" in properties:
            shown += 1
            title = title.removeprefix("scenario").strip(" []").replace("[", ", ")
            print(f"      {shown:2}  {title}\n          expected: {properties['expected']}")
            print(f"          seen:     {properties.get('seen', 'nothing')}", flush=True)
            title = f"scenario: {title}"
        with points.point(title) as point:
            figure = wrong[0].attrib.get("message", "")[:200] if wrong else "as expected"
            point.seen(f"{figure}, {float(case.attrib['time']):.1f} s", holds=not wrong)
    with points.point("scenarios in all") as point:
        point.seen(f"{shown}", holds=shown >= 16)


# A provider dies and comes back


@dataclass(slots=True)
class _Sent:
    """One request of the load."""

    at_s: float
    to: str
    is_stream: bool
    outcome: str = ""
    provider: str | None = None
    attempts: int = 0
    began_s: float | None = None
    seconds: float = 0.0


@dataclass(slots=True)
class _Account:
    """What Envoy has sent to the provider that dies, sampled over time."""

    samples: list[tuple[float, int]] = field(default_factory=list)

    def between(self, start_s: float, end_s: float) -> int:
        """Return how many requests were begun between two times."""
        return self._until(end_s) - self._until(start_s)

    def _until(self, at_s: float) -> int:
        return max((count for sampled_s, count in self.samples if sampled_s <= at_s), default=0)


class _Provider:
    """A fake provider in a process of its own, to be killed."""

    def __init__(self, name: str, port: int) -> None:
        self._command = providers_command(port, [name])
        self._control = ProviderControl(name, port)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        while not self._control.is_up():
            time.sleep(0.05)

    def answer_slowly(self) -> None:
        """Take half a second over a stream, so that some are under way at any moment."""
        self._control.set_fault(token_interval_ms=20, answer_tokens=25)

    def kill(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


@contextlib.contextmanager
def _three_providers(module: Path) -> Iterator[tuple[Gateway, dict[str, _Provider]]]:
    described = describe_gateway(module=module.resolve())
    first = free_ports(len(_MODELS))
    ports = dict(zip(_MODELS, range(first, first + len(_MODELS)), strict=True))
    known = {provider.name: provider for provider in described.providers}
    described = replace(
        described,
        providers=tuple(replace(known[name], port=port) for name, port in ports.items()),
        default_provider="openai",
        retries=Retries(idle_s=5),
    )
    providers = {name: _Provider(name, port) for name, port in ports.items()}
    try:
        for provider in providers.values():
            provider.start()
            provider.answer_slowly()
        yield described, providers
    finally:
        for provider in providers.values():
            provider.kill()


def _show_death(points: Points, module: Path) -> None:
    catalog = [
        {
            "name": model,
            "provider": provider,
            "prices_nano_usd_per_token": {"input": 1, "output": 1},
            "quality": 0.9,
            "context_window_tokens": 100_000,
        }
        for provider, model in _MODELS.items()
    ]
    config = {
        "attempts": "upstream",
        "catalog": catalog,
        "shut_for": {"open_s": _OPEN_S, "open_limit_s": _OPEN_S, "jitter": 0},
    }
    with _three_providers(module) as (described, providers):
        port = described.listeners[0].port
        bootstrap = render(described, [describe_plugin(_BREAKER, config)])
        with running_envoy(bootstrap, port=port, workers=2):
            load = _Load(f"http://127.0.0.1:{port}", AdminPage(described.admin.port), providers["openai"])
            asyncio.run(load.run())
    _judge_death(points, load)


class _Load:
    """Requests at a steady rate, whatever becomes of those before; a third prefers each provider."""

    def __init__(self, url: str, admin: AdminPage, victim: _Provider) -> None:
        self._url = url
        self._admin = admin
        self._victim = victim
        self.sent: list[_Sent] = []
        self.account = _Account()
        self.killed_s = self.revived_s = 0.0

    async def run(self) -> None:
        """Send for as long as the story takes."""
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, read_bufsize=1 << 20) as session:
            story = asyncio.create_task(self._tell())
            sampling = asyncio.create_task(self._sample())
            tasks = []
            started = time.monotonic()
            number = 0
            while not story.done():
                tasks.append(asyncio.create_task(self._send(session, number)))
                number += 1
                await asyncio.sleep(max(0.0, started + number / _RATE - time.monotonic()))
            await asyncio.gather(*tasks)
            sampling.cancel()
            await story

    async def _tell(self) -> None:
        await asyncio.sleep(_LIVES_S)
        self.killed_s = time.monotonic()
        await asyncio.to_thread(self._victim.kill)
        await asyncio.sleep(_DEAD_S)
        await asyncio.to_thread(self._victim.start)
        self.revived_s = time.monotonic()
        await asyncio.sleep(_BACK_S)

    async def _sample(self) -> None:
        while True:
            stats = await asyncio.to_thread(self._admin.stats, "cluster.openai.upstream_")
            name = "cluster.openai.upstream_rq_total"
            failed = stats.get("cluster.openai.upstream_cx_connect_fail", 0)
            self.account.samples.append((time.monotonic(), stats.get(name, 0) + failed))
            await asyncio.sleep(0.05)

    async def _send(self, session: aiohttp.ClientSession, number: int) -> None:
        names = list(_MODELS)
        order = names[number % 3 :] + names[: number % 3]
        sent = _Sent(time.monotonic(), order[0], is_stream=number % 5 == 0)
        self.sent.append(sent)
        headers = {
            "x-ai-provider": order[0],
            "x-ai-model": _MODELS[order[0]],
            "x-ai-cluster": order[0],
            "x-ai-fallbacks": ",".join(f"{name}/{_MODELS[name]}" for name in order[1:]),
        }
        body = {
            "model": _MODELS[order[0]],
            "stream": sent.is_stream,
            "messages": [{"role": "user", "content": "Why is the sky blue?"}],
        }
        try:
            async with session.post(f"{self._url}/v1/chat/completions", json=body, headers=headers) as answer:
                sent.began_s = time.monotonic()
                sent.provider = answer.headers.get("x-ai-provider")
                sent.attempts = int(answer.headers.get("x-ai-attempts", 0))
                content = await answer.read()
                whole = content.endswith(b"data: [DONE]\n\n") if sent.is_stream else b"choices" in content
                sent.outcome = str(answer.status) if answer.status != 200 or whole else "cut"
        except (aiohttp.ClientError, OSError) as error:
            sent.outcome = type(error).__name__
        sent.seconds = time.monotonic() - sent.at_s


def _judge_death(points: Points, load: _Load) -> None:
    killed, revived = load.killed_s, load.revived_s
    duration = load.sent[-1].at_s - load.sent[0].at_s
    with points.point("load") as point:
        rate = len(load.sent) / duration
        point.seen(f"{len(load.sent)} requests, {rate:.0f} a second", holds=rate > _RATE * 0.95)
    failed = [sent for sent in load.sent if sent.outcome != "200"]
    begun = [
        sent
        for sent in failed
        if sent.is_stream and sent.provider == "openai" and (sent.began_s or killed + 1) <= killed + 0.1
    ]
    with points.point("requests that failed, but for streams already begun") as point:
        rest = Counter(sent.outcome for sent in failed if sent not in begun)
        point.seen(f"{sum(rest.values())} {dict(rest) or ''}; {len(begun)} streams cut", holds=not rest)
    with points.point("streams were under way when the provider died") as point:
        point.seen(f"{len(begun)}", holds=len(begun) > 0)
    moved = [sent for sent in load.sent if sent.attempts > 1]
    with points.point("requests that a second attempt has saved") as point:
        slowest = max((sent.seconds for sent in moved if not sent.is_stream), default=0.0)
        point.seen(f"{len(moved)}, the slowest in {slowest * 1000:.0f} ms", holds=len(moved) > 0)
    with points.point("new requests to the dead provider, 1 s after its death") as point:
        late = load.account.between(killed + 1, killed + _OPEN_S - 0.2)
        first = load.account.between(killed, killed + 1)
        before = load.account.between(killed - 1, killed)
        figure = f"{late} until the first probe; {before} in the second before, {first} in the second after"
        point.seen(figure, holds=late == 0 and first > 0 and before > _RATE / 6)
    with points.point("requests to it for the rest of its death, which are probes") as point:
        probes = load.account.between(killed + 1, revived - 0.5)
        # Two probes at each opening, each counted as a request and as a connection that failed.
        most = 4 * (int(_DEAD_S / _OPEN_S) + 1)
        point.seen(f"{probes} of at most {most}", holds=0 < probes <= most)
    back = [sent.at_s for sent in load.sent if sent.at_s > revived and sent.provider == "openai"]
    with points.point("its traffic returns within its probe interval") as point:
        took = (back[0] if back else revived + 99) - revived
        point.seen(
            f"{took:.2f} s after its return; the interval is {_OPEN_S:g} s", holds=took <= _OPEN_S + 0.1
        )
    with points.point("and all of it") as point:
        final = [sent for sent in load.sent if sent.at_s > revived + _OPEN_S + 1 and sent.to == "openai"]
        share = sum(sent.provider == "openai" for sent in final) / len(final) if final else 0.0
        point.seen(f"{share:.0%} of the last {len(final)} that were to go there", holds=share == 1)


# What it costs


def _show_time(points: Points, module: Path) -> None:
    def cost(*plugins: tuple[str, dict[str, object]]) -> Comparison:
        return compare(dict(plugins), module=module, rounds=4, requests=800)

    def cpu_ms(comparison: Comparison) -> float:
        return comparison.with_plugins.cpu_ms_per_request - comparison.without.cpu_ms_per_request

    def p50_ms(comparison: Comparison) -> float:
        return comparison.with_plugins.p50_ms - comparison.without.p50_ms

    classifier: tuple[str, dict[str, object]] = (_CLASSIFIER, {})
    base = cost(classifier)
    for title, config in (
        ("added time per request, breaker", {}),
        ("added time per request, breaker and upstream filter", {"attempts": "upstream"}),
    ):
        with points.point(title) as point:
            measured = cost(classifier, (_BREAKER, dict(config)))
            cpu, p50 = cpu_ms(measured) - cpu_ms(base), p50_ms(measured) - p50_ms(base)
            point.seen(f"{cpu:.2f} ms CPU, p50 {p50:+.2f} ms", holds=cpu <= _MOST_CPU_MS)


if __name__ == "__main__":
    sys.exit(main())
