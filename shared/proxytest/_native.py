"""The native engine: filters called as Python objects, in the process of the test."""

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from typing import Protocol

from proxywasm import registered_plugins
from proxywasm._dispatch import Dispatcher

from ._errors import Trap
from ._hostcalls import HigressHostCalls, HostCalls
from ._profile import ENVOY, HIGRESS_ABI, Profile

_CALLBACKS = frozenset(name for name in vars(Dispatcher) if name.startswith("on_"))


class Callbacks(Protocol):
    """Whatever has methods named like the exports of a guest, less the `proxy_`."""


def _dispatcher(host: HostCalls) -> Dispatcher:
    """Make the SDK as it is in a module for any host, or in one for Higress."""
    return Dispatcher(host, redis=host if isinstance(host, HigressHostCalls) else None)


class NativeModule:
    """Guests made by a function; by default the SDK's dispatcher over every imported plugin."""

    def __init__(self, make: Callable[[HostCalls], Callbacks] = _dispatcher) -> None:
        self._make = make

    def start(self, host: HostCalls, profile: Profile, environment: Mapping[str, str]) -> "NativeGuest":
        """Make a guest; Python needs no start function."""
        return NativeGuest(self._make(host), profile)


class NativeGuest:
    """A Python object in the part of a module."""

    def __init__(self, callbacks: Callbacks, profile: Profile) -> None:
        self._callbacks = callbacks
        # Modules that wasmbuild makes carry Higress's marker in front of the common one.
        self.abi_version = HIGRESS_ABI if profile.higress_calls else ENVOY.abi_versions[-1]

    def exports(self, name: str) -> bool:
        """Tell whether the object has a callback."""
        return name in _CALLBACKS and hasattr(self._callbacks, name)

    def call(self, name: str, *arguments: int) -> int:
        """Run a callback; an exception that leaves Python ends a VM, and so it does here."""
        try:
            result = getattr(self._callbacks, name)(*arguments)
        except Exception as error:
            raise Trap(f"{name}: {type(error).__name__} left the guest: {error}") from error
        return int(result or 0)


def import_plugin(name: str) -> None:
    """Import the package that registers a plugin, unless something has registered it already.

    The plugin `ai-budget-guard` is looked for in the package `ai_budget_guard`, there in the module `filter`,
    or in a module `ai_budget_guard` of its own. Raises LookupError when there is no such plugin.
    """
    if name in registered_plugins():
        return
    module = name.replace("-", "_")
    spec = importlib.util.find_spec(module)
    if spec is not None:
        is_package = spec.submodule_search_locations is not None
        importlib.import_module(f"{module}.filter" if is_package else module)
    if name not in registered_plugins():
        raise LookupError(
            f"no plugin {name!r}: import the module that has @plugin({name!r}) before loading it"
        )
