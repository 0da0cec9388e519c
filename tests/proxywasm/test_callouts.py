"""Callouts: sending, waiting, failing, and coming back too late."""

from typing import Any

import pytest

from proxywasm import (
    CONTINUE,
    CalloutError,
    CallResponse,
    FrozenHeaders,
    HttpFilter,
    Outcome,
    Reply,
    Request,
    Response,
)
from proxywasm._abi import BodyAction, BufferType, HeadersAction, MapType, Status

from .worker import ROOT, Worker, definition

STOP_ALL = HeadersAction.STOP_ALL_AND_WATERMARK


class Asks(HttpFilter[object]):
    """Asks another cluster whether the request may pass."""

    async def on_request_headers(self, request: Request) -> Outcome:
        answer = await self.http_call(
            "auth",
            method="POST",
            path="/check",
            authority="auth.example",
            headers={"X-Who": "me"},
            body=b"?",
            timeout_s=0.25,
        )
        if answer.status != 200:
            return Reply(403, answer.body)
        request.headers["x-allowed"] = answer.headers["x-by"]
        return CONTINUE


def test_a_callout_is_sent_as_asked() -> None:
    worker = Worker(definition(Asks))
    assert worker.stream().request_headers() == STOP_ALL

    ((cluster, headers, body, trailers, timeout_ms),) = worker.host.callouts
    assert cluster == b"auth"
    assert headers == [
        (b":method", b"POST"),
        (b":path", b"/check"),
        (b":authority", b"auth.example"),
        (b"x-who", b"me"),
    ]
    assert (body, trailers, timeout_ms) == (b"?", [], 250)


def test_the_stream_goes_on_in_its_own_context_when_the_answer_is_there() -> None:
    worker = Worker(definition(Asks))
    stream = worker.stream()
    stream.request_headers()

    worker.respond(4, {":status": "200", "x-by": "auth"})

    assert worker.host.continued == [(stream.context, 0)]
    assert worker.host.headers(MapType.REQUEST_HEADERS)["x-allowed"] == "auth"
    assert worker.host.effective == stream.context
    assert worker.kept() == 1  # The stream.


def test_the_answer_may_be_a_reply() -> None:
    worker = Worker(definition(Asks))
    stream = worker.stream()
    stream.request_headers()

    worker.respond(4, {":status": "401"}, b"who are you")

    (sent,) = worker.host.local_responses
    assert (sent.context, sent.status, sent.body) == (stream.context, 403, b"who are you")
    assert worker.host.continued == []


class Keeps(HttpFilter[object]):
    """Keeps what a callout gave."""

    results: "list[CallResponse | CalloutError]"

    async def on_request_headers(self, request: Request) -> Outcome:
        try:
            RESULTS.append(await self.http_call("x"))
        except CalloutError as error:
            RESULTS.append(error)
        return CONTINUE


RESULTS: "list[CallResponse | CalloutError]" = []


@pytest.fixture(autouse=True)
def _no_results() -> None:
    RESULTS.clear()


def test_a_response_is_a_value() -> None:
    worker = Worker(definition(Keeps))
    worker.stream().request_headers()
    worker.respond(4, {":status": "204", "a": "1"}, b"body", {"t": "2"})

    assert [
        CallResponse(
            status=204,
            headers=FrozenHeaders({":status": "204", "a": "1"}),
            body=b"body",
            trailers=FrozenHeaders({"t": "2"}),
        )
    ] == RESULTS


def test_the_defaults_are_a_get_for_the_root_of_the_cluster() -> None:
    worker = Worker(definition(Keeps))
    worker.stream().request_headers()

    ((_, headers, _, _, timeout_ms),) = worker.host.callouts
    assert headers == [(b":method", b"GET"), (b":path", b"/"), (b":authority", b"x")]
    assert timeout_ms == 5000


