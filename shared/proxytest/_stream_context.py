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


@dataclass(slots=True, eq=False)
class StreamContext(Context):
    """One filter of a stream's chain."""

    parent: RootContext = field(kw_only=True)
    http: "HttpStream" = field(kw_only=True)
    decoding: "Position" = field(init=False)
    encoding: "Position" = field(init=False)
    _request_headers: HeaderMap | None = None
    _request_body: Buffer | None = None
    _request_trailers: HeaderMap | None = None
    _response_headers: HeaderMap | None = None
    _response_body: Buffer | None = None
    _response_trailers: HeaderMap | None = None
    _buffers_request: bool = False
    _buffers_response: bool = False
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
        self._request_headers = headers
        self._end_of_stream = end_stream
        action = self._headers_callback("on_request_headers", headers, end_stream)
        if action is HeadersAction.CONTINUE:
            self._request_headers = None
        return action

    def decode_data(self, data: Buffer, end_stream: bool) -> DataAction:
        """Show the filter a piece of the request's body, or all there is when it has been buffering."""
        if not self.exists_in_guest:
            return DataAction.CONTINUE
        if self._buffers_request:
            self.decoding.hold(data)
            if self.http.is_destroyed:
                return DataAction.STOP_AND_BUFFER  # Holding it was too much, and the stream has ended.
        self._request_body = data
        self._end_of_stream = end_stream
        action = self._data_callback("on_request_body", BufferType.REQUEST_BODY, end_stream)
        self._buffers_request = action is DataAction.STOP_AND_BUFFER
        if action is DataAction.CONTINUE:
            self._request_body = None
        return action

    def decode_trailers(self, trailers: HeaderMap) -> TrailersAction:
        """Show the filter the request's trailers."""
        if not self.exists_in_guest:
            return TrailersAction.CONTINUE
        self._request_trailers = trailers
        action = self._trailers_callback("on_request_trailers", trailers)
        if action is TrailersAction.CONTINUE:
            self._request_trailers = None
        return action

    def encode_headers(self, headers: HeaderMap, end_stream: bool) -> HeadersAction:
        """Show the filter the response's headers, unless the request never got as far as this filter."""
        if not self.exists_in_guest or self._failed:
            return HeadersAction.CONTINUE
        self._response_headers = headers
        self._end_of_stream = end_stream
        action = self._headers_callback("on_response_headers", headers, end_stream)
        if action is HeadersAction.CONTINUE:
            self._response_headers = None
        return action

    def encode_data(self, data: Buffer, end_stream: bool) -> DataAction:
        """Show the filter a piece of the response's body, or all there is when it has been buffering."""
        if not self.exists_in_guest or self._failed:
            return DataAction.CONTINUE
        if self._buffers_response:
            self.encoding.hold(data)
            if self.http.is_destroyed:
                return DataAction.STOP_AND_BUFFER  # Holding it was too much, and the stream has ended.
        self._response_body = data
        self._end_of_stream = end_stream
        action = self._data_callback("on_response_body", BufferType.RESPONSE_BODY, end_stream)
        self._buffers_response = action is DataAction.STOP_AND_BUFFER
        if action is DataAction.CONTINUE:
            self._response_body = None
        return action

    def encode_trailers(self, trailers: HeaderMap) -> TrailersAction:
        """Show the filter the response's trailers."""
        if not self.exists_in_guest or self._failed:
            return TrailersAction.CONTINUE
        self._response_trailers = trailers
        action = self._trailers_callback("on_response_trailers", trailers)
        if action is TrailersAction.CONTINUE:
            self._response_trailers = None
        return action

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
            MapType.REQUEST_HEADERS: self._request_headers,
            MapType.REQUEST_TRAILERS: self._request_trailers,
            MapType.RESPONSE_HEADERS: self._response_headers,
            MapType.RESPONSE_TRAILERS: self._response_trailers,
        }
        return held[kind] if kind in held else Context.readable_map(self, kind)

    def missing_map_status(self) -> Status:
        return Status.NOT_FOUND if self._logging else Status.BAD_ARGUMENT

    def writable_map(self, kind: MapType) -> HeaderMap | None:
        if kind is MapType.REQUEST_HEADERS:
            return self._request_headers
        if kind is MapType.RESPONSE_HEADERS:
            return self._response_headers
        if kind is MapType.REQUEST_TRAILERS:
            # Writing trailers in the last body callback makes a message that has none get some.
            if self._request_trailers is None and self._request_body is not None and self._end_of_stream:
                self._request_trailers = self.http.decoding.add_trailers()
            return self._request_trailers
        if kind is MapType.RESPONSE_TRAILERS:
            if self._response_trailers is None and self._response_body is not None and self._end_of_stream:
                self._response_trailers = self.http.encoding.add_trailers()
            return self._response_trailers
        return None

    def map_modified(self, kind: MapType) -> None:
        if kind is MapType.REQUEST_HEADERS:
            self.http.clear_route_cache()

    def buffer(self, kind: BufferType) -> Buffer | bytes | None:
        if kind is BufferType.REQUEST_BODY:
            if self._buffers_request and self.http.decoding.buffered is not None:
                return self.http.decoding.buffered
            return self._request_body if self._request_body is not None else b""
        if kind is BufferType.RESPONSE_BODY:
            if self._buffers_response and self.http.encoding.buffered is not None:
                return self.http.encoding.buffered
            return self._response_body if self._response_body is not None else b""
        return Context.buffer(self, kind)

    def continue_stream(self, kind: StreamType) -> Status:
        if kind is StreamType.REQUEST:
            self._defer(self.decoding.resume)
        elif kind is StreamType.RESPONSE:
            self._defer(self.encoding.resume)
        else:
            return Context.continue_stream(self, kind)
        # Continuing either half lets go of the request: an oddity of Envoy's.
        self._request_headers = self._request_body = self._request_trailers = None
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

    def _headers_callback(self, name: str, headers: HeaderMap, end_stream: bool) -> HeadersAction:
        if self._is_failed():
            return HeadersAction.CONTINUE if self._fails_open else HeadersAction.STOP_ALL_AND_WATERMARK
        if not self.vm.exports(name):
            return HeadersAction.CONTINUE
        with self.vm.entry():
            result = self.vm.call(self, name, len(headers), int(end_stream))
            if self._is_failed():
                return HeadersAction.CONTINUE if self._fails_open else HeadersAction.STOP_ALL_AND_WATERMARK
            if self.vm.iteration_stopped or result > HeadersAction.STOP_ALL_AND_WATERMARK:
                return HeadersAction.STOP_ALL_AND_WATERMARK
            if result == HeadersAction.STOP_ITERATION and not self._may_stop_alone:
                return HeadersAction.STOP_ALL_AND_WATERMARK
            if result == HeadersAction.CONTINUE_AND_END_STREAM:
                return HeadersAction.CONTINUE
            return HeadersAction(result)

    def _data_callback(self, name: str, kind: BufferType, end_stream: bool) -> DataAction:
        if self._is_failed():
            return DataAction.CONTINUE if self._fails_open else DataAction.STOP_NO_BUFFER
        if not self.vm.exports(name):
            return DataAction.CONTINUE
        body = self.buffer(kind)
        with self.vm.entry():
            result = self.vm.call(self, name, len(body) if body is not None else 0, int(end_stream))
            if self._is_failed():
                return DataAction.CONTINUE if self._fails_open else DataAction.STOP_NO_BUFFER
            if self.vm.iteration_stopped or result > DataAction.STOP_NO_BUFFER:
                return DataAction.STOP_NO_BUFFER
            return DataAction(result)

    def _trailers_callback(self, name: str, trailers: HeaderMap) -> TrailersAction:
        if self._is_failed():
            return TrailersAction.CONTINUE if self._fails_open else TrailersAction.STOP_ITERATION
        if not self.vm.exports(name):
            return TrailersAction.CONTINUE
        with self.vm.entry():
            result = self.vm.call(self, name, len(trailers))
            if self._is_failed():
                return TrailersAction.CONTINUE if self._fails_open else TrailersAction.STOP_ITERATION
            if self.vm.iteration_stopped or result != TrailersAction.CONTINUE:
                return TrailersAction.STOP_ITERATION
            return TrailersAction.CONTINUE

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
