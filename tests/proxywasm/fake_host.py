"""A host for tests of the SDK: the answers of the ABI's functions, nothing of a proxy's life.

Every map and buffer is what a test puts there. `statuses` makes a function fail; `calls` is what was called.
"""

from collections import Counter
from dataclasses import dataclass, field

from proxywasm._abi import (
    BufferType,
    LogLevel,
    MapType,
    Status,
    decode_pairs,
    encode_pairs,
)

Pairs = list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class LocalResponse:
    context: int
    status: int
    details: bytes
    body: bytes
    headers: Pairs


@dataclass
class FakeHost:
    maps: dict[int, Pairs] = field(default_factory=dict)
    buffers: dict[int, bytes] = field(default_factory=dict)
    properties: dict[bytes, bytes] = field(default_factory=dict)
    read_only: bool = False
    level: int = LogLevel.INFO
    statuses: dict[str, int] = field(default_factory=dict)
    call_status: tuple[int, bytes] = (0, b"")
    environment: bytes = b""
    now_ns: int = 1_700_000_000_500_000_000
    lose_races: int = 0
    """How often another worker is to change a key just before it is set."""

    calls: list[str] = field(default_factory=list)
    lines: list[tuple[LogLevel, str]] = field(default_factory=list)
    effective: int = 0
    continued: list[tuple[int, int]] = field(default_factory=list)
    closed: list[tuple[int, int]] = field(default_factory=list)
    local_responses: list[LocalResponse] = field(default_factory=list)
    callouts: list[tuple[bytes, Pairs, bytes, Pairs, int]] = field(default_factory=list)
    grpc_callouts: list[tuple[bytes, bytes, bytes, Pairs, bytes, int]] = field(default_factory=list)
    redis_introductions: list[tuple[bytes, bytes, bytes, int]] = field(default_factory=list)
    redis_queries: list[tuple[bytes, bytes]] = field(default_factory=list)
    tick_periods: dict[int, int] = field(default_factory=dict)
    shared: dict[bytes, tuple[bytes, int]] = field(default_factory=dict)
    queues: dict[int, list[bytes]] = field(default_factory=dict)
    queue_names: dict[bytes, int] = field(default_factory=dict)
    metrics: dict[int, int] = field(default_factory=dict)
    metric_names: dict[int, bytes] = field(default_factory=dict)
    metric_kinds: dict[int, int] = field(default_factory=dict)
    foreign: dict[bytes, bytes] = field(default_factory=dict)
    foreign_calls: list[tuple[bytes, bytes]] = field(default_factory=list)
    _cas: int = 0

    def counted(self) -> Counter[str]:
        """How often each function was called."""
        return Counter(self.calls)

    def errors(self) -> list[str]:
        """Lines at error level and above."""
        return [line for level, line in self.lines if level >= LogLevel.ERROR]

    def _enter(self, call: str) -> int:
        self.calls.append(call)
        return self.statuses.get(call, Status.OK)

    # Logging, time, timers

    def log(self, level: int, message: bytes, /) -> int:
        self.lines.append((LogLevel(level), message.decode()))
        return self._enter("log")

    def get_log_level(self) -> tuple[int, int]:
        return self._enter("get_log_level"), self.level

    def get_current_time_nanoseconds(self) -> tuple[int, int]:
        return self._enter("get_current_time_nanoseconds"), self.now_ns

    def set_tick_period_milliseconds(self, period: int, /) -> int:
        self.tick_periods[self.effective] = period
        return self._enter("set_tick_period_milliseconds")

    # Buffers

    def get_buffer_bytes(self, buffer: int, start: int, max_size: int, /) -> tuple[int, bytes]:
        status = self._enter("get_buffer_bytes")
        if status == 0 and buffer not in self.buffers:
            return Status.NOT_FOUND, b""
        return status, self.buffers.get(buffer, b"")[start : start + max_size]

    def get_buffer_status(self, buffer: int, /) -> tuple[int, int, int]:
        return self._enter("get_buffer_status"), len(self.buffers.get(buffer, b"")), 0

    def set_buffer_bytes(self, buffer: int, start: int, size: int, value: bytes, /) -> int:
        status = self._enter("set_buffer_bytes")
        if status == 0:
            self.buffers[buffer] = value + self.buffers.get(buffer, b"")[start + size :]
        return status

    # Header maps

    def get_header_map_pairs(self, header_map: int, /) -> tuple[int, bytes]:
        return self._enter("get_header_map_pairs"), encode_pairs(self.maps.get(header_map, []))

    def set_header_map_pairs(self, header_map: int, pairs: bytes, /) -> int:
        return self._write("set_header_map_pairs", header_map, decode_pairs(pairs))

    def get_header_map_value(self, header_map: int, key: bytes, /) -> tuple[int, bytes]:
        status = self._enter("get_header_map_value")
        if status:
            return status, b""
        if header_map not in self.maps:
            return Status.BAD_ARGUMENT, b""
        found = [value for name, value in self.maps[header_map] if name == key]
        return (Status.OK, found[0]) if found else (Status.NOT_FOUND, b"")

    def add_header_map_value(self, header_map: int, key: bytes, value: bytes, /) -> int:
        return self._write("add_header_map_value", header_map, [*self.maps.get(header_map, []), (key, value)])

    def replace_header_map_value(self, header_map: int, key: bytes, value: bytes, /) -> int:
        others = [pair for pair in self.maps.get(header_map, []) if pair[0] != key]
        return self._write("replace_header_map_value", header_map, [*others, (key, value)])

    def remove_header_map_value(self, header_map: int, key: bytes, /) -> int:
        others = [pair for pair in self.maps.get(header_map, []) if pair[0] != key]
        return self._write("remove_header_map_value", header_map, others)

    def get_header_map_size(self, header_map: int, /) -> tuple[int, int]:
        return self._enter("get_header_map_size"), len(self.maps.get(header_map, []))

    def _write(self, call: str, header_map: int, pairs: Pairs) -> int:
        status = self._enter(call)
        if status:
            return status
        if self.read_only or header_map not in self.maps:
            return Status.BAD_ARGUMENT
        self.maps[header_map] = pairs
        return Status.OK

    # Streams

    def continue_stream(self, stream_kind: int, /) -> int:
        self.continued.append((self.effective, stream_kind))
        return self._enter("continue_stream")

    def close_stream(self, stream_kind: int, /) -> int:
        self.closed.append((self.effective, stream_kind))
        return self._enter("close_stream")

    def send_local_response(
        self, status_code: int, details: bytes, body: bytes, headers: bytes, grpc_status: int, /
    ) -> int:
        reply = LocalResponse(self.effective, status_code, details, body, decode_pairs(headers))
        self.local_responses.append(reply)
        return self._enter("send_local_response")

    # Callouts

    def http_call(
        self, cluster: bytes, headers: bytes, body: bytes, trailers: bytes, timeout_ms: int, /
    ) -> tuple[int, int]:
        self.callouts.append((cluster, decode_pairs(headers), body, decode_pairs(trailers), timeout_ms))
        return self._enter("http_call"), 4 * len(self.callouts)

    def grpc_call(  # noqa: PLR0917 - the ABI has them
        self,
        cluster: bytes,
        service: bytes,
        method: bytes,
        initial_metadata: bytes,
        message: bytes,
        timeout_ms: int,
        /,
    ) -> tuple[int, int]:
        call = (cluster, service, method, decode_pairs(initial_metadata), message, timeout_ms)
        self.grpc_callouts.append(call)
        return self._enter("grpc_call"), 4 * len(self.grpc_callouts) + 1

    def grpc_stream(
        self, cluster: bytes, service: bytes, method: bytes, initial_metadata: bytes, /
    ) -> tuple[int, int]:
        return self._enter("grpc_stream"), 6

    def grpc_send(self, token: int, message: bytes, end_of_stream: int, /) -> int:
        return self._enter("grpc_send")

    def grpc_cancel(self, token: int, /) -> int:
        return self._enter("grpc_cancel")

    def grpc_close(self, token: int, /) -> int:
        return self._enter("grpc_close")

    def get_status(self) -> tuple[int, int, bytes]:
        return self._enter("get_status"), *self.call_status

    # What Higress has beyond the ABI

    def redis_init(self, cluster: bytes, username: bytes, password: bytes, timeout_ms: int, /) -> int:
        self.redis_introductions.append((cluster, username, password, timeout_ms))
        return self._enter("redis_init")

    def redis_call(self, cluster: bytes, query: bytes, /) -> tuple[int, int]:
        self.redis_queries.append((cluster, query))
        return self._enter("redis_call"), 4 * len(self.redis_queries) + 3

    # Shared data and queues

    def get_shared_data(self, key: bytes, /) -> tuple[int, bytes, int]:
        status = self._enter("get_shared_data")
        if status == 0 and key not in self.shared:
            return Status.NOT_FOUND, b"", 0
        return status, *self.shared.get(key, (b"", 0))

    def set_shared_data(self, key: bytes, value: bytes, cas: int, /) -> int:
        status = self._enter("set_shared_data")
        if status:
            return status
        if self.lose_races:
            self.lose_races -= 1
            self._store(key, b"theirs %d" % self.lose_races)
        if key in self.shared and cas not in (0, self.shared[key][1]):
            return Status.CAS_MISMATCH
        self._store(key, value)
        return Status.OK

    def _store(self, key: bytes, value: bytes) -> None:
        self._cas += 1
        self.shared[key] = (value, self._cas)

    def register_shared_queue(self, name: bytes, /) -> tuple[int, int]:
        queue = self.queue_names.setdefault(name, len(self.queue_names) + 1)
        self.queues.setdefault(queue, [])
        return self._enter("register_shared_queue"), queue

    def resolve_shared_queue(self, vm_id: bytes, name: bytes, /) -> tuple[int, int]:
        self._enter("resolve_shared_queue")
        queue = self.queue_names.get(name)
        return (Status.NOT_FOUND, 0) if queue is None else (Status.OK, queue)

    def enqueue_shared_queue(self, queue: int, value: bytes, /) -> int:
        self._enter("enqueue_shared_queue")
        if queue not in self.queues:
            return Status.NOT_FOUND
        self.queues[queue].append(value)
        return Status.OK

    def dequeue_shared_queue(self, queue: int, /) -> tuple[int, bytes]:
        self._enter("dequeue_shared_queue")
        if queue not in self.queues:
            return Status.NOT_FOUND, b""
        return (Status.OK, self.queues[queue].pop(0)) if self.queues[queue] else (Status.EMPTY, b"")

    # Metrics

    def define_metric(self, metric_kind: int, name: bytes, /) -> tuple[int, int]:
        status = self._enter("define_metric")
        metric = 4 * (len(self.metrics) + 1) + metric_kind
        self.metrics[metric] = 0
        self.metric_names[metric] = name
        self.metric_kinds[metric] = metric_kind
        return status, metric

    def increment_metric(self, metric: int, offset: int, /) -> int:
        status = self._enter("increment_metric")
        if self.metric_kinds[metric] == 2 or (self.metric_kinds[metric] == 0 and offset <= 0):
            return Status.BAD_ARGUMENT
        self.metrics[metric] += offset
        return status

    def record_metric(self, metric: int, value: int, /) -> int:
        self.metrics[metric] = value
        return self._enter("record_metric")

    def get_metric(self, metric: int, /) -> tuple[int, int]:
        return self._enter("get_metric"), self.metrics[metric]

    # Properties, foreign functions, contexts, environment

    def get_property(self, path: bytes, /) -> tuple[int, bytes]:
        status = self._enter("get_property")
        if status == 0 and path not in self.properties:
            return Status.NOT_FOUND, b""
        return status, self.properties.get(path, b"")

    def set_property(self, path: bytes, value: bytes, /) -> int:
        self.properties[path] = value
        return self._enter("set_property")

    def call_foreign_function(self, name: bytes, arguments: bytes, /) -> tuple[int, bytes]:
        self._enter("call_foreign_function")
        self.foreign_calls.append((name, arguments))
        found = self.foreign.get(name)
        return (Status.NOT_FOUND, b"") if found is None else (Status.OK, found)

    def set_effective_context(self, context: int, /) -> int:
        self.effective = context
        return self._enter("set_effective_context")

    def done(self) -> int:
        return self._enter("done")

    def get_environment(self) -> tuple[int, bytes]:
        return self._enter("get_environment"), self.environment

    # What tests put in

    def put_headers(self, header_map: MapType, headers: dict[str, str]) -> None:
        """Let the host hold a header map."""
        self.maps[header_map] = [(name.encode(), value.encode()) for name, value in headers.items()]

    def headers(self, header_map: MapType) -> dict[str, str]:
        """A header map as it is now."""
        return {name.decode(): value.decode() for name, value in self.maps[header_map]}

    def body(self, buffer: BufferType) -> bytes:
        """A buffer as it is now."""
        return self.buffers[buffer]
