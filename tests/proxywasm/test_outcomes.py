"""Replies, from every phase; and what is no outcome."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from proxywasm import CONTINUE, PAUSE, HttpFilter, Outcome, Reply, Request, Response
from proxywasm._abi import LogLevel

from .worker import StreamDriver, Worker, definition

REPLY = Reply(429, b"slow down", headers={"Retry-After": "3"}, details="over limit")


def test_a_json_reply_says_so() -> None:
    reply = Reply.json(400, {"é": "\udcff"}, headers={"x-a": "1"})

    assert reply.body == b'{"\xc3\xa9":"\\udcff"}'
    assert json.loads(reply.body) == {"é": "\udcff"}
    assert list(reply.headers) == [("content-type", "application/json"), ("x-a", "1")]


def test_an_error_reply_is_the_error_object_of_openai() -> None:
    reply = Reply.error(429, "budget spent", type="insufficient_quota", code="budget_exceeded")

    assert json.loads(reply.body) == {
        "error": {
            "message": "budget spent",
            "type": "insufficient_quota",
            "param": None,
            "code": "budget_exceeded",
        }
    }
    assert reply.details == "budget_exceeded"


class InRequestHeaders(HttpFilter[object]):
    def on_request_headers(self, request: Request) -> Outcome:
        return REPLY


class AfterReading(HttpFilter[object]):
    async def on_request_headers(self, request: Request) -> Outcome:
        await request.body.read()
        return REPLY


class InRequestBody(HttpFilter[object]):
    def on_request_body(self, request: Request) -> Outcome:
        return REPLY


class InRequestTrailers(HttpFilter[object]):
    def on_request_trailers(self, request: Request) -> Outcome:
        return REPLY


class InResponseHeaders(HttpFilter[object]):
    def on_response_headers(self, response: Response) -> Outcome:
        return REPLY


class InHeldResponseBody(HttpFilter[object]):
    def on_response_headers(self, response: Response) -> Outcome:
        return PAUSE

    def on_response_body(self, response: Response) -> Outcome:
        return REPLY


def request_in_full(stream: StreamDriver) -> int:
    return stream.request_headers() or stream.request_body(b"x") or stream.request_trailers()


def request_read_in_full(stream: StreamDriver) -> int:
    stream.request_headers()
    return stream.request_body(b"x", end=True)


def response_headers(stream: StreamDriver) -> int:
    stream.request_headers(end=True)
    return stream.response_headers()


def response_body(stream: StreamDriver) -> int:
    response_headers(stream)
    return stream.response_body(b"x")


@pytest.mark.parametrize(
    ("filter_class", "drive"),
    [
        (InRequestHeaders, request_in_full),
        (AfterReading, request_read_in_full),
        (InRequestBody, request_in_full),
        (InRequestTrailers, request_in_full),
        (InResponseHeaders, response_headers),
        (InHeldResponseBody, response_body),
    ],
)
def test_a_reply_answers_from_any_phase_before_the_response_has_left(
    filter_class: type[HttpFilter[Any]], drive: Callable[[StreamDriver], int]
) -> None:
    worker = Worker(definition(filter_class))
    stream = worker.stream()

    assert drive(stream) == 1
    stream.finish()

    (sent,) = worker.host.local_responses
    assert (sent.context, sent.status, sent.body) == (stream.context, 429, b"slow down")
    assert sent.headers == [(b"retry-after", b"3")]
    assert sent.details == b"over limit"
    assert worker.kept() == 0


class InResponseBody(HttpFilter[object]):
    def on_response_body(self, response: Response) -> Outcome:
        return REPLY


class InResponseTrailers(HttpFilter[object]):
    def on_response_headers(self, response: Response) -> Outcome:
        return CONTINUE

    def on_response_trailers(self, response: Response) -> Outcome:
        return REPLY


@pytest.mark.parametrize("filter_class", [InResponseBody, InResponseTrailers])
def test_a_reply_after_the_response_has_left_resets_the_stream_and_says_so(
    filter_class: type[HttpFilter[Any]],
) -> None:
    worker = Worker(definition(filter_class))
    stream = worker.stream()
    response_body(stream)
    stream.response_trailers()

    assert worker.host.local_responses == []
    assert worker.host.closed == [(stream.context, 1)]
    ((level, line),) = worker.host.lines
    assert level == LogLevel.WARN
    assert "status 429 came after the response headers" in line


class RepliesAndWatches(HttpFilter[object]):
    def on_request_headers(self, request: Request) -> Outcome:
        return REPLY

    def on_request_body(self, request: Request) -> Outcome:
        raise AssertionError("the request is answered")

    def on_response_headers(self, response: Response) -> Outcome:
        response.headers["x-marked"] = "1"
        return CONTINUE


def test_a_reply_of_ones_own_passes_through_ones_own_response_callbacks() -> None:
    worker = Worker(definition(RepliesAndWatches))
    stream = worker.stream()
    stream.request_headers()

    assert stream.request_body(b"straggler") == 1
    assert stream.response_headers({":status": "429"}) == 0
    assert worker.host.errors() == []
    assert len(worker.host.local_responses) == 1


@pytest.mark.parametrize("outcome", [None, True, 0, "continue", Reply])
def test_anything_else_is_a_mistake_that_is_named(outcome: object) -> None:
    class Wrong(HttpFilter[object]):
        def on_request_headers(self, request: Request) -> Outcome:
            return outcome  # type: ignore[return-value]  # That is the mistake.

    worker = Worker(definition(Wrong))
    assert worker.stream().request_headers() == 0

    (error,) = worker.host.errors()
    assert f"a request callback returned {type(outcome).__name__}, not CONTINUE, PAUSE or a Reply" in error


def test_a_reply_with_a_header_that_cannot_be_sent_is_an_error() -> None:
    class Smuggles(HttpFilter[object]):
        def on_request_headers(self, request: Request) -> Outcome:
            return Reply(200, headers={"x": "a\r\nb: c"})

    worker = Worker(definition(Smuggles, on_error="closed"))
    assert worker.stream().request_headers() == 1

    assert [sent.status for sent in worker.host.local_responses] == [500]