@pytest.mark.parametrize(
    ("status", "message"),
    [(Status.BAD_ARGUMENT, "no such cluster"), (Status.INTERNAL_FAILURE, "refused: INTERNAL_FAILURE")],
)
def test_a_callout_that_is_refused_raises_at_once(status: int, message: str) -> None:
    worker = Worker(definition(Keeps))
    worker.host.statuses["http_call"] = status

    assert worker.stream().request_headers() == 0

    (error,) = RESULTS
    assert isinstance(error, CalloutError)
    assert error.cluster == "x"
    assert message in str(error)


def test_a_callout_that_is_reset_raises_with_what_the_host_says() -> None:
    worker = Worker(definition(Keeps))
    stream = worker.stream()
    stream.request_headers()
    worker.host.call_status = (11, b"upstream timeout")
    worker.respond(4)

    assert [str(result) for result in RESULTS] == ["callout to 'x': upstream timeout (BROKEN_CONNECTION)"]
    assert worker.host.continued == [(stream.context, 0)]


def test_a_failure_the_host_says_nothing_about_is_a_reset() -> None:
    worker = Worker(definition(Keeps))
    worker.stream().request_headers()
    worker.host.statuses["get_status"] = Status.INTERNAL_FAILURE
    worker.respond(4)

    assert [str(result) for result in RESULTS] == ["callout to 'x': reset"]


def test_a_response_that_cannot_be_fetched_fails_the_callout_and_not_the_vm() -> None:
    worker = Worker(definition(Asks))
    stream = worker.stream()
    stream.request_headers()
    worker.host.statuses["get_buffer_bytes"] = Status.INTERNAL_FAILURE
    worker.respond(4, {":status": "200"}, b"body")

    (error,) = worker.host.errors()
    assert "get_buffer_bytes: INTERNAL_FAILURE" in error
    assert worker.host.continued == [(stream.context, 0)]


@pytest.mark.parametrize("timeout_s", [0, -1, float("nan"), float("inf"), 1e10])
def test_a_timeout_that_is_none_is_refused(timeout_s: float) -> None:
    class Forever(HttpFilter[object]):
        async def on_request_headers(self, request: Request) -> Outcome:
            await self.http_call("x", timeout_s=timeout_s)
            return CONTINUE

    worker = Worker(definition(Forever))
    worker.stream().request_headers()

    assert worker.host.callouts == []
    assert "needs a timeout above 0" in worker.host.errors()[0]


def test_a_tiny_timeout_is_not_none() -> None:
    class Hasty(HttpFilter[object]):
        async def on_request_headers(self, request: Request) -> Outcome:
            await self.http_call("x", timeout_s=0.0001)
            return CONTINUE

    worker = Worker(definition(Hasty))
    worker.stream().request_headers()

    assert worker.host.callouts[0][4] == 1


@pytest.mark.parametrize("answered", [True, False])
def test_an_answer_after_the_stream_has_ended_is_ignored(answered: bool) -> None:
    worker = Worker(definition(Asks))
    stream = worker.stream()
    stream.request_headers()
    stream.finish()
    assert worker.kept() == 0
    worker.host.calls.clear()

    worker.respond(4, {":status": "200", "x-by": "auth"} if answered else None)

    assert worker.host.calls == []


def test_an_answer_nobody_asked_for_is_ignored() -> None:
    worker = Worker(definition(Asks))
    worker.host.calls.clear()

    worker.respond(77, {":status": "200"})

    assert worker.host.calls == []


def test_a_request_that_the_proxy_answers_meanwhile_is_given_up() -> None:
    ended: list[str] = []

    class Cleans(HttpFilter[object]):
        async def on_request_headers(self, request: Request) -> Outcome:
            try:
                await self.http_call("auth")
            finally:
                ended.append("given up")
            return CONTINUE

    worker = Worker(definition(Cleans))
    stream = worker.stream()
    stream.request_headers()

    assert stream.response_headers({":status": "504"}, end=True) == 0
    assert ended == ["given up"]
    worker.respond(4, {":status": "200"})

    assert worker.host.continued == []
    assert worker.kept() == 1


class ReadsThenAsks(HttpFilter[object]):
    async def on_request_headers(self, request: Request) -> Outcome:
        body = await request.body.read()
        answer = await self.http_call("embed", method="POST", body=body)
        again = await self.http_call("embed", method="POST", body=answer.body)
        request.body.replace(answer.body + again.body)
        return CONTINUE


