"""The life of a stream: which callbacks come, what they cost, and that nothing of it stays."""

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from proxywasm import CONTINUE, PAUSE, HttpFilter, Outcome, PluginContext, Reply, Request, Response
from proxywasm._abi import HeadersAction, MapType

from .worker import ROOT, StreamDriver, Worker, definition


class Recorder(HttpFilter[object]):
    """Writes down every callback."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def note(self, what: str) -> Outcome:
        self.seen.append(what)
        self.shared.set("seen", " ".join(self.seen).encode())
        return CONTINUE

    def on_request_headers(self, request: Request) -> Outcome:
        return self.note(f"headers:{request.end_of_stream}")

    def on_request_body(self, request: Request) -> Outcome:
        return self.note(f"body:{request.end_of_stream}")

    def on_request_trailers(self, request: Request) -> Outcome:
        return self.note("trailers")

    def on_response_headers(self, response: Response) -> Outcome:
        return self.note(f"HEADERS:{response.end_of_stream}")

    def on_response_body(self, response: Response) -> Outcome:
        return self.note(f"BODY:{response.end_of_stream}")

    def on_response_trailers(self, response: Response) -> Outcome:
        return self.note("TRAILERS")

    def on_log(self) -> None:
        self.note("log")

    def on_done(self) -> None:
        self.note("done")


def whole(stream: StreamDriver) -> None:
    stream.request_headers()
    stream.request_body(b"a")
    stream.request_trailers()
    stream.response_headers()
    stream.response_body(b"b")
    stream.response_trailers()


def without_bodies(stream: StreamDriver) -> None:
    stream.request_headers(end=True)
    stream.response_headers(end=True)


def answered_by_another_filter(stream: StreamDriver) -> None:
    stream.request_headers()
    stream.response_headers()
    stream.response_body(b"b", end=True)


def answered_before_its_request(stream: StreamDriver) -> None:
    stream.response_headers(end=True)


def reset_in_the_body(stream: StreamDriver) -> None:
    stream.request_headers()
    stream.request_body(b"a")


def never_seen(stream: StreamDriver) -> None:
    """A broken request: the host makes the context only to log."""


LIVES: dict[Callable[[StreamDriver], None], str] = {
    whole: "headers:False body:False trailers HEADERS:False BODY:False TRAILERS log done",
    without_bodies: "headers:True HEADERS:True log done",
    answered_by_another_filter: "headers:False HEADERS:False BODY:True log done",
    answered_before_its_request: "HEADERS:True log done",
    reset_in_the_body: "headers:False body:False log done",
    never_seen: "log done",
}


@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.__name__)
def test_callbacks_come_in_the_order_of_the_host(life: Callable[[StreamDriver], None]) -> None:
    worker = Worker(definition(Recorder))
    stream = worker.stream()

    life(stream)
    stream.finish()

    assert worker.host.shared[b"seen"][0].decode() == LIVES[life]
    assert worker.host.errors() == []


@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.__name__)
def test_nothing_of_a_stream_stays(life: Callable[[StreamDriver], None]) -> None:
    """Not even garbage in circles: memory never shrinks in wasm, so the collector must not be needed."""
    made: list[weakref.ref[object]] = []

    class Tracked(HttpFilter[object]):
        def __init__(self) -> None:
            made.append(weakref.ref(self))

        async def on_request_headers(self, request: Request) -> Outcome:
            await request.body.read()
            return CONTINUE

        async def on_response_headers(self, response: Response) -> Outcome:
            await response.body.read()
            return CONTINUE

        def on_log(self) -> None:
            self.request.headers.get("x")

    worker = Worker(definition(Tracked))
    gc.collect()
    gc.disable()
    try:
        stream = worker.stream()
        life(stream)
        stream.finish()
        assert made
        assert made[0]() is None
    finally:
        gc.enable()
    assert worker.kept() == 0


def test_a_stream_deleted_without_on_done_leaves_nothing_either() -> None:
    worker = Worker(definition(Recorder))
    stream = worker.stream()
    stream.request_headers()

    worker.dispatcher.on_delete(stream.context)

    assert worker.kept() == 0


class Empty(HttpFilter[object]):
    pass


def test_a_filter_without_callbacks_is_never_made_and_calls_nothing() -> None:
    made: list[object] = []

    class Silent(Empty):
        def __init__(self) -> None:
            made.append(self)

    worker = Worker(definition(Silent))
    worker.host.calls.clear()
    stream = worker.stream()
    whole(stream)
    stream.finish()

    assert made == []
    assert worker.host.calls == []


class OnlyHeaders(HttpFilter[object]):
    def on_request_headers(self, request: Request) -> Outcome:
        request.headers["x-seen"] = "1"
        return CONTINUE


def test_a_filter_pays_only_for_the_calls_it_makes() -> None:
    worker = Worker(definition(OnlyHeaders))
    worker.host.calls.clear()
    stream = worker.stream()
    whole(stream)
    stream.finish()

    assert worker.host.calls == ["replace_header_map_value"]


def test_callbacks_for_contexts_nobody_knows_let_everything_pass() -> None:
    worker = Worker(definition(Recorder))
    unknown = StreamDriver(worker, 999)
    whole(unknown)
    unknown.finish()
    worker.dispatcher.on_tick(999)
    worker.dispatcher.on_queue_ready(999, 1)
    worker.dispatcher.on_http_call_response(999, 4, 1, 0, 0)

    assert b"seen" not in worker.host.shared
    assert worker.host.errors() == []


def test_a_filter_finds_its_surroundings_in_init() -> None:
    class Early(HttpFilter[dict[str, int]]):
        def __init__(self) -> None:
            self.limit = self.config["limit"]
            self.path = self.request.path
            self.plugin.metrics.counter("made").increment()

        def on_request_headers(self, request: Request) -> Outcome:
            assert self.request is request
            request.headers["x-limit"] = f"{self.limit} {self.path}"
            return CONTINUE

    worker = Worker(definition(Early), {"limit": 5})
    stream = worker.stream()
    stream.request_headers()

    assert worker.host.errors() == []
    assert worker.host.headers(MapType.REQUEST_HEADERS)["x-limit"] == "5 /v1/chat"


def test_streams_have_filters_of_their_own() -> None:
    class Counts(HttpFilter[object]):
        def __init__(self) -> None:
            self.count = 0

        def on_request_body(self, request: Request) -> Outcome:
            self.count += 1
            self.shared.set(f"count/{id(self)}", b"%d" % self.count)
            return CONTINUE

    worker = Worker(definition(Counts))
    one, two = worker.stream(), worker.stream()
    for stream in (one, two):
        stream.request_headers()
    for stream in (one, two, one):
        stream.request_body(b"x")

    assert sorted(value for value, _ in worker.host.shared.values()) == [b"1", b"2"]


def test_request_and_response_have_names_for_the_pseudo_headers() -> None:
    class Rewrites(HttpFilter[object]):
        def on_request_headers(self, request: Request) -> Outcome:
            seen = (request.method, request.path, request.authority, request.scheme)
            self.shared.set("seen", repr(seen).encode())
            request.method, request.path, request.authority = "PUT", "/new", "other.example"
            return CONTINUE

        def on_response_headers(self, response: Response) -> Outcome:
            response.status += 1
            return CONTINUE

    worker = Worker(definition(Rewrites))
    stream = worker.stream()
    stream.request_headers({":scheme": "https"})
    request = worker.host.headers(MapType.REQUEST_HEADERS)
    stream.response_headers({":status": "418"})

    assert worker.host.shared[b"seen"][0] == b"('POST', '/v1/chat', 'api.example', 'https')"
    assert (request[":method"], request[":path"], request[":authority"]) == ("PUT", "/new", "other.example")
    assert worker.host.headers(MapType.RESPONSE_HEADERS)[":status"] == "419"


@pytest.mark.parametrize(("details", "local"), [(b"via_upstream", False), (b"budget_exceeded", True)])
def test_a_local_reply_is_told_from_a_response_of_the_upstream(details: bytes, local: bool) -> None:
    seen: list[bool] = []

    class Looks(HttpFilter[object]):
        def on_response_headers(self, response: Response) -> Outcome:
            seen.append(response.is_local_reply)
            return CONTINUE

    worker = Worker(definition(Looks))
    worker.host.properties[b"response\0code_details"] = details
    worker.stream().response_headers()

    assert seen == [local]


def test_headers_read_in_the_log_are_those_of_the_log() -> None:
    class Logs(HttpFilter[object]):
        def on_request_headers(self, request: Request) -> Outcome:
            request.headers.items()
            return CONTINUE

        def on_log(self) -> None:
            self.shared.set("path", self.request.headers.get_all(":path")[0].encode())

    worker = Worker(definition(Logs))
    stream = worker.stream()
    stream.request_headers(end=True)
    worker.host.put_headers(MapType.REQUEST_HEADERS, {":path": "/changed"})
    stream.finish()

    assert worker.host.shared[b"path"][0] == b"/changed"


def test_a_paused_stream_is_resumed_from_elsewhere() -> None:
    class Gate(PluginContext[object]):
        waiting: "list[Waits]"

        def __init__(self) -> None:
            self.waiting = []

        def on_tick(self) -> None:
            for one in self.waiting:
                one.resume_request()
                one.resume_response()
            self.shared.set("ticked", b"in %d" % self._vm.context)

    class Waits(HttpFilter[object]):
        plugin: Gate

        def on_request_headers(self, request: Request) -> Outcome:
            self.plugin.waiting.append(self)
            return PAUSE

    worker = Worker(definition(Waits, context=Gate))
    stream = worker.stream()
    assert stream.request_headers(end=True) == HeadersAction.STOP_ITERATION
    worker.tick()
    worker.tick()

    assert worker.host.continued == [(stream.context, 0)]
    assert worker.host.effective == ROOT
    assert worker.host.shared[b"ticked"][0] == b"in %d" % ROOT
    assert worker.host.errors() == []


def test_a_stream_is_ended_from_elsewhere() -> None:
    class Clock(PluginContext[object]):
        running: "list[Waits]"

        def __init__(self) -> None:
            self.running = []

        def on_tick(self) -> None:
            for one in self.running:
                with one.acting():
                    self.shared.set("acted", b"on %d" % worker.host.effective)
                one.end(Reply(504, details="too_late"))
            self.shared.set("ticked", b"in %d" % self._vm.context)

    class Waits(HttpFilter[object]):
        plugin: Clock

        async def on_request_headers(self, request: Request) -> Outcome:
            self.plugin.running.append(self)
            await request.body.read()
            raise AssertionError("nothing more is delivered")

    worker = Worker(definition(Waits, context=Clock))
    stream = worker.stream()
    stream.request_headers()
    worker.tick()
    ticked_in = worker.host.effective
    stream.request_body(b"late", end=True)

    [reply] = worker.host.local_responses
    assert (reply.context, reply.status, reply.details) == (stream.context, 504, b"too_late")
    assert worker.host.shared[b"acted"][0] == b"on %d" % stream.context
    assert ticked_in == ROOT
    assert worker.host.shared[b"ticked"][0] == b"in %d" % ROOT
    assert worker.host.errors() == []


def test_a_pause_after_waiting_holds_the_stream_until_it_is_resumed() -> None:
    class Gate(PluginContext[object]):
        waiting: "list[Asks]"

        def on_configure(self) -> None:
            self.waiting = []

        def on_tick(self) -> None:
            self.waiting.pop().resume_request()

    class Asks(HttpFilter[object]):
        plugin: Gate

        async def on_request_headers(self, request: Request) -> Outcome:
            await self.http_call("x")
            self.plugin.waiting.append(self)
            return PAUSE

    worker = Worker(definition(Asks, context=Gate))
    stream = worker.stream()
    stream.request_headers(end=True)
    worker.respond(4, {":status": "200"})
    assert worker.host.continued == []

    worker.tick()

    assert worker.host.continued == [(stream.context, 0)]
    assert worker.host.errors() == []


def test_clearing_the_route_cache_is_a_foreign_function() -> None:
    class Reroutes(HttpFilter[Any]):
        def on_request_headers(self, request: Request) -> Outcome:
            self.clear_route_cache()
            return CONTINUE

    worker = Worker(definition(Reroutes))
    worker.host.foreign[b"clear_route_cache"] = b""
    worker.stream().request_headers()

    assert worker.host.foreign_calls == [(b"clear_route_cache", b"")]
    assert worker.host.errors() == []
