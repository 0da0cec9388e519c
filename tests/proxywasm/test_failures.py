"""A filter that raises: logged once, without a prompt; the stream goes on as on_error says."""

import json
from collections.abc import Callable
from typing import Any, Literal

import pytest

from proxywasm import CONTINUE, PAUSE, HttpFilter, Outcome, PluginContext, Request, Response
from proxywasm._abi import LogLevel, Status

from .worker import ROOT, StreamDriver, Worker, definition

PROMPT = "my secret medical history"


def endless(depth: int = 0) -> int:
    return endless(depth + 1)


def raise_value_error() -> None:
    raise ValueError(PROMPT)


def raise_chained() -> None:
    try:
        raise_value_error()
    except ValueError as error:
        raise RuntimeError(PROMPT) from error


def raise_memory_error() -> None:
    raise MemoryError(PROMPT)


def raise_system_exit() -> None:
    raise SystemExit(PROMPT)


def raise_keyboard_interrupt() -> None:
    raise KeyboardInterrupt(PROMPT)


def raise_stop_iteration() -> None:
    next(iter(()))


def raise_generator_exit() -> None:
    raise GeneratorExit(PROMPT)


def raise_base_exception() -> None:
    raise BaseException(PROMPT)


def raise_key_error() -> None:
    prices: dict[str, int] = {}
    prices[PROMPT]


def exhaust_the_stack() -> None:
    endless()


RAISE: list[Callable[[], None]] = [
    raise_value_error,
    raise_chained,
    raise_memory_error,
    raise_system_exit,
    raise_keyboard_interrupt,
    raise_stop_iteration,
    raise_generator_exit,
    raise_base_exception,
    raise_key_error,
    exhaust_the_stack,
]


class Fails(HttpFilter[dict[str, str]]):
    """Raises in the callback its configuration names, and notes the others."""

    raises = staticmethod(raise_value_error)

    def come_to(self, callback: str) -> Outcome:
        seen, _ = self.plugin._vm.host.get_shared_data(b"seen")[1:]
        self.shared.set("seen", seen + callback.encode() + b" ")
        if callback == self.config["callback"]:
            self.raises()
        return PAUSE if callback == self.config.get("pause") else CONTINUE

    def on_request_headers(self, request: Request) -> Outcome:
        return self.come_to("on_request_headers")

    def on_request_body(self, request: Request) -> Outcome:
        return self.come_to("on_request_body")

    def on_request_trailers(self, request: Request) -> Outcome:
        return self.come_to("on_request_trailers")

    def on_response_headers(self, response: Response) -> Outcome:
        return self.come_to("on_response_headers")

    def on_response_body(self, response: Response) -> Outcome:
        return self.come_to("on_response_body")

    def on_response_trailers(self, response: Response) -> Outcome:
        return self.come_to("on_response_trailers")

    def on_log(self) -> None:
        self.come_to("on_log")

    def on_done(self) -> None:
        self.come_to("on_done")


CALLBACKS = [
    "on_request_headers",
    "on_request_body",
    "on_request_trailers",
    "on_response_headers",
    "on_response_body",
    "on_response_trailers",
]


def fail_in(
    callback: str, on_error: Literal["open", "closed"], pause: str = ""
) -> tuple[Worker, StreamDriver, dict[str, int]]:
    """Drive a stream whose filter fails in *callback*; return what the host was told in each."""
    worker = Worker(definition(Fails, on_error=on_error), {"callback": callback, "pause": pause})
    stream = worker.stream()
    steps: list[Callable[[], int]] = [
        stream.request_headers,
        lambda: stream.request_body(b"x"),
        stream.request_trailers,
        stream.response_headers,
        lambda: stream.response_body(b"y"),
        stream.response_trailers,
    ]
    actions = {name: step() for name, step in zip(CALLBACKS, steps, strict=True)}
    stream.finish()
    return worker, stream, actions


