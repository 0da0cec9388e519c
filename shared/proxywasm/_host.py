"""The host as Python sees it: one method per function of the WIT interface `host`.

The bindings that componentize-py generates satisfy this protocol as a module, so in wasm there is no layer in
between; `proxytest` implements it natively. Call by position: parameter names differ between the two.

Every method returns the ABI's status first (0 is OK) and, where there is more, the outputs behind it; on any
other status the outputs mean nothing. Statuses become exceptions one layer up.
"""

from typing import Protocol

__all__ = ["Host"]


class Host(Protocol):
    """The functions a host provides to a plugin (Proxy-Wasm ABI 0.2.1, `proxy_` taken off)."""

    # Logging, time, timers

    def log(self, level: int, message: bytes, /) -> int:
        """Write one line to the log of the proxy."""
        ...

    def get_log_level(self) -> tuple[int, int]:
        """Return the lowest level the proxy logs."""
        ...

    def get_current_time_nanoseconds(self) -> tuple[int, int]:
        """Return the time since the Unix epoch."""
        ...

    def set_tick_period_milliseconds(self, period: int, /) -> int:
        """Have on_tick called in this period; 0 stops it. Belongs to the root context."""
        ...

    # Buffers

    def get_buffer_bytes(self, buffer: int, start: int, max_size: int, /) -> tuple[int, bytes]:
        """Return a slice of a buffer, clipped to what is there."""
        ...

    def get_buffer_status(self, buffer: int, /) -> tuple[int, int, int]:
        """Return the size of a buffer, and flags (always 0)."""
        ...

    def set_buffer_bytes(self, buffer: int, start: int, size: int, value: bytes, /) -> int:
        """Replace the first *size* bytes (*start* 0), or append (*start* at the end or beyond)."""
        ...

    # Header maps

    def get_header_map_pairs(self, header_map: int, /) -> tuple[int, bytes]:
        """Return a serialised header map; no bytes when the host does not hold it."""
        ...

    def set_header_map_pairs(self, header_map: int, pairs: bytes, /) -> int:
        """Replace a whole header map."""
        ...

    def get_header_map_value(self, header_map: int, key: bytes, /) -> tuple[int, bytes]:
        """Return the first value of a header."""
        ...

    def add_header_map_value(self, header_map: int, key: bytes, value: bytes, /) -> int:
        """Add a value to a header."""
        ...

    def replace_header_map_value(self, header_map: int, key: bytes, value: bytes, /) -> int:
        """Set a header to this single value."""
        ...

    def remove_header_map_value(self, header_map: int, key: bytes, /) -> int:
        """Remove all values of a header."""
        ...

    def get_header_map_size(self, header_map: int, /) -> tuple[int, int]:
        """Return the size of a header map in bytes."""
        ...

    # Streams

    def continue_stream(self, stream_kind: int, /) -> int:
        """Resume a paused direction of the effective context; acts when the call into the VM has returned."""
        ...

    def close_stream(self, stream_kind: int, /) -> int:
        """Reset the stream of the effective context; acts when the call into the VM has returned."""
        ...

    def send_local_response(
        self, status_code: int, details: bytes, body: bytes, headers: bytes, grpc_status: int, /
    ) -> int:
        """Answer in the upstream's place; acts when the call into the VM has returned."""
        ...

    # Callouts

    def http_call(
        self, cluster: bytes, headers: bytes, body: bytes, trailers: bytes, timeout_ms: int, /
    ) -> tuple[int, int]:
        """Start an HTTP callout; return its token. A timeout of 0 is none."""
        ...

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
        """Start a unary gRPC callout; return its token."""
        ...

    def grpc_stream(
        self, cluster: bytes, service: bytes, method: bytes, initial_metadata: bytes, /
    ) -> tuple[int, int]:
        """Open a gRPC stream; return its token."""
        ...

    def grpc_send(self, token: int, message: bytes, end_of_stream: int, /) -> int:
        """Send a message on a gRPC stream."""
        ...

    def grpc_cancel(self, token: int, /) -> int:
        """Cancel a gRPC callout."""
        ...

    def grpc_close(self, token: int, /) -> int:
        """Close a gRPC stream."""
        ...

    def get_status(self) -> tuple[int, int, bytes]:
        """Return code and message of the callout that has just ended."""
        ...

    # Shared data and queues

    def get_shared_data(self, key: bytes, /) -> tuple[int, bytes, int]:
        """Return a value and its compare-and-swap number."""
        ...

    def set_shared_data(self, key: bytes, value: bytes, cas: int, /) -> int:
        """Store a value; *cas* 0 overwrites, any other must be the current one if the key exists."""
        ...

    def register_shared_queue(self, name: bytes, /) -> tuple[int, int]:
        """Create a queue, or join it; return its token."""
        ...

    def resolve_shared_queue(self, vm_id: bytes, name: bytes, /) -> tuple[int, int]:
        """Find a queue of another VM; return its token."""
        ...

    def enqueue_shared_queue(self, queue: int, value: bytes, /) -> int:
        """Append to a queue."""
        ...

    def dequeue_shared_queue(self, queue: int, /) -> tuple[int, bytes]:
        """Take the first item of a queue."""
        ...

    # Metrics

    def define_metric(self, metric_kind: int, name: bytes, /) -> tuple[int, int]:
        """Define a metric, or find it; return its id."""
        ...

    def increment_metric(self, metric: int, offset: int, /) -> int:
        """Add to a counter (above 0 only) or a gauge."""
        ...

    def record_metric(self, metric: int, value: int, /) -> int:
        """Set a gauge, or record a value in a histogram."""
        ...

    def get_metric(self, metric: int, /) -> tuple[int, int]:
        """Return the value of a counter or gauge."""
        ...

    # Properties, foreign functions, contexts, environment

    def get_property(self, path: bytes, /) -> tuple[int, bytes]:
        """Return a property; the parts of its path are joined by NUL."""
        ...

    def set_property(self, path: bytes, value: bytes, /) -> int:
        """Store a property for other filters and access logs."""
        ...

    def call_foreign_function(self, name: bytes, arguments: bytes, /) -> tuple[int, bytes]:
        """Call a function that this host has beyond the ABI."""
        ...

    def set_effective_context(self, context: int, /) -> int:
        """Make the calls that follow act on another context."""
        ...

    def done(self) -> int:
        """Say that a context whose on_done returned 0 is now done."""
        ...

    def get_environment(self) -> tuple[int, bytes]:
        """Return the WASI environment of the VM: NUL-terminated `NAME=value` entries. Not of the ABI."""
        ...
