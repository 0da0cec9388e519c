"""What a test sees of a request: what the client got, and what reached the upstream."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ._abi import Pairs
from ._grpc_frames import take_frames
from ._http1 import Decoder

__all__ = ["MessageHeaders", "Received", "Reply"]


class MessageHeaders(Mapping[str, str]):
    """Headers of a message: names in any case, the first value of each; `get_all` has the others."""

    def __init__(self, pairs: Pairs) -> None:
        self._pairs = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in pairs]

    def __getitem__(self, name: str) -> str:
        for key, value in self._pairs:
            if key == name.lower():
                return value
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(dict(self._pairs))

    def __len__(self) -> int:
        return len(dict(self._pairs))

    def __repr__(self) -> str:
        return f"MessageHeaders({self._pairs!r})"

    def get_all(self, name: str) -> list[str]:
        """Return every value of *name*, in order."""
        return [value for key, value in self._pairs if key == name.lower()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the client got."""

    status: int
    headers: MessageHeaders
    body: bytes
    trailers: MessageHeaders
    complete: bool
    """Whether the end came; false for what was cut short or is still coming."""

    @classmethod
    def of(cls, decoder: Decoder) -> "Reply":
        """Read a response as far as it has come."""
        return cls(
            status=int(decoder.start_line.split(b" ")[1]),
            headers=MessageHeaders(decoder.headers),
            body=bytes(decoder.body),
            trailers=MessageHeaders(decoder.trailers),
            complete=decoder.is_complete,
        )

    def json(self) -> object:
        """Parse the body as JSON. Raises ValueError."""
        return json.loads(self.body)

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What a server got: the routed request at the upstream, or a filter's own call at a service."""

    cluster: str
    method: str
    path: str
    headers: MessageHeaders
    body: bytes
    trailers: MessageHeaders
    complete: bool
    """Whether the end came."""

    @classmethod
    def of(cls, cluster: str, decoder: Decoder) -> "Received":
        """Read a request as far as it has come."""
        method, path, _ = decoder.start_line.decode("latin-1").split(" ", 2)
        return cls(
            cluster=cluster,
            method=method,
            path=path,
            headers=MessageHeaders(decoder.headers),
            body=bytes(decoder.body),
            trailers=MessageHeaders(decoder.trailers),
            complete=decoder.is_complete,
        )

    @property
    def grpc_messages(self) -> list[bytes]:
        """The gRPC messages in the body, those that are there completely."""
        return [message for _, message in take_frames(bytearray(self.body))]

    def json(self) -> object:
        """Parse the body as JSON. Raises ValueError."""
        return json.loads(self.body)