@pytest.mark.parametrize("callback", CALLBACKS)
def test_open_goes_on_without_the_filter(callback: str) -> None:
    worker, _, actions = fail_in(callback, "open")

    assert set(actions.values()) == {0}
    seen = worker.host.shared[b"seen"][0].decode().split()
    assert seen == [*CALLBACKS[: CALLBACKS.index(callback) + 1], "on_done"]
    assert worker.host.local_responses == []
    assert worker.host.closed == []
    (error,) = worker.host.errors()
    assert f"[plugin-under-test] {callback} raised ValueError [" in error
    assert worker.kept() == 0


@pytest.mark.parametrize("callback", CALLBACKS[:4])
def test_closed_answers_500_with_an_error_object(callback: str) -> None:
    worker, stream, actions = fail_in(callback, "closed")

    assert actions[callback] == 1
    (sent,) = worker.host.local_responses
    assert (sent.context, sent.status, sent.details) == (stream.context, 500, b"filter_error")
    assert sent.headers == [(b"content-type", b"application/json")]
    assert set(json.loads(sent.body)["error"]) == {"message", "type", "param", "code"}
    assert len(worker.host.errors()) == 1
    seen = worker.host.shared[b"seen"][0].decode().split()
    assert seen == [*CALLBACKS[: CALLBACKS.index(callback) + 1], "on_done"]


@pytest.mark.parametrize("callback", CALLBACKS[4:])
def test_closed_resets_when_the_response_has_left(callback: str) -> None:
    worker, stream, actions = fail_in(callback, "closed")

    assert actions[callback] == 1
    assert worker.host.local_responses == []
    assert worker.host.closed == [(stream.context, 1)]


def test_closed_answers_when_the_response_is_still_held() -> None:
    worker, _, _ = fail_in("on_response_body", "closed", pause="on_response_headers")

    assert [sent.status for sent in worker.host.local_responses] == [500]
    assert worker.host.closed == []


def test_a_refused_request_lets_nothing_more_pass() -> None:
    _, _, actions = fail_in("on_request_headers", "closed")

    assert [actions[name] for name in CALLBACKS[:3]] == [1, 1, 1]
    assert [actions[name] for name in CALLBACKS[3:]] == [0, 0, 0]


@pytest.mark.parametrize("callback", ["on_log", "on_done"])
def test_failing_at_the_end_is_only_logged(callback: str) -> None:
    worker, _, actions = fail_in(callback, "closed")

    assert set(actions.values()) == {0}
    assert worker.host.local_responses == []
    assert len(worker.host.errors()) == 1
    assert worker.kept() == 0


@pytest.mark.parametrize("on_error", ["open", "closed"])
@pytest.mark.parametrize("raises", RAISE, ids=lambda raises: raises.__name__)
def test_whatever_is_raised_is_one_line_without_the_prompt(
    raises: Callable[[], None], on_error: Literal["open", "closed"], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Fails, "raises", staticmethod(raises))
    worker, _, _ = fail_in("on_request_headers", on_error)

    (error,) = worker.host.errors()
    assert PROMPT not in error
    assert "\n" not in error
    assert len(error) < 4000
    assert "test_failures.py:" in error
    assert "in Fails.come_to" in error
    assert worker.kept() == 0


@pytest.mark.parametrize("raises", RAISE, ids=lambda raises: raises.__name__)
def test_the_same_goes_for_async_callbacks_after_waiting(raises: Callable[[], None]) -> None:
    class FailsLater(HttpFilter[object]):
        async def on_request_headers(self, request: Request) -> Outcome:
            await self.http_call("x")
            raises()
            return CONTINUE

    worker = Worker(definition(FailsLater))
    stream = worker.stream()
    stream.request_headers()
    worker.respond(4, {":status": "200"})

    (error,) = worker.host.errors()
    assert PROMPT not in error
    assert "on_request_headers raised" in error
    assert worker.host.continued == [(stream.context, 0)]
    stream.finish()
    assert worker.kept() == 0


