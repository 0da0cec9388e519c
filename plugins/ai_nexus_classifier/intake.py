"""Which requests are classified, which pass untouched, and which are refused."""

from collections.abc import Mapping

from aigateway import intake
from aigateway.formats import format_of_path
from aigateway.intake import RequestHeaders
from aigateway.refusals import InvalidRequestError

from .classifier import classify, headers
from .config import Config

__all__ = ["examine", "refuses_too_large", "wants_body"]


def wants_body(method: str, path: str, headers: RequestHeaders) -> bool:
    """Tell from its headers whether a request may be one to a model, so that its body is worth waiting for.

    A compressed body is not: it passes without signals.
    """
    return intake.wants_body(method, path, headers) and not intake.is_compressed(headers)


def refuses_too_large(path: str, config: Config) -> bool:
    """Tell whether a body of more than `max_body_bytes` is refused, or passes as it is."""
    return config.on_too_large == "refuse" and format_of_path(path) is not None


def examine(path: str, body: bytes, config: Config) -> Mapping[str, str]:
    """Give the signals to set for a request; none for what is not a request to a model.

    On a path that says what to expect, a body that no model could answer raises `InvalidRequestError`, unless
    configured to pass. Elsewhere a body is only looked at, and whatever it may be it passes.
    """
    try:
        request = intake.read_body(path, body)
    except InvalidRequestError:
        if config.on_invalid == "pass":
            return {}
        raise
    return {} if request is None else headers(request, classify(request, config))
