"""Plugins: registration, timers, tasks beside the streams, queues, and the start of a VM."""

import os
import random
from collections.abc import Mapping
from typing import Any

import pytest

from proxywasm import (
    CONTINUE,
    CalloutError,
    HttpFilter,
    NotFoundError,
    Outcome,
    PluginContext,
    Request,
    UsageError,
    plugin,
    registered_plugins,
)
from proxywasm import filters as filters_module
from proxywasm._abi import BufferType, Status
from proxywasm._dispatch import Dispatcher
from proxywasm._vm import own_process

from .fake_host import FakeHost
from .worker import ROOT, Worker, definition


class Nothing(HttpFilter[object]):
    def on_request_headers(self, request: Request) -> Outcome:
        return CONTINUE


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """An empty registry, for the time of a test."""
    registered: dict[str, Any] = {}
    monkeypatch.setattr(filters_module, "_registered", registered)
    return registered


@pytest.mark.usefixtures("registry")
def test_declared_plugins_are_known_by_name() -> None:
    plugin("b")(Nothing)
    plugin("a", on_error="closed")(type("Other", (Nothing,), {}))

    assert registered_plugins() == ("a", "b")


@pytest.mark.usefixtures("registry")
def test_two_plugins_of_one_name_are_a_mistake() -> None:
    plugin("a")(Nothing)
    plugin("a")(Nothing)  # The same class again, as when a module is reloaded.

    with pytest.raises(UsageError, match=r"two plugins are called 'a': .*Nothing and .*Other"):
        plugin("a")(type("Other", (Nothing,), {}))


def test_on_error_is_one_of_two() -> None:
    with pytest.raises(UsageError, match="on_error is 'open' or 'closed'"):
        plugin("a", on_error="ajar")  # type: ignore[arg-type]  # That is the mistake.


@pytest.mark.usefixtures("registry")
def test_a_dispatcher_serves_all_declared_plugins() -> None:
    @plugin("one")
    class One(HttpFilter[object]):
        def on_request_headers(self, request: Request) -> Outcome:
            self.shared.set("by", b"one")
            return CONTINUE

    @plugin("two")
    class Two(HttpFilter[object]):
        def on_request_headers(self, request: Request) -> Outcome:
            self.shared.set("by", b"two")
            return CONTINUE

    host = FakeHost()
    dispatcher = Dispatcher(host)
    for context, name in ((1, b"one"), (2, b"two")):
        host.properties[b"plugin_root_id"] = name
        dispatcher.on_context_create(context, 0)
        dispatcher.on_vm_start(context, 0)
        assert dispatcher.on_configure(context, 0) == 1
    seen = []
    for root in (1, 2):
        dispatcher.on_context_create(10 + root, root)
        dispatcher.on_request_headers(10 + root, 0, 1)
        seen.append(host.shared[b"by"][0])

    assert seen == [b"one", b"two"]
    assert One.definition.name == "one"
    assert Two.definition.name == "two"


class Reporter(PluginContext[Mapping[str, Any]]):
    def __init__(self) -> None:
        self.ticks = 0

    def on_configure(self) -> None:
        self.set_tick_period(self.config.get("period_s", 0.5))

    async def on_tick(self) -> None:
        self.ticks += 1
        answer = await self.http_call("collector")
        self.shared.set("answer", b"%d %d" % (self.ticks, answer.status))

    async def on_queue_ready(self, queue_id: int) -> None:
        queue = self.shared_queue("jobs")
        while (item := queue.dequeue()) is not None:
            self.shared.set("item", item)

    def on_foreign_function(self, function: int, arguments: bytes) -> None:
        self.shared.set("foreign", b"%d %s" % (function, arguments))

    def on_done(self) -> None:
        self.shared.set("done", b"1")


def test_the_tick_period_is_set_in_milliseconds() -> None:
    worker = Worker(definition(Nothing, context=Reporter))

    assert worker.host.tick_periods == {ROOT: 500}


