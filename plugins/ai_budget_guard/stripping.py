"""Taking out of a stream the event that only the guard has asked for; every other byte passes."""

from aigateway.sse import EventReader
from aigateway.usage import UsageReader

__all__ = ["UsageStripper"]


class UsageStripper:
    """Gives a stream to a reader of its usage, and on without the events that hold nothing else.

    An event is held back until it is complete. What has not ended at the end of the stream passes.
    """

    __slots__ = ("_events", "_feed_passes", "_reader")

    def __init__(self, reader: UsageReader) -> None:
        self._reader = reader
        self._events = EventReader()
        self._feed_passes: bool | None = None

    def feed(self, chunk: bytes, *, ends: bool) -> bytes:
        """Take the next bytes, the last ones if it *ends* with them, and return those that pass."""
        passed: list[bytes] = []
        for event in self._events.feed(chunk):
            raw = event.raw
            if self._feed_passes is not None:
                raw = self._without_line_feed(raw, passed)
            passes = event.data is None or not self._reader.read_event(event.data)
            if passes:
                passed.append(raw)
            # A CR ends an event at once. The LF of a CRLF then comes with the next, and is of the one before.
            self._feed_passes = passes if raw.endswith(b"\r") else None
        if ends:
            passed.append(self._without_line_feed(self._events.rest, passed))
        return b"".join(passed)

    def _without_line_feed(self, raw: bytes, passed: list[bytes]) -> bytes:
        """Return *raw* without the line feed of the event before, which passes if that did."""
        if self._feed_passes is None or not raw.startswith(b"\n"):
            return raw
        if self._feed_passes:
            passed.append(b"\n")
        return raw[1:]
