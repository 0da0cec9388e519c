"""Filters whose cost is that of the SDK: single operations, and callbacks that do nothing."""

from collections.abc import Callable
from typing import Any

from proxywasm import CONTINUE, HttpFilter, Outcome, Request, Response, plugin

SIGNALS = {f"x-ai-signal-{number}": f"value {number}" for number in range(7)}

OPERATIONS: dict[str, Callable[[HttpFilter[Any]], object]] = {
    "nothing": lambda _: None,
    "read a header": lambda filter: filter.request.headers.get("content-type"),
    "look for a header that is not there": lambda filter: filter.request.headers.get("x-none"),
    "look for names that begin with x-ai-": lambda filter: _fresh(filter).starting_with("x-ai-"),
    "take all headers apart": lambda filter: _fresh(filter).raw(),
    "set a header": lambda filter: filter.request.headers.set("x-ai-signal-1", "value 1"),
    "set seven headers": lambda filter: filter.request.headers.update(SIGNALS),
    "remove a header": lambda filter: filter.request.headers.__delitem__("x-none"),
    "read a property": lambda filter: filter.properties.get_str("request", "path"),
    "set a property": lambda filter: filter.properties.set("probe", "value"),
    "read shared data": lambda filter: filter.shared.get("none"),
    "update shared data": lambda filter: filter.shared.update("key", lambda _: b"1"),
    "count": lambda filter: filter.metrics.counter("sdk_probe.count").increment(),
    "ask for the time": lambda filter: filter.now_ns(),
}


def _fresh(filter: HttpFilter[Any]) -> Any:
    filter.request.headers.forget()
    return filter.request.headers


@plugin("sdk-operation")
class Operation(HttpFilter[dict[str, Any]]):
    """Does one operation so many times in the request headers."""

    def on_request_headers(self, request: Request) -> Outcome:
        """Do it."""
        operation = OPERATIONS[self.config["operation"]]
        for _ in range(self.config["times"]):
            operation(self)
        return CONTINUE


@plugin("sdk-idle")
class Idle(HttpFilter[dict[str, Any]]):
    """Has no callback at all."""


@plugin("sdk-response-headers")
class ResponseHeaders(HttpFilter[dict[str, Any]]):
    """Looks at the head of a response, and lets the body pass."""

    def on_response_headers(self, response: Response) -> Outcome:
        """Continue."""
        return CONTINUE


@plugin("sdk-response-body")
class ResponseBody(HttpFilter[dict[str, Any]]):
    """Is called for each piece of a response, and does nothing with it."""

    def on_response_body(self, response: Response) -> Outcome:
        """Continue."""
        return CONTINUE


@plugin("sdk-reads-response")
class ReadsResponse(HttpFilter[dict[str, Any]]):
    """Fetches each piece of a response."""

    def on_response_body(self, response: Response) -> Outcome:
        """Fetch it."""
        self.seen = response.body.chunk
        return CONTINUE
