"""What a plugin has beyond single streams: its configuration, a timer, callouts of its own.

VM (one per worker thread)
└── PluginContext   one per configuration of a plugin; an update brings a new one beside the old
    └── HttpFilter  one per stream
"""

from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

from ._resp import RedisValue
from ._vm import Vm
from .callouts import CallResponse, start_grpc_call, start_http_call
from .errors import UsageError, host_error
from .headers import HeaderSource
from .metrics import Metrics
from .properties import Properties
from .shared_data import SharedData, SharedQueue

if TYPE_CHECKING:
    from ._roots import Root

__all__ = ["HostAccess", "PluginContext"]

Config = TypeVar("Config")


class HostAccess:
    """What filters and plugins alike can ask of the host."""

    __slots__ = ()

    @property
    def _vm(self) -> Vm:
        raise NotImplementedError

    @property
    def shared(self) -> SharedData:
        """Data that all workers of the proxy share."""
        return self._vm.shared

    @property
    def metrics(self) -> Metrics:
        """Counters, gauges and histograms of the proxy."""
        return self._vm.metrics

    @property
    def properties(self) -> Properties:
        """Attributes of the request, the connection, the route."""
        return self._vm.properties

    def now(self) -> float:
        """Return the time in seconds since the epoch, from the clock of the proxy."""
        return self.now_ns() / 1e9

    def now_ns(self) -> int:
        """Return the time in nanoseconds since the epoch, from the clock of the proxy."""
        status, nanoseconds = self._vm.host.get_current_time_nanoseconds()
        if status:
            raise host_error("get_current_time_nanoseconds", status)
        return nanoseconds

    async def http_call(
        self,
        cluster: str,
        *,
        method: str = "GET",
        path: str = "/",
        authority: str = "",
        headers: HeaderSource = (),
        body: bytes = b"",
        trailers: HeaderSource = (),
        timeout_s: float = 5.0,
    ) -> CallResponse:
        """Send a request to *cluster* and wait for the response, whatever its status code.

        *authority* is the name of the cluster unless given. Raises `CalloutError` if there is no such
        cluster, the connection breaks, or no response has come after *timeout_s* seconds. While a filter
        waits its stream is held.
        """
        return await start_http_call(
            self._vm.host,
            cluster,
            method=method,
            path=path,
            authority=authority,
            headers=headers,
            body=body,
            trailers=trailers,
            timeout_s=timeout_s,
        )

    async def grpc_call(
        self,
        cluster: str,
        *,
        service: str,
        method: str,
        message: bytes,
        metadata: HeaderSource = (),
        timeout_s: float = 5.0,
    ) -> bytes:
        """Make a unary gRPC call and return the serialised answer; raises `CalloutError` like `http_call`."""
        return await start_grpc_call(
            self._vm.host,
            cluster,
            service=service,
            method=method,
            message=message,
            metadata=metadata,
            timeout_s=timeout_s,
        )

    @property
    def has_redis(self) -> bool:
        """Whether `redis_call` works: only in a module built for Higress. Refuse what needs it elsewhere."""
        return self._vm.redis.is_available

    async def redis_call(
        self,
        cluster: str,
        command: Sequence[bytes | str | int],
        *,
        timeout_s: float = 1.0,
        username: str = "",
        password: str = "",
    ) -> RedisValue:
        """Send a command such as `["INCRBY", "spent", 3]` to the Redis of *cluster* and wait for the answer.

        Timeout, user, password and the options that may stand behind a `?` in *cluster* (`db=1`) are those of
        the worker's connection: all callers of a cluster should give the same. Raises `CalloutError` if there
        is no such cluster, or no answer came (the command may have been executed all the same), `RedisError`
        if the answer is an error, `UsageError` where Redis cannot be called: see `has_redis`.
        """
        return await self._vm.redis.call(
            cluster, command, timeout_s=timeout_s, username=username, password=password
        )

    def shared_queue(self, name: str) -> SharedQueue:
        """Join the queue called *name*, or create it; items are announced to this worker from now on."""
        status, queue_id = self._vm.host.register_shared_queue(name.encode())
        if status:
            raise host_error("register_shared_queue", status, name)
        return SharedQueue(self._vm.host, queue_id)

    def find_shared_queue(self, vm_id: str, name: str) -> SharedQueue:
        """Find a queue of the VM called *vm_id*, to put items into; raises `NotFoundError`."""
        status, queue_id = self._vm.host.resolve_shared_queue(vm_id.encode(), name.encode())
        if status:
            raise host_error("resolve_shared_queue", status, name)
        return SharedQueue(self._vm.host, queue_id)

    def call_foreign_function(self, name: str, arguments: bytes = b"") -> bytes:
        """Call a function that the proxy has beyond the ABI; raises `NotFoundError` where it does not."""
        status, result = self._vm.host.call_foreign_function(name.encode(), arguments)
        if status:
            raise host_error("call_foreign_function", status, name)
        return result


class PluginContext(HostAccess, Generic[Config]):
    """One configuration of a plugin in one worker; filters reach it as `self.plugin`.

    Subclass it, and name the class in `@plugin(..., context=...)`, for state that outlives streams and for
    the callbacks below. Like a filter's, `__init__` takes no arguments, and finds `config` and the rest in
    place.
    """

    __slots__ = ("_root",)
    _root: "Root"

    @property
    def _vm(self) -> Vm:
        return self._root.vm

    @property
    def name(self) -> str:
        """The name of the plugin, as in `@plugin`."""
        return self._root.root_id

    @property
    def config(self) -> Config:
        """The configuration of the plugin. With Higress' rules this is the global one, if there is one."""
        default = self._root.configurations.default
        if not default:
            raise UsageError("there is no global configuration, only rules: use the filter's own config")
        config: Config = default[0]
        return config

    @property
    def configs(self) -> tuple[Config, ...]:
        """All configurations: the global one, if there is one, and those of Higress' rules."""
        configurations = self._root.configurations
        return (*configurations.default, *(rule.config for rule in configurations.rules))

    def set_tick_period(self, seconds: float) -> None:
        """Have `on_tick` called every so many seconds, in each worker; 0 stops it."""
        milliseconds = max(1, round(seconds * 1000)) if seconds > 0 else 0
        current = self._vm.context
        self._vm.act_on(self._root.context_id)
        status = self._vm.host.set_tick_period_milliseconds(milliseconds)
        self._vm.act_on(current)
        if status:
            raise host_error("set_tick_period_milliseconds", status)

    def run_in_background(self, coroutine: Coroutine[object, object, object]) -> None:
        """Run *coroutine* beside the streams: it may call out after the stream that started it has ended."""
        self._root.run(coroutine)

    def on_configure(self) -> None:
        """Prepare: the configuration is there. An exception refuses the configuration.

        Clusters may not exist yet when the proxy starts, so the first callout belongs into `on_tick`.
        """

    def on_tick(self) -> Coroutine[object, object, None] | None:
        """Do what is due; may be `async`, and is then not called again before it has ended."""

    def on_queue_ready(self, queue_id: int) -> Coroutine[object, object, None] | None:
        """Take items from a shared queue this context has joined; may be `async`."""

    def on_foreign_function(self, function: int, arguments: bytes) -> None:
        """Take a call from the proxy that the ABI knows nothing about."""

    def on_done(self) -> None:
        """Clean up: this configuration has been replaced, and its streams have ended."""