@pytest.mark.parametrize("trailers", [True, False])
def test_a_body_can_be_replaced_by_what_callouts_gave(trailers: bool) -> None:
    worker = Worker(definition(ReadsThenAsks))
    stream = worker.stream()
    assert stream.request_headers({"content-length": "5"}) == HeadersAction.STOP_ITERATION
    assert stream.request_body(b"hello", end=not trailers) == BodyAction.STOP_AND_BUFFER
    if trailers:
        assert stream.request_trailers() == 1
    worker.respond(4, {":status": "200"}, b"one ")
    assert worker.host.continued == []
    worker.respond(8, {":status": "200"}, b"two")

    assert worker.host.continued == [(stream.context, 0)]
    assert worker.host.body(BufferType.REQUEST_BODY) == b"one two"
    assert worker.host.headers(MapType.REQUEST_HEADERS)["content-length"] == "7"
    assert worker.host.errors() == []


class AsksThenReads(HttpFilter[object]):
    async def on_request_headers(self, request: Request) -> Outcome:
        await self.http_call("auth")
        await request.body.read()
        return CONTINUE


def test_reading_after_calling_out_is_refused_instead_of_hanging() -> None:
    worker = Worker(definition(AsksThenReads))
    stream = worker.stream()
    stream.request_headers()
    worker.respond(4, {":status": "200"})

    (error,) = worker.host.errors()
    assert "UsageError: read the body before calling out" in error
    assert worker.host.continued == [(stream.context, 0)]


def test_reading_after_calling_out_is_fine_when_there_is_no_body() -> None:
    worker = Worker(definition(AsksThenReads))
    stream = worker.stream()
    stream.request_headers(end=True)
    worker.respond(4, {":status": "200"})

    assert worker.host.errors() == []
    assert worker.host.continued == [(stream.context, 0)]


def test_a_body_that_comes_although_all_was_stopped_is_held() -> None:
    worker = Worker(definition(Asks))
    stream = worker.stream()
    assert stream.request_headers() == STOP_ALL

    assert stream.request_body(b"x") == BodyAction.STOP_AND_WATERMARK
    assert stream.request_trailers() == 1

    worker.respond(4, {":status": "200", "x-by": "auth"})
    assert worker.host.continued == [(stream.context, 0)]


class AsksPerPiece(HttpFilter[object]):
    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    async def on_response_body(self, response: Response) -> Outcome:
        self.pieces.append(response.body.chunk)
        self.shared.set("pieces", b"|".join(self.pieces))
        if len(self.pieces) == 1:
            await self.http_call("moderation")
        return CONTINUE


def test_what_arrives_while_a_body_callback_waits_is_buffered_and_delivered_after_it() -> None:
    worker = Worker(definition(AsksPerPiece))
    stream = worker.stream()
    stream.request_headers(end=True)
    stream.response_headers()
    assert stream.response_body(b"one ") == BodyAction.STOP_AND_BUFFER
    assert stream.response_body(b"two") == BodyAction.STOP_AND_BUFFER

    worker.respond(4, {":status": "200"})

    assert worker.host.shared[b"pieces"][0] == b"one |one two"
    assert worker.host.continued == [(stream.context, 1)]


class AsksForTheResponse(HttpFilter[object]):
    async def on_response_headers(self, response: Response) -> Outcome:
        answer = await self.http_call("fallback")
        return Reply(answer.status, answer.body)


def test_a_response_can_be_replaced_by_that_of_a_callout() -> None:
    worker = Worker(definition(AsksForTheResponse))
    stream = worker.stream()
    stream.request_headers(end=True)
    assert stream.response_headers({":status": "503"}) == STOP_ALL

    worker.respond(4, {":status": "200"}, b"from another provider")

    (sent,) = worker.host.local_responses
    assert (sent.status, sent.body) == (200, b"from another provider")


