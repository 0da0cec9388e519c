"""What is seen of one exchange with a provider as it passes, until it can be judged."""

from collections.abc import Callable
from typing import Final, Protocol

from aigateway.chat import Format

from .answers import AnswerReader, EventStreamReader, answer_reader
from .outcomes import Answer, Exchange, read_retry_after

__all__ = ["ResponseHeaders", "Watch"]


class ResponseHeaders(Protocol):
    """What is needed of the headers of an answer; `proxywasm.Headers` has it."""

    def get(self, name: str) -> str | None:
        """Return the first value of a header, or None."""
        ...


class Watch:
    """Follows one request from its leaving to the end of its answer. Times are epoch seconds."""

    __slots__ = (
        "_first_byte_s",
        "_format",
        "_judged",
        "_reader",
        "_retry_after",
        "has_ended",
        "limit_s",
        "sent_s",
        "status",
    )

    def __init__(self, format: Format | None, sent_s: float, limit_s: float | None = None) -> None:
        self._format = format
        self._judged: Answer | None = None
        self._reader: AnswerReader = _ANY_ANSWER
        self._retry_after: str | None = None
        self._first_byte_s: float | None = None
        self.sent_s = sent_s
        self.limit_s = limit_s
        """As in `Exchange`."""
        self.status: int | None = None
        """What the provider has answered, as soon as it has."""
        self.has_ended = False
        """Whether all of the answer was seen."""

    @property
    def is_streamed(self) -> bool:
        """Whether the answer is a stream of events."""
        return isinstance(self._reader, EventStreamReader)

    @property
    def output_tokens(self) -> int | None:
        """The tokens of a stream."""
        return self._reader.output_tokens

    def answered(self, status: int, headers: ResponseHeaders) -> None:
        """Take note of the head of the answer, and find out how to look at the rest."""
        self.status = status
        if status < 300:
            self._reader = answer_reader(
                headers.get("content-type"), headers.get("content-encoding"), self._format
            )
        else:
            self._retry_after = headers.get("retry-after")

    @property
    def wants_more(self) -> bool:
        """Whether to hold what has come of the answer: little more may show that it is none."""
        return not self.has_ended and self._reader.wants_more

    def verdict(self) -> Answer:
        """Say what is wrong with the answer, as far as it has come."""
        if not self.has_ended:
            return self._reader.verdict
        if self._judged is None:
            self._judged = self._reader.finish()
        return self._judged

    @property
    def wants_body(self) -> bool:
        """Whether the body says anything."""
        return self._reader is not _ANY_ANSWER

    def feed(self, chunk: bytes, clock: Callable[[], float], *, is_last: bool) -> bytes:
        """Look at the next bytes, and return what has to follow them.

        That is an error event, if these are the last ones of a stream that should have gone on.
        """
        reader = self._reader
        reader.feed(chunk)
        if self._first_byte_s is None and reader.has_begun:
            self._first_byte_s = clock() - self.sent_s
        return reader.missing_end() if is_last else b""

    def exchange(
        self, now_s: float, details: str | None, flags: int = 0, *, is_cut: bool = False
    ) -> Exchange:
        """Say how it went, now that nothing more will come; *details* and *flags* are Envoy's."""
        answer = self.verdict() if self.has_ended else self._reader.finish()
        return Exchange(
            status=self.status,
            code_details=details,
            flags=flags,
            answer=Answer.CUT if is_cut else answer,
            is_streamed=self.is_streamed,
            retry_after_s=read_retry_after(self._retry_after, now_s),
            first_byte_s=self._first_byte_s,
            duration_s=max(0.0, now_s - self.sent_s),
            limit_s=self.limit_s,
        )


_ANY_ANSWER: Final = AnswerReader()
