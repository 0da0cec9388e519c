"""The dispatcher: every call of the host into the VM, to the plugin and stream it is for.

The methods of `Dispatcher` are the functions that the WIT interface `guest` exports, with the ABI's numbers.
Here is the border that no exception crosses: one that did would end the VM, with all streams of all plugins
in it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from ._abi import BufferType
from ._flows import BODY, HEADERS, PHASES, TRAILERS, Flow
from ._host import Host
from ._roots import Root
from ._streams import Stream
from ._tasks import Task
from ._vm import Vm, own_process
from .callouts import received_body, received_failure, received_grpc_failure, received_response
from .filters import PluginDefinition, registered_definitions
from .http import REQUEST, RESPONSE, Side
from .logs import current
from .redis import RedisHost, received_answer

__all__ = ["Dispatcher"]

_STREAMS_PER_LEVEL_CHECK: Final = 256


class Dispatcher:
    """One VM, as its host sees it.

    In a proxy there is one per process image, and it may take hold of the process (*owns_process*): re-seed
    `random` and replace `os.environ`. Natively there may be many in one process.
    """

    __slots__ = ("_definitions", "_owns_process", "_roots", "_streams", "_until_level_check", "_vm")

    def __init__(
        self,
        host: Host,
        *,
        redis: RedisHost | None = None,
        plugins: Mapping[str, PluginDefinition] | None = None,
        owns_process: bool = False,
    ) -> None:
        self._vm = Vm(host, redis)
        self._definitions = registered_definitions() if plugins is None else plugins
        self._owns_process = owns_process
        self._roots: dict[int, Root] = {}
        self._streams: dict[int, Stream] = {}
        self._until_level_check = _STREAMS_PER_LEVEL_CHECK

    # The plugin

    def on_context_create(self, context: int, parent: int) -> None:
        """Take note of a context: of a stream with little work, of a plugin if *parent* is 0."""
        if parent:
            root = self._roots.get(parent)
            if root is not None and root.ready:
                self._streams[context] = Stream(root, context)
            self._until_level_check -= 1
            if not self._until_level_check:
                self._until_level_check = _STREAMS_PER_LEVEL_CHECK
                self._vm.log.refresh_level()
        elif context not in self._roots:
            self._roots[context] = Root(self._vm, context)

    def on_vm_start(self, context: int, configuration_size: int) -> int:
        """Prepare the VM, once; the host calls this for every root context."""
        vm = self._vm
        vm.context = context
        root = self._roots.get(context)
        if root is not None and not vm.started:
            vm.started = True
            with self._calling(root, "on_vm_start"):
                vm.log.refresh_level()
                if self._owns_process:
                    own_process(vm.host)
        return 1

    def on_configure(self, context: int, configuration_size: int) -> int:
        """Configure a plugin; 0 refuses the configuration."""
        root = self._roots.get(context)
        if root is None:
            return 0
        self._vm.context = context
        with self._calling(root, "on_configure"):
            self._vm.log.refresh_level()
            root.identify(self._definitions)
            return int(root.configure(configuration_size, self._definitions))
        return 0

    def on_tick(self, context: int) -> None:
        """Call a plugin's timer."""
        root = self._enter_root(context)
        if root is not None:
            with self._calling(root, "on_tick"):
                self._vm.log.refresh_level()
                root.tick()

    def on_queue_ready(self, context: int, queue: int) -> None:
        """Tell a plugin that a queue has items."""
        root = self._enter_root(context)
        if root is not None:
            with self._calling(root, "on_queue_ready"):
                root.run(root.plugin.on_queue_ready(queue))

    def on_foreign_function(self, context: int, function: int, arguments_size: int) -> None:
        """Pass a call beyond the ABI on to a plugin."""
        root = self._enter_root(context)
        if root is not None:
            with self._calling(root, "on_foreign_function"):
                buffer = BufferType.FOREIGN_FUNCTION_ARGUMENTS
                arguments = received_body(self._vm.host, buffer) if arguments_size else b""
                root.plugin.on_foreign_function(function, arguments)

    # Streams

    def on_request_headers(self, context: int, header_count: int, end_of_stream: int) -> int:
        """Deliver request headers."""
        return self._deliver(self._streams.get(context), REQUEST, HEADERS, 0, end_of_stream)

    def on_request_body(self, context: int, body_size: int, end_of_stream: int) -> int:
        """Deliver a part of a request body."""
        return self._deliver(self._streams.get(context), REQUEST, BODY, body_size, end_of_stream)

    def on_request_trailers(self, context: int, trailer_count: int) -> int:
        """Deliver request trailers."""
        return self._deliver(self._streams.get(context), REQUEST, TRAILERS, 0, 1)

    def on_response_headers(self, context: int, header_count: int, end_of_stream: int) -> int:
        """Deliver response headers."""
        return self._deliver(self._streams.get(context), RESPONSE, HEADERS, 0, end_of_stream)

    def on_response_body(self, context: int, body_size: int, end_of_stream: int) -> int:
        """Deliver a part of a response body; there may be thousands, so first of all this asks who cares."""
        stream = self._streams.get(context)
        if stream is None:
            return 0
        if stream.root.callbacks.response[BODY] is None:
            flow = stream.response_flow
            if flow is None:
                return 0
            if not flow.is_held:
                flow.pass_by(BODY, body_size, end_of_stream == 1)
                return 0
        return self._deliver(stream, RESPONSE, BODY, body_size, end_of_stream)

    def on_response_trailers(self, context: int, trailer_count: int) -> int:
        """Deliver response trailers."""
        return self._deliver(self._streams.get(context), RESPONSE, TRAILERS, 0, 1)

    def on_log(self, context: int) -> None:
        """Let a filter take note of its stream."""
        stream = self._streams.get(context)
        if stream is None or stream.root.callbacks.on_log is None or stream.without_filter:
            return
        self._vm.context = context
        with self._calling(stream.root, "on_log"):
            if stream.filter is not None or stream.begin():
                stream.run_at_end(stream.root.callbacks.on_log)

    def on_done(self, context: int) -> int:
        """Let a filter or plugin clean up; 1 says that its context may be deleted."""
        self._vm.context = context
        stream = self._streams.get(context)
        if stream is not None:
            on_done = stream.root.callbacks.on_done if stream.filter is not None else None
            if on_done is not None or stream.is_held:
                with self._calling(stream.root, "on_done"):
                    stream.cancel_tasks()
                    if on_done is not None:
                        stream.run_at_end(on_done)
            return 1
        root = self._enter_root(context)
        if root is not None:
            with self._calling(root, "on_done"):
                root.plugin.on_done()
        return 1

    def on_delete(self, context: int) -> None:
        """Forget a context."""
        stream = self._streams.pop(context, None)
        if stream is not None:
            stream.close()
            return
        root = self._roots.pop(context, None)
        if root is not None:
            root.close()

    # Callouts

    def on_http_call_response(
        self, context: int, token: int, header_count: int, body_size: int, trailer_count: int
    ) -> None:
        """Hand the response to a callout to the task waiting for it; no headers mean that there was none."""
        waiting = self._waiting_for(context, token)
        if waiting is None:
            return
        root, task, cluster = waiting
        host = self._vm.host
        result: object = None
        failure: Exception | None = None
        try:
            if header_count:
                result = received_response(host, cluster, body_size, trailer_count)
            else:
                failure = received_failure(host, cluster)
        except Exception as error:
            failure = error
        self._go_on(root, task, result, failure)

    def on_grpc_receive_initial_metadata(self, context: int, token: int, header_count: int) -> None:
        """Unary calls have no use for this."""

    def on_grpc_receive(self, context: int, token: int, message_size: int) -> None:
        """Hand the answer to a gRPC call to the task that waits for it."""
        waiting = self._waiting_for(context, token)
        if waiting is None:
            return
        root, task, _ = waiting
        message = b""
        failure: Exception | None = None
        try:
            if message_size:
                message = received_body(self._vm.host, BufferType.GRPC_MESSAGE)
        except Exception as error:
            failure = error
        self._go_on(root, task, message, failure)

    def on_grpc_receive_trailing_metadata(self, context: int, token: int, trailer_count: int) -> None:
        """Unary calls have no use for this."""

    def on_grpc_close(self, context: int, token: int, grpc_status: int) -> None:
        """Fail the task that waits for the answer to a gRPC call; after an answer nobody does."""
        waiting = self._waiting_for(context, token)
        if waiting is None:
            return
        root, task, cluster = waiting
        self._go_on(root, task, None, received_grpc_failure(self._vm.host, cluster, grpc_status))

    def on_redis_call_response(self, context: int, token: int, status: int, size: int) -> None:
        """Hand the answer of Redis to the task that waits for it (Higress only)."""
        waiting = self._waiting_for(context, token)
        if waiting is None:
            return
        root, task, cluster = waiting
        answer: object = None
        failure: Exception | None = None
        try:
            answer = received_answer(self._vm.host, cluster, status, size)
        except Exception as error:
            failure = error
        self._go_on(root, task, answer, failure)

    # How

    def _deliver(self, stream: Stream | None, side: Side, phase: int, size: int, end_of_stream: int) -> int:
        """Call a filter for a part of its stream, if it has a callback for it or is waiting for it."""
        if stream is None:
            return 0
        if stream.without_filter:
            return 1 if stream.refused and side is REQUEST else 0
        root = stream.root
        if side is REQUEST:
            if stream.answered:
                return 1
            flow, handlers = stream.request_flow, root.callbacks.request
        else:
            if phase == HEADERS and stream.is_held:
                self._vm.context = stream.context_id
                with self._calling(root, "on_response_headers"):
                    stream.response_arrived()
            flow, handlers = stream.response_flow, root.callbacks.response
        if handlers[phase] is None and (flow is None or not flow.is_held):
            if flow is not None:
                flow.pass_by(phase, size, end_of_stream == 1)
            elif side is RESPONSE:
                stream.response_headers_left = True
            elif phase == HEADERS and root.configurations.rules:
                self._begin(stream)
            return 0
        self._vm.context = stream.context_id
        outer, current.log = current.log, root.log
        try:
            if stream.filter is None and not stream.begin():
                return 0
            if flow is None:
                flow = stream.start_flow(side, phase)
            if phase == BODY:
                return flow.on_body(size, end_of_stream == 1)
            if phase == HEADERS:
                return flow.on_headers(end_of_stream == 1)
            return flow.on_trailers()
        except BaseException as error:
            return self._fail(stream, f"on_{side.name}_{PHASES[phase]}", error, flow)
        finally:
            current.log = outer

    def _begin(self, stream: Stream) -> None:
        """Choose the configuration while the request is where it was sent: later its route may be another."""
        self._vm.context = stream.context_id
        outer, current.log = current.log, stream.root.log
        try:
            stream.begin()
        except BaseException as error:
            self._fail(stream, "on_request_headers", error, None)
        finally:
            current.log = outer

    def _fail(self, stream: Stream, where: str, error: BaseException, flow: Flow | None) -> int:
        try:
            return stream.fail(where, error, flow)
        except BaseException as second:
            stream.root.log.report(f"{where}, when it had failed,", second)
            stream.without_filter = True
            stream.refused = not stream.root.fails_open
            return int(stream.refused)

    def _go_on(self, root: Root, task: Task, result: object, failure: Exception | None) -> None:
        """Resume a task after its callout, in the context of the stream it is for."""
        owner = task.owner
        if not isinstance(owner, Flow):
            with self._calling(root, "a task of the plugin"):
                owner.call_returned(task, result, failure)
            return
        stream = owner.stream
        outer, current.log = current.log, root.log
        try:
            self._vm.act_on(stream.context_id)
            owner.call_returned(task, result, failure)
        except BaseException as error:
            self._fail(stream, f"on_{owner.side.name}_{PHASES[task.phase]}", error, None)
        finally:
            current.log = outer

    def _waiting_for(self, context: int, token: int) -> tuple[Root, Task, str] | None:
        """Find who waits for a callout: nobody, if its stream has ended."""
        self._vm.context = context
        root = self._roots.get(context)
        waiting = None if root is None else root.calls.pop(token, None)
        if root is None or waiting is None:
            return None
        task, awaited = waiting
        return root, task, awaited.cluster

    def _enter_root(self, context: int) -> Root | None:
        self._vm.context = context
        root = self._roots.get(context)
        return root if root is not None and root.ready else None

    @contextmanager
    def _calling(self, root: Root, where: str) -> Iterator[None]:
        """Run a callback whose exceptions concern nobody else: they are logged."""
        outer, current.log = current.log, root.log
        try:
            yield
        except BaseException as error:
            root.log.report(where, error)
        finally:
            current.log = outer
