"""Requests and responses as a filter sees them: headers, body and trailers that the host holds."""

from dataclasses import dataclass
from typing import Final

from ._abi import WHOLE_BUFFER, BufferType, MapType, StreamType
from ._host import Host
from ._tasks import AwaitsBody
from ._vm import Vm
from .errors import BodyUnavailableError, host_error
from .headers import Headers

__all__ = ["Body", "Request", "Response"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Side:
    """What the ABI calls the parts of one direction of a stream."""

    name: str
    headers: MapType
    trailers: MapType
    buffer: BufferType
    stream: StreamType


REQUEST: Final = Side(
    name="request",
    headers=MapType.REQUEST_HEADERS,
    trailers=MapType.REQUEST_TRAILERS,
    buffer=BufferType.REQUEST_BODY,
    stream=StreamType.REQUEST,
)
RESPONSE: Final = Side(
    name="response",
    headers=MapType.RESPONSE_HEADERS,
    trailers=MapType.RESPONSE_TRAILERS,
    buffer=BufferType.RESPONSE_BODY,
    stream=StreamType.RESPONSE,
)


class Body:
    """The body of a request or response: whole (`read`), or piece by piece (`chunk`)."""

    __slots__ = ("_data", "_message", "_whole")

    def __init__(self, message: "Message") -> None:
        self._message = message
        self._data: bytes | None = None
        self._whole = False

    async def read(self) -> bytes:
        """Wait for the whole body and return it; b"" if there is none.

        Held back are the headers, when they have not left yet, and the body, up to the limit of the proxy:
        beyond it the proxy answers 413 (requests) or 500 (responses). Read before calling out: while a
        callout is awaited in the headers callback no body arrives. Once a part has been passed on the whole
        is not to be had, and `BodyUnavailableError` is raised; after the callback has continued, too, so keep
        what later callbacks need of it.

        The proxy must let headers be held while the body arrives: Envoy 1.35 and later with
        `allow_on_headers_stop_iteration: true` in the plugin's configuration, or Higress. Otherwise a request
        with a body waits for ever.
        """
        message = self._message
        if self._whole:
            return self.chunk
        if message.body_passed_on:
            raise BodyUnavailableError(
                f"a part of the {message.name} body has been passed on: read() before continuing with it"
            )
        if not message.body_complete:
            await AwaitsBody(message.side)
        self._whole = True
        return self.chunk

    @property
    def chunk(self) -> bytes:
        """The bytes that this callback is about: what has just arrived, and what was held back before it.

        Once they have been passed on it is empty until more arrives.
        """
        if self._data is None:
            self._data = self._fetch() if self._message.has_body_bytes else b""
        return self._data

    def replace(self, data: bytes) -> None:
        """Put *data* in the place of `chunk`: of the whole body after `read`, of one part in a body callback.

        While the headers are held, `content-length` is corrected, if there is one. When they have left with
        one the message breaks: a filter that changes a body piece by piece deletes it in the headers
        callback.
        """
        message = self._message
        if not message.body_is_present:
            raise BodyUnavailableError(f"there is no {message.name} body to replace now")
        status = message.host.set_buffer_bytes(message.side.buffer, 0, WHOLE_BUFFER, data)
        if status:
            raise host_error("set_buffer_bytes", status, f"the {message.name} body cannot be changed now")
        self._data = data
        if message.headers_held and "content-length" in message.headers:
            message.headers.set("content-length", str(len(data)))

    @property
    def was_read(self) -> bool:
        """Whether `read` has returned all of the body."""
        return self._whole

    def forget(self) -> None:
        """Let go of what was fetched: the host has more now, or has passed it on."""
        self._data = None
        self._whole = False

    def _fetch(self) -> bytes:
        message = self._message
        status, data = message.host.get_buffer_bytes(message.side.buffer, 0, WHOLE_BUFFER)
        if status:
            raise host_error("get_buffer_bytes", status, f"the {message.name} body cannot be read now")
        return data


class Message:
    """What requests and responses have in common. Attributes without a docstring are the dispatcher's."""

    __slots__ = (
        "_body",
        "_body_size",
        "_trailers",
        "body_complete",
        "body_is_present",
        "body_passed_on",
        "end_of_stream",
        "headers",
        "headers_held",
        "side",
        "vm",
    )

    def __init__(self, vm: Vm, side: Side) -> None:
        self.vm = vm
        self.side = side
        self.headers = Headers(vm.host, side.headers)
        self.end_of_stream = False
        """Whether nothing follows what this callback is about: no body, no more of it, no trailers."""
        self.headers_held = False
        self.body_is_present = False
        self.body_complete = False
        self.body_passed_on = False
        self._body: Body | None = None
        self._body_size = 0
        self._trailers: Headers | None = None

    @property
    def body(self) -> Body:
        """The body."""
        if self._body is None:
            self._body = Body(self)
        return self._body

    @property
    def trailers(self) -> Headers:
        """The trailers; the host holds them in the trailers callback."""
        if self._trailers is None:
            self._trailers = Headers(self.vm.host, self.side.trailers)
        return self._trailers

    @property
    def name(self) -> str:
        """`request` or `response`."""
        return self.side.name

    @property
    def host(self) -> Host:
        """The host that has this message."""
        return self.vm.host

    @property
    def has_body_bytes(self) -> bool:
        """Whether there is something of the body to fetch from the host."""
        return self._body_size > 0

    def headers_arrived(self, end_of_stream: bool) -> None:
        """Take note of a headers callback."""
        self.headers_held = True
        self.end_of_stream = self.body_complete = end_of_stream

    def body_arrived(self, size: int, end_of_stream: bool) -> None:
        """Take note of a body callback: the host has *size* bytes to show."""
        self.body_is_present = True
        self._body_size = max(self._body_size, size)
        self.end_of_stream = self.body_complete = end_of_stream
        if self.headers_held:
            self.headers.forget()
        if self._body is not None:
            self._body.forget()

    def trailers_arrived(self) -> None:
        """Take note of a trailers callback: the body has ended with the last body callback."""
        self.end_of_stream = self.body_complete = True
        if self.headers_held:
            self.headers.forget()

    def continued(self) -> None:
        """Take note that all that was held goes on to the next filter."""
        if self.headers_held:
            self.headers_held = False
            self.headers.forget()
        if self.body_is_present:
            self.body_passed_on = True
            self.body_is_present = False
            self._body_size = 0
            if self._body is not None:
                self._body.forget()

    def close(self) -> None:
        """Break the circle of references with the body: the stream is over."""
        self._body = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class Request(Message):
    """A request on its way to the upstream."""

    __slots__ = ()

    @property
    def method(self) -> str:
        """The method, upper-case."""
        return self.headers.get(":method", "")

    @method.setter
    def method(self, value: str) -> None:
        self.headers.set(":method", value)

    @property
    def path(self) -> str:
        """Path and query, as in the request line."""
        return self.headers.get(":path", "")

    @path.setter
    def path(self, value: str) -> None:
        self.headers.set(":path", value)

    @property
    def authority(self) -> str:
        """The host the client asked for, with the port if it named one."""
        return self.headers.get(":authority", "")

    @authority.setter
    def authority(self, value: str) -> None:
        self.headers.set(":authority", value)

    @property
    def scheme(self) -> str:
        """`http` or `https`, as the client spoke to the proxy."""
        return self.headers.get(":scheme", "")


class Response(Message):
    """A response on its way to the client."""

    __slots__ = ()

    @property
    def status(self) -> int:
        """The status code."""
        return int(self.headers.get(":status", "0"))

    @status.setter
    def status(self, value: int) -> None:
        self.headers.set(":status", str(value))

    @property
    def code_details(self) -> str | None:
        """Who made this response and why: `via_upstream`, or the details of a local reply."""
        return self.vm.properties.get_str("response", "code_details")

    @property
    def is_local_reply(self) -> bool:
        """Whether the proxy, or a filter in it, made this response: it says nothing about the upstream."""
        return self.code_details != "via_upstream"
