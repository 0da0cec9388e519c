"""Failover in a real Envoy: faults of providers as callers do not see them, and what each attempt carries.

Each scenario says beforehand what callers get, what the breaker counts and which state it leaves. What was
seen is recorded as a property of the test, so that `tests/prove/failover.py` can print both as a table.
"""

import contextlib
import http.server
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import requests

from nexus.controls import AdminPage
from nexus.description import Gateway, Key, Provider, Retries, Timeouts, Tls
from nexus.live_directory import LiveDirectory
from nexus.ports import free_ports
from nexus.render import BOOTSTRAP, render, render_files
from nexus.testing import (
    RunningGateway,
    describe_gateway,
    describe_plugin,
    running_envoy,
    running_gateway,
)

from .http2 import CERTIFICATE, Http2Provider, http2_provider, send

NAME = "ai-provider-circuit-breaker"
METRICS = "wasmcustom.ai_provider_circuit_breaker"
CHAT = "/v1/chat/completions"
PROVIDERS = ("openai", "anthropic", "google")
CHOICE = {
    "content-type": "application/json",
    "x-ai-provider": "openai",
    "x-ai-model": "gpt-5.5",
    "x-ai-cluster": "openai",
    "x-ai-fallbacks": "anthropic/claude-sonnet,google/gemini-pro",
}
FIRST_TOKEN_S = 0.4
CONFIG = {
    "attempts": "upstream",
    "shut_for": {"open_s": 1.5, "open_limit_s": 1.5, "jitter": 0, "unauthorized_s": 1.5, "rate_limit_s": 1.5},
    "half_open": {"probe_expiry_s": 86_400},
    "open_after": {"window_s": 3},
    "first_token_s": FIRST_TOKEN_S,
}
"""Deadlines are short, but a probe whose permit is lost is lost for a day, and so is its provider."""

IDLE_S = 0.8


@dataclass(frozen=True, slots=True)
class Seen:
    """What a caller got."""

    outcome: str
    """The status, `broken` if the answer broke off, or `cut` if a stream says at its end that it was cut."""
    provider: str | None
    attempts: int
    seconds: float
    body: bytes = field(repr=False)
    retry_after: str | None = None
    failed: str | None = None
    """Who did before, as the gateway says."""


@pytest.fixture(scope="module")
def gateway(module: Path) -> Iterator[RunningGateway]:
    described = replace(
        describe_gateway(module=module),
        timeouts=Timeouts(connect_s=1, headers_s=10, idle_s=5, response_s=0),
        retries=Retries(idle_s=IDLE_S),
    )
    with running_gateway({NAME: CONFIG}, gateway=described, workers=2) as running:
        yield running


@pytest.fixture
def healthy(gateway: RunningGateway) -> Iterator[RunningGateway]:
    """The gateway with all providers working and all breakers closed, and without crashes afterwards."""
    gateway.reset()
    heal(gateway)
    gateway.reset()
    yield gateway
    gateway.reset()
    assert gateway.vm_crashes() == []


def heal(gateway: RunningGateway) -> None:
    """Ask each provider until it has answered often enough to be trusted again."""
    deadline = time.monotonic() + 20
    for provider, model in (("openai", "gpt-5.5"), ("anthropic", "claude-sonnet"), ("google", "gemini-pro")):
        answered = 0
        alone = {"x-ai-provider": provider, "x-ai-model": model, "x-ai-cluster": provider}
        while answered < 4:
            assert time.monotonic() < deadline, f"{provider} does not come back"
            seen = ask(gateway.base_url, headers=alone | {"x-ai-fallbacks": ""})
            if seen.outcome == "200":
                answered += 1
            else:
                time.sleep(0.1)


def ask(
    url: str,
    *,
    stream: bool = False,
    headers: dict[str, str] | None = None,
    text: str = "hi",
    timeout_s: float = 20,
) -> Seen:
    body = {"model": "gpt-5.5", "stream": stream, "messages": [{"role": "user", "content": text}]}
    started = time.monotonic()
    provider, attempts, retry_after, failed, content = None, 0, None, None, b""
    try:
        response = requests.post(
            url + CHAT, headers=CHOICE | (headers or {}), json=body, timeout=timeout_s, stream=True
        )
        provider = response.headers.get("x-ai-provider")
        attempts = int(response.headers.get("x-ai-attempts", "0"))
        retry_after = response.headers.get("retry-after")
        failed = response.headers.get("x-ai-failed")
        content = response.content
        outcome = "cut" if b"stream_cut" in content else str(response.status_code)
    except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError):
        outcome = "broken"
    seconds = time.monotonic() - started
    return Seen(outcome, provider, attempts, seconds, content, retry_after, failed)


def kinds(gateway: RunningGateway, provider: str = "openai") -> Counter[str]:
    """Return how often each kind of exchange was counted for *provider* so far."""
    names = ("success", "failure", "rate_limited", "unauthorized", "not_counted")
    stats = gateway.admin.stats(f"{METRICS}.{provider}.")
    return Counter({name: stats.get(f"{METRICS}.{provider}.{name}", 0) for name in names})


