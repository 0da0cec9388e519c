"""The host functions, one method each, named and shaped like the `host` interface in proxy-wasm.wit.

Bytes in; statuses and tuples out. The native engine hands an object of this class to the SDK as it is; the
wasm engine moves arguments between it and linear memory.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar, cast

from . import _foreign, _properties
from ._abi import (
    BufferType,
    LogLevel,
    MapType,
    Status,
    StreamType,
    decode_pairs,
    encode_pairs,
)
from ._buffer import Buffer
from ._errors import Trap, UnsafeForHostError
from ._logs import LogRecord

if TYPE_CHECKING:
    from ._contexts import Context, RootContext
    from ._headers import HeaderMap
    from ._vm import Vm

_Method = TypeVar("_Method", bound=Callable[..., object])


def _hostcall(*nothing: object) -> Callable[[_Method], _Method]:
    """Mark a host function; *nothing* are its output parameters when it fails on purpose."""

    def decorate(method: _Method) -> _Method:
        name = method.__name__

        @functools.wraps(method)
        def call(self: "HostCalls", *arguments: object) -> object:
            self.check_restriction(f"proxy_{name}")
            fault = self.take_fault(name)
            if fault is not None:
                return (int(fault), *nothing) if nothing else int(fault)
            return method(self, *arguments)

        return cast(_Method, call)

    return decorate


class HostCalls:
    """What one VM can ask of the host."""

    def __init__(self, vm: "Vm") -> None:
        self._vm = vm

    def check_restriction(self, name: str) -> None:
        """End the VM if a host function is called when it may not be."""
        allowed = self._vm.restricted_to
        if allowed is not None and name not in allowed:
            raise Trap(f"restricted_callback: {name} cannot be called while the module starts or allocates")

    @contextlib.contextmanager
    def restricted(self, allowed: frozenset[str]) -> Iterator[None]:
        """Let the guest call only some functions for a while."""
        outer, self._vm.restricted_to = self._vm.restricted_to, allowed
        try:
            yield
        finally:
            self._vm.restricted_to = outer

    def clock_ns(self) -> int:
        """Tell the time to WASI."""
        return self._vm.process.clock.now_ns

    def take_fault(self, name: str) -> Status | None:
        """Return the status a test wants this call to have."""
        return self._vm.process.faults.take(name)

    @property
    def _context(self) -> "Context":
        return self._vm.effective_context()

    @property
    def _root(self) -> "RootContext":
        root = self._context.root
        if root is None:
            raise Trap("this host call needs a plugin, and none is running in the VM yet")
        return root

    # Logging, time, timers

    @_hostcall()
    def log(self, level: int, message: bytes) -> int:
        """Write to the proxy's log (proxy_log)."""
        if level > LogLevel.OFF:
            return Status.BAD_ARGUMENT
        if level == LogLevel.OFF:
            raise UnsafeForHostError("proxy_log with level 6 passes Envoy's range check and then ends Envoy")
        self.write_log(LogLevel(level), message)
        return Status.OK

    def write_log(self, level: LogLevel, message: bytes) -> None:
        """Write to the proxy's log, from WASI too."""
        process = self._vm.process
        if level >= process.log_level and process.is_recording:
            plugin = self._context.plugin_name
            text = message.decode("utf-8", "replace")
            process.logs.append(LogRecord(level=level, message=text, plugin=plugin))

    @_hostcall(0)
    def get_log_level(self) -> tuple[int, int]:
        """Tell the lowest level that is written (proxy_get_log_level)."""
        return Status.OK, self._vm.process.log_level

    @_hostcall(0)
    def get_current_time_nanoseconds(self) -> tuple[int, int]:
        """Tell the time since 1970 (proxy_get_current_time_nanoseconds)."""
        return Status.OK, self._vm.process.clock.now_ns

    @_hostcall()
    def set_tick_period_milliseconds(self, period: int) -> int:
        """Ask for on_tick (proxy_set_tick_period_milliseconds)."""
        self._root.set_tick_period(period)
        return Status.OK

    # Buffers

    @_hostcall(b"")
    def get_buffer_bytes(self, buffer: int, start: int, max_size: int) -> tuple[int, bytes]:
        """Read a part of a buffer, as much of it as there is (proxy_get_buffer_bytes)."""
        content = self._buffer(buffer)
        if isinstance(content, Status):
            return content, b""
        return Status.OK, bytes(content)[start : start + max_size]

    @_hostcall(0, 0)
    def get_buffer_status(self, buffer: int) -> tuple[int, int, int]:
        """Tell the size of a buffer; the flags are always 0 (proxy_get_buffer_status)."""
        content = self._buffer(buffer)
        if isinstance(content, Status):
            return content, 0, 0
        return Status.OK, len(content), 0

    @_hostcall()
    def set_buffer_bytes(self, buffer: int, start: int, size: int, value: bytes) -> int:
        """Edit a body at its front or its end (proxy_set_buffer_bytes)."""
        content = self._buffer(buffer)
        if isinstance(content, Status):
            return content
        return content.edit(start, size, value) if isinstance(content, Buffer) else Status.BAD_ARGUMENT

    def _buffer(self, number: int) -> Buffer | bytes | Status:
        known = BufferType.REDIS_RESPONSE if self._vm.process.profile.higress_calls else BufferType.CALL_DATA
        if number > known:
            return Status.BAD_ARGUMENT
        content = self._context.buffer(BufferType(number))
        return Status.NOT_FOUND if content is None else content

    # Header maps

    @_hostcall(b"")
    def get_header_map_pairs(self, header_map: int) -> tuple[int, bytes]:
        """Read a whole map; one the host does not hold is empty (proxy_get_header_map_pairs)."""
        if header_map not in list(MapType):
            return Status.BAD_ARGUMENT, b""
        headers = self._context.readable_map(MapType(header_map))
        return Status.OK, b"" if headers is None else encode_pairs(headers.pairs())

    @_hostcall()
    def set_header_map_pairs(self, header_map: int, pairs: bytes) -> int:
        """Replace a whole map (proxy_set_header_map_pairs)."""

        def change(headers: "HeaderMap") -> None:
            headers.clear()
            for key, value in decode_pairs(pairs):
                headers.add(key, value)

        return self._change_map(header_map, change)

    @_hostcall(b"")
    def get_header_map_value(self, header_map: int, key: bytes) -> tuple[int, bytes]:
        """Read the first value of a header (proxy_get_header_map_value)."""
        if header_map not in list(MapType):
            return Status.BAD_ARGUMENT, b""
        context = self._context
        headers = context.readable_map(MapType(header_map))
        if headers is None:
            return context.missing_map_status(), b""
        value = headers.get(key)
        return (Status.NOT_FOUND, b"") if value is None else (Status.OK, value)

    @_hostcall()
    def add_header_map_value(self, header_map: int, key: bytes, value: bytes) -> int:
        """Append a header (proxy_add_header_map_value)."""
        return self._change_map(header_map, lambda headers: headers.add(key, value))

    @_hostcall()
    def replace_header_map_value(self, header_map: int, key: bytes, value: bytes) -> int:
        """Set the first value of a header (proxy_replace_header_map_value)."""
        return self._change_map(header_map, lambda headers: headers.replace(key, value))

    @_hostcall()
    def remove_header_map_value(self, header_map: int, key: bytes) -> int:
        """Take a header away, which succeeds without it too (proxy_remove_header_map_value)."""
        return self._change_map(header_map, lambda headers: headers.remove(key))

    @_hostcall(0)
    def get_header_map_size(self, header_map: int) -> tuple[int, int]:
        """Count the bytes of a map the guest may change (proxy_get_header_map_size)."""
        if header_map not in list(MapType):
            return Status.BAD_ARGUMENT, 0
        headers = self._context.writable_map(MapType(header_map))
        return (Status.BAD_ARGUMENT, 0) if headers is None else (Status.OK, headers.byte_size())

    def _change_map(self, number: int, change: Callable[["HeaderMap"], None]) -> int:
        if number not in list(MapType):
            return Status.BAD_ARGUMENT
        context = self._context
        headers = context.writable_map(MapType(number))
        if headers is None:
            return Status.BAD_ARGUMENT
        change(headers)
        context.map_modified(MapType(number))
        return Status.OK

    # Streams

    @_hostcall()
    def continue_stream(self, stream_kind: int) -> int:
        """Let a paused stream go on, once this call into the guest is over (proxy_continue_stream)."""
        if stream_kind not in list(StreamType):
            return Status.BAD_ARGUMENT
        return self._context.continue_stream(StreamType(stream_kind))

    @_hostcall()
    def close_stream(self, stream_kind: int) -> int:
        """Break a stream off, once this call into the guest is over (proxy_close_stream)."""
        if stream_kind not in list(StreamType):
            return Status.BAD_ARGUMENT
        return self._context.close_stream(StreamType(stream_kind))

    @_hostcall()
    def send_local_response(
        self, status_code: int, details: bytes, body: bytes, headers: bytes, grpc_status: int
    ) -> int:
        """Reply in the upstream's place, whatever the callback returns (proxy_send_local_response)."""
        self._context.send_local_response(status_code, body, decode_pairs(headers), grpc_status, details)
        self._vm.iteration_stopped = True
        return Status.OK

    # Callouts

    @_hostcall(0)
    def http_call(
        self, cluster: bytes, headers: bytes, body: bytes, trailers: bytes, timeout_ms: int
    ) -> tuple[int, int]:
        """Call an HTTP service (proxy_http_call)."""
        name = cluster.decode("utf-8", "replace")
        return self._vm.process.callouts.http_call(
            self._root,
            cluster=name,
            headers=decode_pairs(headers),
            body=body,
            trailers=decode_pairs(trailers),
            timeout_ms=timeout_ms,
        )

    @_hostcall(0)
    def grpc_call(  # noqa: PLR0917 - the ABI has them
        self,
        cluster: bytes,
        service: bytes,
        method: bytes,
        initial_metadata: bytes,
        message: bytes,
        timeout_ms: int,
    ) -> tuple[int, int]:
        """Start a gRPC call of one message each way (proxy_grpc_call)."""
        return self._vm.process.grpc.call(
            self._root,
            service=cluster,
            path=b"/%s/%s" % (service, method),
            metadata=decode_pairs(initial_metadata),
            message=message,
            timeout_ms=timeout_ms,
        )

    @_hostcall(0)
    def grpc_stream(
        self, cluster: bytes, service: bytes, method: bytes, initial_metadata: bytes
    ) -> tuple[int, int]:
        """Start a gRPC stream (proxy_grpc_stream)."""
        return self._vm.process.grpc.stream(
            self._root,
            service=cluster,
            path=b"/%s/%s" % (service, method),
            metadata=decode_pairs(initial_metadata),
        )

    @_hostcall()
    def grpc_send(self, token: int, message: bytes, end_of_stream: int) -> int:
        """Send a message on a gRPC stream (proxy_grpc_send)."""
        return self._vm.process.grpc.send(self._root, token, message, bool(end_of_stream))

    @_hostcall()
    def grpc_cancel(self, token: int) -> int:
        """Break a gRPC call or stream off (proxy_grpc_cancel)."""
        return self._vm.process.grpc.cancel(self._root, token)

    @_hostcall()
    def grpc_close(self, token: int) -> int:
        """Break a gRPC call off, or end the request of a gRPC stream (proxy_grpc_close)."""
        return self._vm.process.grpc.close(self._root, token)

    @_hostcall(0, b"")
    def get_status(self) -> tuple[int, int, bytes]:
        """Tell why a callout has no answer (proxy_get_status)."""
        root = self._context.root
        if root is None:
            return Status.OK, 0, b""
        return Status.OK, root.status_code, root.status_message

    # Shared data and queues

    @_hostcall(b"", 0)
    def get_shared_data(self, key: bytes) -> tuple[int, bytes, int]:
        """Read a shared value and its compare-and-swap token (proxy_get_shared_data)."""
        return self._vm.process.shared.get(self._vm.spec.vm_id, key)

    @_hostcall()
    def set_shared_data(self, key: bytes, value: bytes, cas: int) -> int:
        """Write a shared value (proxy_set_shared_data)."""
        return self._vm.process.shared.set(self._vm.spec.vm_id, key, value, cas)

    @_hostcall(0)
    def register_shared_queue(self, name: bytes) -> tuple[int, int]:
        """Create a queue and be told of its values (proxy_register_shared_queue)."""
        root, process = self._root, self._vm.process

        def notify(token: int) -> None:
            process.post(lambda: root.queue_ready(token))

        return Status.OK, process.queues.register(self._vm.spec.vm_id, name, notify)

    @_hostcall(0)
    def resolve_shared_queue(self, vm_id: bytes, name: bytes) -> tuple[int, int]:
        """Find a queue by name (proxy_resolve_shared_queue)."""
        scope = vm_id.decode("utf-8", "replace") or self._vm.spec.vm_id
        token = self._vm.process.queues.resolve(scope, name)
        return (Status.OK, token) if token else (Status.NOT_FOUND, 0)

    @_hostcall()
    def enqueue_shared_queue(self, queue: int, value: bytes) -> int:
        """Append to a queue (proxy_enqueue_shared_queue)."""
        return self._vm.process.queues.enqueue(queue, value)

    @_hostcall(b"")
    def dequeue_shared_queue(self, queue: int) -> tuple[int, bytes]:
        """Take from a queue (proxy_dequeue_shared_queue)."""
        return self._vm.process.queues.dequeue(queue)

    # Metrics

    @_hostcall(0)
    def define_metric(self, metric_kind: int, name: bytes) -> tuple[int, int]:
        """Get an id for a metric (proxy_define_metric)."""
        return self._vm.metrics.define(metric_kind, name)

    @_hostcall()
    def increment_metric(self, metric: int, offset: int) -> int:
        """Add to a metric (proxy_increment_metric)."""
        return self._vm.metrics.increment(metric, offset)

    @_hostcall()
    def record_metric(self, metric: int, value: int) -> int:
        """Set or observe a metric (proxy_record_metric)."""
        return self._vm.metrics.record(metric, value)

    @_hostcall(0)
    def get_metric(self, metric: int) -> tuple[int, int]:
        """Read a metric (proxy_get_metric)."""
        return self._vm.metrics.get(metric)

    # Properties, foreign functions, contexts

    @_hostcall(b"")
    def get_property(self, path: bytes) -> tuple[int, bytes]:
        """Read an attribute of the stream (proxy_get_property)."""
        return _properties.get(self._context, path)

    @_hostcall()
    def set_property(self, path: bytes, value: bytes) -> int:
        """Leave a value on the stream for other filters and the access log (proxy_set_property)."""
        return _properties.set(self._context, path, value)

    @_hostcall(b"")
    def call_foreign_function(self, name: bytes, arguments: bytes) -> tuple[int, bytes]:
        """Call a function of this particular host (proxy_call_foreign_function)."""
        return _foreign.call(self._context, name.decode("utf-8", "replace"), arguments)

    @_hostcall()
    def set_effective_context(self, context: int) -> int:
        """Make the following host calls be about another context (proxy_set_effective_context)."""
        if context not in self._vm.contexts:
            return Status.BAD_ARGUMENT
        self._vm.effective = context
        return Status.OK

    @_hostcall()
    def done(self) -> int:
        """Say that a root context which asked for more time is done (proxy_done)."""
        return Status.NOT_FOUND

    def get_environment(self) -> tuple[int, bytes]:
        """Tell the VM's environment as NUL-terminated `NAME=value` entries; in wasm, WASI does that."""
        entries = (f"{name}={value}".encode() + b"\0" for name, value in self._vm.spec.environment)
        return Status.OK, b"".join(entries)


class HigressHostCalls(HostCalls):
    """What one VM can ask of Higress."""

    @_hostcall()
    def redis_init(self, cluster: bytes, username: bytes, password: bytes, timeout_ms: int) -> int:
        """Say how a Redis is to be spoken to (proxy_redis_init)."""
        return self._vm.process.redis.init(
            self._root,
            cluster=cluster.decode("utf-8", "replace"),
            username=username.decode("utf-8", "replace"),
            password=password.decode("utf-8", "replace"),
            timeout_ms=timeout_ms,
        )

    @_hostcall(0)
    def redis_call(self, cluster: bytes, query: bytes) -> tuple[int, int]:
        """Send a query in Redis's own encoding (proxy_redis_call)."""
        return self._vm.process.redis.call(self._root, cluster.decode("utf-8", "replace"), query)
