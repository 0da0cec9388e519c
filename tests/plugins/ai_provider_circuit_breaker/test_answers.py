"""Answers that are whole, cut, no JSON, or an error after all, however they are cut into chunks."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_provider_circuit_breaker import Answer
from ai_provider_circuit_breaker.answers import AnswerReader, EventStreamReader, JsonReader, answer_reader
from aigateway.chat import Format

CHAT = (
    b'data: {"id":"1","choices":[{"delta":{"role":"assistant"},"finish_reason":null}]}\n\n'
    b'data: {"id":"1","choices":[{"delta":{"content":"data: [DONE] is \\"finish_reason\\":\\"x\\""}}]}\n\n'
    b'data: {"id":"1","choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
    b'data: {"id":"1","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":17}}\n\n'
    b"data: [DONE]\n\n"
)
ANTHROPIC = (
    b'event: message_start\ndata: {"type":"message_start","message":{"usage":{"output_tokens":1}}}\n\n'
    b'event: ping\ndata: {"type": "ping"}\n\n'
    b'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"text":"Hello"}}\n\n'
    b'event: message_delta\ndata: {"type":"message_delta","usage":{"output_tokens":23}}\n\n'
    b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
)
RESPONSES = (
    b'event: response.created\ndata: {"type":"response.created","response":{"usage":null}}\n\n'
    b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"Hi"}\n\n'
    b"event: response.completed\n"
    b'data: {"type":"response.completed","response":{"usage":{"output_tokens":4}}}\n\n'
)
STREAMS = [(CHAT, Format.CHAT, 17), (ANTHROPIC, Format.ANTHROPIC, 23), (RESPONSES, Format.RESPONSES, 4)]


def judged(reader: AnswerReader, body: bytes, size: int = 1_000_000) -> Answer:
    for start in range(0, len(body), size):
        reader.feed(body[start : start + size])
    return reader.finish()


def without_last(stream: bytes) -> bytes:
    """Take the last event away."""
    return stream[: stream.rstrip().rindex(b"\n\n") + 2]


@pytest.mark.parametrize(("stream", "format", "tokens"), STREAMS)
@pytest.mark.parametrize("size", [1, 7, 1_000_000])
def test_a_stream_that_ends_as_its_api_says_is_whole(
    stream: bytes, format: Format, tokens: int, size: int
) -> None:
    reader = EventStreamReader(format)

    assert judged(reader, stream, size) is Answer.WHOLE
    assert reader.output_tokens == tokens


@pytest.mark.parametrize(("stream", "format"), [(ANTHROPIC, Format.ANTHROPIC), (RESPONSES, Format.RESPONSES)])
def test_the_type_counts_where_events_have_no_names(stream: bytes, format: Format) -> None:
    lines = [line for line in stream.split(b"\n") if not line.startswith(b"event:")]

    assert judged(EventStreamReader(format), b"\n".join(lines)) is Answer.WHOLE


@given(st.sampled_from(STREAMS), st.integers(0, 10_000))
def test_a_stream_without_its_end_is_cut(stream: tuple[bytes, Format, int], length: int) -> None:
    body, format, _ = stream
    body = without_last(without_last(without_last(body))) if format is Format.CHAT else without_last(body)

    assert judged(EventStreamReader(format), body[:length]) is Answer.CUT


@pytest.mark.parametrize(
    ("format", "event", "code"),
    [
        (Format.CHAT, b"", "server_error"),
        (Format.COMPLETION, b"", "server_error"),
        (Format.ANTHROPIC, b"event: error\n", "api_error"),
        (Format.RESPONSES, b"event: error\n", "stream_cut"),
    ],
)
def test_an_error_event_can_stand_for_the_end(format: Format, event: bytes, code: str) -> None:
    reader = EventStreamReader(format)
    judged(reader, b'data: {"choices":[]}\n\n')

    missing = reader.missing_end()

    assert missing.startswith(event + b"data: {")
    assert missing.endswith(b"}\n\n")
    assert code in json.dumps(json.loads(missing.removeprefix(event).removeprefix(b"data: ")))
    assert EventStreamReader(None).missing_end() == b""
    assert judged(EventStreamReader(format), b'data: {"choices":[]}\n\n' + missing) is Answer.ERROR


def test_an_event_that_is_not_complete_is_ended_first() -> None:
    reader = EventStreamReader(Format.CHAT)
    judged(reader, b'data: {"choices":[{"del')

    assert reader.missing_end().startswith(b'\n\ndata: {"error"')


@pytest.mark.parametrize(("stream", "format", "tokens"), STREAMS)
def test_nothing_is_missing_of_a_whole_stream(stream: bytes, format: Format, tokens: int) -> None:
    reader = EventStreamReader(format)
    judged(reader, stream)

    assert reader.missing_end() == b""


def test_a_provider_that_leaves_done_out_has_finished_when_it_says_why() -> None:
    assert judged(EventStreamReader(Format.CHAT), without_last(without_last(CHAT))) is Answer.WHOLE


def test_the_end_of_an_unknown_api_is_not_known() -> None:
    assert judged(EventStreamReader(None), b"data: tick\n\n") is Answer.WHOLE


@pytest.mark.parametrize("data", [b'{"id": "1", "choi', b"busy", b"[1]", b'"x"}'])
def test_an_event_that_is_no_object_is_malformed(data: bytes) -> None:
    assert judged(EventStreamReader(Format.CHAT), b"data: " + data + b"\n\n" + CHAT) is Answer.MALFORMED


@pytest.mark.parametrize(
    "event",
    [
        b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error"}}\n\n',
        b'data: {"type":"error","error":{"type":"overloaded_error"}}\n\n',
        b'data: {"error":{"message":"The server had an error","type":"server_error"}}\n\n',
        b'event: response.failed\ndata: {"type":"response.failed","response":{}}\n\n',
    ],
)
def test_an_error_in_the_stream_is_the_providers(event: bytes) -> None:
    assert judged(EventStreamReader(Format.CHAT), without_last(CHAT) + event) is Answer.ERROR


@pytest.mark.parametrize("code", [b"content_filter", b"invalid_request_error", b"context_length_exceeded"])
def test_unless_the_request_is_to_blame(code: bytes) -> None:
    event = b'data: {"error":{"code":"' + code + b'"}}\n\n'

    assert judged(EventStreamReader(Format.CHAT), event) is Answer.WHOLE


def test_a_comment_is_no_beginning() -> None:
    reader = EventStreamReader(Format.CHAT)

    reader.feed(b": still thinking\n\n")
    assert not reader.has_begun
    reader.feed(CHAT[:40])
    assert not reader.has_begun
    reader.feed(CHAT[40:])
    assert reader.has_begun


def test_events_are_tokens_where_nobody_counts_them() -> None:
    reader = EventStreamReader(Format.CHAT)
    judged(reader, b'data: {"choices":[]}\n\n' * 12 + b"data: [DONE]\n\n")

    assert reader.output_tokens == 12


# In one piece


@pytest.mark.parametrize("size", [1, 7, 1_000_000])
@pytest.mark.parametrize("text", ["hi", "x" * 200_000])
def test_an_object_is_whole(text: str, size: int) -> None:
    if size == 1 and len(text) > 100:
        size = 1_000
    body = b" \n" + json.dumps({"choices": [text]}).encode() + b"\r\n "

    assert judged(JsonReader(), body, size) is Answer.WHOLE


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  ",
        b'{"id":"chatcmpl-malformed","choices":[{"mess',
        b'{"choices": [}',
        b'{"choices": NaN}',
        b"<html>502</html>",
        b"[1]",
        b"null",
        b"\xff{}",
        b"[" * 20_000 + b"}",
        b'{"a":' * 1_000 + b"1" + b"}" * 1_000,
        b'{"choices": ["' + b"x" * 200_000,
        b"<html>" + b"x" * 200_000 + b"}",
    ],
)
@pytest.mark.parametrize("size", [5_000, 1_000_000])
def test_anything_else_is_malformed(body: bytes, size: int) -> None:
    assert judged(JsonReader(), body, size) is Answer.MALFORMED


@given(st.lists(st.binary(max_size=50)))
def test_nothing_that_a_provider_sends_raises(chunks: list[bytes]) -> None:
    for reader in (JsonReader(), EventStreamReader(Format.CHAT), EventStreamReader(None)):
        for chunk in chunks:
            reader.feed(chunk)
        assert reader.finish() in Answer


def test_a_long_answer_is_not_kept() -> None:
    reader = JsonReader()
    for _ in range(100):
        reader.feed(b"{" + b"x" * 10_000 + b"}")

    assert sum(map(len, reader._body)) <= 65_536


# Which way


@pytest.mark.parametrize(
    ("content_type", "encoding", "format", "expected"),
    [
        ("text/event-stream; charset=utf-8", None, Format.CHAT, EventStreamReader),
        ("Text/Event-Stream", "identity", None, EventStreamReader),
        ("application/json", None, Format.CHAT, JsonReader),
        ("application/json;charset=utf-8", "", Format.ANTHROPIC, JsonReader),
        ("application/json", None, None, AnswerReader),
        ("application/json", "gzip", Format.CHAT, AnswerReader),
        ("text/event-stream", "br", Format.CHAT, AnswerReader),
        ("audio/mpeg", None, Format.CHAT, AnswerReader),
        (None, None, Format.CHAT, AnswerReader),
    ],
)
def test_what_is_looked_at_how(
    content_type: str | None, encoding: str | None, format: Format | None, expected: type[AnswerReader]
) -> None:
    reader = answer_reader(content_type, encoding, format)

    assert type(reader) is expected
    if expected is AnswerReader:
        assert judged(reader, b"\x00") is Answer.WHOLE
        assert reader.output_tokens is None