def settled(gateway: RunningGateway, before: Counter[str], expected: set[str]) -> set[str]:
    """Wait for what is counted after the answer has gone, and return the kinds."""
    deadline = time.monotonic() + 3
    while (found := set(kinds(gateway) - before)) < expected and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A fault of the provider that the router has chosen, and what is to come of it."""

    name: str
    fault: dict[str, object]
    outcomes: str
    """What callers may get, with `|` between."""
    kinds: str
    """What exchanges with the faulty provider are counted as, with `|` between."""
    others: dict[str, object] = field(default_factory=dict)
    """The fault of all other providers."""
    stream: bool = False
    requests: int = 6
    shut: bool | None = True
    """Whether the provider is left alone afterwards; `None` if that is a matter of chance."""
    longest_s: float = 1.0
    """For one request, on a busy machine."""

    @property
    def expected(self) -> str:
        left_alone = {True: "then left alone", False: "not left alone", None: "perhaps left alone"}[self.shut]
        return f"callers {self.outcomes}; counted {self.kinds}; {left_alone}"


SCENARIOS = [
    Scenario(
        name="timeout",
        fault={"latency_ms": 3000},
        outcomes="200",
        kinds="failure",
        longest_s=IDLE_S + 1,
    ),
    Scenario(name="reset", fault={"reset": True}, outcomes="200", kinds="failure"),
    Scenario(
        name="429 with Retry-After",
        fault={"status": 429, "retry_after_s": 2},
        outcomes="200",
        kinds="rate_limited",
    ),
    Scenario(name="burst of 5xx", fault={"status": 503, "count": 3}, outcomes="200", kinds="failure"),
    Scenario(
        name="slow first token",
        fault={"first_token_ms": 550},
        stream=True,
        outcomes="200",
        kinds="failure",
        longest_s=FIRST_TOKEN_S + 1,
    ),
    Scenario(name="hang", fault={"hang": True}, outcomes="200", kinds="failure", longest_s=IDLE_S + 1),
    Scenario(
        name="hang, asked for a stream",
        fault={"hang": True},
        stream=True,
        outcomes="200",
        kinds="failure",
        longest_s=FIRST_TOKEN_S + 1,
    ),
    Scenario(
        name="JSON cut off",
        fault={"cut_after_bytes": 20},
        outcomes="200",
        kinds="failure",
    ),
    Scenario(
        name="stream cut off",
        fault={"cut_after_bytes": 300},
        stream=True,
        outcomes="broken|cut|200",
        kinds="failure",
        longest_s=2.5,
    ),
    Scenario(name="bad JSON", fault={"malformed": True}, outcomes="200", kinds="failure"),
    Scenario(name="credentials revoked", fault={"status": 401}, outcomes="200", kinds="unauthorized"),
    Scenario(
        name="30 % of requests fail",
        fault={"status": 500, "rate": 0.3, "seed": 7},
        requests=40,
        outcomes="200",
        kinds="failure|success",
        shut=None,
    ),
    Scenario(
        name="oversized answer",
        fault={"oversized_bytes": 3_000_000},
        outcomes="200",
        kinds="success",
        shut=False,
        longest_s=3,
    ),
    Scenario(
        name="all down",
        fault={"status": 503},
        others={"status": 502},
        outcomes="502|503",
        kinds="failure",
    ),
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_scenario(
    healthy: RunningGateway, scenario: Scenario, record_property: Callable[[str, object], None]
) -> None:
    record_property("expected", scenario.expected)
    healthy.providers["openai"].set_fault(**scenario.fault)
    for name in ("anthropic", "google"):
        healthy.providers[name].set_fault(**scenario.others)
    before = kinds(healthy)

    seen = [ask(healthy.base_url, stream=scenario.stream) for _ in range(scenario.requests)]

    counted = settled(healthy, before, set(scenario.kinds.split("|")))
    asked = healthy.providers["openai"].requests_in_all()
    outcomes = Counter(each.outcome for each in seen)
    record_property(
        "seen",
        f"callers {dict(outcomes)}; counted {'|'.join(sorted(counted))}; asked {asked} of {len(seen)}; "
        f"longest {max(each.seconds for each in seen):.2f} s",
    )
    assert set(outcomes) <= set(scenario.outcomes.split("|"))
    assert counted == set(scenario.kinds.split("|"))
    assert scenario.shut is None or (asked < len(seen)) is scenario.shut
    assert max(each.seconds for each in seen) < scenario.longest_s
    for each in seen:
        if each.outcome == "200":
            assert is_whole(each.body, stream=scenario.stream)
    if scenario.others:
        assert all(each.retry_after for each in seen[-2:]), "who is refused is told when to come again"


def is_whole(body: bytes, *, stream: bool) -> bool:
    return body.endswith(b"data: [DONE]\n\n") if stream else "choices" in json.loads(body)


def test_scenario_flapping(healthy: RunningGateway, record_property: Callable[[str, object], None]) -> None:
    record_property("expected", "callers 200; while it works some requests go there, while it fails few")
    outcomes: Counter[str] = Counter()
    asked = []
    for turn in range(6):
        healthy.reset()
        healthy.providers["openai"].set_fault(**({"status": 503} if turn % 2 == 0 else {}))
        ends = time.monotonic() + 2
        while time.monotonic() < ends:
            outcomes[ask(healthy.base_url).outcome] += 1
            time.sleep(0.01)
        asked.append(healthy.providers["openai"].requests_in_all())
    record_property(
        "seen", f"callers {dict(outcomes)}; asked while failing {asked[::2]}, working {asked[1::2]}"
    )

    assert set(outcomes) == {"200"}
    assert all(count <= 10 for count in asked[::2])
    assert all(count >= 3 for count in asked[1::2])


def test_scenario_slow_recovery(
    healthy: RunningGateway, record_property: Callable[[str, object], None]
) -> None:
    record_property(
        "expected", "callers 200; few requests go there until it works, and all within 3 s of that"
    )
    openai = healthy.providers["openai"]
    openai.set_fault(status=503)
    outcomes = Counter(ask(healthy.base_url).outcome for _ in range(4))
    healthy.reset()
    openai.set_fault(status=503, latency_ms=100, rate=0.8, seed=3)
    with ThreadPoolExecutor(8) as pool:
        ends = time.monotonic() + 4
        while time.monotonic() < ends:
            outcomes.update(seen.outcome for seen in pool.map(lambda _: ask(healthy.base_url), range(8)))
            time.sleep(0.02)
    asked = openai.requests_in_all()
    openai.set_fault()
    cured = time.monotonic()
    in_a_row = 0
    while in_a_row < 10:
        assert time.monotonic() < cured + 5
        in_a_row = in_a_row + 1 if ask(healthy.base_url).provider == "openai" else 0
        time.sleep(0.01)
    back_s = time.monotonic() - cured
    record_property(
        "seen",
        f"callers {dict(outcomes)}; asked {asked} of {outcomes.total()}; back {back_s:.2f} s after the cure",
    )

    assert set(outcomes) == {"200"}
    assert 0 < asked < outcomes.total() / 10
    assert back_s < 3


# What each attempt carries


@dataclass(slots=True)
class Scripted:
    """A provider of our own: it answers as told, and writes down what it was sent."""

    port: int
    status: int = 200
    body: bytes = json.dumps({"choices": [{"message": {"content": "Hi"}}]}).encode()
    content_type: str = "application/json"
    delay_s: float = 0
    pause_s: float = 0
    """Between head and body."""
    is_chunked: bool = False
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    def fail(self, code: str, status: int = 400) -> None:
        self.status = status
        self.body = json.dumps(
            {"error": {"message": "no", "type": "x", "param": None, "code": code}}
        ).encode()


def _chunked(body: bytes) -> bytes:
    """Write *body* in two chunks."""
    halves = body[: len(body) // 2], body[len(body) // 2 :]
    return b"".join(b"%x\r\n%b\r\n" % (len(half), half) for half in (*halves, b""))


@contextlib.contextmanager
def scripted(port: int) -> Iterator[Scripted]:
    provider = Scripted(port)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            provider.requests.append((self.path, headers, body))
            time.sleep(provider.delay_s)
            with contextlib.suppress(ConnectionError):
                self.send_response(provider.status)
                self.send_header("content-type", provider.content_type)
                if provider.is_chunked:
                    self.send_header("transfer-encoding", "chunked")
                else:
                    self.send_header("content-length", str(len(provider.body)))
                self.end_headers()
                self.wfile.flush()
                time.sleep(provider.pause_s)
                self.wfile.write(_chunked(provider.body) if provider.is_chunked else provider.body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield provider
        finally:
            server.shutdown()
            thread.join()


@dataclass(frozen=True, slots=True)
class Providers:
    """Three providers with a key and a path each, and two that cannot be reached."""

    url: str
    openai: Scripted
    anthropic: Scripted
    google: Scripted
    admin: AdminPage


LASTING = CONFIG | {"open_after": {"failures": 1000, "failure_rate": 0}}
"""The breaker stays out of it."""


def describe_providers(module: Path, ports: list[int], **changes: Any) -> Gateway:
    """Return a gateway whose providers are not faked: they have keys, paths and names."""
    names = ("openai", "anthropic", "google", "moonshot", "nowhere")
    keys = (Key(variable="KEY_OPENAI"), Key(variable="KEY_ANTHROPIC"), None, None, None)
    prefixes = ("/v1", "/openai/v1", "/v1beta/openai", "/v1", "/v1")
    hosts = ("127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.1", "nonexistent.invalid")
    providers = tuple(
        Provider(name=name, host=host, port=port, key=key, path_prefix=prefix)
        for name, host, port, key, prefix in zip(names, hosts, ports, keys, prefixes, strict=True)
    )
    described = replace(
        describe_gateway(module=module.resolve()),
        providers=providers,
        timeouts=Timeouts(connect_s=1, headers_s=10, idle_s=5, response_s=0),
        retries=Retries(idle_s=IDLE_S),
    )
    return replace(described, **changes)


CATALOG = [
    {
        "name": name,
        "provider": provider,
        "prices_nano_usd_per_token": {"input": 1000, "output": 1000},
        "quality": 0.9,
        "context_window_tokens": window,
        "upstream_name": f"{name}-upstream",
    }
    for name, provider, window in (
        ("gpt-5.5", "openai", 100_000),
        ("claude-sonnet", "anthropic", 50_000),
        ("gemini-pro", "google", 1_000_000),
        ("kimi", "moonshot", 100_000),
        ("ghost", "nowhere", 100_000),
    )
]


@contextlib.contextmanager
def serving(module: Path, config: dict[str, object], **changes: Any) -> Iterator[Providers]:
    first = free_ports(4)
    ports = [first, first + 1, first + 2, first + 3, 80]
    described = describe_providers(module, ports, **changes)
    plugins = [describe_plugin(NAME, config | {"catalog": CATALOG})]
    port = described.listeners[0].port
    with contextlib.ExitStack() as stack:
        openai, anthropic, google = (stack.enter_context(scripted(port)) for port in ports[:3])
        stack.enter_context(running_envoy(render(described, plugins), port=port))
        for provider in (openai, anthropic, google):
            provider.requests.clear()
        admin = AdminPage(described.admin.port)
        yield Providers(f"http://127.0.0.1:{port}", openai, anthropic, google, admin)


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the keys of the providers, which Envoy does not start without."""
    monkeypatch.setenv("KEY_OPENAI", "key-of-openai")
    monkeypatch.setenv("KEY_ANTHROPIC", "key-of-anthropic")


