"""Bodies: read whole in every way they can arrive, looked at piece by piece, and replaced."""

import pytest

from proxywasm import CONTINUE, PAUSE, HttpFilter, Outcome, Request, Response
from proxywasm._abi import BodyAction, BufferType, HeadersAction, MapType, Status

from .worker import StreamDriver, Worker, definition

STOP = HeadersAction.STOP_ITERATION
BUFFER = BodyAction.STOP_AND_BUFFER


class ReadsAll(HttpFilter[object]):
    async def on_request_headers(self, request: Request) -> Outcome:
        body = await request.body.read()
        request.headers["x-body"] = body.decode()
        return CONTINUE

    async def on_response_headers(self, response: Response) -> Outcome:
        body = await response.body.read()
        response.headers["x-body"] = body.decode()
        return CONTINUE


@pytest.fixture
def stream() -> StreamDriver:
    return Worker(definition(ReadsAll)).stream()


def seen_body(stream: StreamDriver) -> str:
    return stream.host.headers(MapType.REQUEST_HEADERS)["x-body"]


def test_without_a_body_it_is_empty_at_once(stream: StreamDriver) -> None:
    assert stream.request_headers(end=True) == 0

    assert seen_body(stream) == ""
    assert stream.host.counted()["get_buffer_bytes"] == 1  # The plugin's configuration.


def test_a_body_in_one_piece(stream: StreamDriver) -> None:
    assert stream.request_headers() == STOP
    assert stream.request_body(b"hello", end=True) == 0

    assert seen_body(stream) == "hello"


def test_a_body_in_single_bytes(stream: StreamDriver) -> None:
    assert stream.request_headers() == STOP
    actions = [stream.request_body(bytes([byte]), end=byte == ord("o")) for byte in b"hello"]

    assert actions == [BUFFER, BUFFER, BUFFER, BUFFER, 0]
    assert seen_body(stream) == "hello"
    assert stream.host.counted()["get_buffer_bytes"] == 2


def test_a_body_that_ends_with_an_empty_piece(stream: StreamDriver) -> None:
    stream.request_headers()
    assert stream.request_body(b"hello") == BUFFER
    assert stream.request_body(b"", end=True) == 0

    assert seen_body(stream) == "hello"


def test_a_body_that_is_nothing_but_an_empty_piece(stream: StreamDriver) -> None:
    stream.request_headers()
    assert stream.request_body(b"", end=True) == 0

    assert seen_body(stream) == ""


def test_a_body_that_ends_with_trailers(stream: StreamDriver) -> None:
    stream.request_headers()
    assert stream.request_body(b"hello") == BUFFER
    assert stream.request_trailers({"x-end": "1"}) == 0

    assert seen_body(stream) == "hello"


def test_trailers_without_a_body(stream: StreamDriver) -> None:
    stream.request_headers()
    assert stream.request_trailers({"x-end": "1"}) == 0

    assert seen_body(stream) == ""


def test_a_response_body_is_read_the_same_way(stream: StreamDriver) -> None:
    stream.request_headers(end=True)

    assert stream.response_headers() == STOP
    assert stream.response_body(b"wor") == BUFFER
    assert stream.response_body(b"ld", end=True) == 0

    assert stream.host.headers(MapType.RESPONSE_HEADERS)["x-body"] == "world"


class Replaces(HttpFilter[object]):
    async def on_request_headers(self, request: Request) -> Outcome:
        body = await request.body.read()
        request.body.replace(body.upper() + b"!")
        assert await request.body.read() == body.upper() + b"!"
        return CONTINUE


def test_replacing_a_body_corrects_its_content_length() -> None:
    stream = Worker(definition(Replaces)).stream()
    stream.request_headers({"content-length": "5"})
    stream.request_body(b"he")
    assert stream.request_body(b"llo", end=True) == 0

    assert stream.host.body(BufferType.REQUEST_BODY) == b"HELLO!"
    assert stream.host.headers(MapType.REQUEST_HEADERS)["content-length"] == "6"


def test_replacing_a_body_without_content_length_adds_none() -> None:
    stream = Worker(definition(Replaces)).stream()
    stream.request_headers({"transfer-encoding": "chunked"})
    stream.request_body(b"hello")
    stream.request_trailers()

    assert stream.host.body(BufferType.REQUEST_BODY) == b"HELLO!"
    assert "content-length" not in stream.host.headers(MapType.REQUEST_HEADERS)


