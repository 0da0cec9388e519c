"""Redis and Webdis for tests and measurements: the real servers, on free ports, all gone afterwards.

For example::

    with running_redis() as redis, running_webdis(redis) as webdis:
        requests.post(webdis.url, data="PING")
        redis.kill()
        redis.start()  # with the same data, on the same port

They listen on 127.0.0.1 alone. Redis writes each change to the disk before it answers, so that what was
answered is there again after `kill`. The processes die with the thread that has started them.
"""

import contextlib
import http.client
import json
import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ._child import Child
from ._rundir import private_directory
from .ports import free_ports
from .stack import StartError

__all__ = ["RunningRedis", "RunningWebdis", "ServerMissingError", "running_redis", "running_webdis"]

_HOST = "127.0.0.1"
_POLL_INTERVAL_S = 0.02
_PROBE_TIMEOUT_S = 2.0
_START_TIMEOUT_S = 30.0
_LOG_LINES_SHOWN = 5


class ServerMissingError(RuntimeError):
    """A server is not installed; the message says how to install it."""


class _Server:
    """A server in a directory of its own, which may be ended and started again."""

    _program: str
    """The command; it is called like its Debian package."""

    def __init__(self, directory: Path) -> None:
        self.port = free_ports(1)
        self._log = directory / f"{self._program}.log"
        self._arguments = self._prepare(directory)
        self._child: Child | None = None

    @property
    def host(self) -> str:
        """The address it listens on."""
        return _HOST

    @property
    def pid(self) -> int:
        """The process id. Raises RuntimeError when it does not run."""
        if self._child is None:
            raise RuntimeError(f"{self._program} does not run: start it first.")
        return self._child.pid

    @property
    def logs(self) -> list[str]:
        """What it has logged, over all its starts, and what the last start said to standard error."""
        logged = self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""
        return logged.splitlines() + (self._child.lines if self._child else [])

    def start(self) -> None:
        """Start it, on the port and with the data that it had before, and wait until it answers.

        Raises StartError with the last lines of its log when it does not.
        """
        if self._child is not None:
            raise RuntimeError(f"{self._program} runs already.")
        ended = threading.Event()
        self._child = Child(
            self._program,
            [_find(self._program), *self._arguments],
            on_exit=lambda child: ended.set(),
            on_line=lambda line: None,
        )
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not self._answers():
            if ended.wait(_POLL_INTERVAL_S) or time.monotonic() > deadline:
                said = " ".join(self.logs[-_LOG_LINES_SHOWN:]) or "it said nothing"
                self.stop()
                raise StartError(f"{self._program} did not start: {said}")

    def stop(self) -> None:
        """End it politely, if it runs, and wait until it is gone."""
        child, self._child = self._child, None
        if child is not None:
            child.stop()

    def kill(self) -> None:
        """End it as a crash would, by SIGKILL, and wait until it is gone."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()

    def _prepare(self, directory: Path) -> Sequence[str]:
        """Write what it needs into *directory* and return the arguments of the command."""
        raise NotImplementedError

    def _answers(self) -> bool:
        raise NotImplementedError


class RunningRedis(_Server):
    """A Redis, empty at first."""

    _program = "redis-server"

    def __init__(self, directory: Path, options: Sequence[str]) -> None:
        self._options = options
        super().__init__(directory)

    @property
    def url(self) -> str:
        """What clients of Redis take."""
        return f"redis://{self.host}:{self.port}/0"

    def _prepare(self, directory: Path) -> Sequence[str]:
        return [
            *("--port", str(self.port)),
            *("--bind", self.host),
            *("--dir", str(directory)),
            *("--logfile", str(self._log)),
            *("--appendonly", "yes"),
            *("--appendfsync", "always"),
            *("--save", ""),
            *self._options,
        ]

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection((self.host, self.port)) as connection:
            connection.settimeout(_PROBE_TIMEOUT_S)
            connection.sendall(b"PING\r\n")
            # While it reads its data it answers -LOADING.
            return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        return False


class RunningWebdis(_Server):
    """A Webdis: Redis by HTTP."""

    _program = "webdis"

    def __init__(self, directory: Path, redis: RunningRedis, settings: Mapping[str, object]) -> None:
        self._redis = redis
        self._settings = settings
        super().__init__(directory)

    @property
    def url(self) -> str:
        """Where it takes commands: ``GET /PING``, or ``POST /`` with the command as the body.

        Webdis 0.1.9 never answers a POST that says ``connection: close`` and whose body comes by itself, as
        `urllib` sends it.
        """
        return f"http://{self.host}:{self.port}/"

    def _prepare(self, directory: Path) -> Sequence[str]:
        settings = {
            "redis_host": self._redis.host,
            "redis_port": self._redis.port,
            "http_host": self.host,
            "http_port": self.port,
            "threads": 2,
            "daemonize": False,
            "verbosity": 2,
            "logfile": str(self._log),
        }
        file = directory / "webdis.json"
        file.write_text(json.dumps(settings | dict(self._settings)), encoding="utf-8")
        return [str(file)]

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=_PROBE_TIMEOUT_S)
        try:
            connection.request("GET", "/PING")
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        return True  # Whatever it says: commands may be forbidden, and Redis may be away.


@contextlib.contextmanager
def running_redis(options: Sequence[str] = ()) -> Iterator[RunningRedis]:
    """Start an empty Redis and stop it at the end, if that has not been done before.

    *options* are more of the command line, such as ``("--requirepass", "...")``. Raises ServerMissingError
    when it is not installed, StartError when it does not start.
    """
    with private_directory() as directory:
        server = RunningRedis(directory, options)
        try:
            server.start()
            yield server
        finally:
            server.stop()


@contextlib.contextmanager
def running_webdis(
    redis: RunningRedis, settings: Mapping[str, object] | None = None
) -> Iterator[RunningWebdis]:
    """Start a Webdis in front of *redis* and stop it at the end, if that has not been done before.

    *settings* are more of its configuration, such as ``{"acl": [...]}``. Raises ServerMissingError when it is
    not installed, StartError when it does not start.
    """
    with private_directory() as directory:
        server = RunningWebdis(directory, redis, settings or {})
        try:
            server.start()
            yield server
        finally:
            server.stop()


def _find(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise ServerMissingError(
            f"{program} is missing: install it, on Debian and Ubuntu with `apt-get install {program}`."
        )
    return os.path.abspath(path)  # Not through symbolic links: redis-server goes by the name it is called by.
