"""Filters: what a plugin author writes, and how the module knows its plugins.

@plugin("ai-budget-guard", config=Config.from_json)
class BudgetGuard(HttpFilter[Config]):
    async def on_request_headers(self, request: Request) -> Outcome:
        body = await request.body.read()
        ...
        return CONTINUE
"""

from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, Literal, TypeVar

from ._vm import Vm
from .errors import UsageError
from .http import Request, Response
from .outcomes import CONTINUE, Outcome, Reply
from .plugin_context import HostAccess, PluginContext

if TYPE_CHECKING:
    from ._streams import Stream

__all__ = ["HttpFilter", "PluginDefinition", "plugin", "registered_plugins"]

Config = TypeVar("Config")
Filter = TypeVar("Filter", bound="HttpFilter[Any]")

MaybeAsync = Outcome | Coroutine[Any, Any, Outcome]
"""A callback is a method or an `async` method."""


class HttpFilter(HostAccess, Generic[Config]):
    """Base of filters: one object per stream, made when the stream first needs it.

    Override the callbacks that matter; those left alone cost nothing. Each may be `async`. State is
    attributes, set in an `__init__` that takes no arguments and finds `config`, `plugin` and the rest in
    place already.

    The order is that of the stream: request headers, body, trailers, response headers, body, trailers, log,
    done. A stream that the proxy or another filter answers itself skips callbacks, and one that is reset just
    ends: `on_log` and `on_done` always come. `on_log` may even be all a filter sees of a broken request.

    As an *upstream* HTTP filter of Envoy a filter is called for each attempt to send a request on, with an
    object of its own each time. Then `on_log` never comes, a `Reply` ends the request without further
    attempts, and all attempts have their headers in common: what one has set, the next finds.
    """

    __slots__ = ("__dict__", "__weakref__", "_stream", "config", "plugin")

    config: Config
    """What `@plugin(config=...)` made of the configuration, or of the rule that matches this stream."""

    plugin: PluginContext[Config]
    """What this plugin has beyond the stream. A subclass may declare it as a class of its own."""

    _stream: "Stream"

    definition: ClassVar["PluginDefinition"]
    """Set by `@plugin`."""

    @property
    def _vm(self) -> Vm:
        return self._stream.root.vm

    @property
    def request(self) -> Request:
        """The request of this stream; what the host still holds of it can be read."""
        return self._stream.request

    @property
    def response(self) -> Response:
        """The response of this stream; what the host holds of it can be read."""
        return self._stream.response

    def on_request_headers(self, request: Request) -> MaybeAsync:
        """Decide on the request: its headers are there, and its body is to come unless `end_of_stream`."""
        return CONTINUE

    def on_request_body(self, request: Request) -> MaybeAsync:
        """Look at or replace `request.body.chunk`; the last one may be empty."""
        return CONTINUE

    def on_request_trailers(self, request: Request) -> MaybeAsync:
        """Look at or change `request.trailers`: they end the body, if there are any."""
        return CONTINUE

    def on_response_headers(self, response: Response) -> MaybeAsync:
        """Decide on the response: its headers have arrived. Local replies come by here too."""
        return CONTINUE

    def on_response_body(self, response: Response) -> MaybeAsync:
        """Look at or replace `response.body.chunk`. Events keep streaming as long as all is continued."""
        return CONTINUE

    def on_response_trailers(self, response: Response) -> MaybeAsync:
        """Look at or change `response.trailers`."""
        return CONTINUE

    def on_log(self) -> None:
        """Take note of how the stream went; headers and properties can be read and nothing can be changed."""

    def on_done(self) -> None:
        """Clean up: the stream is over, however it ended. Comes even after this filter has failed."""

    def resume_request(self) -> None:
        """Continue a request that a callback has paused with `PAUSE`, from elsewhere (a timer, a queue)."""
        if self._stream.request_flow is not None:
            self._stream.request_flow.resume()

    def resume_response(self) -> None:
        """Continue a response that a callback has paused with `PAUSE`, from elsewhere."""
        if self._stream.response_flow is not None:
            self._stream.response_flow.resume()

    def acting(self) -> AbstractContextManager[None]:
        """Have properties be those of this stream, in a block elsewhere: in a timer they are the plugin's."""
        return self._stream.acting()

    def end(self, reply: Reply) -> None:
        """End the stream with *reply*, from elsewhere: what a callback of it returns as an outcome.

        Nothing of the request or response is delivered any more. If response headers have already left the
        stream is reset instead.
        """
        self._stream.end(reply)

    def clear_route_cache(self) -> None:
        """Have the route chosen anew.

        Envoy and Higress do so by themselves when a request header has been changed; this is for when the
        route depends on something else. Raises `NotFoundError` on Envoy before 1.33.
        """
        self.call_foreign_function("clear_route_cache")


