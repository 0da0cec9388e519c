"""What the plugins cost: latency, CPU time and memory of Envoy with them, beside Envoy without them.

In a comparison the provider behind the measured Envoy is another Envoy that answers by itself, so that next
to nothing of what is measured is the provider's. CPU time per request comes from the kernel's account of the
process and not from the clock on the wall: it depends less on what else the machine does.
"""

import contextlib
import http.client
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean

from aigateway import signals

from ._nodes import API, HTTP_FILTERS, Node, socket_address
from ._procfs import cpu_s, resident_bytes
from .description import Service
from .load import Expectation, LoadResult, http_request, run_load
from .ports import free_ports
from .render import render
from .testing import RunningEnvoy, describe_gateway, describe_plugin, running_envoy, running_gateway

Plugins = Mapping[str, Mapping[str, object]]
"""Plugin names with their configuration, in request order."""

__all__ = [
    "Comparison",
    "Soak",
    "Subject",
    "compare",
    "prompt_bodies",
    "running_subject",
    "running_upstream",
    "soak",
]

_CHAT = "/v1/chat/completions"
_ECHO = "x-seen-complexity"
_SETTLED_AFTER = 10_000
_MOST_GROWTH = 0.02
_SAMPLE_EVERY = 500
_WARM_UP = 500
_ANSWER = {
    "id": "chatcmpl-0",
    "object": "chat.completion",
    "created": 0,
    "model": "auto",
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": "An answer of some length. " * 16},
        }
    ],
    "usage": {"prompt_tokens": 300, "completion_tokens": 100, "total_tokens": 400},
}
_TEXTS = (
    "Please explain step by step why the sky is blue, and what that has to do with the size of molecules. ",
    "def merge(left, right):\n    while left and right:\n        yield min(left, right, key=min).pop(0)\n",
    "请分析这段合同中关于违约责任的条款，并说明被告应当承担什么后果？",
    "The patient presents with fever and cough; what diagnosis and which dosage would you consider? ",
)


@dataclass(slots=True)
class Subject:
    """An Envoy that is measured, and what was measured of it."""

    name: str
    port: int
    envoy: RunningEnvoy
    latencies_s: list[float] = field(default_factory=list)
    requests: int = 0
    cpu_s: float = 0.0
    memory_bytes: int = 0

    @property
    def p50_ms(self) -> float:
        """Median latency at one connection."""
        return LoadResult(latencies_s=self.latencies_s).percentile_ms(50)

    @property
    def p99_ms(self) -> float:
        """99th percentile of the latency at one connection."""
        return LoadResult(latencies_s=self.latencies_s).percentile_ms(99)

    @property
    def cpu_ms_per_request(self) -> float:
        """CPU time of Envoy per request, with several connections."""
        return self.cpu_s / self.requests * 1000 if self.requests else float("nan")

    @property
    def requests_per_core_s(self) -> float:
        """Requests per second that one core can take."""
        return 1000 / self.cpu_ms_per_request


