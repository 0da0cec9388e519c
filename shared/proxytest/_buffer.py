"""Body buffers, with the limits a proxy puts on them and the few edits it permits."""

from collections.abc import Callable

from ._abi import Status


class Buffer:
    """Bytes of a body on their way; *too_large* is told once each time the content outgrows *limit*."""

    __slots__ = ("_data", "_is_above", "_limit", "_too_large")

    def __init__(
        self, data: bytes = b"", *, limit: int | None = None, too_large: Callable[[], None] | None = None
    ) -> None:
        self._data = bytearray(data)
        self._limit = limit
        self._too_large = too_large
        self._is_above = False

    def __len__(self) -> int:
        return len(self._data)

    def __bytes__(self) -> bytes:
        return bytes(self._data)

    def move_from(self, other: "Buffer") -> None:
        """Append everything *other* holds and leave it empty."""
        self._data += other._data
        other._data.clear()
        other._check_limit()
        self._check_limit()

    def take(self) -> bytes:
        """Remove and return the content."""
        data = bytes(self._data)
        self._data.clear()
        self._check_limit()
        return data

    def set_limit(self, limit: int) -> None:
        """Change the limit, for what is in the buffer already too."""
        self._limit = limit
        self._check_limit()

    def edit(self, start: int, size: int, value: bytes) -> Status:
        """Do what proxy_set_buffer_bytes can do on Envoy.

        At offset 0 it drops *size* bytes and puts *value* in front; at or after the end it appends; in the
        middle it refuses, although the specification allows it (Envoy, wasm/context.cc, Buffer::copyFrom).
        """
        if start == 0:
            self._data[0 : min(size, len(self._data))] = value
        elif start >= len(self._data):
            self._data += value
        else:
            return Status.BAD_ARGUMENT
        self._check_limit()
        return Status.OK

    def _check_limit(self) -> None:
        if not self._limit:
            return
        was_above, self._is_above = self._is_above, len(self._data) > self._limit
        if self._is_above and not was_above and self._too_large is not None:
            self._too_large()
