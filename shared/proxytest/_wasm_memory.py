"""The guest's linear memory: reading what it points at, and giving it bytes of its own."""

import struct
from collections.abc import Callable

import wasmtime

from ._errors import Trap


class OutOfBoundsError(Exception):
    """The guest pointed outside its memory."""


class GuestMemory:
    """The one memory of a guest."""

    def __init__(self, store: wasmtime.Store, memory: wasmtime.Memory) -> None:
        self._store = store
        self._memory = memory
        self.allocate: Callable[[int], int] | None = None
        """The guest's allocator; the host's way to hand over bytes."""

    def read(self, address: int, size: int) -> bytes:
        """Copy bytes out. Raises OutOfBoundsError."""
        address &= 0xFFFFFFFF
        size &= 0xFFFFFFFF
        if address + size > self._memory.data_len(self._store):
            raise OutOfBoundsError
        return bytes(self._memory.read(self._store, address, address + size)) if size else b""

    def write(self, address: int, data: bytes) -> None:
        """Copy bytes in. Raises OutOfBoundsError."""
        address &= 0xFFFFFFFF
        if address + len(data) > self._memory.data_len(self._store):
            raise OutOfBoundsError
        if data:
            self._memory.write(self._store, data, address)

    def read_u32(self, address: int) -> int:
        """Read a word."""
        (value,) = struct.unpack("<I", self.read(address, 4))
        return int(value)

    def write_u32(self, address: int, value: int) -> None:
        """Write a word."""
        self.write(address, struct.pack("<I", value & 0xFFFFFFFF))

    def write_u64(self, address: int, value: int) -> None:
        """Write a double word."""
        self.write(address, struct.pack("<Q", value & 0xFFFFFFFFFFFFFFFF))

    def give(self, data: bytes) -> int:
        """Put bytes into memory the guest allocates and then owns; no bytes are address 0."""
        if not data:
            return 0
        if self.allocate is None:
            raise Trap("the module exports neither malloc nor proxy_on_memory_allocate")
        address = self.allocate(len(data)) & 0xFFFFFFFF
        if address == 0:
            raise OutOfBoundsError
        self.write(address, data)
        return address