def test_failing_closed_after_a_callout_answers_in_the_context_of_the_stream() -> None:
    class FailsLater(HttpFilter[object]):
        async def on_request_headers(self, request: Request) -> Outcome:
            await self.http_call("x")
            raise ValueError

    worker = Worker(definition(FailsLater, on_error="closed"))
    stream = worker.stream()
    stream.request_headers()
    worker.respond(4, {":status": "200"})

    assert [(sent.context, sent.status) for sent in worker.host.local_responses] == [(stream.context, 500)]
    assert worker.host.continued == []


def test_failing_open_continues_the_other_direction_if_that_is_held() -> None:
    class HoldsBody(HttpFilter[object]):
        async def on_request_body(self, request: Request) -> Outcome:
            await self.http_call("x")
            return CONTINUE

        def on_response_headers(self, response: Response) -> Outcome:
            raise ValueError

    worker = Worker(definition(HoldsBody))
    stream = worker.stream()
    stream.request_headers()
    stream.request_body(b"x")
    assert stream.response_headers() == 0

    assert worker.host.continued == [(stream.context, 0)]
    worker.respond(4, {":status": "200"})
    assert worker.host.continued == [(stream.context, 0)]


def test_a_filter_that_cannot_be_made_fails_as_on_error_says() -> None:
    class Unmakable(HttpFilter[object]):
        def __init__(self) -> None:
            raise ValueError

        def on_request_headers(self, request: Request) -> Outcome:
            return CONTINUE

    for on_error, action in (("open", 0), ("closed", 1)):
        worker = Worker(definition(Unmakable, on_error="open" if on_error == "open" else "closed"))
        stream = worker.stream()
        assert stream.request_headers() == action
        stream.finish()
        assert len(worker.host.errors()) == 1
        assert worker.kept() == 0


@pytest.mark.parametrize("ending", ["raises", "awaits"])
def test_a_callback_that_will_not_end_quietly_is_logged_and_forgotten(ending: str) -> None:
    class Clings(HttpFilter[object]):
        async def on_request_headers(self, request: Request) -> Outcome:
            try:
                await self.http_call("x")
            finally:
                if ending == "raises":
                    raise ValueError(PROMPT)
                await self.http_call("x")
            return CONTINUE

    worker = Worker(definition(Clings))
    stream = worker.stream()
    stream.request_headers()
    stream.finish()

    (error,) = worker.host.errors()
    assert "a request callback, when it was ended, raised" in error
    assert PROMPT not in error
    assert worker.kept() == 0


@pytest.mark.parametrize("name", ["on_log", "on_done"])
def test_the_end_of_a_stream_cannot_be_awaited(name: str) -> None:
    async def late(self: HttpFilter[Any]) -> None:
        raise AssertionError("never runs")

    def look(self: HttpFilter[Any], request: Request) -> Outcome:
        return CONTINUE

    filter_class = type("Late", (HttpFilter,), {name: late, "on_request_headers": look})
    worker = Worker(definition(filter_class))
    stream = worker.stream()
    stream.request_headers()
    stream.finish()

    (error,) = worker.host.errors()
    assert "on_log and on_done cannot be async" in error


def test_a_host_that_fails_while_a_failure_is_handled_changes_nothing() -> None:
    worker = Worker(definition(Fails, on_error="closed"), {"callback": "on_request_headers"})
    worker.host.statuses["send_local_response"] = Status.BAD_ARGUMENT
    stream = worker.stream()

    assert stream.request_headers() == 1
    stream.finish()
    assert worker.kept() == 0