@pytest.fixture(scope="module")
def started(module: Path) -> Iterator[Providers]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("KEY_OPENAI", "key-of-openai")
        environment.setenv("KEY_ANTHROPIC", "key-of-anthropic")
        with serving(module, LASTING) as providers:
            yield providers


@pytest.fixture
def providers(started: Providers) -> Providers:
    """The providers, answering and without memories."""
    for provider in (started.openai, started.anthropic, started.google):
        fresh = Scripted(provider.port)
        provider.status, provider.body = fresh.status, fresh.body
        provider.content_type, provider.delay_s = fresh.content_type, fresh.delay_s
        provider.pause_s, provider.is_chunked = fresh.pause_s, fresh.is_chunked
        provider.requests.clear()
    return started


def last(provider: Scripted) -> tuple[str, dict[str, str], dict[str, Any]]:
    """Return path, headers and body of the last request; its length must be what it says."""
    path, headers, body = provider.requests[-1]
    assert int(headers["content-length"]) == len(body)
    return path, headers, json.loads(body)


def test_each_attempt_has_its_own_key_path_and_model(providers: Providers) -> None:
    providers.openai.status = providers.anthropic.status = 503

    seen = ask(providers.url, headers={"x-api-key": "callers-own"})

    assert (seen.outcome, seen.provider, seen.attempts) == ("200", "google", 3)
    assert seen.failed == "openai/gpt-5.5,anthropic/claude-sonnet"
    path, headers, body = last(providers.openai)
    assert (path, headers["authorization"]) == ("/v1/chat/completions", "Bearer key-of-openai")
    path, headers, body = last(providers.anthropic)
    assert (path, headers["authorization"]) == ("/openai/v1/chat/completions", "Bearer key-of-anthropic")
    assert body["model"] == "claude-sonnet-upstream"
    assert "x-api-key" not in headers
    path, headers, body = last(providers.google)
    assert path == "/v1beta/openai/chat/completions"
    assert body["model"] == "gemini-pro-upstream"


