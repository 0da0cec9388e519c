"""Redis as Higress gives it to filters: queries out, answers back in a callback, both in Redis's encoding."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ._abi import Status

if TYPE_CHECKING:
    from ._contexts import RootContext
    from ._process import Process

Answer = Callable[[bytes], bytes | None]
"""Makes an answer of a query; None breaks the connection instead."""


@dataclass(slots=True)
class Redis:
    """The Redis servers a test provides, by the name of their cluster."""

    process: "Process"
    servers: dict[str, Answer] = field(default_factory=dict)
    queries: list[bytes] = field(default_factory=list)
    """Every query, oldest first."""

    _ready: set[str] = field(default_factory=set)

    def init(self, cluster: str) -> Status:
        """Get a server ready; the options behind a `?` in its name do not matter here."""
        name = cluster.partition("?")[0]
        if name not in self.servers:
            return Status.BAD_ARGUMENT
        self._ready.add(name)
        return Status.OK

    def call(self, root: "RootContext", cluster: str, query: bytes) -> tuple[Status, int]:
        """Send a query; its answer comes after the present event. A server must be initialised first."""
        name = cluster.partition("?")[0]
        if name not in self._ready:
            return Status.BAD_ARGUMENT, 0
        token = root.vm.new_redis_call_token()
        root.pending_calls.add(token)
        self.queries.append(query)
        answer = self.servers[name]

        def respond() -> None:
            response = answer(query)
            status = Status.OK if response is not None else Status.NOT_FOUND
            root.redis_call_answered(token, status, response or b"")

        self.process.post(respond)
        return Status.OK, token