@pytest.mark.parametrize(("period_s", "milliseconds"), [(0, 0), (0.0001, 1), (5, 5000)])
def test_a_tick_period_of_nothing_stops_and_a_tiny_one_does_not(period_s: float, milliseconds: int) -> None:
    worker = Worker(definition(Nothing, context=Reporter), {"period_s": period_s})

    assert worker.host.tick_periods[ROOT] == milliseconds


def test_the_tick_period_belongs_to_the_plugin_even_when_a_stream_sets_it() -> None:
    class Hurries(HttpFilter[object]):
        def on_request_headers(self, request: Request) -> Outcome:
            self.plugin.set_tick_period(9)
            return CONTINUE

    worker = Worker(definition(Hurries))
    stream = worker.stream()
    stream.request_headers()

    assert worker.host.tick_periods == {ROOT: 9000}
    assert worker.host.effective == stream.context


def test_a_tick_that_waits_is_not_begun_again_before_it_has_ended() -> None:
    worker = Worker(definition(Nothing, context=Reporter))
    worker.tick()
    worker.tick()
    assert len(worker.host.callouts) == 1

    worker.respond(4, {":status": "200"})
    assert worker.host.shared[b"answer"][0] == b"1 200"

    worker.tick()
    worker.respond(8, {":status": "503"})
    assert worker.host.shared[b"answer"][0] == b"2 503"
    assert worker.kept() == 0


def test_a_tick_that_failed_does_not_stop_the_next() -> None:
    worker = Worker(definition(Nothing, context=Reporter))
    worker.tick()
    worker.respond(4)
    (error,) = worker.host.errors()
    assert "CalloutError: callout to 'collector'" in error

    worker.tick()
    assert len(worker.host.callouts) == 2


def test_a_queue_is_served() -> None:
    worker = Worker(definition(Nothing, context=Reporter))
    _, queue_id = worker.host.register_shared_queue(b"jobs")
    worker.host.enqueue_shared_queue(queue_id, b"work")

    worker.dispatcher.on_queue_ready(ROOT, queue_id)

    assert worker.host.shared[b"item"][0] == b"work"


def test_a_queue_of_another_vm_is_found_or_not() -> None:
    class Sends(HttpFilter[object]):
        def on_request_headers(self, request: Request) -> Outcome:
            self.find_shared_queue("other", "jobs").enqueue(b"work")
            with pytest.raises(NotFoundError):
                self.find_shared_queue("other", "none")
            return CONTINUE

    worker = Worker(definition(Sends))
    _, queue_id = worker.host.register_shared_queue(b"jobs")
    worker.stream().request_headers()

    assert worker.host.queues[queue_id] == [b"work"]
    assert worker.host.errors() == []


def test_a_call_beyond_the_abi_reaches_the_plugin() -> None:
    worker = Worker(definition(Nothing, context=Reporter))
    worker.host.buffers[BufferType.FOREIGN_FUNCTION_ARGUMENTS] = b"args"

    worker.dispatcher.on_foreign_function(ROOT, 3, 4)

    assert worker.host.shared[b"foreign"][0] == b"3 args"


def test_a_plugin_that_goes_away_cleans_up_and_its_callouts_are_ignored() -> None:
    worker = Worker(definition(Nothing, context=Reporter))
    worker.tick()
    assert worker.dispatcher.on_done(ROOT) == 1
    worker.dispatcher.on_delete(ROOT)
    worker.respond(4, {":status": "200"})

    assert worker.host.shared[b"done"][0] == b"1"
    assert b"answer" not in worker.host.shared
    assert worker.host.errors() == []
    assert worker.kept() == 0


class Settles(HttpFilter[object]):
    def on_request_headers(self, request: Request) -> Outcome:
        return CONTINUE

    def on_log(self) -> None:
        self.plugin.run_in_background(self.settle())

    async def settle(self) -> None:
        try:
            answer = await self.http_call("ledger")
        except CalloutError:
            self.shared.set("settled", b"failed")
        else:
            self.shared.set("settled", b"%d" % answer.status)


@pytest.mark.parametrize(("headers", "settled"), [({":status": "201"}, b"201"), (None, b"failed")])
def test_work_in_the_background_outlives_its_stream(headers: dict[str, str] | None, settled: bytes) -> None:
    worker = Worker(definition(Settles))
    stream = worker.stream()
    stream.request_headers(end=True)
    stream.finish()
    worker.respond(4, headers)

    assert worker.host.shared[b"settled"][0] == settled
    assert worker.host.errors() == []
    assert worker.kept() == 0


