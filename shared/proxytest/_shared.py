"""Shared data and shared queues: one store per process, whatever the number of VMs.

Scope is the vm_id alone, so different modules that carry the same vm_id see each other
(proxy-wasm-cpp-host, shared_data.cc and shared_queue.cc).
"""

from collections import deque
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass, field

from ._abi import UINT32_MAX, Status


@dataclass(slots=True)
class SharedStore:
    """Values with compare-and-swap tokens, per vm_id."""

    _values: dict[tuple[str, bytes], tuple[bytes, int]] = field(default_factory=dict)
    _last_cas: int = 0

    def get(self, vm_id: str, key: bytes) -> tuple[Status, bytes, int]:
        """Return the value and its token, or NOT_FOUND."""
        found = self._values.get((vm_id, key))
        return (Status.NOT_FOUND, b"", 0) if found is None else (Status.OK, *found)

    def set(self, vm_id: str, key: bytes, value: bytes, cas: int) -> Status:
        """Store a value.

        A key that exists wants its current token or 0, which overwrites; a key that does not exist takes any
        token. So a token that cannot be current means "create, but do not overwrite".
        """
        found = self._values.get((vm_id, key))
        if found is not None and cas not in (0, found[1]):
            return Status.CAS_MISMATCH
        self._last_cas = self._last_cas % UINT32_MAX + 1
        self._values[(vm_id, key)] = (value, self._last_cas)
        return Status.OK

    def keys(self, vm_id: str) -> list[bytes]:
        """List the keys of a vm_id, which no guest can do."""
        return [key for scope, key in self._values if scope == vm_id]

    def delete(self, vm_id: str, key: bytes) -> None:
        """Remove a key, which no guest can do; KeyError when it is absent."""
        del self._values[(vm_id, key)]


class SharedDataView(MutableMapping[str, bytes]):
    """The shared data of one vm_id as a dictionary, for tests to fill and to look at."""

    def __init__(self, store: SharedStore, vm_id: str) -> None:
        self._store = store
        self._vm_id = vm_id

    def __getitem__(self, key: str) -> bytes:
        status, value, _ = self._store.get(self._vm_id, key.encode())
        if status is not Status.OK:
            raise KeyError(key)
        return value

    def __setitem__(self, key: str, value: bytes) -> None:
        self._store.set(self._vm_id, key.encode(), value, 0)

    def __delitem__(self, key: str) -> None:
        try:
            self._store.delete(self._vm_id, key.encode())
        except KeyError:
            raise KeyError(key) from None

    def __iter__(self) -> Iterator[str]:
        return iter([key.decode() for key in self._store.keys(self._vm_id)])

    def __len__(self) -> int:
        return len(self._store.keys(self._vm_id))

    def __repr__(self) -> str:
        return f"SharedDataView({dict(self)!r})"


@dataclass(slots=True)
class _Queue:
    values: deque[bytes]
    notify: Callable[[int], None]


@dataclass(slots=True)
class SharedQueues:
    """Queues by (vm_id, name); the root context that registered last is told about new values."""

    _tokens: dict[tuple[str, bytes], int] = field(default_factory=dict)
    _queues: dict[int, _Queue] = field(default_factory=dict)

    def register(self, vm_id: str, name: bytes, notify: Callable[[int], None]) -> int:
        """Create a queue or take over its notifications; return its token."""
        token = self._tokens.setdefault((vm_id, name), len(self._tokens) + 1)
        queue = self._queues.get(token)
        if queue is None:
            self._queues[token] = _Queue(deque(), notify)
        else:
            queue.notify = notify
        return token

    def resolve(self, vm_id: str, name: bytes) -> int:
        """Return the token of a registered queue, or 0."""
        return self._tokens.get((vm_id, name), 0)

    def enqueue(self, token: int, value: bytes) -> Status:
        """Append a value and notify, once the present guest call is over."""
        queue = self._queues.get(token)
        if queue is None:
            return Status.NOT_FOUND
        queue.values.append(value)
        queue.notify(token)
        return Status.OK

    def dequeue(self, token: int) -> tuple[Status, bytes]:
        """Take the oldest value: NOT_FOUND without such a queue, EMPTY without a value."""
        queue = self._queues.get(token)
        if queue is None:
            return Status.NOT_FOUND, b""
        if not queue.values:
            return Status.EMPTY, b""
        return Status.OK, queue.values.popleft()
