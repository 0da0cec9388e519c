"""What the probe's wasm module is built from: the probe takes the place of the SDK's dispatcher."""

import proxywasm._dispatch
from probe import Probe
from proxywasm import HttpFilter, plugin

proxywasm._dispatch.Dispatcher = Probe  # type: ignore[assignment, misc]  # that is all this module is for


@plugin("probe")
class Unused(HttpFilter[dict[str, object]]):
    """A filter that never runs: the build insists on one."""