def test_a_body_cannot_be_awaited_in_the_background() -> None:
    class Late(HttpFilter[object]):
        def on_request_headers(self, request: Request) -> Outcome:
            self.plugin.run_in_background(self.read(request))
            return CONTINUE

        async def read(self, request: Request) -> None:
            await request.body.read()

    worker = Worker(definition(Late))
    worker.stream().request_headers()

    assert "can be awaited only in callbacks for that stream" in worker.host.errors()[0]


def test_the_clock_is_that_of_the_host() -> None:
    seen: list[float] = []

    class Looks(HttpFilter[object]):
        def on_request_headers(self, request: Request) -> Outcome:
            seen.extend((self.now(), self.now_ns()))
            return CONTINUE

    worker = Worker(definition(Looks))
    worker.host.now_ns = 1_500_000_000
    worker.stream().request_headers()

    assert seen == [1.5, 1_500_000_000]


def test_metrics_are_defined_once_for_all_streams_and_plugins_of_a_vm() -> None:
    class Counts(HttpFilter[object]):
        def on_request_headers(self, request: Request) -> Outcome:
            self.metrics.counter("requests").increment()
            self.plugin.metrics.counter("requests").increment()
            return CONTINUE

    worker = Worker(definition(Counts))
    worker.add_root(50, {"other": 1})
    for root in (ROOT, ROOT, 50):
        worker.stream(root).request_headers()

    assert worker.host.counted()["define_metric"] == 1
    assert list(worker.host.metrics.values()) == [6]


def test_the_global_configuration_of_a_plugin_with_only_rules_is_missed_with_a_reason() -> None:
    seen: list[object] = []

    class Looks(PluginContext[Mapping[str, Any]]):
        def on_tick(self) -> None:
            seen.append(self.config)

    rules = {"_rules_": [{"_match_route_": ["a"]}]}
    worker = Worker(definition(Nothing, context=Looks), rules)
    worker.tick()

    assert seen == []
    assert "no global configuration, only rules" in worker.host.errors()[0]


def test_a_plugin_sees_the_configurations_of_all_rules_when_it_is_configured() -> None:
    seen: list[tuple[object, ...]] = []

    class Context(PluginContext[Mapping[str, object]]):
        def on_configure(self) -> None:
            seen.append(self.configs)

    rules = [{"_match_route_": ["a"], "n": 1}, {"_match_domain_": ["b"], "n": 2}]
    plugin = definition(HttpFilter, context=Context)
    Worker(plugin, {"n": 0, "_rules_": rules})
    Worker(plugin, {"_rules_": rules})

    assert seen == [({"n": 0}, {"n": 1}, {"n": 2}), ({"n": 1}, {"n": 2})]


def test_the_start_of_a_vm_reseeds_random_and_replaces_the_frozen_environment() -> None:
    state = random.getstate()
    environment = {"BUILD_ONLY": "1", "KEPT": "old"}
    try:
        random.seed(1)
        frozen = random.random()
        random.seed(1)
        own_process(FakeHost(environment=b"KEPT=new\0REGION=eu\0"), environment)
        assert random.random() != frozen
    finally:
        random.setstate(state)

    assert environment == {"KEPT": "new", "REGION": "eu"}


def test_only_the_owner_of_the_process_touches_it_and_only_once() -> None:
    before = dict(os.environ)
    host = FakeHost(statuses={"get_environment": Status.UNIMPLEMENTED})
    state = random.getstate()
    try:
        for owns_process, asked in ((False, 0), (True, 1)):
            host.calls.clear()
            dispatcher = Dispatcher(host, plugins={}, owns_process=owns_process)
            for root in (1, 2):
                dispatcher.on_context_create(root, 0)
                assert dispatcher.on_vm_start(root, 0) == 1
            assert host.counted()["get_environment"] == asked
    finally:
        random.setstate(state)

    assert dict(os.environ) == before
