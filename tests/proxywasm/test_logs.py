"""Logging: one record is one line of the proxy's log, at the proxy's level."""

import logging
import sys
import warnings

import pytest

from proxywasm import CONTINUE, HttpFilter, Outcome, Request
from proxywasm._abi import LogLevel, Status
from proxywasm.logs import _handler, show_unraisable, show_warning

from .fake_host import FakeHost
from .worker import Worker, definition

logger = logging.getLogger("tests.filter")


class Logs(HttpFilter[object]):
    def on_request_headers(self, request: Request) -> Outcome:
        for level in (5, 10, 20, 30, 40, 50):
            logger.log(level, "level %d", level)
        return CONTINUE


def lines_at(level: int) -> list[tuple[LogLevel, str]]:
    host = FakeHost(level=level)
    Worker(definition(Logs), host=host).stream().request_headers()
    return host.lines


def test_each_level_has_its_counterpart() -> None:
    assert lines_at(LogLevel.TRACE) == [
        (LogLevel.TRACE, "[plugin-under-test] level 5"),
        (LogLevel.DEBUG, "[plugin-under-test] level 10"),
        (LogLevel.INFO, "[plugin-under-test] level 20"),
        (LogLevel.WARN, "[plugin-under-test] level 30"),
        (LogLevel.ERROR, "[plugin-under-test] level 40"),
        (LogLevel.CRITICAL, "[plugin-under-test] level 50"),
    ]


@pytest.mark.parametrize(
    ("level", "count"), [(0, 6), (1, 5), (2, 4), (3, 3), (4, 2), (5, 1), (6, 0)], ids=str
)
def test_what_the_proxy_does_not_log_is_not_sent(level: int, count: int) -> None:
    assert len(lines_at(level)) == count


def test_a_record_below_the_level_costs_no_host_call() -> None:
    class Chatty(HttpFilter[object]):
        def on_request_headers(self, request: Request) -> Outcome:
            logger.debug("unheard")
            return CONTINUE

    worker = Worker(definition(Chatty))
    worker.host.calls.clear()
    for _ in range(100):
        worker.stream().request_headers()

    assert worker.host.calls == []


class Debugs(HttpFilter[object]):
    def on_request_headers(self, request: Request) -> Outcome:
        logger.debug("heard")
        return CONTINUE


def test_the_level_follows_the_proxy_within_256_streams() -> None:
    worker = Worker(definition(Debugs))
    worker.host.level = LogLevel.DEBUG
    worker.host.calls.clear()
    for _ in range(300):
        worker.stream().request_headers()

    assert 44 <= len(worker.host.lines) < 256
    assert worker.host.counted()["get_log_level"] == 1


def test_the_level_follows_the_proxy_at_the_next_tick() -> None:
    worker = Worker(definition(Debugs))
    worker.stream().request_headers()
    worker.host.level = LogLevel.DEBUG
    worker.tick()
    worker.stream().request_headers()

    assert len(worker.host.lines) == 1


def test_a_host_that_does_not_tell_its_level_is_taken_for_info() -> None:
    host = FakeHost(level=LogLevel.CRITICAL, statuses={"get_log_level": Status.UNIMPLEMENTED})
    Worker(definition(Logs), host=host).stream().request_headers()

    assert [level for level, _ in host.lines] == [
        LogLevel.INFO,
        LogLevel.WARN,
        LogLevel.ERROR,
        LogLevel.CRITICAL,
    ]


def logged(action: str, *args: object) -> str:
    """What one call of the logger writes."""

    class One(HttpFilter[object]):
        def on_request_headers(self, request: Request) -> Outcome:
            logger.warning(action, *args)
            return CONTINUE

    worker = Worker(definition(One))
    worker.stream().request_headers()
    ((_, line),) = worker.host.lines
    return line


def test_line_breaks_and_controls_do_not_make_more_lines() -> None:
    assert logged("a\nb\r\x1b[31m\u2028c\td") == r"[plugin-under-test] a\nb\r\x1b[31m\u2028c" + "\td"


def test_other_languages_are_left_alone() -> None:
    assert logged("%s", "请求\u3000é") == "[plugin-under-test] 请求\u3000é"


def test_text_that_no_encoding_takes_is_escaped() -> None:
    with pytest.MonkeyPatch.context() as patch:
        # Of pytest's own handlers none could hand it from one process to another.
        patch.setattr(logging.getLogger(), "handlers", [_handler])
        assert logged("%s", "\udcff") == r"[plugin-under-test] \udcff"


