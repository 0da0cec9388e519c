"""A worker for tests of the SDK: it calls a dispatcher as a host does."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Literal

from proxywasm import HttpFilter, PluginContext
from proxywasm._abi import BufferType, MapType
from proxywasm._dispatch import Dispatcher
from proxywasm.filters import Callbacks, PluginDefinition

from .fake_host import FakeHost

ROOT = 1


def definition(
    filter_class: type[HttpFilter[Any]],
    *,
    name: str = "plugin-under-test",
    on_error: Literal["open", "closed"] = "open",
    config: Callable[[Mapping[str, Any]], object] = dict,
    context: type[PluginContext[Any]] = PluginContext,
) -> PluginDefinition:
    """Define a plugin without registering it for the whole process."""
    return PluginDefinition(
        name=name,
        filter_class=filter_class,
        config=config,
        context_class=context,
        fails_open=on_error == "open",
        callbacks=Callbacks.of(filter_class),
    )


class Worker:
    """One VM with one plugin in it, configured."""

    def __init__(
        self, plugin: PluginDefinition, configuration: object = None, host: FakeHost | None = None
    ) -> None:
        self.host = FakeHost() if host is None else host
        self.plugin = plugin
        self.dispatcher = Dispatcher(self.host, redis=self.host, plugins={plugin.name: plugin})
        self._contexts = ROOT
        self.configured = self.add_root(ROOT, configuration)

    def add_root(self, context: int, configuration: object) -> bool:
        """Begin a root context, as a host does for each configuration of a plugin."""
        data = configuration if isinstance(configuration, bytes) else json.dumps(configuration or {}).encode()
        self.host.properties[b"plugin_root_id"] = self.plugin.name.encode()
        self.host.buffers[BufferType.PLUGIN_CONFIGURATION] = data
        self.host.effective = context
        self.dispatcher.on_context_create(context, 0)
        assert self.dispatcher.on_vm_start(context, 0) == 1
        configured = self.dispatcher.on_configure(context, len(data))
        del self.host.buffers[BufferType.PLUGIN_CONFIGURATION]
        self._contexts = max(self._contexts, context)
        return configured == 1

    def stream(self, root: int = ROOT) -> "StreamDriver":
        """Begin a stream."""
        self._contexts += 1
        self.dispatcher.on_context_create(self._contexts, root)
        return StreamDriver(self, self._contexts)

    def tick(self, root: int = ROOT) -> None:
        """Let the timer of the plugin run out."""
        self.host.effective = root
        self.dispatcher.on_tick(root)

    def respond(
        self,
        token: int,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        trailers: Mapping[str, str] | None = None,
        root: int = ROOT,
    ) -> None:
        """Let a callout return; without headers it has failed."""
        host = self.host
        host.effective = root
        host.put_headers(MapType.CALL_RESPONSE_HEADERS, dict(headers or {}))
        host.put_headers(MapType.CALL_RESPONSE_TRAILERS, dict(trailers or {}))
        host.buffers[BufferType.CALL_RESPONSE_BODY] = body
        self.dispatcher.on_http_call_response(root, token, len(headers or {}), len(body), len(trailers or {}))
        del host.maps[MapType.CALL_RESPONSE_HEADERS], host.maps[MapType.CALL_RESPONSE_TRAILERS]
        del host.buffers[BufferType.CALL_RESPONSE_BODY]

    def answer_redis(self, token: int, answer: bytes, *, status: int = 0, root: int = ROOT) -> None:
        """Let Redis answer, or fail with a status."""
        self.host.effective = root
        self.host.buffers[BufferType.REDIS_ANSWER] = answer
        self.dispatcher.on_redis_call_response(root, token, status, len(answer))
        del self.host.buffers[BufferType.REDIS_ANSWER]

    def kept(self) -> int:
        """Streams and callouts the dispatcher still knows."""
        dispatcher = self.dispatcher
        return len(dispatcher._streams) + sum(len(root.calls) for root in dispatcher._roots.values())


class StreamDriver:
    """One stream: each method is one callback, and returns what the host is told."""

    def __init__(self, worker: Worker, context: int) -> None:
        self.worker = worker
        self.host = worker.host
        self.context = context
        self._held: dict[BufferType, bytes] = {}

    def request_headers(self, headers: Mapping[str, str] | None = None, *, end: bool = False) -> int:
        given = {":method": "POST", ":path": "/v1/chat", ":authority": "api.example", **(headers or {})}
        self.host.put_headers(MapType.REQUEST_HEADERS, given)
        self.host.effective = self.context
        return self.worker.dispatcher.on_request_headers(self.context, len(given), int(end))

    def request_body(self, chunk: bytes, *, end: bool = False) -> int:
        return self._body(BufferType.REQUEST_BODY, self.worker.dispatcher.on_request_body, chunk, end)

    def request_trailers(self, trailers: Mapping[str, str] | None = None) -> int:
        self.host.put_headers(MapType.REQUEST_TRAILERS, dict(trailers or {}))
        self.host.effective = self.context
        return self.worker.dispatcher.on_request_trailers(self.context, len(trailers or {}))

    def response_headers(self, headers: Mapping[str, str] | None = None, *, end: bool = False) -> int:
        given = {":status": "200", **(headers or {})}
        self.host.put_headers(MapType.RESPONSE_HEADERS, given)
        self.host.effective = self.context
        return self.worker.dispatcher.on_response_headers(self.context, len(given), int(end))

    def response_body(self, chunk: bytes, *, end: bool = False) -> int:
        return self._body(BufferType.RESPONSE_BODY, self.worker.dispatcher.on_response_body, chunk, end)

    def response_trailers(self, trailers: Mapping[str, str] | None = None) -> int:
        self.host.put_headers(MapType.RESPONSE_TRAILERS, dict(trailers or {}))
        self.host.effective = self.context
        return self.worker.dispatcher.on_response_trailers(self.context, len(trailers or {}))

    def finish(self) -> None:
        """End the stream, in Envoy's order."""
        self.host.effective = self.context
        self.worker.dispatcher.on_log(self.context)
        assert self.worker.dispatcher.on_done(self.context) == 1
        self.worker.dispatcher.on_delete(self.context)

    def _body(
        self, buffer: BufferType, callback: Callable[[int, int, int], int], chunk: bytes, end: bool
    ) -> int:
        """Show what was buffered together with *chunk*, as hosts do after StopIterationAndBuffer."""
        data = self._held.pop(buffer, b"") + chunk
        self.host.buffers[buffer] = data
        self.host.effective = self.context
        action = callback(self.context, len(data), int(end))
        if action == 1:
            self._held[buffer] = self.host.buffers[buffer]
        return action