def test_no_attempt_carries_a_key_that_is_not_its_providers(providers: Providers) -> None:
    """The last provider has no key at all, so that whatever it gets is somebody else's."""
    providers.openai.status = providers.anthropic.status = 503

    ask(providers.url, headers={"authorization": "Bearer callers-own", "api-key": "x", "cookie": "s=1"})

    sent = [json.dumps(headers) for _, headers, _ in providers.google.requests]
    assert len(sent) == 1
    assert not any(secret in sent[0] for secret in ("key-of", "callers-own", "api-key", "cookie"))
    assert not any("key-of-openai" in json.dumps(headers) for _, headers, _ in providers.anthropic.requests)


def test_a_first_attempt_elsewhere_has_that_providers_path(providers: Providers) -> None:
    choice = {"x-ai-provider": "google", "x-ai-model": "gemini-pro", "x-ai-cluster": "google"}

    seen = ask(providers.url, headers=choice | {"authorization": "Bearer callers-own"})

    assert seen.outcome == "200"
    path, headers, _ = last(providers.google)
    assert path == "/v1beta/openai/chat/completions"
    assert headers["authorization"] == "Bearer callers-own", "the first attempt passes it, as ever"


def test_a_path_is_led_back(providers: Providers) -> None:
    """From a prefix to none, when the first attempt has changed the path."""
    providers.google.status = 500
    choice = {"x-ai-provider": "google", "x-ai-model": "gemini-pro", "x-ai-cluster": "google"}

    seen = ask(providers.url, headers=choice | {"x-ai-fallbacks": "openai/gpt-5.5"})

    assert seen.outcome == "200"
    assert last(providers.openai)[0] == "/v1/chat/completions"


def test_a_long_body_arrives_whole_at_each(providers: Providers) -> None:
    providers.openai.status = 503
    text = "long " * 200_000

    seen = ask(providers.url, text=text)

    assert seen.outcome == "200"
    assert last(providers.anthropic)[2]["messages"][0]["content"] == text


@pytest.mark.parametrize(("provider", "model"), [("moonshot", "kimi"), ("nowhere", "ghost")])
def test_scenario_unreachable(
    providers: Providers, provider: str, model: str, record_property: Callable[[str, object], None]
) -> None:
    record_property("expected", "callers 200, from the first fallback, within 1 s")
    choice = {"x-ai-provider": provider, "x-ai-model": model, "x-ai-cluster": provider}

    seen = [ask(providers.url, headers=choice) for _ in range(5)]

    longest_s = max(each.seconds for each in seen)
    outcomes = Counter(each.outcome for each in seen)
    record_property("seen", f"callers {dict(outcomes)} from {seen[-1].provider}; longest {longest_s:.2f} s")
    assert set(outcomes) == {"200"}
    assert {each.provider for each in seen} == {"anthropic"}
    assert longest_s < 1


