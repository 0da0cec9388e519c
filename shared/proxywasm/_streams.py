"""Streams: the life of one HTTP stream in one filter, and how its callbacks are held and continued.

Each direction of a stream is a `Flow`. A callback of the filter is called for headers, for body and for
trailers as they arrive, and its outcome is what the host is told. While an `async` callback waits, the flow
is held, and what arrives is noted in `_undelivered`; when it ends, the callbacks for that follow at once, in
order, and the last outcome counts.

What the host is told while a callback waits (hosts differ in nothing here):

    waits for      in headers              in body                 in trailers
    the body       STOP_ITERATION          STOP_AND_BUFFER         (has ended)
    a callout      STOP_ALL_AND_WATERMARK  STOP_AND_BUFFER         STOP

A body that waits for a callout is buffered, not only watermarked, because the host lets a filter see and
replace a body later only if it is. When the filter does not look at bodies, watermarking is enough and keeps
big ones out of memory.
"""

import json
from collections.abc import Callable
from types import CoroutineType
from typing import Any, Final

from ._abi import (
    NO_GRPC_STATUS,
    BodyAction,
    HeadersAction,
    LogLevel,
    StreamType,
    TrailersAction,
    encode_pairs,
)
from ._roots import Root
from ._tasks import WAITING, AwaitsBody, AwaitsCall, Suspension, Task, is_coroutine
from .errors import HeadersUnavailableError, UsageError, host_error
from .filters import Handler, HttpFilter
from .headers import encoded_headers
from .http import REQUEST, RESPONSE, Message, Request, Response, Side
from .outcomes import CONTINUE, PAUSE, Continue, Pause, Reply

__all__ = ["BODY", "HEADERS", "TRAILERS", "Flow", "Stream"]

HEADERS: Final = 0
BODY: Final = 1
TRAILERS: Final = 2
PHASES: Final = ("headers", "body", "trailers")

_BODY_CAME: Final = 1
_TRAILERS_CAME: Final = 2

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