def test_a_body_that_does_not_exist_cannot_be_replaced() -> None:
    stream = Worker(definition(Replaces)).stream()

    assert stream.request_headers(end=True) == 0

    (error,) = stream.host.errors()
    assert "BodyUnavailableError: there is no request body to replace" in error


def test_a_host_that_refuses_a_new_body_is_an_error() -> None:
    stream = Worker(definition(Replaces)).stream()
    stream.request_headers()
    stream.host.statuses["set_buffer_bytes"] = Status.BAD_ARGUMENT
    stream.request_body(b"hello", end=True)

    (error,) = stream.host.errors()
    assert "set_buffer_bytes: BAD_ARGUMENT: the request body cannot be changed now" in error


class SeesPieces(HttpFilter[object]):
    def __init__(self) -> None:
        self.pieces: list[tuple[bytes, bool]] = []

    def on_request_body(self, request: Request) -> Outcome:
        self.pieces.append((request.body.chunk, request.end_of_stream))
        request.body.replace(request.body.chunk.upper())
        return CONTINUE

    def on_log(self) -> None:
        self.plugin.shared.set("pieces", repr(self.pieces).encode())


def test_each_piece_can_be_seen_and_replaced() -> None:
    worker = Worker(definition(SeesPieces))
    stream = worker.stream()
    stream.request_headers({"content-length": "4"})
    replaced = []
    for chunk, end in ((b"ab", False), (b"cd", False), (b"", True)):
        assert stream.request_body(chunk, end=end) == 0
        replaced.append(stream.host.body(BufferType.REQUEST_BODY))
    stream.finish()

    assert replaced == [b"AB", b"CD", b""]
    assert worker.host.shared[b"pieces"][0] == b"[(b'ab', False), (b'cd', False), (b'', True)]"


def test_content_length_stays_when_the_headers_have_left() -> None:
    stream = Worker(definition(SeesPieces)).stream()
    stream.request_headers({"content-length": "4"})
    stream.request_body(b"abcd", end=True)

    assert "get_header_map_value" not in stream.host.calls


class ReadsLate(HttpFilter[object]):
    """Reads the whole body in its first body callback."""

    def __init__(self) -> None:
        self.calls = 0

    async def on_request_body(self, request: Request) -> Outcome:
        self.calls += 1
        body = await request.body.read()
        self.shared.set("body", b"%d %s" % (self.calls, body))
        return CONTINUE


@pytest.mark.parametrize("last", ["piece", "empty", "trailers"])
def test_reading_in_the_first_body_callback_holds_the_rest_and_is_called_once(last: str) -> None:
    stream = Worker(definition(ReadsLate)).stream()
    assert stream.request_headers() == 0
    assert stream.request_body(b"hel") == BUFFER
    if last == "piece":
        assert stream.request_body(b"lo", end=True) == 0
    else:
        assert stream.request_body(b"lo") == BUFFER
        assert (stream.request_trailers() if last == "trailers" else stream.request_body(b"", end=True)) == 0

    assert stream.host.shared[b"body"][0] == b"1 hello"


class ReadsTooLate(HttpFilter[object]):
    """Lets the first piece pass and then wants the whole."""

    def __init__(self) -> None:
        self.calls = 0

    async def on_request_body(self, request: Request) -> Outcome:
        self.calls += 1
        if self.calls == 2:
            await request.body.read()
        return CONTINUE


def test_a_body_of_which_a_part_has_left_cannot_be_read_whole() -> None:
    stream = Worker(definition(ReadsTooLate)).stream()
    stream.request_headers()
    assert stream.request_body(b"hel") == 0
    assert stream.request_body(b"lo", end=True) == 0

    (error,) = stream.host.errors()
    assert "BodyUnavailableError: a part of the request body has been passed on" in error


class ReadsInTrailers(HttpFilter[object]):
    async def on_request_trailers(self, request: Request) -> Outcome:
        await request.body.read()
        return CONTINUE


def test_a_body_that_went_by_unseen_cannot_be_read_in_the_trailers() -> None:
    stream = Worker(definition(ReadsInTrailers)).stream()
    stream.request_headers()
    stream.request_body(b"hello")
    stream.request_trailers()

    (error,) = stream.host.errors()
    assert "has been passed on" in error


