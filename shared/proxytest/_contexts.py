"""Contexts: what the host keeps for a VM, for a plugin in it, and for one HTTP stream of a plugin.

`Context` says no to everything; `RootContext` here and `StreamContext` in `_stream_context` know more.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ._abi import BufferType, MapType, Status, StreamType
from ._buffer import Buffer
from ._clock import Timer
from ._headers import HeaderMap
from ._plugin import PluginSpec

if TYPE_CHECKING:
    from ._callouts import CallResponse
    from ._grpc import GrpcExchange
    from ._stream import HttpStream
    from ._vm import Vm


@dataclass(slots=True, eq=False)
class Context:
    """The VM's own context (id 0): it can log and read the VM's configuration, hardly more."""

    vm: "Vm"
    id: int = 0
    exists_in_guest: bool = False

    @property
    def plugin_name(self) -> str:
        """The root id of the plugin this context belongs to."""
        return ""

    @property
    def plugin(self) -> PluginSpec | None:
        """The plugin this context belongs to; the VM's own belongs to none."""
        return None

    @property
    def root(self) -> "RootContext | None":
        """The root context that callouts and timers of this context belong to."""
        return None

    @property
    def stream(self) -> "HttpStream | None":
        """The HTTP stream, in the contexts that have one."""
        return None

    def readable_map(self, kind: MapType) -> HeaderMap | None:
        """Return a header map to read from, or None while the host does not hold it."""
        root = self.root
        response = root.call_response if root is not None else None
        if response is not None and kind is MapType.CALL_RESPONSE_HEADERS:
            return response.headers
        if response is not None and kind is MapType.CALL_RESPONSE_TRAILERS:
            return response.trailers
        if root is not None and kind is MapType.GRPC_INITIAL_METADATA:
            return root.grpc_initial_metadata
        if root is not None and kind is MapType.GRPC_TRAILING_METADATA:
            return root.grpc_trailing_metadata
        return None

    def missing_map_status(self) -> Status:
        """Return what reading a header says when the host does not hold the map."""
        return Status.BAD_ARGUMENT

    def writable_map(self, kind: MapType) -> HeaderMap | None:
        """Return a header map to change, or None: callout responses are never writable."""
        return None

    def map_modified(self, kind: MapType) -> None:
        """Take note that the guest changed a map."""

    def buffer(self, kind: BufferType) -> Buffer | bytes | None:
        """Return a buffer to edit, bytes that can only be read, or None for NOT_FOUND."""
        root = self.root
        if kind is BufferType.VM_CONFIGURATION:
            return self.vm.spec.configuration
        if kind is BufferType.CALL_RESPONSE_BODY:
            return root.call_response.body if root is not None and root.call_response is not None else None
        if kind is BufferType.GRPC_RECEIVE and root is not None and root.grpc_message is not None:
            return root.grpc_message
        if kind is BufferType.REDIS_RESPONSE and self.vm.process.profile.higress_calls:
            return root.redis_response if root is not None else None
        if kind is BufferType.PLUGIN_CONFIGURATION:
            return None
        return b""

    def continue_stream(self, kind: StreamType) -> Status:
        """Continue a paused stream, for contexts that have one."""
        return Status.UNIMPLEMENTED if kind is StreamType.UPSTREAM else Status.OK

    def close_stream(self, kind: StreamType) -> Status:
        """Reset a stream, for contexts that have one."""
        return Status.OK

    def send_local_response(
        self, status: int, body: bytes, headers: list[tuple[bytes, bytes]], grpc_status: int, details: bytes
    ) -> None:
        """Reply in the upstream's place, for contexts that have a stream."""