@dataclass(frozen=True, slots=True)
class Comparison:
    """Envoy without and with the plugins, measured in turns in one run."""

    without: Subject
    with_plugins: Subject
    module_bytes: int
    body_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Soak:
    """Many requests through a gateway, and what they left behind."""

    load: LoadResult
    answered: int
    """Requests that the fake providers have seen."""
    memory: list[tuple[int, int]]
    """Resident bytes of Envoy after so many requests."""
    crashes: list[str]

    @property
    def settled(self) -> list[int]:
        """Resident bytes after the first 10,000 requests, or the second half of them if there are fewer."""
        settled_after = min(_SETTLED_AFTER, self.memory[-1][0] // 2) if self.memory else 0
        return [size for requests, size in self.memory if requests >= settled_after]

    @property
    def growth(self) -> float:
        """By how much memory has grown since it settled, as a share: the last tenth against the first."""
        settled = self.settled
        tenth = max(1, len(settled) // 10)
        return fmean(settled[-tenth:]) / fmean(settled[:tenth]) - 1 if settled else float("nan")

    @property
    def is_flat(self) -> bool:
        """Whether that is at most 2 %, which is within an allocator's ups and downs."""
        return self.growth <= _MOST_GROWTH


def compare(
    plugins: Plugins, *, module: Path, rounds: int = 5, requests: int = 2000, body_bytes: int = 2048
) -> Comparison:
    """Measure Envoy without and with *plugins*, in turns, *rounds* times *requests* requests each.

    Raises RuntimeError when an answer is wrong, or was not classified.
    """
    load = _Requests(prompt_bodies(body_bytes))
    with (
        running_upstream() as upstream,
        running_subject("without plugins", upstream, {}, module) as without,
        running_subject("with plugins", upstream, plugins, module) as with_plugins,
    ):
        _check_signal(with_plugins)
        for subject in (without, with_plugins):
            load.send(subject, count=_WARM_UP, connections=1)
        for _ in range(rounds):
            for subject in (without, with_plugins):
                subject.latencies_s += load.send(subject, count=requests, connections=1).latencies_s
            for subject in (without, with_plugins):
                before = cpu_s(subject.envoy.pid)
                subject.requests += load.send(subject, count=requests, connections=4).completed
                subject.cpu_s += cpu_s(subject.envoy.pid) - before
        for subject in (without, with_plugins):
            subject.memory_bytes = resident_bytes(subject.envoy.pid)
    return Comparison(without, with_plugins, module.stat().st_size, body_bytes)


def soak(
    plugins: Plugins,
    *,
    module: Path,
    requests: int = 100_000,
    connections: int = 16,
    workers: int = 2,
    stream: bool = False,
    on_progress: Callable[[int], None] = lambda requests: None,
) -> Soak:
    """Send *requests* requests through a gateway with *plugins* to fake providers, and watch its memory."""
    bodies = [
        json.dumps(json.loads(body) | {"stream": stream}).encode()
        for length in (200, 2_000, 8_000)
        for body in prompt_bodies(length)
    ]
    ending = b"data: [DONE]\n\n" if stream else b"}"
    memory: list[tuple[int, int]] = []
    with running_gateway(plugins, module=module, workers=workers) as gateway:

        def sample(finished: int) -> None:
            memory.append((finished, resident_bytes(gateway.envoy_pid)))
            on_progress(finished)

        load = run_load(
            gateway.port,
            [http_request("gateway", _CHAT, body) for body in bodies],
            count=requests,
            connections=connections,
            expect=Expectation(shortest_body_bytes=200, body_ending=ending),
            on_progress=sample,
            progress_every=_SAMPLE_EVERY,
        )
        answered = gateway.providers[gateway.stack.gateway.default_provider].requests_in_all()
        return Soak(load=load, answered=answered, memory=memory, crashes=gateway.vm_crashes())


def prompt_bodies(length: int) -> list[bytes]:
    """Return chat requests of about *length* bytes: English, code, Chinese and a clinical question."""
    bodies = []
    for text in _TEXTS:
        repeated = text.encode() * (length // len(text.encode()) + 1)
        message = {"role": "user", "content": repeated[:length].decode(errors="ignore")}
        bodies.append(json.dumps({"model": "auto", "messages": [message]}, ensure_ascii=False).encode())
    return bodies


class _Requests:
    """The requests of a comparison, the same for everybody."""

    def __init__(self, bodies: Sequence[bytes]) -> None:
        self._requests = [http_request("gateway", _CHAT, body) for body in bodies]
        self._expect = Expectation(shortest_body_bytes=len(json.dumps(_ANSWER)))

    def send(self, subject: Subject, *, count: int, connections: int) -> LoadResult:
        """Send *count* requests; raises RuntimeError when an answer is wrong."""
        result = run_load(
            subject.port, self._requests, count=count, connections=connections, expect=self._expect
        )
        if result.errors:
            raise RuntimeError(f"Envoy {subject.name}: {dict(result.errors)}")
        return result


def _check_signal(subject: Subject) -> None:
    """Make sure that what is measured is done: the upstream returns the signal it was sent."""
    connection = http.client.HTTPConnection("127.0.0.1", subject.port, timeout=30)
    try:
        connection.request("POST", _CHAT, prompt_bodies(200)[0], {"content-type": "application/json"})
        response = connection.getresponse()
        response.read()
    finally:
        connection.close()
    if not response.headers.get(_ECHO):
        raise RuntimeError(f"Envoy {subject.name} does not classify: status {response.status}")


@contextlib.contextmanager
def running_subject(
    name: str, upstream: int, plugins: Plugins, module: Path, *, services: Sequence[Service] = ()
) -> Iterator[Subject]:
    """Run an Envoy with *plugins* in front of the upstream on that port, to be measured beside others.

    The plugins can call out to *services*.
    """
    gateway = describe_gateway(module=module.resolve())
    provider = replace(gateway.providers[0], port=upstream)
    gateway = replace(
        gateway, providers=(provider,), default_provider=provider.name, services=tuple(services)
    )
    port = gateway.listeners[0].port
    filters = [describe_plugin(plugin, config) for plugin, config in plugins.items()]
    with running_envoy(render(gateway, filters), port=port) as envoy:
        yield Subject(name, port, envoy)


@contextlib.contextmanager
def running_upstream() -> Iterator[int]:
    """Run an upstream that costs next to nothing; yields its port."""
    port = free_ports(1)
    with running_envoy(_upstream_bootstrap(port), port=port):
        yield port


def _upstream_bootstrap(port: int) -> Node:
    """Return an Envoy that reads each request to its end and answers it by itself."""
    route: Node = {
        "match": {"prefix": "/"},
        "direct_response": {"status": 200, "body": {"inline_string": json.dumps(_ANSWER)}},
        "response_headers_to_add": [{"header": {"key": _ECHO, "value": f"%REQ({signals.COMPLEXITY})%"}}],
    }
    # An answer to half a request would cost the connection.
    whole_request = {"@type": f"{HTTP_FILTERS}.buffer.v3.Buffer", "max_request_bytes": 1 << 26}
    manager: Node = {
        "@type": f"{API}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "upstream",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [
            {"name": "envoy.filters.http.buffer", "typed_config": whole_request},
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{HTTP_FILTERS}.router.v3.Router"},
            },
        ],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    return {
        "static_resources": {
            "listeners": [
                {"name": "upstream", "address": socket_address("127.0.0.1", port), "filter_chains": [chain]}
            ]
        }
    }