def test_an_endless_message_is_cut() -> None:
    assert len(logged("x" * 1_000_000)) < 20_000


def test_a_record_that_cannot_be_formatted_is_reported_with_its_place() -> None:
    """Handed over directly: pytest has a handler of its own, which would raise."""

    class Wrong(HttpFilter[object]):
        def on_request_headers(self, request: Request) -> Outcome:
            record = logger.makeRecord("x", logging.INFO, "filter.py", 7, "%d", ("my prompt",), None)
            _handler.handle(record)
            return CONTINUE

    worker = Worker(definition(Wrong))
    assert worker.stream().request_headers() == 0

    (error,) = worker.host.errors()
    assert "a log call at filter.py:7 raised TypeError [" in error
    assert "my prompt" not in error


def test_an_exception_in_a_record_is_compact_and_without_its_message() -> None:
    class Catches(HttpFilter[object]):
        def on_request_headers(self, request: Request) -> Outcome:
            try:
                int("my prompt")
            except ValueError:
                logger.exception("not a number")
            return CONTINUE

    worker = Worker(definition(Catches))
    worker.stream().request_headers()

    (error,) = worker.host.errors()
    assert error.startswith("[plugin-under-test] not a number: ValueError [")
    assert "test_logs.py:" in error
    assert "my prompt" not in error


def test_vms_in_one_process_have_logs_and_levels_of_their_own() -> None:
    quiet = Worker(definition(Logs, name="quiet"), host=FakeHost(level=LogLevel.ERROR))
    loud = Worker(definition(Logs, name="loud"), host=FakeHost(level=LogLevel.DEBUG))
    quiet.stream().request_headers()
    loud.stream().request_headers()

    assert [line for _, line in quiet.host.lines] == ["[quiet] level 40", "[quiet] level 50"]
    assert len(loud.host.lines) == 5


def test_a_record_from_outside_any_callback_goes_to_no_proxy() -> None:
    worker = Worker(definition(Logs))
    logger.error("from nowhere")

    assert worker.host.lines == []


def test_a_forgotten_await_is_warned_of_and_other_warnings_show_only_their_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Forgets(HttpFilter[object]):
        def on_request_headers(self, request: Request) -> Outcome:
            with warnings.catch_warnings():
                warnings.simplefilter("always")
                monkeypatch.setattr(warnings, "showwarning", show_warning)
                self.http_call("x")  # type: ignore[unused-coroutine]  # That is the mistake.
                warnings.warn("my prompt", UserWarning, stacklevel=1)
            return CONTINUE

    worker = Worker(definition(Forgets))
    worker.stream().request_headers()

    (_, forgotten), (_, other) = worker.host.lines
    assert "RuntimeWarning at proxywasm/test_logs.py:" in forgotten
    assert "coroutine 'HostAccess.http_call' was never awaited" in forgotten
    assert "UserWarning at proxywasm/test_logs.py:" in other
    assert "my prompt" not in other


def test_an_exception_in_a_finalizer_is_reported_without_its_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "unraisablehook", show_unraisable)

    class Bad:
        def __del__(self) -> None:
            raise ValueError("my prompt")

    class Drops(HttpFilter[object]):
        def on_request_headers(self, request: Request) -> Outcome:
            Bad()
            return CONTINUE

    worker = Worker(definition(Drops))
    worker.stream().request_headers()

    (error,) = worker.host.errors()
    assert "a finalizer raised ValueError [" in error
    assert "my prompt" not in error


def test_warnings_and_finalizers_outside_any_callback_go_to_no_proxy() -> None:
    worker = Worker(definition(Logs))
    show_warning("x", UserWarning, "file.py", 1)

    assert worker.host.lines == []


def test_what_a_callback_logs_while_it_is_ended_is_heard() -> None:
    class Cleans(HttpFilter[object]):
        async def on_request_headers(self, request: Request) -> Outcome:
            try:
                await self.http_call("x")
            finally:
                logger.info("cleaned up")
            return CONTINUE

    for end in ("answered", "reset"):
        worker = Worker(definition(Cleans))
        stream = worker.stream()
        stream.request_headers()
        if end == "answered":
            stream.response_headers()
        stream.finish()

        assert [line for _, line in worker.host.lines] == ["[plugin-under-test] cleaned up"]