@pytest.mark.parametrize(("on_error", "action"), [("open", 0), ("closed", 1)])
def test_a_second_failure_while_the_first_is_handled_is_survived(
    on_error: Literal["open", "closed"], action: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class HoldsResponse(HttpFilter[object]):
        async def on_request_body(self, request: Request) -> Outcome:
            await self.http_call("x")
            return CONTINUE

        def on_response_headers(self, response: Response) -> Outcome:
            raise ValueError

    def out_of_memory(*_: object) -> int:
        raise MemoryError

    worker = Worker(definition(HoldsResponse, on_error=on_error))
    monkeypatch.setattr(worker.host, "continue_stream", out_of_memory)
    monkeypatch.setattr(worker.host, "send_local_response", out_of_memory)
    stream = worker.stream()
    stream.request_headers()
    stream.request_body(b"x")

    assert stream.response_headers() == action
    assert "MemoryError" in worker.host.errors()[-1]
    stream.finish()
    assert worker.kept() == 0


def test_rules_that_cannot_be_looked_up_fail_the_stream_and_not_the_vm() -> None:
    class OnlyResponses(HttpFilter[object]):
        def on_response_headers(self, response: Response) -> Outcome:
            return CONTINUE

    worker = Worker(definition(OnlyResponses), {"_rules_": [{"_match_route_": ["a"]}]})
    worker.host.statuses["get_property"] = Status.INTERNAL_FAILURE
    stream = worker.stream()

    assert stream.request_headers() == 0
    assert "get_property: INTERNAL_FAILURE" in worker.host.errors()[0]


def test_a_log_that_cannot_even_be_made_is_a_fixed_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_memory(error: BaseException) -> str:
        raise MemoryError

    monkeypatch.setattr("proxywasm.logs.describe_exception", out_of_memory)
    worker, _, actions = fail_in("on_request_headers", "open")

    assert set(actions.values()) == {0}
    assert worker.host.errors() == ["a callback of a filter raised an exception that could not be described"]


def test_a_task_of_a_plugin_that_will_not_end_quietly_is_logged() -> None:
    class Clings(PluginContext[object]):
        async def on_tick(self) -> None:
            try:
                await self.http_call("x")
            finally:
                raise ValueError(PROMPT)

    worker = Worker(definition(Fails, context=Clings))
    worker.tick()
    worker.dispatcher.on_delete(ROOT)

    (error,) = worker.host.errors()
    assert "a task of the plugin, when it was ended, raised ValueError" in error
    assert PROMPT not in error


class FailingPlugin(PluginContext[dict[str, str]]):
    def come_to(self, callback: str) -> None:
        if self.config["callback"] == callback:
            raise ValueError(PROMPT)

    def __init__(self) -> None:
        self.come_to("__init__")

    def on_configure(self) -> None:
        self.come_to("on_configure")

    def on_tick(self) -> None:
        self.come_to("on_tick")

    def on_queue_ready(self, queue_id: int) -> None:
        self.come_to("on_queue_ready")

    def on_foreign_function(self, function: int, arguments: bytes) -> None:
        self.come_to("on_foreign_function")

    def on_done(self) -> None:
        self.come_to("on_done")


@pytest.mark.parametrize("callback", ["on_tick", "on_queue_ready", "on_foreign_function", "on_done"])
def test_a_plugin_that_raises_is_logged_once(callback: str) -> None:
    worker = Worker(definition(Fails, context=FailingPlugin), {"callback": callback})
    assert worker.configured
    worker.dispatcher.on_tick(ROOT)
    worker.dispatcher.on_queue_ready(ROOT, 1)
    worker.dispatcher.on_foreign_function(ROOT, 1, 0)
    worker.dispatcher.on_done(ROOT)
    worker.dispatcher.on_delete(ROOT)

    (error,) = worker.host.errors()
    assert f"{callback} raised ValueError" in error
    assert PROMPT not in error


@pytest.mark.parametrize("callback", ["__init__", "on_configure"])
def test_a_plugin_that_raises_while_it_is_configured_refuses_the_configuration(callback: str) -> None:
    worker = Worker(definition(Fails, context=FailingPlugin), {"callback": callback})

    assert not worker.configured
    ((level, line),) = worker.host.lines
    assert level == LogLevel.CRITICAL
    assert f"in FailingPlugin.{callback}" in line
