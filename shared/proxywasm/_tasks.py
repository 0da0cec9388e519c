"""Tasks: coroutines of filters and plugins, driven by the callbacks of the host.

There is no event loop: the host is one. A coroutine runs until it awaits something of the SDK; the callback
then returns to the host, and a later callback sends the result in. Only the SDK's own awaitables can be
awaited.
"""

from collections.abc import Coroutine, Generator
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeGuard, TypeVar

from .errors import UsageError

if TYPE_CHECKING:
    from .http import Side

__all__ = [
    "WAITING",
    "AwaitsBody",
    "AwaitsCall",
    "Suspension",
    "Task",
    "TaskOwner",
    "Waiting",
    "is_coroutine",
]

Result = TypeVar("Result")


class Waiting:
    """The type of `WAITING`."""

    __slots__ = ()


WAITING: Final = Waiting()
"""What a step of a task returns when the coroutine has not ended."""


class Suspension(Generic[Result]):
    """What a coroutine awaits; awaiting it gives what the task is resumed with."""

    __slots__ = ()

    def __await__(self) -> Generator["Suspension[Result]", Result, Result]:
        return (yield self)


class AwaitsBody(Suspension[None]):
    """The end of a body; *side* says whose."""

    __slots__ = ("side",)

    def __init__(self, side: "Side") -> None:
        self.side = side


class AwaitsCall(Suspension[Result]):
    """The response to a callout."""

    __slots__ = ("cluster", "token")

    def __init__(self, token: int, cluster: str) -> None:
        self.token = token
        self.cluster = cluster


class TaskOwner(Protocol):
    """What a task runs for: it says what may be awaited now, and goes on when a callout has returned."""

    def suspend(self, task: "Task", suspension: Suspension[Any]) -> None:
        """Take note of what *task* awaits, or raise `UsageError` if that could never come."""

    def call_returned(self, task: "Task", result: object, error: Exception | None) -> None:
        """Go on with *task*, whose callout has returned or failed."""


class Task:
    """One coroutine, and what it awaits."""

    __slots__ = ("_coroutine", "awaiting", "owner", "phase")

    def __init__(self, coroutine: Coroutine[object, object, object], owner: TaskOwner, phase: int) -> None:
        self._coroutine = coroutine
        self.owner = owner
        self.phase = phase
        self.awaiting: Suspension[Any] | None = None

    def step(self, value: object = None, error: Exception | None = None) -> object:
        """Run on, with the result or the failure of what was awaited; return the outcome, or `WAITING`."""
        self.awaiting = None
        while True:
            try:
                awaited = self._coroutine.send(value) if error is None else self._coroutine.throw(error)
            except StopIteration as end:
                return end.value
            try:
                if not isinstance(awaited, Suspension):
                    raise UsageError(
                        f"{type(awaited).__name__} cannot be awaited here: only body.read() and callouts"
                    )
                self.owner.suspend(self, awaited)
            except UsageError as usage_error:
                error = usage_error  # Raised where the coroutine awaits, so that the place is in the log.
                continue
            self.awaiting = awaited
            return WAITING

    def close(self) -> None:
        """End the coroutine where it stands; its `finally` blocks run."""
        self.awaiting = None
        self._coroutine.close()


def is_coroutine(value: object) -> TypeGuard[Coroutine[object, object, object]]:
    """Whether *value* is what an `async def` returns."""
    return type(value) is CoroutineType
