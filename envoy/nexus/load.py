"""A load generator: many requests over few connections, every response checked.

It is written on asyncio protocols and reads no more of HTTP/1.1 than it needs, so that one core of
Python drives a gateway well above what a filter can take. A connection sends its next request when the
response to the one before is complete, as a client with keep-alive does.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

_CHUNK_END = b"\r\n0\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What a response must be to count as right."""

    status: int = 200
    shortest_body_bytes: int = 1
    body_ending: bytes = b""
    """For example ``data: [DONE]`` and its newlines for a stream that came to its end."""


@dataclass(slots=True)
class LoadResult:
    """What a run measured."""

    seconds: float = 0.0
    latencies_s: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    """What went wrong, and how often."""

    @property
    def completed(self) -> int:
        """Responses that were right."""
        return len(self.latencies_s)

    @property
    def requests_per_s(self) -> float:
        """Right responses per second of wall clock."""
        return self.completed / self.seconds if self.seconds else 0.0

    def percentile_ms(self, percent: float) -> float:
        """Return the latency, in milliseconds, that *percent* of the right responses did not exceed."""
        if not self.latencies_s:
            return float("nan")
        ordered = sorted(self.latencies_s)
        rank = min(len(ordered) - 1, int(len(ordered) * percent / 100))
        return ordered[rank] * 1000


def http_request(
    host: str, path: str, body: bytes, *, method: str = "POST", headers: Sequence[tuple[str, str]] = ()
) -> bytes:
    """Return an HTTP/1.1 request with a JSON body, as bytes for `run_load`."""
    lines = [f"{method} {path} HTTP/1.1", f"host: {host}", f"content-length: {len(body)}"]
    if body:
        lines.append("content-type: application/json")
    lines.extend(f"{name}: {value}" for name, value in headers)
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def run_load(
    port: int,
    requests: Sequence[bytes],
    *,
    count: int,
    connections: int,
    expect: Expectation | None = None,
    address: str = "127.0.0.1",
    on_progress: Callable[[int], None] | None = None,
    progress_every: int = 1000,
    timeout_s: float = 60.0,
) -> LoadResult:
    """Send *count* requests, taken from *requests* in turn, over *connections* connections.

    *on_progress* is called with the number of responses so far, every *progress_every* of them. A connection
    that sees no byte for *timeout_s* counts as one error and is opened anew.
    """
    run = _Run(
        requests=requests,
        count=count,
        expect=expect or Expectation(),
        on_progress=on_progress,
        progress_every=progress_every,
        timeout_s=timeout_s,
    )
    return asyncio.run(run.drive(address, port, connections))


@dataclass(slots=True, kw_only=True)
class _Run:
    """What the connections of one run share."""

    requests: Sequence[bytes]
    count: int
    expect: Expectation
    on_progress: Callable[[int], None] | None
    progress_every: int
    timeout_s: float
    result: LoadResult = field(default_factory=LoadResult)
    _started: int = 0
    _finished: int = 0

    async def drive(self, address: str, port: int, connections: int) -> LoadResult:
        started = time.perf_counter()
        await asyncio.gather(*(self._keep_connection(address, port) for _ in range(connections)))
        self.result.seconds = time.perf_counter() - started
        return self.result

    def next_request(self) -> bytes | None:
        """Return the next request to send, or None when enough have been sent."""
        if self._started >= self.count:
            return None
        self._started += 1
        return self.requests[self._started % len(self.requests)]

    def finished(self, latency_s: float, problem: str | None) -> None:
        """Count one response."""
        self._finished += 1
        if problem is None:
            self.result.latencies_s.append(latency_s)
        else:
            self.result.errors[problem] += 1
        if self.on_progress is not None and self._finished % self.progress_every == 0:
            self.on_progress(self._finished)

    async def _keep_connection(self, address: str, port: int) -> None:
        loop = asyncio.get_running_loop()
        while self._started < self.count:
            try:
                _, connection = await loop.create_connection(lambda: _Connection(self), address, port)
            except OSError as error:
                if self.next_request() is not None:
                    self.finished(0.0, f"no connection: {error.strerror or type(error).__name__}")
                await asyncio.sleep(0.01)
                continue
            await connection.closed


class _Connection(asyncio.Protocol):
    """One keep-alive connection: a request, its response, the next request."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[None] = self._loop.create_future()
        self._received = bytearray()
        self._sent_at: float | None = None
        self._body_start = 0
        self._length: int | None = None
        self._status = 0
        self._watchdog: asyncio.TimerHandle | None = None
        self._last_byte_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._watch()
        self._send_next()

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._last_byte_at = self._loop.time()
        if not self._body_start and not self._read_head():
            return
        if self._length is None:
            # A chunked body ends with an empty chunk; no event of a stream ends with those bytes.
            complete = self._received.endswith(_CHUNK_END)
        else:
            complete = len(self._received) - self._body_start >= self._length
        if complete:
            self._finish(self._problem())
            if self._close_asked:
                self._transport.close()
            else:
                self._send_next()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
        if self._sent_at is not None:
            self._finish("connection lost before the end of the response")
        if not self.closed.done():
            self.closed.set_result(None)

    def _send_next(self) -> None:
        request = self._run.next_request()
        if request is None:
            self._transport.close()
            return
        self._received.clear()
        self._body_start = 0
        self._sent_at = time.perf_counter()
        self._last_byte_at = self._loop.time()
        self._transport.write(request)

    def _read_head(self) -> bool:
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = bytes(self._received[:end]).lower()
        self._body_start = end + 4
        self._status = int(head[9:12])
        length = head.find(b"\r\ncontent-length:")
        self._length = int(head[length + 17 :].split(b"\r\n", 1)[0]) if length >= 0 else None
        self._close_asked = b"\r\nconnection: close" in head
        return True

    def _problem(self) -> str | None:
        expect = self._run.expect
        if self._status != expect.status:
            return f"status {self._status}"
        body_bytes = len(self._received) - self._body_start
        if body_bytes < expect.shortest_body_bytes:
            return f"body of {body_bytes} bytes"
        if expect.body_ending and expect.body_ending not in self._received[-len(expect.body_ending) - 64 :]:
            return "body without its ending"
        return None

    def _finish(self, problem: str | None) -> None:
        assert self._sent_at is not None
        self._run.finished(time.perf_counter() - self._sent_at, problem)
        self._sent_at = None

    def _watch(self) -> None:
        """Abort a connection that has been silent for too long."""
        timeout_s = self._run.timeout_s
        if self._sent_at is not None and self._loop.time() - self._last_byte_at > timeout_s:
            self._finish(f"no byte for {timeout_s:g} s")
            self._transport.abort()
            return
        self._watchdog = self._loop.call_later(timeout_s / 4, self._watch)
