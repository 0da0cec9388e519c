"""Reading an answer for its usage, and counting it only if there is none.

Nearly every answer ends with its usage. To count what it says as well means to decode each event of it, which
costs several times as much as to look for the usage; so the bytes are kept, and counted when they have to be.
"""

from typing import Final

from aigateway.usage import Usage, UsageReader

from .stripping import UsageStripper

__all__ = ["AnswerReading"]

KEPT_BYTES: Final = 1024 * 1024
"""So much of an answer is kept; then it is counted, so that memory stays bounded."""


class AnswerReading:
    """Takes an answer in pieces, cut anywhere. If it *strips*, events with nothing but usage do not pass."""

    __slots__ = ("_content_type", "_counting", "_kept", "_kept_bytes", "_stripper", "_usage")

    def __init__(self, content_type: str | None, *, strips: bool) -> None:
        self._content_type = content_type
        self._usage = UsageReader(content_type, counts_output=False)
        self._stripper = UsageStripper(self._usage) if strips else None
        self._counting: UsageReader | None = None
        self._kept: list[bytes] = []
        self._kept_bytes = 0

    def feed(self, chunk: bytes, *, ends: bool) -> bytes:
        """Take the next bytes, the last ones if it *ends* with them, and return those that pass."""
        self._kept.append(chunk)
        self._kept_bytes += len(chunk)
        if self._kept_bytes > KEPT_BYTES:
            self._count()
        if self._stripper is not None:
            return self._stripper.feed(chunk, ends=ends)
        self._usage.feed(chunk)
        return chunk

    def finish(self) -> Usage | None:
        """Return what the provider reported about the whole answer, or None if it has not."""
        return self._usage.finish()

    def so_far(self, *, input_tokens: int) -> Usage:
        """Return what has been used up to here: what was reported, and what was said since."""
        return self._count().so_far(input_tokens=input_tokens)

    def _count(self) -> UsageReader:
        if self._counting is None:
            self._counting = UsageReader(self._content_type)
        self._counting.feed(b"".join(self._kept))
        self._kept.clear()
        self._kept_bytes = 0
        return self._counting
