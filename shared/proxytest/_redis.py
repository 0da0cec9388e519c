"""Redis as Higress gives it to filters: queries go to a real server, answers come back in a callback.

As Higress' client does it (`async_client_impl.cc`, `raw_client_impl.cc` of its Envoy): one connection per
worker and cluster, made when it is first needed; commands in a row, answers in the same order; any failure
closes the connection and fails all that wait on it. What differs: real time passes here while Redis is
waited for, and none on the clock of the emulator.
"""

import socket
import urllib.parse
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from ._abi import Status

if TYPE_CHECKING:
    from ._contexts import RootContext
    from ._process import Process

Endpoint = tuple[str, int]
"""Host and port of a server."""

_FAILED = 1
"""The status of a call without an answer; guests must not care which number but 0 it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to speak to a server; the defaults hold for a cluster that no guest has introduced itself to."""

    username: str = ""
    password: str = ""
    timeout_s: float = 1.0
    options: tuple[tuple[str, str], ...] = ()

    def greeting(self) -> list[bytes]:
        """Return the commands that begin a connection; nobody looks at their answers."""
        commands = []
        if self.password:
            user = (self.username,) if self.username else ()
            commands.append(_command("AUTH", *user, self.password))
        database = dict(self.options).get("db")
        if database is not None:
            commands.append(_command("SELECT", database))
        return commands


@dataclass(slots=True, eq=False)
class _Call:
    query: bytes
    is_failed: bool = False


@dataclass(slots=True, eq=False)
class _Client:
    """What one worker has for one cluster."""

    endpoint: Endpoint
    settings: Settings = field(default_factory=Settings)
    _waiting: list[_Call] = field(default_factory=list)
    _connection: socket.socket | None = None
    _answers: IO[bytes] | None = None

    def introduce(self, settings: Settings) -> None:
        """Take over settings; others than before end the connection with all that waits on it."""
        if settings != self.settings:
            self.close()
            self.settings = settings

    def send(self, query: bytes) -> _Call:
        """Take a query; `answer` is then to be called for it."""
        call = _Call(query)
        self._waiting.append(call)
        return call

    def answer(self, call: _Call) -> bytes | None:
        """Return what the server says, or None if the call has failed."""
        if call.is_failed:
            return None
        try:
            connection, answers = self._connected()
            connection.sendall(call.query)
            answer = _read_answer(answers)
        except OSError:
            self.close()
            return None
        self._waiting.remove(call)
        return answer

    def close(self) -> None:
        """End the connection; what waits on it has failed."""
        for call in self._waiting:
            call.is_failed = True
        self._waiting.clear()
        if self._connection is not None:
            self._connection.close()
        if self._answers is not None:
            self._answers.close()
        self._connection = self._answers = None

    def _connected(self) -> tuple[socket.socket, IO[bytes]]:
        if self._connection is not None and _has_ended(self._connection):
            self._connection.close()
            self._connection = None
        if self._connection is None or self._answers is None:
            self._connection = socket.create_connection(self.endpoint, self.settings.timeout_s)
            self._answers = self._connection.makefile("rb")
            for command in self.settings.greeting():
                self._connection.sendall(command)
                _read_answer(self._answers)
        self._connection.settimeout(self.settings.timeout_s)
        return self._connection, self._answers


@dataclass(slots=True)
class Redis:
    """The clusters of a process that are Redis servers, and every worker's clients of them."""

    process: "Process"
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    """Where the server of each cluster is."""

    queries: list[bytes] = field(default_factory=list)
    """Every query that was sent, oldest first."""

    _clients: dict[tuple[int, str], _Client] = field(default_factory=dict)

    def init(
        self, root: "RootContext", cluster: str, username: str, password: str, timeout_ms: int
    ) -> Status:
        """Say how to speak to a cluster; options stand behind a `?` in its name."""
        name, _, options = cluster.partition("?")
        client = self._client(root.vm.worker, name)
        if client is None:
            return Status.BAD_ARGUMENT
        client.introduce(
            Settings(
                username=username,
                password=password,
                timeout_s=timeout_ms / 1000,
                options=tuple(sorted(urllib.parse.parse_qsl(options))),
            )
        )
        return Status.OK

    def call(self, root: "RootContext", cluster: str, query: bytes) -> tuple[Status, int]:
        """Send a query; its answer comes after the present event."""
        client = self._client(root.vm.worker, cluster.partition("?")[0])
        if client is None:
            return Status.BAD_ARGUMENT, 0
        token = root.vm.new_redis_call_token()
        root.pending_calls.add(token)
        self.queries.append(query)
        call = client.send(query)

        def respond() -> None:
            answer = client.answer(call)
            root.redis_call_answered(token, Status.OK if answer is not None else _FAILED, answer or b"")

        self.process.post(respond)
        return Status.OK, token

    def close(self) -> None:
        """End all connections."""
        for client in self._clients.values():
            client.close()

    def _client(self, worker: int, cluster: str) -> _Client | None:
        endpoint = self.endpoints.get(cluster)
        if endpoint is None:
            return None
        return self._clients.setdefault((worker, cluster), _Client(endpoint))


def _command(*parts: str) -> bytes:
    encoded = [part.encode() for part in parts]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in encoded)


def _has_ended(connection: socket.socket) -> bool:
    """Tell whether the server has closed its end, which an event loop notices before the next call."""
    connection.setblocking(False)
    try:
        return not connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _read_answer(answers: IO[bytes]) -> bytes:
    """Read one value, as it is. Raises ConnectionError where the server closes its end within it."""
    line = answers.readline()
    if not line.endswith(b"\r\n"):
        raise ConnectionResetError("the server closed the connection within an answer")
    size = int(line[1:]) if line[:1] in b"$*" else -1
    if size < 0:
        return line
    if line[:1] == b"*":
        return line + b"".join(_read_answer(answers) for _ in range(size))
    body = answers.read(size + 2)
    if len(body) < size + 2:
        raise ConnectionResetError("the server closed the connection within an answer")
    return line + body