class HoldsByHand(HttpFilter[object]):
    """Collects the body the synchronous way: PAUSE until the end."""

    def on_request_headers(self, request: Request) -> Outcome:
        return PAUSE

    def on_request_body(self, request: Request) -> Outcome:
        if not request.end_of_stream:
            return PAUSE
        request.headers["x-body"] = request.body.chunk.decode()
        return CONTINUE


def test_a_paused_body_piles_up() -> None:
    stream = Worker(definition(HoldsByHand)).stream()

    assert stream.request_headers() == STOP
    assert stream.request_body(b"hel") == BUFFER
    assert stream.request_body(b"lo", end=True) == 0
    assert seen_body(stream) == "hello"


class PausesHeadersOnly(HttpFilter[object]):
    def on_request_headers(self, request: Request) -> Outcome:
        return PAUSE


def test_a_pause_holds_until_the_filter_ends_it_even_without_a_body_callback() -> None:
    stream = Worker(definition(PausesHeadersOnly)).stream()

    assert stream.request_headers() == STOP
    assert stream.request_body(b"x") == BUFFER
    assert stream.request_trailers() == 1


class WantsTheOtherBody(HttpFilter[object]):
    async def on_response_headers(self, response: Response) -> Outcome:
        await self.request.body.read()
        return CONTINUE


def test_the_request_body_cannot_be_awaited_in_a_response_callback() -> None:
    stream = Worker(definition(WantsTheOtherBody)).stream()
    stream.request_headers()
    assert stream.response_headers() == 0

    (error,) = stream.host.errors()
    assert "UsageError: only the response body can be awaited in a response callback" in error


class ReadsThenSees(HttpFilter[object]):
    """Reads the whole in the headers callback, and has callbacks for the rest too."""

    def __init__(self) -> None:
        self.order: list[str] = []

    async def on_request_headers(self, request: Request) -> Outcome:
        self.order.append(f"headers {(await request.body.read()).decode()}")
        return CONTINUE

    def on_request_body(self, request: Request) -> Outcome:
        self.order.append(f"body {request.body.chunk.decode()} {request.end_of_stream}")
        return CONTINUE

    def on_request_trailers(self, request: Request) -> Outcome:
        self.order.append(f"trailers {request.trailers['x-end']}")
        return CONTINUE

    def on_done(self) -> None:
        self.shared.set("order", ", ".join(self.order).encode())


def test_callbacks_for_what_arrived_while_reading_follow_in_order() -> None:
    stream = Worker(definition(ReadsThenSees)).stream()
    stream.request_headers()
    stream.request_body(b"hel")
    assert stream.request_body(b"lo", end=True) == 0
    stream.finish()

    assert stream.host.shared[b"order"][0] == b"headers hello, body hello True"


def test_with_trailers_all_three_follow() -> None:
    stream = Worker(definition(ReadsThenSees)).stream()
    stream.request_headers()
    stream.request_body(b"hello")
    assert stream.request_trailers({"x-end": "1"}) == 0
    stream.finish()

    assert stream.host.shared[b"order"][0] == b"headers hello, body hello True, trailers 1"


class ReadsAgain(HttpFilter[object]):
    async def on_request_headers(self, request: Request) -> Outcome:
        first = await request.body.read()
        assert await request.body.read() is first
        return CONTINUE


def test_reading_twice_fetches_once() -> None:
    stream = Worker(definition(ReadsAgain)).stream()
    stream.request_headers()
    stream.request_body(b"hello", end=True)

    assert stream.host.errors() == []
    assert stream.host.counted()["get_buffer_bytes"] == 2


class SeesOnlyHeads(HttpFilter[object]):
    def on_response_headers(self, response: Response) -> Outcome:
        return CONTINUE

    def on_done(self) -> None:
        self.shared.set("complete", str(self.response.end_of_stream).encode())


@pytest.mark.parametrize(
    ("pieces", "complete"), [([], b"False"), ([b"1"], b"False"), ([b"1", b"2", b""], b"True")]
)
def test_a_filter_that_lets_bodies_pass_still_knows_whether_they_have_ended(
    pieces: list[bytes], complete: bytes
) -> None:
    stream = Worker(definition(SeesOnlyHeads)).stream()
    stream.request_headers(end=True)
    stream.response_headers()
    for piece in pieces:
        assert stream.response_body(piece, end=not piece) == 0
    stream.finish()

    assert stream.host.shared[b"complete"][0] == complete
    assert stream.host.counted()["get_buffer_bytes"] == 1  # The configuration.
