"""A Proxy-Wasm host for tests: run filters without a proxy, and trust the result.

`Gateway` is the face; the pytest plugin in `proxytest.pytest_plugin` gives it to tests as a fixture.
"""

from ._abi import LogLevel, Status
from ._errors import Trap, UnsafeForHostError
from ._logs import LogRecord
from ._meter import Meter
from ._native import NativeModule
from ._plugin import FailurePolicy
from ._process import ConfigurationRefusedError
from ._profile import ENVOY, HIGRESS, Profile
from ._route import Route
from ._wasm import ModuleError, WasmModule
from .consistency import InconsistentScenarioError
from .exchange import MessageHeaders, Received, Reply
from .gateway import Exchange, Gateway, NotEmulatedError
from .servers import Answer, Server, ServerCall

__all__ = [
    "ENVOY",
    "HIGRESS",
    "Answer",
    "ConfigurationRefusedError",
    "Exchange",
    "FailurePolicy",
    "Gateway",
    "InconsistentScenarioError",
    "LogLevel",
    "LogRecord",
    "MessageHeaders",
    "Meter",
    "ModuleError",
    "NativeModule",
    "NotEmulatedError",
    "Profile",
    "Received",
    "Reply",
    "Route",
    "Server",
    "ServerCall",
    "Status",
    "Trap",
    "UnsafeForHostError",
    "WasmModule",
]
