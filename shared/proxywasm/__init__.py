"""Proxy-Wasm filters in Python.

    from proxywasm import CONTINUE, HttpFilter, Outcome, Request, plugin

    @plugin("hello")
    class Hello(HttpFilter[dict[str, object]]):
        def on_request_headers(self, request: Request) -> Outcome:
            request.headers["x-hello"] = "world"
            return CONTINUE

A plugin is a class of callbacks; `HttpFilter` says which there are. One object of it lives as long as one
HTTP stream, inside a proxy such as Envoy or Higress. A whole module is imported when it is built, and runs
without files and network: what a filter needs of the outside it asks the proxy for.
"""

from ._resp import RedisValue
from .callouts import CallResponse
from .errors import (
    BadArgumentError,
    BodyUnavailableError,
    CalloutError,
    ConfigurationError,
    HeadersUnavailableError,
    HostError,
    InvalidHeaderError,
    NotFoundError,
    PropertyTypeError,
    ProxyWasmError,
    RedisError,
    SharedDataContentionError,
    UnsupportedError,
    UsageError,
)
from .filters import HttpFilter, plugin, registered_plugins
from .headers import FrozenHeaders, Headers, HeaderSource
from .http import Body, Request, Response
from .metrics import Counter, Gauge, Histogram, Metrics
from .outcomes import CONTINUE, PAUSE, Continue, Outcome, Pause, Reply
from .plugin_context import PluginContext
from .properties import Properties
from .shared_data import SharedData, SharedQueue, VersionedValue

__all__ = [
    "CONTINUE",
    "PAUSE",
    "BadArgumentError",
    "Body",
    "BodyUnavailableError",
    "CallResponse",
    "CalloutError",
    "ConfigurationError",
    "Continue",
    "Counter",
    "FrozenHeaders",
    "Gauge",
    "HeaderSource",
    "Headers",
    "HeadersUnavailableError",
    "Histogram",
    "HostError",
    "HttpFilter",
    "InvalidHeaderError",
    "Metrics",
    "NotFoundError",
    "Outcome",
    "Pause",
    "PluginContext",
    "Properties",
    "PropertyTypeError",
    "ProxyWasmError",
    "RedisError",
    "RedisValue",
    "Reply",
    "Request",
    "Response",
    "SharedData",
    "SharedDataContentionError",
    "SharedQueue",
    "UnsupportedError",
    "UsageError",
    "VersionedValue",
    "plugin",
    "registered_plugins",
]