def test_scenario_stream_ended_early(
    providers: Providers, record_property: Callable[[str, object], None]
) -> None:
    record_property("expected", "callers get what there is and an error event, never a whole answer")
    providers.openai.content_type = "text/event-stream"
    providers.openai.body = b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n'

    seen = ask(providers.url, stream=True)

    record_property("seen", f"{seen.outcome}: {seen.body[-120:]!r}")
    assert seen.outcome == "cut"
    assert seen.body.startswith(providers.openai.body)
    assert seen.attempts == 1


@pytest.mark.parametrize("is_first", [True, False])
def test_a_provider_whose_key_is_not_there_is_passed_over(
    module: Path, tmp_path: Path, keys: None, is_first: bool
) -> None:
    """It refuses the request, which carries no other key, and then it is left alone."""
    first = free_ports(5)
    described = describe_providers(module, [first + number for number in range(5)])
    absent = Key(file=tmp_path / "absent")
    openai, anthropic, *others = described.providers
    keyless = (
        (replace(openai, key=absent), anthropic) if is_first else (openai, replace(anthropic, key=absent))
    )
    described = replace(described, providers=(*keyless, *others))
    plugins = [describe_plugin(NAME, CONFIG | {"catalog": CATALOG})]
    live = LiveDirectory(tmp_path / "envoy")
    live.publish(render_files(described, plugins, live.path, edition=""))
    port = described.listeners[0].port
    with contextlib.ExitStack() as stack:
        served = [stack.enter_context(scripted(first + number)) for number in range(3)]
        stack.enter_context(running_envoy(live.path / BOOTSTRAP, port=port))
        without, following = served[:2] if is_first else served[1:]
        without.fail("invalid_api_key", 401)
        if not is_first:
            served[0].status = 503

        seen = [
            ask(f"http://127.0.0.1:{port}", headers={"authorization": "Bearer callers"}) for _ in range(2)
        ]

        assert [each.outcome for each in seen] == ["200", "200"]
        assert len(following.requests) == 2
        [(_, headers, _)] = without.requests
        assert "authorization" not in headers
        name = "openai" if is_first else "anthropic"
        assert AdminPage(described.admin.port).stats(METRICS)[f"{METRICS}.{name}.unauthorized"] == 1


# Providers that are spoken to over TLS and HTTP/2


TRUSTED = Tls(sni="llm.internal", ca_file=str(CERTIFICATE))


@contextlib.contextmanager
def secured(module: Path, first_tls: Tls = TRUSTED) -> Iterator[tuple[int, Http2Provider, Http2Provider]]:
    """Serve a gateway and two providers; give its port and them."""
    with contextlib.ExitStack() as stack:
        openai, anthropic = (stack.enter_context(http2_provider()) for _ in range(2))
        described = describe_providers(module, [openai.port, anthropic.port, 1, 1, 1])
        first, second, *others = described.providers
        first, second = replace(first, tls=first_tls), replace(second, tls=TRUSTED)
        described = replace(described, providers=(first, second, *others))
        plugins = [describe_plugin(NAME, LASTING | {"catalog": CATALOG})]
        port = described.listeners[0].port
        stack.enter_context(running_envoy(render(described, plugins), port=port))
        openai.requests.clear()
        yield port, openai, anthropic


@pytest.mark.parametrize("fault", [{"status": 503}, {"status": 429}, {"refuses": True}])
def test_it_goes_on_over_http2(module: Path, keys: None, fault: dict[str, Any]) -> None:
    with secured(module) as (port, openai, anthropic):
        for name, value in fault.items():
            setattr(openai, name, value)

        seen = ask(f"http://127.0.0.1:{port}", text="long " * 50_000)

        assert (seen.outcome, seen.provider, seen.attempts) == ("200", "anthropic", 2)
        assert len(openai.requests) == 1
        [request] = anthropic.requests
        assert request.headers[":path"] == "/openai/v1/chat/completions"
        assert request.headers[":authority"] == "llm.internal"
        assert request.headers["authorization"] == "Bearer key-of-anthropic"
        sent = json.loads(request.body)
        assert sent["model"] == "claude-sonnet-upstream"
        assert sent["messages"][0]["content"] == "long " * 50_000


def test_a_certificate_that_is_not_trusted_is_a_failed_attempt(module: Path, keys: None) -> None:
    with secured(module, replace(TRUSTED, sni="other.internal")) as (port, openai, _):
        seen = ask(f"http://127.0.0.1:{port}")

        assert (seen.outcome, seen.provider, seen.attempts) == ("200", "anthropic", 2)
        assert not openai.requests


def test_trailers_are_there_at_each_attempt(module: Path, keys: None) -> None:
    with secured(module) as (port, openai, anthropic):
        openai.status, openai.trailers = 503, {"x-sum": "openais"}
        anthropic.trailers = {"x-sum": "anthropics"}
        head = {":method": "POST", ":path": CHAT, ":scheme": "http", ":authority": "gateway"}
        body = json.dumps({"model": "gpt-5.5", "messages": [{"role": "user", "content": "hi"}]}).encode()

        response = send(port, head | CHOICE, body, {"x-sum": "callers"})

        assert response.headers[":status"] == "200"
        assert response.headers["x-ai-provider"] == "anthropic"
        assert (response.body, response.trailers) == (anthropic.body, anthropic.trailers)
        for provider in (openai, anthropic):
            assert [request.trailers for request in provider.requests] == [{"x-sum": "callers"}]
        assert json.loads(anthropic.requests[0].body)["model"] == "claude-sonnet-upstream"


