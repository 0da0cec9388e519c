"""The responses of a fake provider that are not answers: errors, as OpenAI writes them, and broken ones."""

import json

from aiohttp import web

from ._faults import Fault

_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
}


def load_json(body: bytes) -> object:
    """Parse a body; raises ValueError with a message fit for the client."""
    try:
        return json.loads(body)
    except RecursionError:
        raise ValueError("the body is nested too deeply") from None
    except ValueError:  # Not JSON, or not UTF-8.
        raise ValueError("the body is not JSON") from None


def error_reply(
    status: int, message: str, *, param: str | None = None, code: str | None = None
) -> web.Response:
    """Return an error in the form of OpenAI's API."""
    kind = _ERROR_TYPES.get(status, "server_error")
    error = {"message": message, "type": kind, "param": param, "code": code}
    return web.json_response({"error": error}, status=status)


def fault_reply(fault: Fault, status: int) -> web.Response:
    """Return the error that a fault with this status asks for."""
    response = error_reply(status, f"fault in force: status {status}", code="injected_fault")
    if fault.retry_after_s is not None:
        response.headers["Retry-After"] = str(fault.retry_after_s)
    return response


def malformed_reply() -> web.Response:
    """Return what claims to be JSON and stops in the middle of an object."""
    return web.Response(body=b'{"id":"chatcmpl-malformed","choices":[{"mess', content_type="application/json")
