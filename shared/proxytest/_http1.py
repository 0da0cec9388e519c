"""HTTP/1.1 on the wire, as far as the harness needs it: writing messages in steps, reading them as they come.

Both engines speak it. The emulator encodes what leaves the filter chain and reads it back, so a wrong
content-length has the consequence it has in reality.
"""

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field

from ._abi import Pairs

_BODILESS_STATUS = frozenset({b"204", b"304"})


class Framing(enum.Enum):
    """How the end of a body is marked."""

    NONE = enum.auto()
    LENGTH = enum.auto()
    CHUNKED = enum.auto()
    CLOSE = enum.auto()


@dataclass(slots=True)
class Encoder:
    """Writes one message, part by part."""

    framing: Framing = Framing.NONE

    def request(self, headers: Pairs, end_stream: bool) -> bytes:
        """Encode the head of a request given with pseudo headers."""
        pseudo = dict(headers)
        line = b"%s %s HTTP/1.1\r\n" % (pseudo.get(b":method", b"GET"), pseudo.get(b":path", b"/"))
        host = [(b"host", pseudo[b":authority"])] if b":authority" in pseudo else []
        plain = [*host, *_without_pseudo(headers)]
        if end_stream:
            method_may_have_body = pseudo.get(b":method") in (b"POST", b"PUT", b"PATCH")
            if method_may_have_body and b"content-length" not in dict(plain):
                plain.append((b"content-length", b"0"))
            self.framing = Framing.NONE
        else:
            plain = self._frame(plain)
        return line + _head(plain)

    def response(self, headers: Pairs, end_stream: bool, *, to_head: bool = False) -> bytes:
        """Encode the head of a response given with its `:status`."""
        status = dict(headers).get(b":status", b"0")
        plain = list(_without_pseudo(headers))
        if to_head or status in _BODILESS_STATUS:
            self.framing = Framing.NONE
        elif end_stream:
            if b"content-length" not in dict(plain):
                plain.append((b"content-length", b"0"))
            self.framing = Framing.NONE
        else:
            plain = self._frame(plain)
        return b"HTTP/1.1 %s X\r\n" % status + _head(plain)

    def data(self, data: bytes) -> bytes:
        """Encode a piece of body."""
        if self.framing is Framing.CHUNKED:
            return b"%x\r\n%s\r\n" % (len(data), data) if data else b""
        return data if self.framing is Framing.LENGTH else b""

    def end(self, trailers: Pairs | None = None) -> bytes:
        """Encode the end of the message; trailers can only be told in chunks."""
        if self.framing is not Framing.CHUNKED:
            return b""
        return b"0\r\n" + _head(trailers or [])

    def _frame(self, headers: Pairs) -> Pairs:
        if b"content-length" in dict(headers):
            self.framing = Framing.LENGTH
            return headers
        self.framing = Framing.CHUNKED
        return [*headers, (b"transfer-encoding", b"chunked")]


def _without_pseudo(headers: Pairs) -> Iterable[tuple[bytes, bytes]]:
    return [(key, value) for key, value in headers if not key.startswith(b":")]


def _head(headers: Pairs) -> bytes:
    return b"".join(b"%s: %s\r\n" % header for header in headers) + b"\r\n"


class _Expect(enum.Enum):
    HEAD = enum.auto()
    BODY = enum.auto()
    CHUNK_SIZE = enum.auto()
    CHUNK = enum.auto()
    TRAILERS = enum.auto()
    END = enum.auto()


@dataclass(slots=True)
class Decoder:
    """Reads one message from however many pieces it comes in."""

    is_response: bool
    to_head: bool = False
    """Whether the response answers a HEAD request."""

    start_line: bytes = b""
    headers: Pairs = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    trailers: Pairs = field(default_factory=list)
    rest: bytes = b""
    """What came after the end of the message."""

    _pending: bytearray = field(default_factory=bytearray)
    _expect: _Expect = _Expect.HEAD
    _missing: int = 0
    _until_close: bool = False

    @property
    def has_head(self) -> bool:
        """Whether the headers are there."""
        return self._expect is not _Expect.HEAD

    @property
    def is_complete(self) -> bool:
        """Whether the whole message is there."""
        return self._expect is _Expect.END

    def feed(self, data: bytes) -> None:
        """Take bytes from the wire. Raises ValueError for what is not HTTP/1.1."""
        self._pending += data
        while self._advance():
            pass
        if self.is_complete and self._pending:
            self.rest += bytes(self._pending)
            self._pending.clear()

    def closed(self) -> None:
        """Take note that the sender has closed the connection, which is how some bodies end."""
        if self._until_close and self._expect is _Expect.BODY:
            self._expect = _Expect.END

    def _advance(self) -> bool:
        if self._expect is _Expect.HEAD:
            return self._read_head()
        if self._expect in (_Expect.BODY, _Expect.CHUNK):
            return self._read_body()
        if self._expect is _Expect.CHUNK_SIZE:
            line = self._take_line()
            if line is None:
                return False
            self._missing = int(line.split(b";")[0], 16)
            self._expect = _Expect.CHUNK if self._missing else _Expect.TRAILERS
            return True
        if self._expect is _Expect.TRAILERS:
            line = self._take_line()
            if line is None:
                return False
            if line:
                self.trailers.append(_header(line))
            else:
                self._expect = _Expect.END
            return True
        return False

    def _read_head(self) -> bool:
        end = self._pending.find(b"\r\n\r\n")
        if end < 0:
            return False
        start, *lines = bytes(self._pending[:end]).split(b"\r\n")
        del self._pending[: end + 4]
        if self.is_response and start.split(b" ")[1] == b"100":
            return True
        self.start_line = start
        self.headers = [_header(line) for line in lines]
        self._expect = self._after_head()
        return True

    def _after_head(self) -> _Expect:
        fields = dict(self.headers)
        status = self.start_line.split(b" ")[1] if self.is_response else b""
        if self.to_head or status in _BODILESS_STATUS:
            return _Expect.END
        if b"chunked" in fields.get(b"transfer-encoding", b""):
            return _Expect.CHUNK_SIZE
        if b"content-length" in fields:
            self._missing = int(fields[b"content-length"])
            return _Expect.BODY if self._missing else _Expect.END
        self._until_close = self.is_response
        return _Expect.BODY if self.is_response else _Expect.END

    def _read_body(self) -> bool:
        if self._until_close:
            self.body += self._pending
            self._pending.clear()
            return False
        if self._missing:
            piece = self._pending[: self._missing]
            self.body += piece
            del self._pending[: len(piece)]
            self._missing -= len(piece)
            if self._missing:
                return False
        if self._expect is _Expect.BODY:
            self._expect = _Expect.END
            return True
        if self._take_line() is None:
            return False
        self._expect = _Expect.CHUNK_SIZE
        return True

    def _take_line(self) -> bytes | None:
        end = self._pending.find(b"\r\n")
        if end < 0:
            return None
        line = bytes(self._pending[:end])
        del self._pending[: end + 2]
        return line


def _header(line: bytes) -> tuple[bytes, bytes]:
    name, _, value = line.partition(b":")
    return name.strip().lower(), value.strip()
