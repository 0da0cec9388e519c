"""One VM: a guest, the contexts in it, and the rules for calling into it.

A guest call may ask for things that cannot happen while the guest is running: continue a stream, close it,
reply in its place. Such *actions* wait until the call has returned and its result has been looked at
(proxy-wasm-cpp-host, DeferAfterCallActions).
"""

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from ._errors import Trap
from ._hostcalls import HigressHostCalls, HostCalls
from ._metrics import MetricTable
from ._profile import HIGRESS_ABI, Profile

if TYPE_CHECKING:
    from ._contexts import Context, RootContext
    from ._process import Process

VM_CONTEXT = 0
"""The context of the VM itself; roots and streams are numbered from 1."""


class Guest(Protocol):
    """A running module, or something that behaves like one."""

    @property
    def abi_version(self) -> str:
        """The version marker the host chose: the first one it knows among the module's exports."""

    def exports(self, name: str) -> bool:
        """Tell whether the guest has this callback; *name* is without `proxy_`."""

    def call(self, name: str, *arguments: int) -> int:
        """Run a callback. Raises Trap when the guest dies of it."""


class Module(Protocol):
    """Code that VMs can be made of."""

    def start(self, host: HostCalls, profile: Profile, environment: Mapping[str, str]) -> Guest:
        """Make a fresh guest and run its start function. Raises Trap or ModuleError."""


@dataclass(frozen=True, slots=True)
class Callback:
    """One call into a guest, for tests that care about the order of things."""

    plugin: str
    context: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VmSpec:
    """What makes a VM the same VM: plugins with equal specs share one per worker."""

    module: Module
    vm_id: str = ""
    configuration: bytes = b""
    environment: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True, eq=False)
class Vm:
    """A guest on one worker and everything the host keeps about it."""

    spec: VmSpec
    process: "Process"
    worker: int
    contexts: "dict[int, Context]" = field(default_factory=dict)
    roots: "dict[tuple[str, bytes], RootContext]" = field(default_factory=dict)
    metrics: MetricTable = field(init=False)
    host: HostCalls = field(init=False)
    failure: str | None = None
    """Why the VM is dead, or None while it lives; a dead VM is never called again."""

    started_ns: int = 0
    current: "Context | None" = None
    effective: int = VM_CONTEXT
    restricted_to: frozenset[str] | None = None
    """The host calls that may be made just now, by full import name; None when all may."""

    iteration_stopped: bool = False
    _next_context: int = 1
    _next_http_call: int = 0
    _next_grpc_call: int = 1
    _next_grpc_stream: int = 2
    _next_redis_call: int = 3
    _actions: deque[Callable[[], None]] = field(default_factory=deque)
    _guest: Guest | None = None

    def __post_init__(self) -> None:
        self.metrics = MetricTable(self.process.stats)
        self.started_ns = self.process.clock.now_ns
        self.host = (HigressHostCalls if self.process.profile.higress_calls else HostCalls)(self)

    def start(self) -> None:
        """Run the guest's start function; a trap there leaves a dead VM."""
        with self._guarded("start"):
            self._guest = self.spec.module.start(self.host, self.process.profile, dict(self.spec.environment))

    def discard(self) -> None:
        """Forget the VM without a word to the guest: its timers and callouts come to nothing."""
        self.failure = "discarded"
        for root in self.roots.values():
            root.set_tick_period(0)
            root.pending_calls.clear()
            root.grpc_exchanges.clear()

    def new_context_id(self) -> int:
        """Hand out the next id; roots and streams draw from one sequence."""
        self._next_context += 1
        return self._next_context - 1

    def new_http_call_token(self) -> int:
        """Hand out 4, 8, 12 and so on; the low two bits tell the kind of a callout."""
        self._next_http_call += 4
        return self._next_http_call

    def new_redis_call_token(self) -> int:
        """Hand out 7, 11, 15 and so on."""
        self._next_redis_call += 4
        return self._next_redis_call

    def new_grpc_call_token(self) -> int:
        """Hand out 5, 9, 13 and so on."""
        self._next_grpc_call += 4
        return self._next_grpc_call

    def new_grpc_stream_token(self) -> int:
        """Hand out 6, 10, 14 and so on."""
        self._next_grpc_stream += 4
        return self._next_grpc_stream

    def exports(self, name: str) -> bool:
        """Tell whether the guest has a callback."""
        return self._guest is not None and self._guest.exports(name)

    @property
    def uses_higress_pausing(self) -> bool:
        """Whether header callbacks may return StopIteration because of the ABI version alone."""
        return self._guest is not None and self._guest.abi_version == HIGRESS_ABI

    def call(self, context: "Context", name: str, *arguments: int) -> int:
        """Call into the guest on behalf of *context*; returns 0 when that kills the VM."""
        guest = self._guest
        if guest is None or self.failure is not None:
            return 0
        if self.process.is_recording:
            self.process.callbacks.append(Callback(context.plugin_name, context.id, name))
        outer = self.current, self.effective
        self.current, self.effective = context, VM_CONTEXT
        try:
            with self._guarded(name):
                return guest.call(name, context.id, *arguments)
        finally:
            self.current, self.effective = outer
        return 0

    @contextlib.contextmanager
    def entry(self) -> Iterator[None]:
        """Run the deferred actions when the block around a guest call ends."""
        yield
        self.iteration_stopped = False
        while self._actions:
            self._actions.popleft()()

    def defer(self, action: Callable[[], None]) -> None:
        """Do something once the present guest call is over."""
        self._actions.append(action)

    def effective_context(self) -> "Context":
        """Return the context that host calls are about.

        It is the one proxy_set_effective_context chose, for as long as that exists, else the one the guest
        was called for.
        """
        chosen = self.contexts.get(self.effective) if self.effective else None
        context = chosen or self.current
        if context is None:
            raise Trap("a host call was made while no guest callback was running")
        return context

    @contextlib.contextmanager
    def _guarded(self, what: str) -> Iterator[None]:
        try:
            yield
        except Trap as trap:
            self.failure = f"{what}: {trap}"
            self._actions.clear()
