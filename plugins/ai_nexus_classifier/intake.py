"""Which requests are classified, which pass untouched, and which are refused."""

from collections.abc import Mapping

from aigateway.formats import format_of_body, format_of_path, is_other_api, read_request
from aigateway.json_body import decode_json
from aigateway.refusals import InvalidRequestError, Refusal

from .classifier import classify, headers
from .config import Config

__all__ = ["examine", "too_large", "wants_body"]


def wants_body(method: str, path: str, content_type: str | None, content_encoding: str | None) -> bool:
    """Tell from its headers whether a request may be one to a model, so that its body is worth waiting for.

    A compressed body is not: there is nothing in the module to decompress it with, so it passes without
    signals.
    """
    if method != "POST":
        return False
    known = format_of_path(path) is not None
    if not known and is_other_api(path):
        return False
    if content_encoding is not None and content_encoding.strip().lower() not in ("", "identity"):
        return False
    if content_type is None or "json" in content_type.lower():
        return True
    return known and not content_type.lower().startswith("multipart/")


def too_large(path: str, config: Config) -> Refusal | None:
    """Decide about a body of more than `max_body_bytes`: a refusal, or `None` to let it pass as it is."""
    if config.on_too_large == "pass" or format_of_path(path) is None:
        return None
    message = f"The request body is larger than {config.max_body_bytes} bytes"
    return Refusal(status=413, message=message, code="request_too_large")


def examine(path: str, body: bytes, config: Config) -> Mapping[str, str]:
    """Give the signals to set for a request; none for what is not a request to a model.

    On a path that says what to expect, a body that no model could answer raises `InvalidRequestError`, unless
    configured to pass. Elsewhere a body is only looked at, and whatever it may be it passes.
    """
    known = format_of_path(path)
    try:
        value = decode_json(body)
        if not isinstance(value, dict):
            raise InvalidRequestError.not_an_object(value)
        format = known or format_of_body(value)
        if format is None:
            return {}
        request = read_request(value, format)
    except InvalidRequestError:
        if known is None or config.on_invalid == "pass":
            return {}
        raise
    return headers(request, classify(request, config))