# Errors that the request is to blame for


def test_what_is_too_long_goes_to_a_larger_model(providers: Providers) -> None:
    providers.openai.fail("context_length_exceeded")

    seen = ask(providers.url)

    assert (seen.outcome, seen.provider, seen.attempts) == ("200", "google", 2)
    assert seen.failed is None, "it was the request's fault"
    assert not providers.anthropic.requests, "it has less room"


def test_what_is_too_long_for_all_comes_back_as_it_was(providers: Providers) -> None:
    providers.google.fail("context_length_exceeded")
    choice = {"x-ai-provider": "google", "x-ai-model": "gemini-pro", "x-ai-cluster": "google"}

    seen = ask(providers.url, headers=choice | {"x-ai-fallbacks": "openai/gpt-5.5"})

    assert (seen.outcome, seen.attempts) == ("400", 1)
    assert json.loads(seen.body)["error"]["code"] == "context_length_exceeded"
    assert not providers.openai.requests


def test_what_a_filter_has_refused_comes_back(providers: Providers) -> None:
    providers.openai.fail("content_filter")

    seen = ask(providers.url)

    assert (seen.outcome, seen.attempts) == ("400", 1)
    assert json.loads(seen.body)["error"]["code"] == "content_filter"


def test_an_error_of_unknown_length_is_looked_at_too(providers: Providers) -> None:
    providers.openai.fail("context_length_exceeded")
    providers.openai.is_chunked = True

    assert ask(providers.url).provider == "google"


def test_a_long_error_comes_back_as_it_was(providers: Providers) -> None:
    """It is not kept whole, so what would have to be known is not found out."""
    providers.openai.fail("context_length_exceeded")
    providers.openai.is_chunked = True
    providers.openai.body = b" " * 200_000 + providers.openai.body

    seen = ask(providers.url)

    assert (seen.outcome, seen.provider, seen.attempts) == ("400", "openai", 1)
    assert seen.body == providers.openai.body


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_the_callers_mistakes_come_back(providers: Providers, status: int) -> None:
    providers.openai.fail("invalid", status)

    seen = ask(providers.url)

    assert (seen.outcome, seen.attempts) == (str(status), 1)
    assert not providers.anthropic.requests


# Bounds of the whole chain


def test_chain_limits_hold(module: Path, keys: None) -> None:
    """A token costs 1,000 nano-USD, so three cents are 30,000 tokens, tried in vain or about to be."""
    chain = {"limit_usd": "0.03", "deadline_s": 30, "on_content_filter": "next"}
    with serving(module, LASTING | {"chain": chain}) as providers:
        providers.openai.fail("content_filter")
        seen = ask(providers.url, headers={"x-ai-prompt-tokens": "10"})
        assert (seen.outcome, seen.provider) == ("200", "anthropic")

        providers.openai.status = 503
        seen = ask(providers.url, headers={"x-ai-prompt-tokens": "20000"})
        assert (seen.outcome, seen.provider) == ("200", "anthropic"), "an error is not charged for"

        seen = ask(providers.url, headers={"x-ai-prompt-tokens": "40000"})
        assert (seen.outcome, seen.provider, seen.attempts) == ("503", "openai", 1)

        providers.openai.delay_s = IDLE_S + 0.5
        seen = ask(providers.url, headers={"x-ai-prompt-tokens": "20000"})
        assert seen.outcome == "504", "what was not answered may have been charged for"
        assert json.loads(seen.body)["error"]["code"] == "no_provider_left"

        limited = {"x-ai-prompt-tokens": "1000", "x-ai-max-tokens": "14000"}
        assert ask(providers.url, headers=limited).provider == "anthropic"
        seen = ask(providers.url, headers=limited | {"x-ai-max-tokens": "14001"})
        assert seen.outcome == "504", "and so may its whole output, and that of the next"


def test_no_attempt_begins_after_the_deadline(module: Path) -> None:
    patience = Timeouts(connect_s=1, headers_s=10, idle_s=5, response_s=0)
    described = replace(describe_gateway(module=module), retries=Retries(idle_s=0.5), timeouts=patience)
    config = LASTING | {"chain": {"deadline_s": 0.8}}
    with running_gateway({NAME: config}, gateway=described) as gateway:
        for name in PROVIDERS:
            gateway.providers[name].set_fault(hang=True)

        seen = ask(gateway.base_url)

        assert seen.outcome == "504"
        assert json.loads(seen.body)["error"]["code"] == "deadline_exceeded"
        assert seen.attempts == 2
        assert gateway.providers["google"].requests_in_all() == 0