def test_streams_that_wait_at_once_get_their_own_answers() -> None:
    worker = Worker(definition(Asks))
    one, two = worker.stream(), worker.stream()
    one.request_headers()
    two.request_headers()

    worker.respond(8, {":status": "403"}, b"two")
    worker.respond(4, {":status": "403"}, b"one")

    assert [(sent.context, sent.body) for sent in worker.host.local_responses] == [
        (two.context, b"two"),
        (one.context, b"one"),
    ]


def test_only_what_the_sdk_gives_can_be_awaited() -> None:
    class Foreign:
        def __await__(self) -> Any:
            return (yield self)

    class AwaitsForeign(HttpFilter[object]):
        async def on_request_headers(self, request: Request) -> Outcome:
            await Foreign()
            return CONTINUE

    worker = Worker(definition(AwaitsForeign))
    assert worker.stream().request_headers() == 0

    (error,) = worker.host.errors()
    assert "UsageError: Foreign cannot be awaited here: only body.read() and callouts" in error
    assert "test_callouts.py" in error


class CallsGrpc(HttpFilter[object]):
    async def on_request_headers(self, request: Request) -> Outcome:
        try:
            answer = await self.grpc_call(
                "quota", service="q.Quota", method="Take", message=b"\x08\x01", metadata={"a": "b"}
            )
        except CalloutError as error:
            return Reply(503, str(error).encode())
        request.headers["x-left"] = answer.hex()
        return CONTINUE


def test_a_grpc_call_gives_the_answer() -> None:
    worker = Worker(definition(CallsGrpc))
    stream = worker.stream()
    assert stream.request_headers() == STOP_ALL
    worker.host.buffers[BufferType.GRPC_MESSAGE] = b"\x08\x02"
    worker.dispatcher.on_grpc_receive_initial_metadata(ROOT, 5, 0)
    worker.dispatcher.on_grpc_receive(ROOT, 5, 2)
    worker.dispatcher.on_grpc_receive_trailing_metadata(ROOT, 5, 0)
    worker.dispatcher.on_grpc_close(ROOT, 5, 0)

    service = b"\x0a\x07\x0a\x05quota"  # GrpcService{envoy_grpc{cluster_name}}, both fields number 1
    assert worker.host.grpc_callouts == [(service, b"q.Quota", b"Take", [(b"a", b"b")], b"\x08\x01", 5000)]
    assert worker.host.headers(MapType.REQUEST_HEADERS)["x-left"] == "0802"
    assert worker.host.continued == [(stream.context, 0)]


def test_a_grpc_call_to_a_cluster_with_a_long_name() -> None:
    class CallsLong(HttpFilter[object]):
        async def on_request_headers(self, request: Request) -> Outcome:
            await self.grpc_call("c" * 300, service="s", method="m", message=b"")
            return CONTINUE

    worker = Worker(definition(CallsLong))
    worker.stream().request_headers()

    assert worker.host.grpc_callouts[0][0] == b"\x0a\xaf\x02\x0a\xac\x02" + b"c" * 300


def test_a_grpc_call_that_fails_raises_with_status_and_message() -> None:
    worker = Worker(definition(CallsGrpc))
    worker.stream().request_headers()
    worker.host.call_status = (14, b"no healthy upstream{no_healthy_upstream}")
    worker.dispatcher.on_grpc_close(ROOT, 5, 14)

    assert (
        worker.host.local_responses[0].body
        == b"callout to 'quota': gRPC status 14: no healthy upstream{no_healthy_upstream}"
    )


def test_a_grpc_call_that_fails_without_a_message_raises_with_its_status() -> None:
    worker = Worker(definition(CallsGrpc))
    worker.stream().request_headers()
    worker.dispatcher.on_grpc_close(ROOT, 5, 14)

    assert worker.host.local_responses[0].body == b"callout to 'quota': gRPC status 14"


def test_a_grpc_call_to_no_cluster_raises_at_once() -> None:
    worker = Worker(definition(CallsGrpc))
    worker.host.statuses["grpc_call"] = Status.INTERNAL_FAILURE
    worker.stream().request_headers()

    assert b"no such cluster" in worker.host.local_responses[0].body
