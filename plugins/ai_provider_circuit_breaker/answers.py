"""Whether an answer with status 200 is one: all of it there, JSON, and without an error in the middle.

The body passes by in chunks, and nothing of it is kept but an event that is not complete, or a short answer
in one piece. Streams are judged by the shape of each event and by their last one; to decode every event would
cost more than all else that the gateway does.
"""

import re
from typing import Final

from aigateway.chat import Format
from aigateway.json_body import decode_json
from aigateway.refusals import InvalidRequestError
from aigateway.sse import Event, EventReader

from .outcomes import Answer

__all__ = ["AnswerReader", "EventStreamReader", "JsonReader", "answer_reader"]

_DECODED_BYTES: Final = 65_536
"""Of a longer answer in one piece only both ends are looked at."""

_LONGEST_EVENT: Final = 1_048_576
"""Of a longer event the shape is not looked at."""

_DONE: Final = b"[DONE]"
_LAST_EVENTS: Final = frozenset({b"message_stop", b"response.completed", b"response.incomplete"})
_ERROR_EVENTS: Final = frozenset({b"error", b"response.failed"})
_TYPE: Final = re.compile(rb'\{\s*"type"\s*:\s*"([a-z_.]+)"')
_FINISHED: Final = re.compile(rb'"finish_?[rR]eason" ?: ?"')
"""Some compatible providers leave `[DONE]` out; none ends without saying why."""

_OUTPUT_TOKENS: Final = re.compile(rb'"(?:completion|output)_tokens" ?: ?(\d{1,9})')
_CUT: Final = b'"The provider ended this answer before it was complete."'
_CUT_EVENT: Final = (
    b'data: {"error":{"message":%b,"type":"server_error","param":null,"code":"stream_cut"}}\n\n' % _CUT
)
_CUT_EVENTS: Final = {
    Format.ANTHROPIC: (
        b'event: error\ndata: {"type":"error","error":{"type":"api_error","message":%b}}\n\n' % _CUT
    ),
    Format.RESPONSES: (
        b'event: error\ndata: {"type":"error","code":"stream_cut","message":%b,"param":null}\n\n' % _CUT
    ),
}
"""What each API sends in the middle of a stream when it cannot go on."""

_OF_THE_CALLER: Final = re.compile(rb"invalid_request|content_filter|content_policy|context_length")
"""Errors that the request is to blame for, though it took a while to see."""


class AnswerReader:
    """Looks at the body of an answer as it passes; this one is content with any."""

    __slots__ = ()

    has_begun: bool = True
    """Whether something of the answer has come; a comment that keeps a connection is nothing of it."""

    verdict: Answer = Answer.WHOLE
    """What is wrong with the answer as far as it has come, if anything is."""

    @property
    def wants_more(self) -> bool:
        """Whether the verdict may soon be another, so that it is worth holding what has come."""
        return False

    @property
    def output_tokens(self) -> int | None:
        """The tokens of a stream, as it says itself, or its events."""
        return None

    def feed(self, chunk: bytes) -> None:
        """Look at the next bytes."""

    def missing_end(self) -> bytes:
        """Give what has to be appended, now that the answer has ended, so that nobody takes it for whole."""
        return b""

    def finish(self) -> Answer:
        """Judge, now that all has come that will come."""
        return Answer.WHOLE


class JsonReader(AnswerReader):
    """Looks at an answer in one piece."""

    __slots__ = ("_body", "_last", "_size", "verdict")

    def __init__(self) -> None:
        self._body: list[bytes] = []
        self._size = 0
        self._last = b""
        self.verdict = Answer.WHOLE

    @property
    def wants_more(self) -> bool:
        """Whether it is short and has not ended; blanks before it are how some say that it takes a while."""
        return 0 < self._size <= _DECODED_BYTES and bool(self._last) and self.verdict is Answer.WHOLE

    def feed(self, chunk: bytes) -> None:
        """Keep a short answer, and of a long one its ends."""
        self._size += len(chunk)
        if self._size <= _DECODED_BYTES or not self._body:
            self._body.append(chunk[:_DECODED_BYTES])
        stripped = chunk.strip()
        if stripped:
            if not self._last and stripped[:1] != b"{":
                self.verdict = Answer.MALFORMED
            self._last = stripped[-1:]

    def finish(self) -> Answer:
        """Decode a short answer; compare the ends of a long one."""
        if self.verdict is Answer.MALFORMED or self._last != b"}":
            return Answer.MALFORMED
        if self._size > _DECODED_BYTES:
            return Answer.WHOLE
        try:
            decode_json(b"".join(self._body))
        except InvalidRequestError:
            return Answer.MALFORMED
        return Answer.WHOLE


class EventStreamReader(AnswerReader):
    """Looks at a stream of events."""

    __slots__ = ("_events", "_format", "_has_ended", "_reader", "_tokens", "has_begun", "verdict")

    def __init__(self, format: Format | None) -> None:
        self._format = format
        self._reader = EventReader(_LONGEST_EVENT)
        self._events = 0
        self._tokens: int | None = None
        self._has_ended = False
        self.verdict = Answer.WHOLE
        self.has_begun = False

    @property
    def wants_more(self) -> bool:
        """Whether no event has come."""
        return not self.has_begun

    @property
    def output_tokens(self) -> int | None:
        """The tokens, by the last figure that the stream gives, or else one per event."""
        return self._events if self._tokens is None else self._tokens

    def feed(self, chunk: bytes) -> None:
        """Look at the events that *chunk* completes."""
        for event in self._reader.feed(chunk):
            if event.data is not None:
                self._look_at(event, event.data)

    def finish(self) -> Answer:
        """Judge; of an API that is not known the last event is not known either."""
        if self.verdict is not Answer.WHOLE or self._has_ended or self._format is None:
            return self.verdict
        return Answer.CUT

    def missing_end(self) -> bytes:
        """Give an error event of the API if the last event is missing; it ends one that is not complete."""
        if self._has_ended or self._format is None:
            return b""
        return (b"\n\n" if self._reader.rest else b"") + _CUT_EVENTS.get(self._format, _CUT_EVENT)

    def _look_at(self, event: Event, data: bytes) -> None:
        self.has_begun = True
        if data == _DONE:
            self._has_ended = True
            return
        self._events += 1
        if data[:1] != b"{" or data[-1:] != b"}":
            if self._format is not None:
                self.verdict = Answer.MALFORMED
            return
        kind = event.name
        if not kind and (typed := _TYPE.match(data)):
            kind = typed[1]
        if kind in _ERROR_EVENTS or data.startswith(b'{"error"'):
            self._has_ended = True
            if not _OF_THE_CALLER.search(data):
                self.verdict = Answer.ERROR
        elif kind in _LAST_EVENTS or _FINISHED.search(data):
            self._has_ended = True
        if b'_tokens"' in data:
            for match in _OUTPUT_TOKENS.finditer(data):
                self._tokens = int(match[1])


def answer_reader(
    content_type: str | None, content_encoding: str | None, format: Format | None
) -> AnswerReader:
    """Choose how to look at an answer by its headers, and by the API of the request."""
    kind = (content_type or "").partition(";")[0].strip().lower()
    if content_encoding is not None and content_encoding.strip().lower() not in ("", "identity"):
        return AnswerReader()
    if kind == "text/event-stream":
        return EventStreamReader(format)
    return JsonReader() if kind == "application/json" and format is not None else AnswerReader()
