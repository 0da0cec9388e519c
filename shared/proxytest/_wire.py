"""Sockets for the Envoy engine: one thread reads them all, the test writes.

Everything is counted, so that the engine can tell when every byte that was sent has arrived.
"""

import contextlib
import os
import selectors
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

_RECEIVE_SIZE = 1 << 16


@dataclass(slots=True, eq=False)
class Connection:
    """One connection, with a callback for what comes in; None stands for the end."""

    sock: socket.socket
    received: Callable[[bytes | None], None]
    counters: "Counters"
    is_open: bool = True

    def send(self, data: bytes) -> None:
        """Write all of *data*; a peer that is gone is no error, the reader will notice."""
        with contextlib.suppress(OSError):
            self.sock.sendall(data)
            self.counters.sent += len(data)

    def close(self) -> None:
        """Close the connection at once."""
        if self.is_open:
            self.is_open = False
            self.counters.open -= 1
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)


@dataclass(slots=True)
class Counters:
    """Bytes over all connections of one kind, and how many of them there are."""

    sent: int = 0
    received: int = 0
    open: int = 0
    """Connections that neither side has closed."""


@dataclass(slots=True, eq=False)
class Wire:
    """The reading thread and the sockets it watches."""

    clients: Counters = field(default_factory=Counters)
    servers: Counters = field(default_factory=Counters)
    lock: threading.RLock = field(default_factory=threading.RLock)
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    _listening: dict[str, socket.socket] = field(default_factory=dict)
    _wake: tuple[int, int] = field(default_factory=os.pipe)
    _stopped: bool = False
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Start reading."""
        self._selector.register(self._wake[0], selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._run, name="proxytest-wire", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop reading and close everything."""
        self._stopped = True
        os.write(self._wake[1], b"x")
        if self._thread is not None:
            self._thread.join()
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()
        for descriptor in self._wake:
            os.close(descriptor)

    def listen(self, path: str, accepted: Callable[[Connection], Callable[[bytes | None], None]]) -> None:
        """Listen on a Unix socket; *accepted* gets each connection and returns its callback."""
        server = socket.socket(socket.AF_UNIX)
        server.bind(path)
        server.listen(64)
        self._listening[path] = server
        self._watch(server, accepted)

    def unlisten(self, path: str) -> None:
        """Stop listening, so that connecting is refused."""
        server = self._listening.pop(path)
        with self.lock:
            self._selector.unregister(server)
        server.close()
        os.unlink(path)

    def connect(self, path: str, received: Callable[[bytes | None], None]) -> Connection:
        """Connect to a Unix socket."""
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(path)
        connection = Connection(sock, received, self.clients)
        self.clients.open += 1
        self._watch(sock, connection)
        return connection

    def _watch(self, sock: socket.socket, data: object) -> None:
        with self.lock:
            self._selector.register(sock, selectors.EVENT_READ, data)
        os.write(self._wake[1], b"x")

    def _run(self) -> None:
        while not self._stopped:
            for key, _ in self._selector.select():
                if key.data is None:
                    os.read(self._wake[0], 4096)
                elif isinstance(key.data, Connection):
                    self._read(key.data)
                elif isinstance(key.fileobj, socket.socket):
                    self._accept(key.fileobj, key.data)

    def _accept(
        self, server: socket.socket, accepted: Callable[[Connection], Callable[[bytes | None], None]]
    ) -> None:
        try:
            sock, _ = server.accept()
        except OSError:
            return
        connection = Connection(sock, lambda _: None, self.servers)
        self.servers.open += 1
        with self.lock:
            connection.received = accepted(connection)
        self._watch(sock, connection)

    def _read(self, connection: Connection) -> None:
        try:
            data = connection.sock.recv(_RECEIVE_SIZE)
        except OSError:
            data = b""
        with self.lock:
            if data:
                connection.received(data)
                connection.counters.received += len(data)
                return
            if connection.is_open:
                connection.is_open = False
                connection.counters.open -= 1
            self._selector.unregister(connection.sock)
            connection.sock.close()
            connection.received(None)
