"""A running Envoy takes over a changed configuration without losing a request, and refuses a bad one.

Load runs over open connections while the configuration changes, and answers are being streamed; every request
must be answered, every stream must come to its end, and no counter may fall.
"""

import json
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests

from nexus.description import Route
from nexus.live_directory import RETIREMENT_S
from nexus.load import http_request, run_load
from nexus.testing import RunningGateway, describe_plugin, running_gateway
from nexus.wasmplugin import WasmPlugin
from wasmbuild.__main__ import main as wasmbuild

CHAT = "/v1/chat/completions"
QUESTION = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}]}
PROVIDERS = ("openai", "anthropic", "google", "moonshot")
CONNECTIONS = 4
ROUTES = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"


def probe(mark: object, *, priority: int = 0) -> WasmPlugin:
    return describe_plugin("probe", {"mark": mark}, priority=priority)


CHOOSER = describe_plugin("chooser", {}, priority=1)


@pytest.fixture(scope="module")
def started(probe_module: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """One gateway for all that follows, with a module that may be replaced."""
    module = tmp_path_factory.mktemp("reload") / "module.wasm"
    shutil.copy(probe_module, module)
    with running_gateway([CHOOSER, probe("one")], module=module, workers=2) as gateway:
        yield gateway


@pytest.fixture
def live(started: RunningGateway, probe_module: Path) -> RunningGateway:
    """The gateway as it was at first, but for its counters."""
    module = started.stack.gateway.module
    if module.read_bytes() != probe_module.read_bytes():
        shutil.copy(probe_module, module)
    assert started.stack.change(started.stack.gateway, [CHOOSER, probe("one")]).refusal is None
    assert mark(started) == "one"
    started.reset()
    return started


def post(gateway: RunningGateway, **headers: str) -> requests.Response:
    return requests.post(gateway.base_url + CHAT, json=QUESTION, headers=headers, timeout=10)


def mark(gateway: RunningGateway) -> str | None:
    return post(gateway).headers.get("x-mark")


def counters(gateway: RunningGateway) -> dict[str, int]:
    """Return what only ever grows: Envoy's counters of requests and the plugin's own."""
    stats = gateway.admin.stats()
    endings = ("rq_total", "rq_completed", "rq_2xx", "rq_5xx", "cx_total", "probe.requests")
    return {name: value for name, value in stats.items() if name.endswith(endings)}


class Load:
    """Requests and streams that run while the body of the context does."""

    def __init__(self, gateway: RunningGateway) -> None:
        self.gateway = gateway
        self.streams: dict[str, str] = {}
        self.completed = 0
        self.errors: Counter[str] = Counter()
        self._stop = threading.Event()

    def __enter__(self) -> "Load":
        for name in PROVIDERS:
            self.gateway.providers[name].set_fault(token_interval_ms=60, answer_tokens=60)
        self._threads = [threading.Thread(target=self._stream, args=(name,)) for name in PROVIDERS]
        for thread in self._threads:
            thread.start()
        while not all(self.gateway.providers[name].requests_in_all() for name in PROVIDERS):
            time.sleep(0.01)
        for name in PROVIDERS:
            self.gateway.providers[name].set_fault()
        self._before = counters(self.gateway)
        asking = threading.Thread(target=self._ask)
        asking.start()
        self._threads.append(asking)
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self.after = counters(self.gateway)

    def check(self) -> None:
        """Nothing was lost, nothing was cut, nothing began again at zero."""
        assert self.errors == {}
        assert self.completed > 100
        assert self.streams == dict.fromkeys(PROVIDERS, "complete")
        fallen = {
            name: (before, self.after.get(name, 0))
            for name, before in self._before.items()
            if self.after.get(name, 0) < before
        }
        assert fallen == {}
        assert self.gateway.vm_crashes() == []

    def _ask(self) -> None:
        """Ask every provider in turn, over the same connections, until told to stop."""
        body = json.dumps(QUESTION).encode()
        asked = [http_request("gateway", CHAT, body, headers=[("x-want", name)]) for name in PROVIDERS]
        while not self._stop.is_set():
            result = run_load(self.gateway.port, asked, count=1000, connections=CONNECTIONS)
            self.completed += result.completed
            self.errors += result.errors

    def _stream(self, provider: str) -> None:
        body = QUESTION | {"stream": True}
        headers = {"x-want": provider}
        with requests.post(
            self.gateway.base_url + CHAT, json=body, headers=headers, stream=True, timeout=30
        ) as response:
            content = b"".join(response.iter_content(None))
        whole = response.status_code == 200 and content.endswith(b"data: [DONE]\n\n")
        self.streams[provider] = "complete" if whole else f"{response.status_code}, {len(content)} bytes"


def change(live: RunningGateway, plugins: list[WasmPlugin], **fields: Any) -> tuple[str, ...]:
    """Have Envoy take over *plugins* and *fields* of the gateway, and return the files that were replaced."""
    described = replace(live.stack.gateway, **fields)
    change = live.stack.change(described, plugins)
    assert change.refusal is None
    assert not change.needs_restart
    return change.files


def test_changed_plugins_are_taken_over_on_open_connections(live: RunningGateway) -> None:
    session = requests.Session()
    before = int(session.post(live.base_url + CHAT, json=QUESTION, timeout=10).headers["x-count"])
    with Load(live) as load:
        for number in range(10):
            assert change(live, [CHOOSER, probe(f"no. {number}")]) == ("plugins.yaml",)

    load.check()
    answer = session.post(live.base_url + CHAT, json=QUESTION, timeout=10)
    assert answer.headers["x-mark"] == "no. 9"
    # What filters count in shared data and in metrics goes on where it was.
    assert int(answer.headers["x-count"]) == before + load.completed + len(PROVIDERS) + 1
    assert live.admin.stats()["wasmcustom.probe.requests"] == int(answer.headers["x-count"])


def test_plugins_may_come_and_go_and_change_places(live: RunningGateway) -> None:
    with Load(live) as load:
        change(live, [probe("first"), CHOOSER])
        assert mark(live) == "first"
        change(live, [CHOOSER])
        assert mark(live) is None
        change(live, [CHOOSER, probe("back")])
        assert mark(live) == "back"

    load.check()


def test_changed_routes_are_taken_over(live: RunningGateway) -> None:
    plugins = [CHOOSER, probe("one")]
    with Load(live) as load:
        for provider in ("google", "anthropic"):
            routes = (Route(name="default", provider=provider),)
            assert change(live, plugins, routes=routes) == ("routes.yaml",)
            assert post(live).json()["choices"][0]["message"]["content"].startswith(provider)

    load.check()


def test_changed_providers_are_taken_over_while_they_answer(live: RunningGateway) -> None:
    plugins = [CHOOSER, probe("one")]
    with Load(live) as load:
        for connect_s in (3, 4, 5.5):
            timeouts = replace(live.stack.gateway.timeouts, connect_s=connect_s)
            assert change(live, plugins, timeouts=timeouts) == ("clusters.yaml",)

    load.check()


def test_a_changed_listener_is_taken_over_while_it_serves(live: RunningGateway) -> None:
    plugins = [CHOOSER, probe("one")]
    with Load(live) as load:
        for headers_s in (3, 4, 5):
            timeouts = replace(live.stack.gateway.timeouts, headers_s=headers_s)
            assert change(live, plugins, timeouts=timeouts) == ("listeners.yaml",)

    load.check()


def test_a_changed_module_is_taken_over(live: RunningGateway, other_module: Path) -> None:
    before = int(post(live).headers["x-count"])
    with Load(live) as load:
        replacement = live.stack.gateway.module.with_name("new.wasm")
        shutil.copy(other_module, replacement)
        replacement.replace(live.stack.gateway.module)
        assert change(live, [CHOOSER, probe("of the new module")]) == ("plugins.yaml",)

    load.check()
    answer = post(live)
    assert answer.headers["x-mark"] == "OF THE NEW MODULE"
    assert int(answer.headers["x-count"]) == before + load.completed + len(PROVIDERS) + 1


def test_a_provider_that_is_gone_ends_what_it_has_begun(live: RunningGateway) -> None:
    """It stays for a while, too, for requests on their way; here that is cut short."""
    plugins = [CHOOSER, probe("one")]
    directory = live.stack.directory
    with Load(live) as load:
        load.gateway.stack.change(
            replace(live.stack.gateway, providers=live.stack.gateway.providers[:3]), plugins
        )
        assert post(live, **{"x-want": "moonshot"}).status_code == 200

    load.check()
    assert directory.settle(now_s=time.monotonic() + RETIREMENT_S)
    deadline = time.monotonic() + 5
    while post(live, **{"x-want": "moonshot"}).status_code == 200:
        assert time.monotonic() < deadline
    assert post(live).status_code == 200


@pytest.fixture(scope="module")
def other_module(request: pytest.FixtureRequest) -> Path:
    """The module of the probes once more, with another program in it."""
    source = Path(__file__).parent / "filters" / "probes.py"
    folder = request.config.rootpath / "build" / "tests" / "reload"
    folder.mkdir(parents=True, exist_ok=True)
    changed = folder / "probes.py"
    changed.write_text(source.read_text().replace("= self.config.mark", "= self.config.mark.upper()"))
    module = folder / "probes.wasm"
    cache = request.config.rootpath / "build" / ".wasmbuild"
    assert wasmbuild([str(changed), "-o", str(module), "--cache", str(cache)]) == 0
    return module


class TestABadOne:
    """What Envoy or a plugin refuses changes nothing, whoever has written it."""

    def test_configuration_that_a_plugin_refuses(self, live: RunningGateway) -> None:
        with Load(live) as load:
            refused = live.stack.change(live.stack.gateway, [replace(CHOOSER, priority=9), probe(42)])
            assert mark(live) == "one"

        load.check()
        assert refused.refusal is not None
        assert "mark: expected text, got 42" in refused.refusal
        assert refused.refusal.count("\n") == 0
        change(live, [CHOOSER, probe("better")])
        assert mark(live) == "better"

    def test_one_plugin_keeps_all_plugins_as_they_were(self, live: RunningGateway) -> None:
        plugins = [describe_plugin("missing", {}), probe("never seen")]

        assert live.stack.change(live.stack.gateway, plugins).refusal
        assert mark(live) == "one"

    def test_a_module_that_is_none(self, live: RunningGateway) -> None:
        live.stack.gateway.module.write_bytes(b"\0asm\x01\0\0\0")

        refused = live.stack.change(live.stack.gateway, [CHOOSER, probe("two")]).refusal

        assert refused is not None
        assert mark(live) == "one"

    @pytest.mark.parametrize(
        ("file", "text"),
        [
            ("plugins.yaml", "resources: ["),
            ("plugins.yaml", "resources: [{'@type': type.googleapis.com/google.protobuf.Empty}]"),
            ("routes.yaml", f"resources: [{{'@type': {ROUTES}, name: gateway, virtual_hosts: [{{}}]}}]"),
            ("clusters.yaml", "resources: [{name: x}]"),
            ("listeners.yaml", "resources: 7"),
        ],
    )
    def test_whatever_is_written_into_the_directory(self, live: RunningGateway, file: str, text: str) -> None:
        seen = live.stack.envoy_process.lines_seen
        new = live.stack.directory.path / "new.yaml"
        new.write_text(text)

        new.replace(live.stack.directory.path / file)

        wait_until(lambda: "Filesystem config update" in " ".join(live.stack.envoy_process.lines_since(seen)))
        assert mark(live) == "one"


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)
