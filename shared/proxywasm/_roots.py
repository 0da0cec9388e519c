"""Root contexts: one configuration of a plugin, its callouts, and the tasks that belong to no stream."""

from collections.abc import Mapping
from typing import Any

from ._abi import WHOLE_BUFFER, BufferType, LogLevel
from ._configuration import parse_json_object
from ._tasks import WAITING, AwaitsCall, Suspension, Task, is_coroutine
from ._vm import Vm
from .errors import ConfigurationError, UsageError, host_error
from .filters import Callbacks, PluginDefinition
from .higress import Configurations, parse_configurations
from .logs import PluginLog
from .plugin_context import PluginContext

__all__ = ["Root"]


class Root:
    """A root context. During an update of the configuration the old one and the new one coexist."""

    __slots__ = (
        "_tasks",
        "_tick",
        "callbacks",
        "calls",
        "configurations",
        "context_id",
        "definition",
        "log",
        "plugin",
        "ready",
        "root_id",
        "vm",
    )

    plugin: PluginContext[Any]
    configurations: Configurations[Any]
    callbacks: Callbacks

    def __init__(self, vm: Vm, context_id: int) -> None:
        self.vm = vm
        self.context_id = context_id
        self.root_id = ""
        self.log = PluginLog(vm.log, "")
        self.definition: PluginDefinition | None = None
        self.ready = False
        """Whether there is a configuration, so that streams can be served."""
        self.calls: dict[int, tuple[Task, AwaitsCall[Any]]] = {}
        """Who waits for which callout, by token; streams too, because hosts know callouts by root."""
        self._tasks: set[Task] = set()
        self._tick: Task | None = None

    @property
    def fails_open(self) -> bool:
        """Whether a stream goes on when its filter has failed."""
        return self.definition is not None and self.definition.fails_open

    def identify(self, known: Mapping[str, PluginDefinition]) -> None:
        """Ask the host, once, which plugin this context is for."""
        if not self.root_id:
            self.root_id = self.vm.properties.get_str("plugin_root_id") or ""
            self.definition = known.get(self.root_id)
            self.log = PluginLog(self.vm.log, self.root_id)

    def configure(self, size: int, known: Mapping[str, PluginDefinition]) -> bool:
        """Read the configuration. A wrong one is logged with all its problems, and the one before stays."""
        definition = self.definition
        if definition is None:
            names = ", ".join(sorted(known)) or "none"
            self.log.write(
                LogLevel.CRITICAL,
                f"no plugin has the root_id {self.root_id!r}; the module has these: {names}",
            )
            return False
        try:
            values = parse_json_object(self._configuration(size))
            configurations = parse_configurations(values, definition.config)
        except ConfigurationError as error:
            self.log.write(LogLevel.CRITICAL, f"the configuration is refused: {error}")
            return False
        if configurations.plugin_id:
            self.log = PluginLog(self.vm.log, f"{self.root_id} {configurations.plugin_id}")
        previous = (self.configurations, self.plugin) if self.ready else None
        self.configurations = configurations
        try:
            self.plugin = self._make_plugin(definition.context_class)
        except BaseException as error:
            self.log.report("on_configure", error, LogLevel.CRITICAL)
            if previous is not None:
                self.configurations, self.plugin = previous
            return False
        self.callbacks = definition.callbacks
        self.ready = True
        return True

    def tick(self) -> None:
        """Let the plugin do what is due, unless it is still at it."""
        if self._tick is None:
            self._tick = self._start(self.plugin.on_tick())

    def run(self, result: object) -> None:
        """Go on with what a callback of the plugin returned, if that was a coroutine."""
        self._start(result)

    def call_returned(self, task: Task, result: object, error: Exception | None) -> None:
        """Go on with a task of the plugin."""
        self._step(task, result, error)

    def suspend(self, task: Task, suspension: Suspension[Any]) -> None:
        """Let tasks of the plugin await callouts; there is no body here."""
        if not isinstance(suspension, AwaitsCall):
            raise UsageError("the body of a stream can be awaited only in callbacks for that stream")
        self.calls[suspension.token] = (task, suspension)

    def close(self) -> None:
        """End all tasks: the context goes away."""
        for task in list(self._tasks):
            try:
                task.close()
            except BaseException as error:
                self.log.report("a task of the plugin, when it was ended,", error)
        self._tasks.clear()
        self.calls.clear()

    def forget_calls_of(self, task: Task) -> None:
        """Ignore the response that *task* waits for, for it has ended."""
        awaiting = task.awaiting
        if isinstance(awaiting, AwaitsCall):
            self.calls.pop(awaiting.token, None)

    def _make_plugin(self, context_class: type[PluginContext[Any]]) -> PluginContext[Any]:
        context = context_class.__new__(context_class)
        context._root = self
        context.__init__()  # type: ignore[misc]  # Called late so that an author's __init__ finds the host.
        context.on_configure()
        return context

    def _start(self, result: object) -> Task | None:
        if not is_coroutine(result):
            return None
        task = Task(result, self, 0)
        self._tasks.add(task)
        self._step(task, None, None)
        return task if task in self._tasks else None

    def _step(self, task: Task, value: object, error: Exception | None) -> None:
        try:
            outcome = task.step(value, error)
        except BaseException:
            self._ended(task)
            raise
        if outcome is not WAITING:
            self._ended(task)

    def _ended(self, task: Task) -> None:
        self._tasks.discard(task)
        if task is self._tick:
            self._tick = None

    def _configuration(self, size: int) -> bytes:
        if not size:
            return b""
        status, data = self.vm.host.get_buffer_bytes(BufferType.PLUGIN_CONFIGURATION, 0, WHOLE_BUFFER)
        if status:
            raise host_error("get_buffer_bytes", status, "the plugin configuration")
        return data
