"""How a message walks through a chain of filters, is held up, and goes on.

One `Direction` is the request's way to the upstream, another the response's way back. The walk is that of
Envoy's filter manager (source/common/http/filter_manager.cc):

* headers held back by a filter stay with it, later body is kept in one buffer per direction;
* StopAllIteration keeps the body away from the filter itself, so on continuing it starts *at* the filter;
* StopIteration lets the filter see the body, so on continuing it starts *after* the filter;
* a buffered body is handed on in one piece.
"""

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from ._abi import DataAction, HeadersAction, TrailersAction
from ._buffer import Buffer
from ._headers import HeaderMap


class Iteration(enum.Enum):
    """Whether a filter lets a message pass."""

    CONTINUE = enum.auto()
    STOPPED = enum.auto()
    STOPPED_ALL_BUFFERING = enum.auto()
    STOPPED_ALL_STREAMING = enum.auto()


class Phase(enum.Enum):
    """Which kind of filter callback is running."""

    HEADERS = enum.auto()
    DATA = enum.auto()
    TRAILERS = enum.auto()


class Rules(Protocol):
    """Where the two directions differ: what the stream does at the end of the chain and around it."""

    def is_complete(self) -> bool:
        """Tell whether the whole message has come in."""

    def can_resume(self) -> bool:
        """Tell whether continuing still makes sense."""

    def ignores_data(self) -> bool:
        """Tell whether body and trailers are of no interest any more."""

    def filter_aborted(self) -> bool:
        """Act on an abort by a local reply; tells whether the walk ends at once."""

    def deliver_headers(self, headers: HeaderMap, end_stream: bool) -> None:
        """Take headers that have passed all filters."""

    def deliver_data(self, data: Buffer, end_stream: bool) -> None:
        """Take body that has passed all filters."""

    def deliver_trailers(self, trailers: HeaderMap) -> None:
        """Take trailers that have passed all filters."""

    def too_large(self) -> None:
        """Act on a buffered body that has outgrown the limit."""


@dataclass(slots=True, eq=False)
class Steps:
    """The callbacks of one filter for one direction."""

    headers: Callable[[HeaderMap, bool], HeadersAction]
    data: Callable[[Buffer, bool], DataAction]
    trailers: Callable[[HeaderMap], TrailersAction]


@dataclass(slots=True, eq=False)
class Position:
    """A filter's place in one direction, and how far it has let the message go."""

    direction: "Direction"
    index: int
    steps: Steps
    iteration: Iteration = Iteration.CONTINUE
    headers_continued: bool = False
    end_stream: bool = False
    _from_here: bool = False

    @property
    def has_stopped_all(self) -> bool:
        """Tell whether not even this filter gets the body."""
        return self.iteration in (Iteration.STOPPED_ALL_BUFFERING, Iteration.STOPPED_ALL_STREAMING)

    @property
    def next_index(self) -> int:
        """Where body and trailers go on from: at this filter if it has not seen them, else after it."""
        return self.index if self._from_here else self.index + 1

    def hold(self, data: Buffer) -> None:
        """Move *data* to the direction's buffer, unless that is what it is."""
        direction = self.direction
        if direction.buffered is not data:
            if direction.buffered is None:
                direction.buffered = direction.new_buffer()
            direction.buffered.move_from(data)

    def resume(self) -> None:
        """Let everything that was held up go on."""
        direction = self.direction
        if not direction.rules.can_resume():
            return
        if self.has_stopped_all:
            self._from_here = True
        self.iteration = Iteration.CONTINUE
        complete = direction.rules.is_complete()
        if not self.headers_continued:
            self.headers_continued = True
            headers_only = complete and direction.buffered is None and direction.trailers is None
            direction.walk_headers(self.index + 1, headers_only)
        had_trailers = direction.trailers is not None
        if direction.buffered is not None:
            complete = direction.rules.is_complete()
            direction.walk_data(self.next_index, direction.buffered, complete and not had_trailers)
        if had_trailers:
            direction.walk_trailers(self.next_index)
        self._from_here = False

    def after_headers(self, action: HeadersAction) -> bool:
        """Note what the filter said about headers; tells whether the next filter gets them."""
        if action is HeadersAction.CONTINUE:
            self.headers_continued = True
            return True
        self.iteration = {
            HeadersAction.STOP_ALL_AND_BUFFER: Iteration.STOPPED_ALL_BUFFERING,
            HeadersAction.STOP_ALL_AND_WATERMARK: Iteration.STOPPED_ALL_STREAMING,
        }.get(action, Iteration.STOPPED)
        return False

    def after_data(self, action: DataAction, data: Buffer) -> bool:
        """Note what the filter said about body; tells whether the next filter gets it."""
        direction = self.direction
        if action is DataAction.CONTINUE:
            if self.iteration is Iteration.STOPPED:
                self.hold(data)
                self.resume()
                return False
            return True
        self.iteration = Iteration.STOPPED
        if action in (DataAction.STOP_AND_BUFFER, DataAction.STOP_AND_WATERMARK):
            direction.streaming = action is DataAction.STOP_AND_WATERMARK
            self.hold(data)
        elif direction.rules.is_complete() and direction.trailers is None and direction.buffered is None:
            # Something must carry the end of the stream when the filter continues.
            direction.buffered = direction.new_buffer()
        return False

    def after_trailers(self, action: TrailersAction) -> bool:
        """Note what the filter said about trailers; tells whether the next filter gets them."""
        if action is TrailersAction.CONTINUE:
            if self.iteration is Iteration.STOPPED:
                self.resume()
                return False
            return True
        if self.iteration is Iteration.CONTINUE:
            self.iteration = Iteration.STOPPED
        return False


