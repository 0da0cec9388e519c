"""Taking requests in: which may be for a model, which bodies can be read, and what a body asks for.

Plugins that act on requests ask in this order, and stop as soon as the answer is no:

    wants_body(method, path, headers)        is it worth waiting for the body?
    unreadable(headers, max_body_bytes)      may the body that is announced be read?
    too_large(len(body), max_body_bytes)     and the one that has come?
    read_body(path, body)                    what does it ask for?

All of it is decided the same way everywhere. What becomes of a request that cannot be read is for each
plugin to say.
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from . import signals
from .chat import ChatRequest, Format, Need
from .formats import format_of_body, format_of_path, is_other_api, read_request
from .json_body import decode_json
from .refusals import InvalidRequestError, Refusal
from .tokens import estimate_prompt_tokens

__all__ = [
    "Asked",
    "RequestHeaders",
    "announced_bytes",
    "asked_in",
    "asked_in_signals",
    "decode_object",
    "is_compressed",
    "read_body",
    "read_document",
    "too_large",
    "unreadable",
    "wants_body",
]


class RequestHeaders(Protocol):
    """Headers by their names in lower case: a mapping, or those of the host, where each look is a call."""

    def get(self, name: str, /) -> str | None:
        """Return the value of a header, or None."""


def wants_body(
    method: str,
    path: str,
    headers: RequestHeaders,
    *,
    trust_signals: bool = False,
    takes_any_type: bool = False,
) -> bool:
    """Tell whether a request may be one to a model, so that its body is worth waiting for.

    On the path of an API it is, unless it is a form, which no API takes; *takes_any_type* includes even
    forms. Elsewhere it may be if it can be JSON. With *trust_signals* it is also where an earlier plugin says
    that it has read it.
    """
    if method != "POST":
        return False
    if trust_signals and headers.get(signals.PROMPT_TOKENS) is not None:
        return True
    known = format_of_path(path) is not None
    if known and takes_any_type:
        return True
    if not known and is_other_api(path):
        return False
    kind = headers.get("content-type")
    if kind is None or "json" in kind.lower():
        return True
    return known and not kind.lower().startswith("multipart/")


def is_compressed(headers: RequestHeaders) -> bool:
    """Tell whether a body is compressed: there is nothing in a module to decompress it with."""
    encoding = headers.get("content-encoding")
    return encoding is not None and encoding.strip().lower() not in ("", "identity")


def unreadable(headers: RequestHeaders, max_body_bytes: int) -> Refusal | None:
    """Say why the body that *headers* announce cannot be read: compressed (415) or too large (413)."""
    if is_compressed(headers):
        message = "Request bodies must not be compressed: content-encoding must be absent or 'identity'"
        return Refusal(status=415, message=message, param="content-encoding", code="unsupported_encoding")
    return too_large(announced_bytes(headers), max_body_bytes)


def too_large(body_bytes: int, max_body_bytes: int) -> Refusal | None:
    """Refuse a body of so many bytes if it is too large (413)."""
    if body_bytes <= max_body_bytes:
        return None
    message = f"The request body is larger than {max_body_bytes} bytes"
    return Refusal(status=413, message=message, code="request_too_large")


def announced_bytes(headers: RequestHeaders) -> int:
    """Return the length that a body is announced with; 0 where none is, or none that is a number."""
    length = headers.get("content-length")
    # 20 digits are more than any limit; thousands would take long to read.
    return int(length[:20]) if length is not None and length.isdecimal() else 0


def decode_object(body: bytes) -> Mapping[str, object]:
    """Decode a body that must be a JSON object, or raise `InvalidRequestError`."""
    document = decode_json(body)
    if not isinstance(document, dict):
        raise InvalidRequestError.not_an_object(document)
    return document


def read_document(path: str, body: bytes) -> tuple[Format, Mapping[str, object]] | None:
    """Tell the API of a request, and decode its body; None if it turns out to be none to a model.

    On a path that says which API it is, a body that is no JSON object raises `InvalidRequestError`. Elsewhere
    it may be anything.
    """
    format = format_of_path(path)
    try:
        document = decode_object(body)
    except InvalidRequestError:
        if format is None:
            return None
        raise
    format = format or format_of_body(document)
    return None if format is None else (format, document)


def read_body(path: str, body: bytes) -> ChatRequest | None:
    """Read a request; None if it turns out to be none to a model.

    On a path that says which API it is, a body that no model could answer raises `InvalidRequestError`.
    """
    found = read_document(path, body)
    if found is None:
        return None
    format, document = found
    try:
        return read_request(document, format)
    except InvalidRequestError:
        if format_of_path(path) is None:
            return None
        raise


class Asked(NamedTuple):
    """What a request asks for, as far as the choice of a model depends on it."""

    format: Format | None
    """None if neither path nor body say."""
    prompt_tokens: int
    """Estimate of the input."""
    max_tokens: int | None
    """The limit of the output that it sets."""
    needs: frozenset[Need]
    requested_model: str | None
    """As in the body."""


def asked_in(request: ChatRequest) -> Asked:
    """Measure what a request asks for."""
    return Asked(
        format=request.format,
        prompt_tokens=max(1, estimate_prompt_tokens(request)),
        max_tokens=request.max_tokens,
        needs=request.needs,
        requested_model=request.model,
    )


def asked_in_signals(headers: RequestHeaders, format: Format | None = None) -> Asked | None:
    """Read what an earlier plugin has measured; None if none has.

    Signals do not say which API a request is for; *format* does.
    """
    prompt_tokens = signals.decode_count(headers.get(signals.PROMPT_TOKENS))
    if prompt_tokens is None:
        return None
    requested = headers.get(signals.REQUESTED_MODEL)
    return Asked(
        format=format,
        prompt_tokens=prompt_tokens,
        max_tokens=signals.decode_count(headers.get(signals.MAX_TOKENS)),
        needs=signals.decode_needs(headers.get(signals.NEEDS) or ""),
        requested_model=None if requested is None else signals.decode_text(requested),
    )
