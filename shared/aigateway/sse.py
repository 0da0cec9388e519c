"""Server-sent events, read from a stream that may be cut into pieces anywhere.

The rules are those of the WHATWG HTML standard, section 9.2.6: lines end with LF, CR or CRLF, a blank line
ends an event, lines that begin with a colon are comments, several `data` lines are one text, and a byte order
mark at the start of the stream is none of it.

Beside its data each event keeps the bytes it came as, so that a filter can pass on some events and take out
others: the bytes of all events, then `EventReader.rest`, are the stream.
"""

import re
from codecs import BOM_UTF8
from typing import NamedTuple

__all__ = ["MAX_EVENT_BYTES", "Event", "EventReader"]

MAX_EVENT_BYTES = 8 * 1024 * 1024
"""Of a longer event nothing is kept; the longest in practice carry an image of a few megabytes as base64."""

# The groups are atomic: a CRLF is one end of a line and must not be taken for the two of a blank line.
_BLANK_LINE = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_LONGEST_BLANK_LINE = 4
_LINE_END = re.compile(rb"\r\n|\n|\r")


class Event(NamedTuple):
    """What stands between two blank lines."""

    raw: bytes
    """The bytes it came as, with its blank line and blank lines before it."""
    data: bytes | None
    """Its data lines, joined by line feeds; None when there are none: a comment, or an event too long."""
    name: bytes = b""
    """What its `event` line says, or nothing."""


class EventReader:
    """Takes a stream in pieces and gives its events, however it is cut.

    An event that never ends is no event; its bytes are in `rest`. Of an event of more than *max_event_bytes*
    the bytes come in several events without data, and only they.
    """

    __slots__ = ("_at_start", "_max_event_bytes", "_pending", "_searched", "_skipping")

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_event_bytes = max_event_bytes
        self._pending = bytearray()
        self._searched = 0
        self._skipping = False
        self._at_start = True

    @property
    def rest(self) -> bytes:
        """The bytes that belong to no event yet."""
        return bytes(self._pending)

    def feed(self, chunk: bytes) -> list[Event]:
        """Take the next bytes of the stream and return the events that they complete."""
        pending = self._pending
        data: bytes | bytearray = chunk
        if pending:
            pending += chunk
            data = pending
        events = []
        begin = 0
        # Looking for carriage returns first pays: without them, which is nearly always, no pattern is needed.
        end_of_event = _after_line_feeds if data.find(b"\r", self._searched) < 0 else _after_blank_line
        end = end_of_event(data, self._searched)
        while end > 0:
            events.append(self._event(bytes(data[begin:end])))
            begin = end
            end = end_of_event(data, begin)
        if data is pending:
            del pending[:begin]
        elif begin < len(chunk):
            pending += chunk[begin:]
        # Around its lines an event has at most an end of a line before and one after it.
        if len(pending) > self._max_event_bytes + _LONGEST_BLANK_LINE:
            events.append(self._piece())
        self._searched = max(0, len(pending) - _LONGEST_BLANK_LINE + 1)
        return events

    def _event(self, raw: bytes) -> Event:
        """Read one event, or what is left of one that was too long."""
        if self._skipping or len(raw.strip(b"\r\n")) > self._max_event_bytes:
            self._skipping = self._at_start = False
            return Event(raw, None)
        if raw.startswith(b"data: ") and raw.find(b"\n") == len(raw) - 2 and b"\r" not in raw:
            self._at_start = False
            return Event(raw, raw[6:-2])
        lines = raw
        if self._at_start:
            self._at_start = False
            lines = raw.removeprefix(BOM_UTF8)
        name = b""
        data: list[bytes] = []
        for line in _LINE_END.split(lines):
            field, _, value = line.partition(b":")
            if field == b"data":
                data.append(value.removeprefix(b" "))
            elif field == b"event":
                name = value.removeprefix(b" ")
        return Event(raw, b"\n".join(data) if data else None, name)

    def _piece(self) -> Event:
        """Let go of an event that has become too long, but for the end, where a blank line may have begun."""
        kept = len(self._pending) - _LONGEST_BLANK_LINE + 1
        raw = bytes(self._pending[:kept])
        del self._pending[:kept]
        self._skipping = True
        self._at_start = False
        return Event(raw, None)


def _after_line_feeds(data: bytes | bytearray, start: int) -> int:
    """Find where the first blank line from *start* on ends, when every line ends with LF; -1 if nowhere."""
    found = data.find(b"\n\n", start)
    return found + 2 if found >= 0 else -1


def _after_blank_line(data: bytes | bytearray, start: int) -> int:
    """Find where the first blank line from *start* on ends; -1 if nowhere."""
    match = _BLANK_LINE.search(data, start)
    return match.end() if match is not None else -1