@dataclass(slots=True, eq=False)
class RootContext(Context):
    """One plugin configuration in one VM."""

    spec: PluginSpec = field(kw_only=True)
    call_response: "CallResponse | None" = None
    """The answer on_http_call_response is being told about; only there while that runs."""

    redis_response: bytes | None = None
    status_code: int = 0
    status_message: bytes = b""
    pending_calls: set[int] = field(default_factory=set)
    grpc_exchanges: "dict[int, GrpcExchange]" = field(default_factory=dict)
    """gRPC calls and streams by token, for as long as the guest can name them."""

    grpc_initial_metadata: HeaderMap | None = None
    grpc_trailing_metadata: HeaderMap | None = None
    grpc_message: Buffer | None = None
    _configuring: bool = False
    _tick_period_ns: int = 0
    _tick: Timer | None = None

    @property
    def plugin_name(self) -> str:
        return self.spec.root_id

    @property
    def plugin(self) -> PluginSpec:
        return self.spec

    @property
    def root(self) -> "RootContext":
        return self

    def start(self) -> bool:
        """Create the context in the guest and run on_vm_start, which hosts do for every root context."""
        with self.vm.entry():
            if self.vm.exports("on_context_create"):
                self._configuring = True
                self.vm.call(self, "on_context_create", 0)
                self._configuring = False
            self.exists_in_guest = True
            if not self.vm.exports("on_vm_start"):
                return self.vm.failure is None
            return bool(self.vm.call(self, "on_vm_start", len(self.vm.spec.configuration)))

    def configure(self) -> bool:
        """Run on_configure; only then can the guest read the plugin's configuration."""
        if self.vm.failure is not None or not self.vm.exports("on_configure"):
            return self.vm.failure is None
        with self.vm.entry():
            self._configuring = True
            accepted = bool(self.vm.call(self, "on_configure", len(self.spec.configuration)))
            self._configuring = False
            return accepted

    def shut_down(self) -> None:
        """Say goodbye to the guest: on_done, then on_delete."""
        if self._tick is not None:
            self._tick.cancel()
        for name in ("on_done", "on_delete"):
            if self.vm.failure is None and self.vm.exports(name):
                with self.vm.entry():
                    self.vm.call(self, name)
        self.vm.contexts.pop(self.id, None)

    def buffer(self, kind: BufferType) -> Buffer | bytes | None:
        if kind is BufferType.PLUGIN_CONFIGURATION:
            return self.spec.configuration if self._configuring else None
        return Context.buffer(self, kind)

    def set_tick_period(self, period_ms: int) -> None:
        """Call on_tick every *period_ms*, counted from now; 0 ends it."""
        self._tick_period_ns = period_ms * 1_000_000
        if self._tick is not None:
            self._tick.cancel()
        self._arm_tick()

    def _arm_tick(self) -> None:
        self._tick = None
        if self._tick_period_ns > 0:
            self._tick = self.vm.process.clock.after(self._tick_period_ns, self._on_tick)

    def _on_tick(self) -> None:
        if self.vm.failure is None and self.vm.exports("on_tick"):
            with self.vm.entry():
                self.vm.call(self, "on_tick")
        if self._tick is None or self._tick.due_ns <= self.vm.process.clock.now_ns:
            self._arm_tick()
        self.vm.process.run()

    def queue_ready(self, token: int) -> None:
        """Tell the guest that a queue it registered has something in it."""
        if self.vm.failure is None and self.vm.exports("on_queue_ready"):
            with self.vm.entry():
                self.vm.call(self, "on_queue_ready", token)

    def http_call_answered(self, token: int, response: "CallResponse | None") -> None:
        """Hand over a callout's answer; None when the call was reset after its answer had begun."""
        if token not in self.pending_calls:
            return
        self.pending_calls.discard(token)
        self.call_response = response
        if response is None:
            self.status_code, self.status_message = Status.BROKEN_CONNECTION, b"reset"
        if self.vm.failure is None and self.vm.exports("on_http_call_response"):
            with self.vm.entry():
                # First in line, so that actions the guest asked for run after the answer is gone.
                self.vm.defer(self._forget_answer)
                counts = (0, 0, 0)
                if response is not None:
                    trailers = 0 if response.trailers is None else len(response.trailers)
                    counts = (len(response.headers), len(response.body), trailers)
                self.vm.call(self, "on_http_call_response", token, *counts)
        self._forget_answer()

    def grpc_received_initial_metadata(self, token: int, metadata: HeaderMap) -> None:
        """Hand over the head of a gRPC stream's answer."""
        self.grpc_initial_metadata = metadata
        self._tell("on_grpc_receive_initial_metadata", token, len(metadata))
        self.grpc_initial_metadata = None

    def grpc_received(self, token: int, message: bytes, *, is_last: bool) -> None:
        """Hand over a gRPC message; *is_last* for a call's answer, after which its token means nothing."""

        def forget() -> None:
            self.grpc_message = None
            if is_last:
                self.grpc_exchanges.pop(token, None)

        self.grpc_message = Buffer(message)
        self._tell("on_grpc_receive", token, len(message), first_action=forget)
        forget()

    def grpc_received_trailing_metadata(self, token: int, metadata: HeaderMap) -> None:
        """Hand over the trailers of a gRPC stream's answer."""
        self.grpc_trailing_metadata = metadata
        self._tell("on_grpc_receive_trailing_metadata", token, len(metadata))
        self.grpc_trailing_metadata = None

    def grpc_closed(self, token: int, status: int, message: bytes) -> None:
        """Tell how a gRPC call failed or a gRPC stream ended.

        A stream's token keeps its meaning until the guest has closed its own side too.
        """

        def forget() -> None:
            self.status_message = b""
            exchange = self.grpc_exchanges.get(token)
            if exchange is not None and (exchange.is_unary or exchange.is_local_closed):
                del self.grpc_exchanges[token]

        self.status_code, self.status_message = status, message
        self._tell("on_grpc_close", token, status, first_action=forget)
        forget()

    def _tell(self, callback: str, *arguments: int, first_action: Callable[[], None] | None = None) -> None:
        if self.vm.failure is None and self.vm.exports(callback):
            with self.vm.entry():
                if first_action is not None:
                    # First in line, so that actions the guest asks for run after it.
                    self.vm.defer(first_action)
                self.vm.call(self, callback, *arguments)

    def redis_call_answered(self, token: int, status: int, response: bytes) -> None:
        """Hand over what Redis said (Higress, proxy_on_redis_call_response)."""
        if token not in self.pending_calls:
            return
        self.pending_calls.discard(token)
        self.redis_response = response
        if self.vm.failure is None and self.vm.exports("on_redis_call_response"):
            with self.vm.entry():
                self.vm.call(self, "on_redis_call_response", token, status, len(response))
        self.redis_response = None

    def _forget_answer(self) -> None:
        self.call_response = None
        self.status_message = b""
