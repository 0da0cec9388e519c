"""What a conformance scenario is: scripts for the probe, steps for both ends, and what was observed."""

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from proxytest import LogLevel
from proxytest._abi import Pairs
from proxytest._deployment import Call, Deployment, Request

NOT_COMPARED = frozenset({b"connection", b"date", b"keep-alive", b"server", b"transfer-encoding"})
"""Headers that belong to a connection or to the moment, not to the message."""


_SECOND_LOOK_S = 0.02
_OF_THE_MOMENT = re.compile(r"(date|x-envoy-upstream-service-time)=[^|]*")


@dataclass(slots=True)
class Session:
    """A scenario in progress on one host."""

    deployment: Deployment
    scripts: dict[str, str]
    requests: list[Request] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def arrived(self, call: Call) -> None:
        """Keep a request that has come to one of the servers."""
        if call not in self.calls:
            self.calls.append(call)

    def find(self, is_callout: bool) -> Call | None:
        """Return the newest open request of a kind."""
        found = [call for call in self.calls if call.is_callout is is_callout]
        return found[-1] if found else None


Step = Callable[[Session], None]


def head(
    method: str = "POST",
    path: str = "/p",
    headers: Pairs | None = None,
    *,
    end: bool = False,
    unscripted: bool = False,
) -> Step:
    """The client sends the head of a new request, with the filters' scripts unless told otherwise."""

    def step(session: Session) -> None:
        scripts = [(f"x-{root}".encode(), script.encode()) for root, script in session.scripts.items()]
        if unscripted:
            scripts = []
        pairs = [
            (b":method", method.encode()),
            (b":path", path.encode()),
            (b":authority", b"example.com"),
            *scripts,
            *(headers or []),
        ]
        session.requests.append(session.deployment.open(pairs, end, 0, session.arrived))

    return step


def body(data: bytes, *, end: bool = False) -> Step:
    """The client sends a piece of body."""
    return lambda session: session.requests[-1].send(data, end)


def trailers(*pairs: tuple[bytes, bytes]) -> Step:
    """The client sends trailers."""
    return lambda session: session.requests[-1].send_trailers(list(pairs))


def abort() -> Step:
    """The client closes its connection."""
    return lambda session: session.requests[-1].abort()


def reply(
    status: int = 200, headers: Pairs | None = None, *, end: bool = False, callout: bool = False
) -> Step:
    """A server sends the head of a response."""
    pairs = [(b":status", str(status).encode()), *(headers or [])]
    return _at_server(callout, lambda call: call.reply_headers(pairs, end))


def reply_body(data: bytes, *, end: bool = False, callout: bool = False) -> Step:
    """A server sends a piece of body."""
    return _at_server(callout, lambda call: call.reply_data(data, end))


def reply_trailers(*pairs: tuple[bytes, bytes], callout: bool = False) -> Step:
    """A server sends trailers."""
    return _at_server(callout, lambda call: call.reply_trailers(list(pairs)))


def server_closes(*, callout: bool = False) -> Step:
    """A server closes its connection."""
    return _at_server(callout, lambda call: call.reset())


def wait(seconds: float) -> Step:
    """Time passes."""
    return lambda session: session.deployment.advance(seconds)


def _at_server(callout: bool, act: Callable[[Call], None]) -> Step:
    def step(session: Session) -> None:
        call = session.find(callout)
        if call is None:
            # A second look: on a real host the request may be on its way still.
            session.deployment.advance(_SECOND_LOOK_S)
            call = session.find(callout)
        if call is None:
            session.notes.append("no request at the server")
        elif not call.was_reset:
            act(call)

    return step


OK_RESPONSE: tuple[Step, ...] = (reply(200, [(b"a", b"1")]), reply_body(b"response", end=True))
"""A response in two pieces."""

GET: tuple[Step, ...] = (head("GET", end=True), *OK_RESPONSE)
"""A request without a body."""

POST: tuple[Step, ...] = (head(), body(b"one"), body(b"two", end=True), *OK_RESPONSE)
"""A request with a body in two pieces."""

