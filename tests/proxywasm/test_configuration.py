"""Configuration: refused as a whole, in one line with every problem; the good one before stays."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from proxywasm import CONTINUE, HttpFilter, Outcome, PluginContext, Request
from proxywasm._abi import BufferType, LogLevel, MapType

from .fake_host import FakeHost
from .worker import ROOT, Worker, definition


class Tags(HttpFilter[Mapping[str, Any]]):
    def on_request_headers(self, request: Request) -> Outcome:
        request.headers["x-config"] = repr(self.config)
        return CONTINUE


def seen_configuration(worker: Worker, root: int = ROOT) -> str:
    worker.stream(root).request_headers()
    return worker.host.headers(MapType.REQUEST_HEADERS)["x-config"]


def refusal(configuration: object, **kwargs: Any) -> str:
    worker = Worker(definition(Tags, **kwargs), configuration)
    assert not worker.configured
    ((level, line),) = worker.host.lines
    assert level == LogLevel.CRITICAL
    return line


@pytest.mark.parametrize("data", [b"", b"  \n", b"{}", b"\xef\xbb\xbf{}"])
def test_nothing_is_the_empty_configuration(data: bytes) -> None:
    worker = Worker(definition(Tags), data)

    assert worker.configured
    assert seen_configuration(worker) == "{}"


def test_the_configuration_is_parsed_once() -> None:
    calls: list[object] = []

    def parse(values: Mapping[str, Any]) -> object:
        calls.append(values)
        return values

    worker = Worker(definition(Tags, config=parse), {"a": 1})
    for _ in range(3):
        assert seen_configuration(worker) == "{'a': 1}"

    assert calls == [{"a": 1}]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b'{\n"a": ?}', "not JSON: Expecting value at line 2, column 6"),
        (b'{"a": NaN}', "not JSON: NaN is not a JSON value"),
        (b'{"a": "\xff"}', "not UTF-8 at byte 7"),
        (b"[1]", "expected a JSON object, got an array"),
        (b'"x"', "expected a JSON object, got a string"),
        (b"1.5", "expected a JSON object, got a number"),
        (b"true", "expected a JSON object, got true"),
        (b"null", "expected a JSON object, got null"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "not JSON: "),
    ],
)
def test_what_is_no_object_is_refused_with_the_place(data: bytes, problem: str) -> None:
    line = refusal(data)

    assert line.startswith("[plugin-under-test] the configuration is refused: ")
    assert problem in line


@pytest.mark.parametrize("bracket", [b"[", b'{"a":'])
def test_nesting_that_would_end_the_vm_is_refused_before_it_is_parsed(bracket: bytes) -> None:
    closing = b"]" if bracket == b"[" else b"1}"
    data = b'{"a":' + bracket * 100_000 + closing * 100_000 + b"}"

    assert "nested more than 200 levels deep" in refusal(data)


def test_brackets_side_by_side_and_in_strings_are_not_nesting() -> None:
    data = b'{"text": "' + b"[" * 1000 + b'\\"[", "list": [' + b"[]," * 1000 + b"[]]}"

    assert Worker(definition(Tags), data).configured


@dataclass
class Problem:
    path: str
    message: str


class RefusedError(ValueError):
    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(f"{problem.path}: {problem.message}" for problem in problems))
        self.problems = problems


def test_all_problems_are_in_one_line() -> None:
    def parse(values: Mapping[str, Any]) -> object:
        raise RefusedError(Problem("limit", "expected a number"), Problem("", "too few keys"))

    line = refusal({}, config=parse)

    assert line == (
        "[plugin-under-test] the configuration is refused: limit: expected a number; too few keys"
    )


def test_a_plain_value_error_is_a_problem_too() -> None:
    def parse(values: Mapping[str, Any]) -> object:
        raise ValueError("a: wrong\nb: wrong")

    assert refusal({}, config=parse).endswith("is refused: a: wrong; b: wrong")


def test_a_parser_that_breaks_is_reported_with_its_place() -> None:
    def parse(values: Mapping[str, Any]) -> object:
        return values["limit"]

    line = refusal({}, config=parse)

    assert "the plugin failed to read its configuration: KeyError: 'limit' [" in line
    assert "test_configuration.py:" in line


def test_an_unknown_root_id_names_the_plugins_there_are() -> None:
    worker = Worker(definition(Tags))
    worker.host.properties[b"plugin_root_id"] = b"plugin-under-tset"
    dispatcher = worker.dispatcher
    dispatcher.on_context_create(50, 0)
    dispatcher.on_vm_start(50, 0)

    assert dispatcher.on_configure(50, 0) == 0

    ((level, line),) = worker.host.lines
    assert level == LogLevel.CRITICAL
    assert "no plugin has the root_id 'plugin-under-tset'; the module has these: plugin-under-test" in line


def test_streams_of_a_refused_plugin_pass() -> None:
    worker = Worker(definition(Tags), b"?")
    stream = worker.stream()

    assert stream.request_headers() == 0
    stream.finish()
    worker.tick()
    assert worker.host.counted()["replace_header_map_value"] == 0


def test_the_root_id_is_read_once() -> None:
    worker = Worker(definition(Tags))
    worker.add_root(ROOT, {"a": 1})
    worker.stream().request_headers()

    assert worker.host.counted()["get_property"] == 1


def test_old_and_new_configuration_coexist_during_an_update() -> None:
    worker = Worker(definition(Tags), {"version": 1})
    old = worker.stream(ROOT)
    assert worker.add_root(70, {"version": 2})

    assert seen_configuration(worker, 70) == "{'version': 2}"
    old.request_headers()
    assert worker.host.headers(MapType.REQUEST_HEADERS)["x-config"] == "{'version': 1}"

    old.finish()
    assert worker.dispatcher.on_done(ROOT) == 1
    worker.dispatcher.on_delete(ROOT)
    assert seen_configuration(worker, 70) == "{'version': 2}"


class Picky(PluginContext[Mapping[str, Any]]):
    def on_configure(self) -> None:
        if self.config.get("bad"):
            raise ValueError


@pytest.mark.parametrize("bad", [b"?", b'{"bad": true}'])
def test_a_bad_update_of_the_same_context_keeps_the_good_configuration(bad: bytes) -> None:
    worker = Worker(definition(Tags, context=Picky), {"version": 1})

    assert not worker.add_root(ROOT, bad)

    assert seen_configuration(worker) == "{'version': 1}"


def test_creating_and_starting_the_same_context_again_changes_nothing() -> None:
    worker = Worker(definition(Tags), {"version": 1})
    worker.dispatcher.on_context_create(ROOT, 0)
    worker.dispatcher.on_vm_start(ROOT, 0)

    assert seen_configuration(worker) == "{'version': 1}"


def test_a_configuration_that_cannot_be_fetched_is_refused() -> None:
    host = FakeHost()
    worker = Worker(definition(Tags), {}, host)
    worker.dispatcher.on_context_create(60, 0)

    assert worker.dispatcher.on_configure(60, 10) == 0  # The buffer is not there now.

    assert BufferType.PLUGIN_CONFIGURATION not in host.buffers
    assert "get_buffer_bytes: NOT_FOUND" in host.errors()[0]
