"""The proxy as a process: workers with their VMs, what they share, and the loop that runs events."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from ._abi import LogLevel
from ._callouts import Callouts, Cluster
from ._clock import Clock, Timer
from ._contexts import Context, RootContext
from ._faults import Faults
from ._grpc import GrpcCallouts
from ._logs import Logs
from ._metrics import Stats
from ._plugin import FailurePolicy, PluginSpec
from ._profile import ENVOY, Profile
from ._redis import Redis
from ._route import DEFAULT_CLUSTER, RouteTable
from ._shared import SharedQueues, SharedStore
from ._stream import ClientEnd, HttpStream, UpstreamEnd
from ._vm import Callback, Vm, VmSpec

BUFFER_LIMIT = 1024 * 1024
"""Bytes of body a filter may hold up; Envoy's default per_connection_buffer_limit_bytes."""

MAIN_THREAD = -1
"""The worker number of VMs that only try a configuration out."""

RELOAD_PAUSE_NS = 1_000_000_000
"""Shortest life of a VM before it is replaced; Envoy waits up to half as long again, by chance."""


class ConfigurationRefusedError(Exception):
    """A plugin did not start: on_vm_start or on_configure said no, or the VM died of them."""


@dataclass(slots=True, eq=False)
class Process:
    """A running proxy. Everything in it happens in one thread and in a fixed order."""

    profile: Profile = ENVOY
    worker_count: int = 1
    buffer_limit: int = BUFFER_LIMIT
    log_level: LogLevel = LogLevel.TRACE
    clock: Clock = field(default_factory=Clock)
    shared: SharedStore = field(default_factory=SharedStore)
    queues: SharedQueues = field(default_factory=SharedQueues)
    stats: Stats = field(default_factory=Stats)
    logs: Logs = field(default_factory=Logs)
    faults: Faults = field(default_factory=Faults)
    routes: RouteTable = field(default_factory=RouteTable)
    clusters: dict[str, Cluster] = field(default_factory=lambda: {DEFAULT_CLUSTER: Cluster(DEFAULT_CLUSTER)})
    callbacks: list[Callback] = field(default_factory=list)
    """Every call into a guest, oldest first."""

    is_recording: bool = True
    """Whether callbacks and logs are kept; not while a configuration is only tried out."""

    plugins: list[PluginSpec] = field(default_factory=list)
    callouts: Callouts = field(init=False)
    grpc: GrpcCallouts = field(init=False)
    redis: Redis = field(init=False)
    _vms: dict[tuple[int, VmSpec], Vm] = field(default_factory=dict)
    _events: deque[Callable[[], None]] = field(default_factory=deque)
    _afterwards: deque[Callable[[], None]] = field(default_factory=deque)
    _is_running: bool = False
    _next_stream: int = 1

    def __post_init__(self) -> None:
        self.callouts = Callouts(self)
        self.grpc = GrpcCallouts(self)
        self.redis = Redis(self)

    # Events

    def post(self, event: Callable[[], None]) -> None:
        """Run something as an event of its own, after those that wait already."""
        self._events.append(event)

    def after_event(self, action: Callable[[], None]) -> None:
        """Clean up once the present event is over."""
        self._afterwards.append(action)

    def run(self, event: Callable[[], None] | None = None) -> None:
        """Run *event* and then whatever waits, until nothing does."""
        if event is not None:
            self._events.append(event)
        if self._is_running:
            return
        self._is_running = True
        try:
            while self._events:
                self._events.popleft()()
                while self._afterwards:
                    self._afterwards.popleft()()
        finally:
            self._is_running = False

    def after(self, delay_s: float, event: Callable[[], None]) -> Timer:
        """Run an event when the clock has moved on by *delay_s*."""
        return self.clock.after(round(delay_s * 1e9), lambda: self.run(event))

    # Plugins

    def add_plugin(self, plugin: PluginSpec) -> None:
        """Append a filter to the chain and start it on every worker. Raises ConfigurationRefusedError.

        Like Envoy's main thread, this first tries the configuration out in a VM of its own. What that VM does
        to shared data and metrics stays; what it logs is not counted.
        """
        self._try_out(plugin)
        self.plugins.append(plugin)
        for worker in range(self.worker_count):
            self._start_plugin(plugin, worker)
        self.run()

    def vm(self, plugin: PluginSpec, worker: int = 0) -> Vm:
        """Return a plugin's VM on a worker."""
        return self._vms[(worker, plugin.vm)]

    def _try_out(self, plugin: PluginSpec) -> None:
        self.is_recording = False
        try:
            vm = self._start_vm(plugin.vm, MAIN_THREAD)
            self._start_root(plugin, vm)
        finally:
            self.is_recording = True
        vm.discard()

    def _start_plugin(self, plugin: PluginSpec, worker: int) -> RootContext:
        vm = self._vms.get((worker, plugin.vm))
        if vm is None:
            vm = self._start_vm(plugin.vm, worker)
            self._vms[(worker, plugin.vm)] = vm
        return vm.roots.get(plugin.key) or self._start_root(plugin, vm)

    def _start_root(self, plugin: PluginSpec, vm: Vm) -> RootContext:
        root = RootContext(vm, vm.new_context_id(), spec=plugin)
        vm.contexts[root.id] = root
        vm.roots[plugin.key] = root
        if not root.start():
            raise ConfigurationRefusedError(_refusal(plugin, vm, "on_vm_start"))
        if not root.configure():
            raise ConfigurationRefusedError(_refusal(plugin, vm, "on_configure"))
        return root

    def _start_vm(self, spec: VmSpec, worker: int) -> Vm:
        vm = Vm(spec, self, worker)
        vm.contexts[0] = vm.current = Context(vm, exists_in_guest=True)
        vm.start()
        vm.current = None
        if vm.failure is not None:
            raise ConfigurationRefusedError(f"the VM did not start: {vm.failure}")
        return vm

    def kill_vm(self, plugin: PluginSpec, worker: int = 0, reason: str = "killed by the test") -> None:
        """Make a VM as dead as a trap would."""
        self.vm(plugin, worker).failure = reason

    # Streams

    def new_stream(self, client: ClientEnd, upstream: UpstreamEnd, worker: int = 0) -> HttpStream:
        """Take a client's request; it meets the filters when its headers come."""
        stream = HttpStream(self, client, upstream, self._next_stream)
        self._next_stream += 1
        roots = [self._root_for_stream(plugin, worker) for plugin in self.plugins]
        stream.build_chain([root for root in roots if root is not None])
        return stream

    def _root_for_stream(self, plugin: PluginSpec, worker: int) -> RootContext | None:
        vm = self._vms[(worker, plugin.vm)]
        if vm.failure is None:
            return vm.roots[plugin.key]
        if plugin.failure_policy in (FailurePolicy.OPEN, FailurePolicy.OPEN_ALWAYS):
            return None
        is_due = self.clock.now_ns >= vm.started_ns + RELOAD_PAUSE_NS
        if plugin.failure_policy is FailurePolicy.RELOAD and is_due:
            return self._reload(vm, plugin, worker)
        return vm.roots[plugin.key]

    def _reload(self, dead: Vm, plugin: PluginSpec, worker: int) -> RootContext:
        del self._vms[(worker, plugin.vm)]
        try:
            roots = [self._start_plugin(root.spec, worker) for root in dead.roots.values()]
        except ConfigurationRefusedError:
            dead.started_ns = self.clock.now_ns
            self._vms[(worker, plugin.vm)] = dead
            return dead.roots[plugin.key]
        return next(root for root in roots if root.spec.key == plugin.key)


def _refusal(plugin: PluginSpec, vm: Vm, callback: str) -> str:
    why = f"{callback} returned 0" if vm.failure is None else f"the VM died: {vm.failure}"
    return f"plugin {plugin.root_id!r} refused its configuration: {why}"