WITH_TRAILERS: tuple[Step, ...] = (
    head(),
    body(b"one"),
    trailers((b"t", b"1")),
    reply(),
    reply_body(b"out"),
    reply_trailers((b"u", b"2")),
)
"""Bodies that end in trailers, both ways."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One thing to be looked at on every host."""

    name: str
    a: str = ""
    """What the first filter does, in the probe's language."""

    steps: tuple[Step, ...] = GET
    b: str = ""
    """What the second filter does, on setups that have one."""

    setup: str = "two"
    shared: tuple[str, ...] = ()
    """Shared-data keys to look at afterwards."""

    with_start: bool = False
    """Whether what was logged while the filters started counts too."""

    only_probe_logs: bool = False
    """Whether to leave out what the runtime says of a trap, which is its own affair."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message as one of the ends saw it."""

    start: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    trailers: tuple[tuple[bytes, bytes], ...]
    complete: bool
    reset: bool


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything that must be the same on every host."""

    client: tuple[Message, ...]
    servers: tuple[tuple[str, bool, Message], ...]
    logs: tuple[str, ...]
    metrics: tuple[tuple[str, int], ...]
    shared: tuple[tuple[str, bytes | None], ...]
    notes: tuple[str, ...]

    def differences(self, other: "Observation") -> list[str]:
        """Name the parts that differ, with both values."""
        return [
            f"{part.name}:\n  {getattr(self, part.name)}\n  {getattr(other, part.name)}"
            for part in dataclasses.fields(self)
            if getattr(self, part.name) != getattr(other, part.name)
        ]


def observe(deployment: Deployment, scenario: Scenario) -> Observation:
    """Run a scenario and collect what can be seen from outside."""
    first_log = 0 if scenario.with_start else len(deployment.logs())
    before = deployment.metrics()
    scripts = {root: script for root, script in (("a", scenario.a), ("b", scenario.b)) if script}
    session = Session(deployment, scripts)
    for step in scenario.steps:
        step(session)
    after = deployment.metrics()
    metrics = {name: value - before.get(name, 0) for name, value in after.items()}
    logs = deployment.logs()[first_log:]
    if scenario.only_probe_logs:
        logs = [log for log in logs if log.level is not LogLevel.ERROR]
    observation = Observation(
        client=tuple(_client_message(request) for request in session.requests),
        # In order for each server; connections to different ones may come up in any.
        servers=tuple(
            (call.cluster, call.is_callout, _server_message(call))
            for call in sorted(session.calls, key=lambda call: call.cluster)
        ),
        logs=tuple(_OF_THE_MOMENT.sub(r"\1=", f"{log.level.name} {log.message}") for log in logs),
        metrics=tuple(sorted((name, value) for name, value in metrics.items() if value)),
        shared=tuple((key, deployment.shared_data.get(key)) for key in scenario.shared),
        notes=tuple(session.notes),
    )
    _clean_up(session)
    return observation


def _clean_up(session: Session) -> None:
    for request in session.requests:
        if not request.response.is_complete and not request.was_reset:
            request.abort()


def _client_message(request: Request) -> Message:
    response = request.response
    status = response.start_line.decode().split(" ")[1] if response.has_head else ""
    return Message(
        start=status,
        headers=_compared(response.headers),
        body=bytes(response.body),
        trailers=tuple(response.trailers),
        complete=response.is_complete,
        reset=request.was_reset,
    )


def _server_message(call: Call) -> Message:
    request = call.request
    return Message(
        start=request.start_line.decode(),
        headers=_compared(request.headers),
        body=bytes(request.body),
        trailers=tuple(request.trailers),
        complete=request.is_complete,
        reset=call.was_reset,
    )


def _compared(headers: Pairs) -> tuple[tuple[bytes, bytes], ...]:
    return tuple(
        (name, value) for name, value in headers if name not in NOT_COMPARED and name not in (b"x-a", b"x-b")
    )
