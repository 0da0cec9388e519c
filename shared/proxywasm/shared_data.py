"""Shared data and queues: what the workers of one proxy process have in common.

Shared data are key and value, for all plugins and workers with the same `vm_id`. Nothing is ever deleted, and
a key cannot be either: keep the set of keys bounded. Data are lost when the proxy restarts, and are not
shared between proxies.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ._abi import Status
from ._host import Host
from .errors import SharedDataContentionError, host_error

__all__ = ["SharedData", "SharedQueue", "VersionedValue"]

_NEVER_CURRENT: Final = 0xFFFF_FFFF
"""A version that no key has: hosts count them from 1, in 32 bits, over all keys."""


@dataclass(frozen=True, slots=True)
class VersionedValue:
    """A value, and the version that `compare_and_set` wants to see again."""

    value: bytes
    version: int


class SharedData:
    """Shared data of the VM's `vm_id`; every method is one host call, except `update`."""

    __slots__ = ("_host",)

    def __init__(self, host: Host) -> None:
        self._host = host

    def get(self, key: str) -> bytes | None:
        """Return the value of *key*, or None."""
        status, value, _ = self._host.get_shared_data(key.encode())
        if status == 0:
            return value
        if status == Status.NOT_FOUND:
            return None
        raise host_error("get_shared_data", status)

    def get_versioned(self, key: str) -> VersionedValue | None:
        """Return the value of *key* with its version, or None."""
        status, value, version = self._host.get_shared_data(key.encode())
        if status == 0:
            return VersionedValue(value, version)
        if status == Status.NOT_FOUND:
            return None
        raise host_error("get_shared_data", status)

    def set(self, key: str, value: bytes) -> None:
        """Store *value* whatever was there; a change another worker has just made is lost."""
        status = self._host.set_shared_data(key.encode(), value, 0)
        if status:
            raise host_error("set_shared_data", status)

    def compare_and_set(self, key: str, value: bytes, version: int) -> bool:
        """Store *value* if *key* still has *version*, and say whether that was so."""
        if version <= 0:
            raise ValueError("a version is a positive number, from get_versioned")
        return self._set_if(key, value, version)

    def create(self, key: str, value: bytes) -> bool:
        """Store *value* if there is no *key* yet, and say whether that was so.

        A host ignores the version when the key is new, so a version that cannot be current inserts or fails.
        """
        return self._set_if(key, value, _NEVER_CURRENT)

    def update(self, key: str, change: Callable[[bytes | None], bytes], *, attempts: int = 10) -> bytes:
        """Store what *change* makes of the current value (None if there is none), and return it.

        When another worker was faster, *change* is called again with the newer value: it must have no effects
        of its own. After that many *attempts* this raises `SharedDataContentionError`. A value that *change*
        leaves as it is is not written.
        """
        for _ in range(attempts):
            current = self.get_versioned(key)
            value = change(None if current is None else current.value)
            if current is None:
                if self.create(key, value):
                    return value
            elif value == current.value or self.compare_and_set(key, value, current.version):
                return value
        raise SharedDataContentionError(key, attempts)

    def _set_if(self, key: str, value: bytes, version: int) -> bool:
        status = self._host.set_shared_data(key.encode(), value, version)
        if status == 0:
            return True
        if status == Status.CAS_MISMATCH:
            return False
        raise host_error("set_shared_data", status)


class SharedQueue:
    """A queue between workers. The worker that joined it last has its plugin's `on_queue_ready` called."""

    __slots__ = ("_host", "queue_id")

    def __init__(self, host: Host, queue_id: int) -> None:
        self._host = host
        self.queue_id = queue_id

    def enqueue(self, item: bytes) -> None:
        """Append *item*."""
        status = self._host.enqueue_shared_queue(self.queue_id, item)
        if status:
            raise host_error("enqueue_shared_queue", status)

    def dequeue(self) -> bytes | None:
        """Take the first item, or None if the queue is empty."""
        status, item = self._host.dequeue_shared_queue(self.queue_id)
        if status == 0:
            return item
        if status == Status.EMPTY:
            return None
        raise host_error("dequeue_shared_queue", status)
