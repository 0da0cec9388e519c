"""What the probe's wasm module is built from: the probe takes the place of the SDK's dispatcher."""

from probe import Probe  # type: ignore[import-not-found]  # the build puts this folder on the path

import proxywasm._dispatch
from proxywasm import HttpFilter, plugin

proxywasm._dispatch.Dispatcher = Probe  # type: ignore[misc]  # that is all this module is for


@plugin("probe")
class Unused(HttpFilter[dict[str, object]]):
    """A filter that never runs: the build insists on one."""
