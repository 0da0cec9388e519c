"""Streams: one HTTP stream in one filter, from its first callback until nothing of it is left."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from ._abi import NO_GRPC_STATUS, LogLevel, StreamType, encode_pairs
from ._flows import TRAILERS, Flow
from ._roots import Root
from ._tasks import is_coroutine
from .errors import HeadersUnavailableError, UsageError, host_error
from .filters import HttpFilter
from .headers import encoded_headers
from .http import REQUEST, RESPONSE, Request, Response, Side
from .outcomes import Reply

__all__ = ["Stream"]

_ERROR_HEADERS: Final = encode_pairs([(b"content-type", b"application/json")])
_ERROR_BODY: Final = json.dumps(
    {
        "error": {
            "message": "The gateway could not process this request.",
            "type": "server_error",
            "param": None,
            "code": "filter_error",
        }
    }
).encode()


class Stream:
    """One HTTP stream in one filter."""

    __slots__ = (
        "_request",
        "_response",
        "answered",
        "context_id",
        "filter",
        "refused",
        "request_flow",
        "response_flow",
        "response_headers_left",
        "root",
        "without_filter",
    )

    def __init__(self, root: Root, context_id: int) -> None:
        self.root = root
        self.context_id = context_id
        self.filter: HttpFilter[Any] | None = None
        self.request_flow: Flow | None = None
        self.response_flow: Flow | None = None
        self.without_filter = False
        """Whether the filter has no part in this stream: no configuration is for it, or it has failed."""
        self.refused = False
        """Whether the stream was answered or reset because the filter failed."""
        self.response_headers_left = False
        self.answered = False

        self._request: Request | None = None
        self._response: Response | None = None

    @property
    def request(self) -> Request:
        """The request, whether a callback for it has run or not."""
        if self._request is None:
            self._request = Request(self.root.vm, REQUEST)
        return self._request

    @property
    def response(self) -> Response:
        """The response, whether a callback for it has run or not."""
        if self._response is None:
            self._response = Response(self.root.vm, RESPONSE)
        return self._response

    def begin(self) -> bool:
        """Make the filter, at the first callback; return False if no configuration is for this stream."""
        root = self.root
        configurations = root.configurations
        chosen = configurations.choose(self) if configurations.rules else configurations.default
        definition = root.definition
        if not chosen or definition is None:
            self.without_filter = True
            return False
        filter_class = definition.filter_class
        made = filter_class.__new__(filter_class)
        made._stream = self
        made.config = chosen[0]
        made.plugin = root.plugin
        made.__init__()  # type: ignore[misc]  # Called late so that an author's __init__ finds config and host.
        self.filter = made
        return True

    @property
    def is_held(self) -> bool:
        """Whether the host waits for the filter, in either direction."""
        request, response = self.request_flow, self.response_flow
        return (request is not None and request.is_held) or (response is not None and response.is_held)

    @property
    def route_name(self) -> str | None:
        """The route, for Higress' rules."""
        return self.root.vm.properties.route_name

    @property
    def cluster_name(self) -> str | None:
        """The cluster of the route, for Higress' rules."""
        return self.root.vm.properties.cluster_name

    @property
    def authority(self) -> str | None:
        """The host the client asked for, for Higress' rules."""
        try:
            return self.request.headers.get(":authority")
        except HeadersUnavailableError:  # A stream that ended before its headers were seen.
            return None

    def start_flow(self, side: Side, phase: int) -> Flow:
        """Begin to call the filter for one direction; what came before *phase* has passed unseen."""
        callbacks = self.root.callbacks
        if side is REQUEST:
            flow = self.request_flow = Flow(self, side, self.request, callbacks.request)
        else:
            flow = self.response_flow = Flow(self, side, self.response, callbacks.response)
        flow.message.body_passed_on = phase == TRAILERS
        return flow

    def reply(self, reply: Reply) -> None:
        """Answer the caller, or reset the stream when an answer has already begun."""
        host = self.root.vm.host
        if self.response_headers_left:
            self.root.log.write(
                LogLevel.WARN,
                f"a Reply with status {reply.status} came after the response headers: reset instead",
            )
            call, status = "close_stream", host.close_stream(StreamType.RESPONSE)
        else:
            call = "send_local_response"
            headers = encode_pairs(encoded_headers(reply.headers))
            details = reply.details.encode("utf-8", "replace")
            status = host.send_local_response(reply.status, details, reply.body, headers, NO_GRPC_STATUS)
        if status:
            raise host_error(call, status)
        self.answered = True

    @contextmanager
    def acting(self) -> Iterator[None]:
        """Make host calls act on this stream, outside its callbacks."""
        vm = self.root.vm
        current = vm.context
        vm.act_on(self.context_id)
        try:
            yield
        finally:
            vm.act_on(current)

    def end(self, reply: Reply) -> None:
        """Answer the caller from outside the callbacks of this stream."""
        with self.acting():
            self.reply(reply)
        self.cancel_tasks()

    def fail(self, where: str, error: BaseException, current: Flow | None) -> int:
        """Log what a callback raised, and go on without the filter as `on_error` says.

        Returned is what the host is told if this is in a callback of *current*; otherwise held flows are
        continued.
        """
        root = self.root
        root.log.report(where, error)
        if self.without_filter:
            return 1 if self.refused else 0
        self.without_filter = True
        held = [flow for flow in (self.request_flow, self.response_flow) if flow is not None and flow.is_held]
        self.cancel_tasks()
        if root.fails_open:
            for flow in held:
                if flow is not current and not self.answered:
                    root.vm.host.continue_stream(flow.side.stream)
            return 0
        self.refused = True
        if not self.answered:
            self._refuse()
        return 1

    def response_arrived(self) -> None:
        """Give up on a request that is still held: the proxy, or another filter, has answered it."""
        flow = self.request_flow
        if flow is not None and flow.is_held and flow.message.headers_held:
            flow.cancel()

    def cancel_tasks(self) -> None:
        """End the callbacks that still wait."""
        for flow in (self.request_flow, self.response_flow):
            if flow is not None:
                flow.cancel()

    def run_at_end(self, callback: Callable[[Any], object]) -> None:
        """Call on_log or on_done, which cannot wait."""
        for message in (self._request, self._response):
            if message is not None:
                message.headers.forget()
        result = callback(self.filter)
        if is_coroutine(result):
            result.close()
            raise UsageError(
                "on_log and on_done cannot be async: use self.plugin.run_in_background(...) to call out"
            )

    def close(self) -> None:
        """Let go of everything."""
        self.cancel_tasks()
        for message in (self._request, self._response):
            if message is not None:
                message.close()
        self.request_flow = self.response_flow = None
        self._request = self._response = None
        self.filter = None

    def _refuse(self) -> None:
        host = self.root.vm.host
        if self.response_headers_left:
            host.close_stream(StreamType.RESPONSE)
        else:
            host.send_local_response(500, b"filter_error", _ERROR_BODY, _ERROR_HEADERS, NO_GRPC_STATUS)
