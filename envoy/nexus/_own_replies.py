"""The errors that Envoy itself answers with, in the form that clients of these APIs read."""

from ._nodes import API, Node
from .description import Limits

_THIS = "the gateway answered this itself: %RESPONSE_CODE_DETAILS%"
_NO_KEY = "failed_to_inject_credential"
"""What Envoy's response code details say when a provider's key is not there."""


def local_replies(limits: Limits) -> Node:
    """Make each of Envoy's own errors an OpenAI error object.

    A reply of a plugin's has its content type already, and stays as it is.
    """
    too_large = f"the request body is larger than the gateway's limit of {limits.body_bytes} bytes"
    return {
        "mappers": [
            _no_key(),
            _mapper("EQ", 413, "invalid_request_error", too_large),
            _mapper("GE", 500, "server_error", _THIS),
            _mapper("GE", 400, "invalid_request_error", _THIS),
        ]
    }


def _no_key() -> Node:
    """Say whose fault it is: Envoy answers 401 to a client that has done nothing wrong."""
    return {
        "filter": _expression(f"response.code_details == '{_NO_KEY}'"),
        "status_code": 503,
        "body_format_override": _error("server_error", "the gateway has no key for this provider"),
    }


def _mapper(operator: str, status: int, kind: str, message: str) -> Node:
    # Envoy wants the name of a runtime key that could change the number; nothing sets this one.
    value = {"default_value": status, "runtime_key": f"local_reply.status_{status}"}
    by_status = {"status_code_filter": {"comparison": {"op": operator, "value": value}}}
    of_envoy = _expression("!('content-type' in response.headers)")
    return {
        "filter": {"and_filter": {"filters": [by_status, of_envoy]}},
        "body_format_override": _error(kind, message),
    }


def _error(kind: str, message: str) -> Node:
    error = {"message": message, "type": kind, "param": None, "code": "%RESPONSE_CODE_DETAILS%"}
    return {"json_format": {"error": error}}


def _expression(text: str) -> Node:
    return {
        "extension_filter": {
            "name": "envoy.access_loggers.extension_filters.cel",
            "typed_config": {
                "@type": f"{API}.extensions.access_loggers.filters.cel.v3.ExpressionFilter",
                "expression": text,
            },
        }
    }
