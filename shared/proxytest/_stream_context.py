"""A wasm filter in one HTTP stream: which maps and buffers it holds, and what its answers mean.

The rules are those of Envoy's extensions/common/wasm/context.cc. A filter holds a header map from the
callback about it until that callback says Continue; afterwards the map cannot be read or changed any more.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ._abi import BufferType, DataAction, HeadersAction, MapType, Status, StreamType, TrailersAction
from ._buffer import Buffer
from ._contexts import Context, RootContext
from ._errors import UnsafeForHostError
from ._headers import HeaderMap
from ._plugin import FailurePolicy, PluginSpec

if TYPE_CHECKING:
    from ._chain import Position
    from ._stream import HttpStream

_FAIL_DETAILS = "wasm_fail_stream"
_CLOSE_DETAILS = "wasm_close_stream"


@dataclass(slots=True, eq=False, kw_only=True)
class Half:
    """One direction of a stream, as one filter sees it: what of the message it holds."""

    name: str
    """As in the names of its callbacks."""

    body_kind: BufferType
    position: "Position" = field(init=False)
    headers: HeaderMap | None = None
    body: Buffer | None = None
    trailers: HeaderMap | None = None
    buffers: bool = False
    """Whether the filter has the body kept, so that it sees all of it each time."""

    def readable_body(self) -> Buffer | bytes:
        """Return what the filter sees as the body; outside a body callback that is the last it was shown."""
        buffered = self.position.direction.buffered
        if self.buffers and buffered is not None:
            return buffered
        return self.body if self.body is not None else b""


@dataclass(slots=True, eq=False)
class StreamContext(Context):
    """One filter of a stream's chain."""

    parent: RootContext = field(kw_only=True)
    http: "HttpStream" = field(kw_only=True)
    request: Half = field(default_factory=lambda: Half(name="request", body_kind=BufferType.REQUEST_BODY))
    response: Half = field(default_factory=lambda: Half(name="response", body_kind=BufferType.RESPONSE_BODY))
    _end_of_stream: bool = False
    _logging: bool = False
    _failed: bool = False

    @property
    def plugin_name(self) -> str:
        return self.parent.spec.root_id

    @property
    def plugin(self) -> PluginSpec:
        return self.parent.spec

    @property
    def root(self) -> RootContext:
        return self.parent

    @property
    def stream(self) -> "HttpStream":
        return self.http

    # The request and response on their way through this filter

    def decode_headers(self, headers: HeaderMap, end_stream: bool) -> HeadersAction:
        """Show the filter the request's headers; this is where it comes into being in the guest."""
        self._create()
        return self._show_headers(self.request, headers, end_stream)

    def decode_data(self, data: Buffer, end_stream: bool) -> DataAction:
        """Show the filter a piece of the request's body, or all there is when it has been buffering."""
        if not self.exists_in_guest:
            return DataAction.CONTINUE
        return self._show_data(self.request, data, end_stream)

    def decode_trailers(self, trailers: HeaderMap) -> TrailersAction:
        """Show the filter the request's trailers."""
        if not self.exists_in_guest:
            return TrailersAction.CONTINUE
        return self._show_trailers(self.request, trailers)

    def encode_headers(self, headers: HeaderMap, end_stream: bool) -> HeadersAction:
        """Show the filter the response's headers, unless the request never got as far as this filter."""
        if not self.exists_in_guest or self._failed:
            return HeadersAction.CONTINUE
        return self._show_headers(self.response, headers, end_stream)

    def encode_data(self, data: Buffer, end_stream: bool) -> DataAction:
        """Show the filter a piece of the response's body, or all there is when it has been buffering."""
        if not self.exists_in_guest or self._failed:
            return DataAction.CONTINUE
        return self._show_data(self.response, data, end_stream)

    def encode_trailers(self, trailers: HeaderMap) -> TrailersAction:
        """Show the filter the response's trailers."""
        if not self.exists_in_guest or self._failed:
            return TrailersAction.CONTINUE
        return self._show_trailers(self.response, trailers)

    def log(self) -> None:
        """Run on_log; a filter the request never reached is created for it."""
        self._create()
        self._logging = True
        self._notify("on_log")
        self._logging = False

    def destroy(self) -> None:
        """Run on_done and on_delete; the context ends when the present event is over."""
        if self.exists_in_guest:
            self._notify("on_done")
            self._notify("on_delete")
        self.vm.process.after_event(self._forget)

    def _forget(self) -> None:
        self.vm.contexts.pop(self.id, None)

    # What the guest may see and do

    def readable_map(self, kind: MapType) -> HeaderMap | None:
        if self._logging:
            logged: dict[MapType, HeaderMap | None] = {
                MapType.REQUEST_HEADERS: self.http.decoding.headers,
                MapType.RESPONSE_HEADERS: self.http.encoding.headers,
                MapType.RESPONSE_TRAILERS: self.http.encoding.trailers,
            }
            return logged.get(kind)
        held = {
            MapType.REQUEST_HEADERS: self.request.headers,
            MapType.REQUEST_TRAILERS: self.request.trailers,
            MapType.RESPONSE_HEADERS: self.response.headers,
            MapType.RESPONSE_TRAILERS: self.response.trailers,
        }
        return held[kind] if kind in held else Context.readable_map(self, kind)

    def missing_map_status(self) -> Status:
        return Status.NOT_FOUND if self._logging else Status.BAD_ARGUMENT

    def writable_map(self, kind: MapType) -> HeaderMap | None:
        if kind is MapType.REQUEST_HEADERS:
            return self.request.headers
        if kind is MapType.RESPONSE_HEADERS:
            return self.response.headers
        if kind is MapType.REQUEST_TRAILERS:
            return self._writable_trailers(self.request)
        if kind is MapType.RESPONSE_TRAILERS:
            return self._writable_trailers(self.response)
        return None

    def _writable_trailers(self, half: Half) -> HeaderMap | None:
        # Writing trailers in the last body callback makes a message that has none get some.
        if half.trailers is None and half.body is not None and self._end_of_stream:
            half.trailers = half.position.direction.add_trailers()
        return half.trailers

    def map_modified(self, kind: MapType) -> None:
        if kind is MapType.REQUEST_HEADERS:
            self.http.clear_route_cache()

    def buffer(self, kind: BufferType) -> Buffer | bytes | None:
        for half in (self.request, self.response):
            if kind is half.body_kind:
                return half.readable_body()
        return Context.buffer(self, kind)

    def continue_stream(self, kind: StreamType) -> Status:
        if kind is StreamType.REQUEST:
            self._defer(self.request.position.resume)
        elif kind is StreamType.RESPONSE:
            self._defer(self.response.position.resume)
        else:
            return Context.continue_stream(self, kind)
        # Continuing either half lets go of the request: an oddity of Envoy's.
        self.request.headers = self.request.body = self.request.trailers = None
        return Status.OK

    def close_stream(self, kind: StreamType) -> Status:
        if kind in (StreamType.REQUEST, StreamType.RESPONSE):
            self.http.response_details = self.http.response_details or _CLOSE_DETAILS
            self._defer(self.http.reset_by_filter)
        return Status.OK

    def send_local_response(
        self, status: int, body: bytes, headers: list[tuple[bytes, bytes]], grpc_status: int, details: bytes
    ) -> None:
        if self.http.is_destroyed:
            raise UnsafeForHostError(
                "proxy_send_local_response in on_log, on_done or on_delete: Envoy ends the stream a second "
                "time from within its end, and calls on_log again until its stack overflows"
            )
        text = "".join("_" if letter.isspace() else letter for letter in details.decode("utf-8", "replace"))
        self._defer(lambda: self.http.send_local_reply(status, body, headers, grpc_status, text))

    # Calling the guest

    def _create(self) -> None:
        if not self.exists_in_guest and self.vm.failure is None and self.vm.exports("on_context_create"):
            with self.vm.entry():
                self.vm.call(self, "on_context_create", self.parent.id)
        self.exists_in_guest = True

    def _show_headers(self, half: Half, headers: HeaderMap, end_stream: bool) -> HeadersAction:
        half.headers = headers
        self._end_of_stream = end_stream
        name = f"on_{half.name}_headers"
        most = HeadersAction.STOP_ALL_AND_WATERMARK
        action = HeadersAction(self._call(name, len(headers), int(end_stream), most=most))
        if action is HeadersAction.STOP_ITERATION and not self._may_stop_alone:
            action = HeadersAction.STOP_ALL_AND_WATERMARK
        if action is HeadersAction.CONTINUE_AND_END_STREAM:
            action = HeadersAction.CONTINUE
        if action is HeadersAction.CONTINUE:
            half.headers = None
        return action

    def _show_data(self, half: Half, data: Buffer, end_stream: bool) -> DataAction:
        if half.buffers:
            half.position.hold(data)
            if self.http.is_destroyed:
                return DataAction.STOP_AND_BUFFER  # Holding it was too much, and the stream has ended.
        half.body = data
        self._end_of_stream = end_stream
        size = len(half.readable_body())
        most = DataAction.STOP_NO_BUFFER
        action = DataAction(self._call(f"on_{half.name}_body", size, int(end_stream), most=most))
        half.buffers = action is DataAction.STOP_AND_BUFFER
        if action is DataAction.CONTINUE:
            half.body = None
        return action

    def _show_trailers(self, half: Half, trailers: HeaderMap) -> TrailersAction:
        half.trailers = trailers
        most = TrailersAction.STOP_ITERATION
        action = TrailersAction(self._call(f"on_{half.name}_trailers", len(trailers), most=most))
        if action is TrailersAction.CONTINUE:
            half.trailers = None
        return action

    def _call(self, name: str, *arguments: int, most: int) -> int:
        """Run a callback and return its answer, at most *most*, which is also what holds the stream best."""
        when_failed = 0 if self._fails_open else most
        if self._is_failed():
            return when_failed
        if not self.vm.exports(name):
            return 0
        with self.vm.entry():
            result = self.vm.call(self, name, *arguments)
            if self._is_failed():
                return when_failed
            return most if self.vm.iteration_stopped else min(result, most)

    def _notify(self, name: str) -> None:
        if self.vm.failure is None and self.vm.exports(name):
            with self.vm.entry():
                self.vm.call(self, name)

    def _defer(self, action: Callable[[], None]) -> None:
        self.vm.defer(lambda: None if self.http.is_destroyed else action())

    @property
    def _fails_open(self) -> bool:
        policy = self.plugin.failure_policy
        is_higress = self.vm.process.profile.higress_calls
        return policy is FailurePolicy.OPEN_ALWAYS or (policy is FailurePolicy.OPEN and is_higress)

    @property
    def _may_stop_alone(self) -> bool:
        return self.plugin.allow_on_headers_stop_iteration or self.vm.uses_higress_pausing

    def _is_failed(self) -> bool:
        """Tell whether the VM is dead; the first time, a plugin that fails closed answers 503."""
        if self.vm.failure is None:
            return False
        if not self._fails_open and not self._failed:
            self._failed = True
            self.http.send_local_reply(503, b"", [], -1, _FAIL_DETAILS)
        return True
