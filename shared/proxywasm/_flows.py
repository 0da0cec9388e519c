"""Flows: one direction of a stream, and how its callbacks are held and continued.

A callback of the filter is called for headers, for body and for trailers as they arrive, and its outcome is
what the host is told. While an `async` callback waits, the flow is held, and what arrives is noted in
`_undelivered`; when it ends, the callbacks for that follow at once, in order, and the last outcome counts.

What the host is told while a callback waits:

    waits for      in headers              in body                 in trailers
    the body       STOP_ITERATION          STOP_AND_BUFFER         (has ended)
    a callout      STOP_ALL_AND_WATERMARK  STOP_AND_BUFFER         STOP

A body that waits for a callout is buffered, not only watermarked, because the host lets a filter see and
replace a body later only if it is. When the filter does not look at bodies, watermarking is enough and keeps
big ones out of memory.
"""

from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final

from ._abi import BodyAction, HeadersAction, TrailersAction
from ._tasks import WAITING, AwaitsBody, AwaitsCall, Suspension, Task
from .errors import UsageError, host_error
from .filters import Handler
from .http import RESPONSE, Message, Side
from .outcomes import CONTINUE, PAUSE, Continue, Pause, Reply

if TYPE_CHECKING:
    from ._streams import Stream

__all__ = ["BODY", "HEADERS", "PHASES", "TRAILERS", "Flow"]

HEADERS: Final = 0
BODY: Final = 1
TRAILERS: Final = 2
PHASES: Final = ("headers", "body", "trailers")

_BODY_CAME: Final = 1
_TRAILERS_CAME: Final = 2


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
        message = self.message
        if phase == BODY:
            if message.body_passed_on and not message.headers_held:
                message.end_of_stream = message.body_complete = end_of_stream
                return
            message.body_arrived(size, end_of_stream)
        elif phase == TRAILERS:
            message.trailers_arrived()
        message.continued()

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
        self.message.headers.forget()
        outcome = self._deliver_rest(self._wake(task, result, error))
        if outcome is CONTINUE:
            self._continue()
        elif isinstance(outcome, Reply):
            self.stream.reply(outcome)
        elif outcome is PAUSE:
            self.outcome = PAUSE
        elif outcome is not WAITING:
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