Handler = Callable[[Any, Any], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Callbacks:
    """The callbacks a filter class overrides; None for the others, so that they cost no more than a look."""

    request: tuple[Handler | None, Handler | None, Handler | None]
    response: tuple[Handler | None, Handler | None, Handler | None]
    on_log: Callable[[Any], object] | None
    on_done: Callable[[Any], object] | None

    @classmethod
    def of(cls, filter_class: type[HttpFilter[Any]]) -> "Callbacks":
        """Look at a class once, so that no stream has to."""

        def overridden(name: str) -> Any:
            method = getattr(filter_class, name)
            return None if method is getattr(HttpFilter, name) else method

        return cls(
            request=(
                overridden("on_request_headers"),
                overridden("on_request_body"),
                overridden("on_request_trailers"),
            ),
            response=(
                overridden("on_response_headers"),
                overridden("on_response_body"),
                overridden("on_response_trailers"),
            ),
            on_log=overridden("on_log"),
            on_done=overridden("on_done"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginDefinition:
    """A plugin as `@plugin` declares it."""

    name: str
    filter_class: type[HttpFilter[Any]]
    config: Callable[[Mapping[str, Any]], Any]
    context_class: type[PluginContext[Any]]
    fails_open: bool
    callbacks: Callbacks


_registered: Final[dict[str, PluginDefinition]] = {}


def plugin(
    name: str,
    *,
    config: Callable[[Mapping[str, Any]], Any] = dict,
    on_error: Literal["open", "closed"] = "open",
    context: type[PluginContext[Any]] = PluginContext,
) -> Callable[[type[Filter]], type[Filter]]:
    """Declare a filter class as the plugin called *name*, the `root_id` by which a proxy chooses it.

    *config* makes the filter's `config` of the JSON object in the plugin's configuration, and raises
    ValueError to refuse it; without it `config` is that object. *on_error* says what becomes of a stream in
    which the filter raises: "open" goes on without the filter, "closed" answers 500. *context* is a
    `PluginContext` class of the plugin's own.
    """
    if on_error not in ("open", "closed"):
        raise UsageError(f"plugin {name!r}: on_error is 'open' or 'closed'")

    def register(filter_class: type[Filter]) -> type[Filter]:
        known = _registered.get(name)
        if known is not None and _place(known.filter_class) != _place(filter_class):
            raise UsageError(
                f"two plugins are called {name!r}: {_place(known.filter_class)} and {_place(filter_class)}"
            )
        definition = PluginDefinition(
            name=name,
            filter_class=filter_class,
            config=config,
            context_class=context,
            fails_open=on_error == "open",
            callbacks=Callbacks.of(filter_class),
        )
        filter_class.definition = definition
        _registered[name] = definition
        return filter_class

    return register


def registered_plugins() -> tuple[str, ...]:
    """Return the names of the plugins that have been imported, sorted."""
    return tuple(sorted(_registered))


def registered_definitions() -> Mapping[str, PluginDefinition]:
    """Return the plugins by name; those imported later appear in it too."""
    return MappingProxyType(_registered)


def _place(filter_class: type) -> str:
    return f"{filter_class.__module__}.{filter_class.__qualname__}"