@pytest.mark.parametrize("stream", [False, True])
def test_the_deadline_ends_an_attempt_that_is_under_way(module: Path, stream: bool) -> None:
    """The second one, late enough that no timer of the proxy's ends it first."""
    config = LASTING | {"chain": {"deadline_s": 1.5}, "first_token_s": 60}
    with running_gateway({NAME: config}, module=module) as gateway:
        gateway.providers["openai"].set_fault(latency_ms=1200, status=503)
        silent: dict[str, object] = {"first_token_ms": 9000} if stream else {"hang": True}
        gateway.providers["anthropic"].set_fault(**silent)

        seen = ask(gateway.base_url, stream=stream)

        assert seen.outcome == "504"
        assert 1.5 <= seen.seconds < 3
        assert json.loads(seen.body)["error"]["code"] == "deadline_exceeded"
        assert (seen.attempts, seen.retry_after) == (2, "1")
        assert soon(lambda: active_requests(gateway.admin, "anthropic") == 0), "it is not left under way"
        stats = gateway.admin.stats(METRICS)
        assert stats[f"{METRICS}.gave_up.deadline"] == 1
        assert stats[f"{METRICS}.anthropic.not_counted"] == 1
        assert not [line for line in gateway.logs if "raised" in line]
        assert gateway.vm_crashes() == []


def test_a_stream_that_has_begun_flows_on_past_every_limit(module: Path) -> None:
    config = LASTING | {"chain": {"deadline_s": 0.5}}
    with running_gateway({NAME: config}, module=module) as gateway:
        gateway.providers["openai"].set_fault(token_interval_ms=100, answer_tokens=25)

        seen = ask(gateway.base_url, stream=True)

        assert (seen.outcome, seen.provider) == ("200", "openai")
        assert is_whole(seen.body, stream=True)
        assert seen.seconds > 2


# Who begins to answer and does not


EVENT = b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n'
LAST_EVENT = b"data: [DONE]\n\n"


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/event-stream", b""),
        ("text/event-stream", b": wait\n\n"),
        ("text/event-stream", b'data: {"error":{"message":"overloaded"}}\n\n'),
        ("text/event-stream", b"data: nonsense\n\n"),
        ("application/json", b""),
        ("application/json", b"<html>busy</html>"),
        ("application/json", b'{"choices":'),
    ],
)
@pytest.mark.parametrize("is_chunked", [False, True])
def test_what_begins_like_an_answer_and_is_none_is_nobodys(
    providers: Providers, content_type: str, body: bytes, is_chunked: bool
) -> None:
    openai = providers.openai
    openai.content_type, openai.body, openai.is_chunked = content_type, body, is_chunked

    seen = ask(providers.url)

    assert (seen.outcome, seen.provider, seen.attempts) == ("200", "anthropic", 2)
    assert seen.body == providers.anthropic.body


@pytest.mark.parametrize("stream", [False, True])
def test_a_head_without_a_body_is_no_answer(providers: Providers, stream: bool) -> None:
    providers.openai.content_type = "text/event-stream" if stream else "application/json"
    providers.openai.pause_s = IDLE_S + 1

    seen = ask(providers.url, stream=stream)

    assert (seen.provider, seen.attempts) == ("anthropic", 2)
    assert seen.seconds < IDLE_S + 0.7


def test_comments_before_a_stream_arrive_with_it(providers: Providers) -> None:
    openai = providers.openai
    openai.content_type, openai.is_chunked = "text/event-stream", True
    openai.body = b": wait\n\n" * 10 + EVENT * 2 + LAST_EVENT

    seen = ask(providers.url, stream=True)

    assert (seen.outcome, seen.attempts, seen.body) == ("200", 1, openai.body)


def test_an_answer_in_one_piece_has_a_limit_of_its_own(module: Path, keys: None) -> None:
    config = LASTING | {"answer_s": 0.3, "first_token_s": 60}
    with serving(module, config, retries=Retries()) as providers:
        providers.openai.delay_s = 3

        seen = ask(providers.url)
        assert (seen.outcome, seen.provider) == ("200", "anthropic")
        assert seen.seconds < 1.3

        providers.openai.content_type, providers.openai.body = "text/event-stream", EVENT + LAST_EVENT
        providers.openai.delay_s = 0.8
        assert ask(providers.url, stream=True).provider == "openai"
        [_, (_, headers, _)] = providers.openai.requests
        assert not {name for name in headers if "timeout" in name}, "that is none of the provider's business"


def active_requests(admin: AdminPage, provider: str) -> int:
    name = f"cluster.{provider}.upstream_rq_active"
    return admin.stats(name)[name]


# What the proxy will not do, or not know


def test_without_a_budget_the_caller_gets_the_answer_there_was(module: Path, keys: None) -> None:
    """And the fallback that was chosen gets its permit back, or it would soon be out of them."""
    retries = Retries(idle_s=IDLE_S, budget_percent=0, budget_least=0)
    config = CONFIG | {"open_after": {"failures": 3, "failure_rate": 0}}
    with serving(module, config, retries=retries) as providers:
        providers.anthropic.status = 503
        alone = {"x-ai-provider": "anthropic", "x-ai-model": "claude-sonnet", "x-ai-cluster": "anthropic"}
        for _ in range(3):
            assert ask(providers.url, headers=alone | {"x-ai-fallbacks": ""}).outcome == "503"
        providers.anthropic.status = 200
        time.sleep(1.6)  # Now it is half-open, with two permits.
        lost = Scripted(0)
        lost.fail("content_filter", 503)
        providers.openai.status, providers.openai.body = lost.status, lost.body

        before = providers.admin.stats()[f"{METRICS}.openai.failure"]

        seen = [ask(providers.url) for _ in range(2)]

        assert [(each.outcome, each.provider, each.attempts) for each in seen] == [("503", "openai", 1)] * 2
        assert seen[-1].body == lost.body
        stats = providers.admin.stats()
        assert stats["cluster.openai.upstream_rq_retry_overflow"] == 2
        assert stats[f"{METRICS}.openai.failure"] - before == 2
        for _ in range(2):
            assert ask(providers.url, headers=alone).provider == "anthropic"


