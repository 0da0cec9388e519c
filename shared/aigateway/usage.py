"""How many tokens a model was given and gave, whichever API it answered through.

`UsageReader` takes an answer as it comes, whole or as server-sent events, in pieces cut anywhere:

    reader = UsageReader(response.headers.get("content-type"))
    reader.feed(response.body.chunk)                 # for each chunk
    usage = reader.finish()                          # what the provider reported, or None
    usage = reader.so_far(input_tokens=estimate)     # or what there is to charge for if it is cut off

It needs the plain text: a request whose answer is to be read should not offer to take compressed ones.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ._usage_fields import Counts, counts_of, find_usage
from ._usage_text import texts_of
from .json_body import decode_json
from .refusals import InvalidRequestError
from .sse import EventReader
from .tokens import estimate_tokens

__all__ = ["MAX_BODY_BYTES", "Usage", "UsageReader", "read_usage", "tokens_in_bytes"]

MAX_BODY_BYTES = 8 * 1024 * 1024
"""A longer answer in one JSON object is not kept: it has no usage, only an estimate by its length."""

_BYTES_PER_TOKEN = 4
"""Of an answer that is only known by its length; about that of English."""

_LUMP_CHARACTERS = 4_096
"""How much text is kept before it is counted: pieces of words cannot be counted one by one."""

_HAS_USAGE = re.compile(rb'"usage"\s*:\s*\{')


@dataclass(frozen=True, slots=True)
class Usage:
    """The tokens of one answer, counted alike for all providers."""

    input_tokens: int
    """Everything the model was given, with what came from a cache and what was written into one."""
    output_tokens: int
    """Everything it gave, reasoning included."""
    cached_input_tokens: int = 0
    """Of the input, what was read from a cache."""
    cache_write_tokens: int = 0
    """Of the input, what was written into a cache."""
    reasoning_tokens: int = 0
    """Of the output, what was thought and not said."""


def read_usage(usage: Mapping[str, object]) -> Usage | None:
    """Read the usage object of any provider; None if it lacks the input or the output."""
    counts = counts_of(usage)
    return None if counts is None else _reported_usage(counts)


def tokens_in_bytes(size_bytes: int) -> int:
    """Estimate the tokens of an answer of which nothing is known but its length."""
    return -(-size_bytes // _BYTES_PER_TOKEN)


class UsageReader:
    """Finds the usage in an answer.

    Of several usages in one stream the last one counts; Anthropic's, which come in two parts, are put
    together. Kept are at most one event, `MAX_BODY_BYTES` of a body that is one JSON object, and a few
    thousand characters of text. Without *counts_output* events that hold no usage are not even decoded, and
    `so_far` knows nothing of their text.
    """

    __slots__ = (
        "_body",
        "_body_bytes",
        "_counts",
        "_counts_output",
        "_events",
        "_is_final",
        "_lump",
        "_lump_characters",
        "_texts",
        "_tokens",
    )

    def __init__(self, content_type: str | None, *, counts_output: bool = True) -> None:
        kind = (content_type or "json").partition(";")[0].strip().lower()
        self._events = EventReader() if kind == "text/event-stream" else None
        self._body: list[bytes] | None = [] if "json" in kind else None
        self._body_bytes = 0
        self._counts: Counts | None = None
        self._is_final = False
        self._counts_output = counts_output
        self._lump: list[str] = []
        self._lump_characters = 0
        self._texts = 0
        self._tokens = 0

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the answer."""
        if self._events is not None:
            for event in self._events.feed(chunk):
                if event.data is not None:
                    self.read_event(event.data)
            return
        self._body_bytes += len(chunk)
        if self._body is not None:
            self._body.append(chunk)
            if self._body_bytes > MAX_BODY_BYTES:
                self._body = None

    def read_event(self, data: bytes) -> bool:
        """Take one server-sent event, from a caller that reads the events itself.

        Say whether it is one that holds nothing but usage: chat and text completions end with one when
        `stream_options.include_usage` asks for it.
        """
        if not self._counts_output and _HAS_USAGE.search(data) is None:
            return False
        document = _decoded(data)
        if document is None:
            return False
        texts = texts_of(document) if self._counts_output else []
        if texts:
            self._said(texts)
        usage = find_usage(document)
        counts = None if usage is None else counts_of(usage)
        if counts is None:
            return False
        self._reported(counts, document.get("type"))
        return document.get("choices") == []

    def finish(self) -> Usage | None:
        """Return what the provider reported about the whole answer, or None if it has not."""
        self._read_body()
        return _reported_usage(self._counts) if self._counts is not None and self._is_final else None

    def so_far(self, *, input_tokens: int) -> Usage:
        """Return what has been used up to here: what was reported, and what was said since.

        *input_tokens* counts if the provider has not reported the input. What was said is estimated, at one
        token per delta at least, for that is how most providers stream. A JSON object that was cut off or too
        long counts by its length.
        """
        self._read_body()
        counts = self._counts or Counts()
        said = max(self._texts, self._tokens + estimate_tokens("".join(self._lump)))
        if self._events is None and self._counts is None and not said:
            said = tokens_in_bytes(self._body_bytes)
        given = input_tokens if counts.input_tokens is None else counts.input_tokens
        usage = _usage(counts, given, counts.output_tokens or 0)
        return replace(usage, output_tokens=usage.output_tokens + said)

    def _read_body(self) -> None:
        """Decode the answer if it is one JSON object, and all of it is there."""
        if not self._body:
            return
        document = _decoded(b"".join(self._body))
        if document is None:
            return
        self._body = None
        usage = find_usage(document)
        counts = None if usage is None else counts_of(usage)
        if counts is not None:
            self._reported(counts, None)
        elif self._counts_output:
            self._said(texts_of(document))

    def _reported(self, counts: Counts, kind: object) -> None:
        """Take note of a usage object; all that was said before is in it."""
        if kind == "message_delta" and self._counts is not None:
            counts = self._counts.updated(counts)
        self._counts = counts
        self._is_final = kind != "message_start"
        self._tokens = self._texts = self._lump_characters = 0
        self._lump.clear()

    def _said(self, texts: list[str]) -> None:
        self._texts += len(texts)
        self._lump += texts
        self._lump_characters += sum(map(len, texts))
        if self._lump_characters >= _LUMP_CHARACTERS:
            self._tokens += estimate_tokens("".join(self._lump))
            self._lump_characters = 0
            self._lump.clear()


def _decoded(data: bytes) -> Mapping[str, object] | None:
    """Decode a JSON object; None for anything else, such as `[DONE]`."""
    if not data.lstrip().startswith(b"{"):
        return None
    try:
        document = decode_json(data)
    except InvalidRequestError:
        return None
    return document if isinstance(document, dict) else None


def _reported_usage(counts: Counts) -> Usage | None:
    if counts.input_tokens is None or counts.output_tokens is None:
        return None
    return _usage(counts, counts.input_tokens, counts.output_tokens)


def _usage(counts: Counts, given: int, got: int) -> Usage:
    """Count alike, and hold the parts within the whole, whatever was reported."""
    cached, written = counts.cached_input_tokens or 0, counts.cache_write_tokens or 0
    if counts.cache_is_beside:
        given += cached + written
    elif counts.total_tokens is not None:
        # What the total has beyond the two is output that a provider does not count as such: reasoning.
        got = max(got, counts.total_tokens - given)
    cached = min(cached, given)
    return Usage(
        input_tokens=given,
        output_tokens=got,
        cached_input_tokens=cached,
        cache_write_tokens=min(written, given - cached),
        reasoning_tokens=min(counts.reasoning_tokens or 0, got),
    )