class Flow:
    """One direction of a stream."""

    __slots__ = ("_handlers", "_stop_all", "_undelivered", "message", "outcome", "side", "stream", "task")

    def __init__(
        self, stream: "Stream", side: Side, message: Message, handlers: tuple[Handler | None, ...]
    ) -> None:
        self.stream = stream
        self.side = side
        self.message = message
        self.task: Task | None = None
        self.outcome: Continue | Pause = CONTINUE
        """What the last callback returned: PAUSE holds the flow until another returns CONTINUE."""
        self._handlers = handlers
        self._undelivered = 0
        self._stop_all = False

    @property
    def is_held(self) -> bool:
        """Whether the host waits for this filter."""
        return self.task is not None or self.outcome is PAUSE

    def on_headers(self, end_of_stream: bool) -> int:
        """Handle on_request_headers or on_response_headers."""
        self.message.headers_arrived(end_of_stream)
        return self._answer(HEADERS, self._call(HEADERS))

    def on_body(self, size: int, end_of_stream: bool) -> int:
        """Handle on_request_body or on_response_body."""
        self.message.body_arrived(size, end_of_stream)
        task = self.task
        if task is None:
            return self._answer(BODY, self._call(BODY))
        self._stop_all = False
        self._undelivered |= _BODY_CAME
        if end_of_stream and isinstance(task.awaiting, AwaitsBody):
            return self._answer(BODY, self._deliver_rest(self._wake_for_body(task)))
        return self._held_action(BODY)

    def on_trailers(self) -> int:
        """Handle on_request_trailers or on_response_trailers: the body has ended."""
        self.message.trailers_arrived()
        task = self.task
        if task is None:
            return self._answer(TRAILERS, self._call(TRAILERS))
        self._undelivered |= _TRAILERS_CAME
        if isinstance(task.awaiting, AwaitsBody):
            return self._answer(TRAILERS, self._deliver_rest(self._wake_for_body(task)))
        return TrailersAction.STOP

    def pass_by(self, phase: int, size: int, end_of_stream: bool) -> None:
        """Take note of what the filter has no callback for, and nothing holds."""
        if phase == BODY:
            self.message.body_arrived(size, end_of_stream)
        elif phase == TRAILERS:
            self.message.trailers_arrived()
        self.message.continued()

    def suspend(self, task: Task, suspension: Suspension[Any]) -> None:
        """Let a callback await the body of its own direction, or a callout."""
        if isinstance(suspension, AwaitsCall):
            self.stream.root.calls[suspension.token] = (task, suspension)
        elif not isinstance(suspension, AwaitsBody) or suspension.side is not self.side:
            raise UsageError(f"only the {self.side.name} body can be awaited in a {self.side.name} callback")
        elif self._stop_all:
            raise UsageError(
                "read the body before calling out: the host holds all of it while a callout is awaited"
            )

    def call_returned(self, task: Task, result: object, error: Exception | None) -> None:
        """Go on with the callback that waited for a callout; the stream is the effective context."""
        outcome = self._deliver_rest(self._wake(task, result, error))
        if outcome is CONTINUE:
            self._continue()
        elif isinstance(outcome, Reply):
            self.stream.reply(outcome)
        elif outcome is not PAUSE and outcome is not WAITING:
            raise self._wrong_outcome(outcome)

    def cancel(self) -> None:
        """End a callback that waits; whatever its `finally` blocks do, the stream goes on."""
        task, self.task = self.task, None
        self.outcome = CONTINUE
        if task is not None:
            root = self.stream.root
            root.forget_calls_of(task)
            try:
                task.close()
            except BaseException as error:
                root.log.report(f"a {self.side.name} callback, when it was ended,", error)

    def resume(self) -> None:
        """Continue after PAUSE, from outside the callbacks of this flow."""
        if self.task is None and self.outcome is PAUSE:
            vm = self.stream.root.vm
            current = vm.context
            vm.act_on(self.stream.context_id)
            self._continue()
            vm.act_on(current)

    def _call(self, phase: int) -> object:
        """Call the filter; a callback it does not have changes nothing about whether the flow is held."""
        handler = self._handlers[phase]
        if handler is None:
            return self.outcome
        outcome = handler(self.stream.filter, self.message)
        if type(outcome) is CoroutineType:
            self.task = Task(outcome, self, phase)
            return self._wake(self.task, None, None)
        return outcome

    def _wake(self, task: Task, value: object, error: Exception | None) -> object:
        outcome = task.step(value, error)
        if outcome is not WAITING:
            self.task = None
        return outcome

    def _wake_for_body(self, task: Task) -> object:
        if (
            task.phase == BODY
        ):  # It gets all of the body from read(): no second call for what came while it waited.
            self._undelivered &= ~_BODY_CAME
        return self._wake(task, None, None)

    def _deliver_rest(self, outcome: object) -> object:
        """Call the callbacks for what arrived while the one that has just ended was waiting."""
        while self._undelivered and (outcome is CONTINUE or outcome is PAUSE):
            self.outcome = CONTINUE if outcome is CONTINUE else PAUSE
            if self._undelivered & _BODY_CAME:
                self._undelivered &= ~_BODY_CAME
                outcome = self._call(BODY)
            else:
                self._undelivered = 0
                outcome = self._call(TRAILERS)
        return outcome

    def _answer(self, phase: int, outcome: object) -> int:
        """Turn an outcome into what the host is told."""
        if outcome is CONTINUE:
            self._left()
            return 0
        if outcome is PAUSE:
            self.outcome = PAUSE
            return 1
        if outcome is WAITING:
            return self._held_action(phase)
        if isinstance(outcome, Reply):
            self.stream.reply(outcome)
            return 1
        raise self._wrong_outcome(outcome)

    def _held_action(self, phase: int) -> int:
        task = self.task
        if phase == HEADERS:
            if task is not None and isinstance(task.awaiting, AwaitsCall):
                self._stop_all = True
                return HeadersAction.STOP_ALL_AND_WATERMARK
            return HeadersAction.STOP_ITERATION
        if phase == BODY:
            if task is not None and isinstance(task.awaiting, AwaitsCall) and not self._looks_at_body():
                return BodyAction.STOP_AND_WATERMARK
            return BodyAction.STOP_AND_BUFFER
        return TrailersAction.STOP

    def _looks_at_body(self) -> bool:
        return self._handlers[BODY] is not None or self.message.body.was_read

    def _continue(self) -> None:
        status = self.stream.root.vm.host.continue_stream(self.side.stream)
        if status:
            raise host_error("continue_stream", status)
        self._left()

    def _left(self) -> None:
        self.outcome = CONTINUE
        self._stop_all = False
        self.message.continued()
        if self.side is RESPONSE:
            self.stream.response_headers_left = True

    def _wrong_outcome(self, outcome: object) -> UsageError:
        return UsageError(
            f"a {self.side.name} callback returned {type(outcome).__name__}, not CONTINUE, PAUSE or a Reply"
        )


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
            status = host.close_stream(StreamType.RESPONSE)
        else:
            headers = encode_pairs(encoded_headers(reply.headers))
            details = reply.details.encode("utf-8", "replace")
            status = host.send_local_response(reply.status, details, reply.body, headers, NO_GRPC_STATUS)
        if status:
            raise host_error("send_local_response", status)
        self.answered = True

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