@pytest.mark.parametrize("status", [200, 503])
def test_an_unknown_cluster_stands_for_the_default_provider(providers: Providers, status: int) -> None:
    providers.openai.status = status
    unknown = {"x-ai-provider": "elsewhere", "x-ai-model": "what", "x-ai-cluster": "elsewhere"}

    seen = ask(providers.url, headers=unknown)

    assert len(providers.openai.requests) == 1
    expected = (None, 1) if status == 200 else ("anthropic", 2)
    assert (seen.outcome, seen.provider, seen.attempts) == ("200", *expected)


# What a caller does meanwhile


def test_every_probe_comes_back_whatever_happens(healthy: RunningGateway) -> None:
    """Callers leave, providers fail in every way; a lost probe would shut its provider out for a day."""
    faults: list[dict[str, object]] = [
        {"status": 503, "rate": 0.5},
        {"hang": True, "rate": 0.3},
        {"reset": True, "rate": 0.5},
        {"first_token_ms": 500, "rate": 0.5},
        {"cut_after_bytes": 30, "rate": 0.5},
        {"status": 429, "retry_after_s": 0, "rate": 0.5},
    ]

    def hurry(number: int) -> None:
        with contextlib.suppress(requests.exceptions.RequestException):
            ask(healthy.base_url, stream=number % 3 == 0, timeout_s=0.05 if number % 4 == 0 else 5)

    with ThreadPoolExecutor(12) as pool:
        for turn, fault in enumerate(faults):
            for name in PROVIDERS[: 1 + turn % 3]:
                healthy.providers[name].set_fault(**fault)
            list(pool.map(hurry, range(60)))
    healthy.reset()

    heal(healthy)


def test_a_caller_who_leaves_is_nobodys_fault(healthy: RunningGateway) -> None:
    healthy.providers["openai"].set_fault(latency_ms=600)
    before = kinds(healthy)

    with pytest.raises(requests.exceptions.Timeout):
        ask(healthy.base_url, timeout_s=0.2)

    assert settled(healthy, before, {"not_counted"}) == {"not_counted"}
    assert healthy.providers["anthropic"].requests_in_all() == 0


def test_probes_come_back_from_callers_who_leave(healthy: RunningGateway) -> None:
    """Both that are allowed: neither a failure nor an answer would make room for others."""
    openai = healthy.providers["openai"]
    openai.set_fault(status=503)
    for _ in range(3):
        ask(healthy.base_url)
    openai.set_fault(latency_ms=600)
    time.sleep(1.6)
    healthy.providers["openai"].forget_requests()

    def leave(_: int) -> None:
        with pytest.raises(requests.exceptions.Timeout):
            ask(healthy.base_url, timeout_s=0.2)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(leave, range(2)))

    assert openai.requests_in_all() == 2
    healthy.reset()
    heal(healthy)


def test_a_stream_is_passed_on_event_by_event(healthy: RunningGateway) -> None:
    healthy.providers["openai"].set_fault(status=503)
    healthy.providers["anthropic"].set_fault(token_interval_ms=20, answer_tokens=20)
    body = {"model": "gpt-5.5", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    with requests.post(
        healthy.base_url + CHAT, headers=CHOICE, json=body, timeout=10, stream=True
    ) as response:
        arrivals = [time.monotonic() for _ in response.iter_content(chunk_size=None)]

    assert response.headers["x-ai-provider"] == "anthropic"
    assert len(arrivals) > 10
    assert arrivals[-1] - arrivals[0] > 0.2


def test_a_provider_that_does_not_name_a_choice_is_tried_once(healthy: RunningGateway) -> None:
    healthy.providers["openai"].set_fault(status=503)
    nothing = dict.fromkeys(("x-ai-provider", "x-ai-model", "x-ai-cluster", "x-ai-fallbacks"), "")

    seen = ask(healthy.base_url, headers=nothing)

    assert (seen.outcome, seen.attempts) == ("503", 1)
    assert healthy.providers["openai"].requests_in_all() == 1


def test_it_can_be_turned_off_and_on_while_the_gateway_runs(module: Path) -> None:
    with running_gateway({NAME: LASTING}, module=module) as gateway:
        gateway.providers["openai"].set_fault(status=503)
        described = gateway.stack.gateway
        assert ask(gateway.base_url).outcome == "200"

        change = gateway.stack.change(described, [describe_plugin(NAME, LASTING | {"half_life_s": 60})])
        assert (change.files, change.refusal) == (("attempts.yaml", "plugins.yaml"), None)
        assert ask(gateway.base_url).outcome == "200"

        off = {key: value for key, value in LASTING.items() if key != "attempts"}
        assert gateway.stack.change(described, [describe_plugin(NAME, off)]).refusal is None
        assert soon(lambda: ask(gateway.base_url).outcome == "503")

        assert gateway.stack.change(described, [describe_plugin(NAME, LASTING)]).refusal is None
        assert soon(lambda: ask(gateway.base_url).outcome == "200")
        assert gateway.vm_crashes() == []


def soon(holds: Callable[[], bool]) -> bool:
    """Wait for what Envoy's workers learn a moment after its main thread."""
    deadline = time.monotonic() + 5
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.05)
    return holds()