@dataclass(slots=True, eq=False)
class Direction:
    """A message on its way through the filters: its parts, and who is being called with them."""

    rules: Rules
    limit: int
    headers: HeaderMap | None = None
    trailers: HeaderMap | None = None
    buffered: Buffer | None = None
    streaming: bool = False
    """Whether a full buffer means back-pressure (true) or an error (false)."""

    aborted: bool = False
    running: set[Phase] = field(default_factory=set)
    _positions: list[Position] = field(default_factory=list)

    def extend(self, steps: Iterable[Steps]) -> list[Position]:
        """Append filters to the chain; returns their places."""
        first = len(self._positions)
        added = [Position(self, first + offset, step) for offset, step in enumerate(steps)]
        self._positions += added
        return added

    def new_buffer(self) -> Buffer:
        """Make the buffer that held-up body is kept in."""
        return Buffer(limit=self.limit, too_large=self.rules.too_large)

    def add_trailers(self) -> HeaderMap:
        """Give a message that has none empty trailers."""
        if self.trailers is None:
            self.trailers = HeaderMap()
        return self.trailers

    def start(self, headers: HeaderMap, end_stream: bool) -> None:
        """Send headers in."""
        self.headers = headers
        self.walk_headers(0, end_stream)

    def data(self, data: bytes, end_stream: bool) -> None:
        """Send a piece of body in."""
        self.walk_data(0, Buffer(data), end_stream)

    def finish(self, trailers: HeaderMap) -> None:
        """Send trailers in."""
        self.trailers = trailers
        self.walk_trailers(0)

    def walk_headers(self, first: int, end_stream: bool) -> None:
        """Show the headers to the filters from *first* on."""
        headers = self._required_headers()
        for position in self._positions[first:]:
            self.running.add(Phase.HEADERS)
            position.end_stream = end_stream
            action = position.steps.headers(headers, end_stream)
            self.running.discard(Phase.HEADERS)
            if self.aborted:
                self.rules.filter_aborted()
                action = HeadersAction.STOP_ITERATION
            if not position.after_headers(action):
                return
        self.rules.deliver_headers(headers, end_stream)

    def walk_data(self, first: int, data: Buffer, end_stream: bool) -> None:
        """Show body to the filters from *first* on."""
        if self.rules.ignores_data():
            return
        had_trailers = self.trailers is not None
        trailers_by: Position | None = None
        for position in self._positions[first:]:
            if position.has_stopped_all:
                self.streaming = position.iteration is Iteration.STOPPED_ALL_STREAMING
                position.hold(data)
                return
            if position.end_stream:
                return
            self.running.add(Phase.DATA)
            position.end_stream = end_stream and self.trailers is None
            action = position.steps.data(data, position.end_stream)
            self.running.discard(Phase.DATA)
            if self.aborted:
                if self.rules.filter_aborted():
                    return
                action = DataAction.STOP_NO_BUFFER
            if not had_trailers and self.trailers is not None and trailers_by is None:
                trailers_by = position
            if not position.after_data(action, data):
                return
        self.rules.deliver_data(data, end_stream and self.trailers is None)
        if trailers_by is not None:
            self.walk_trailers(trailers_by.next_index)

    def walk_trailers(self, first: int) -> None:
        """Show trailers to the filters from *first* on."""
        if self.rules.ignores_data() or self.trailers is None:
            return
        for position in self._positions[first:]:
            if position.has_stopped_all:
                return
            self.running.add(Phase.TRAILERS)
            action = position.steps.trailers(self.trailers)
            position.end_stream = True
            self.running.discard(Phase.TRAILERS)
            if self.aborted:
                self.rules.filter_aborted()
                action = TrailersAction.STOP_ITERATION
            if not position.after_trailers(action):
                return
        self.rules.deliver_trailers(self.trailers)

    def _required_headers(self) -> HeaderMap:
        if self.headers is None:
            raise AssertionError("a message walks through the filters only after its headers have come")
        return self.headers
