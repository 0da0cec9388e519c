"""The deployments that scenarios run in."""

from collections.abc import Callable

from proxytest import FailurePolicy
from proxytest._deployment import Setup
from proxytest._plugin import PluginSpec
from proxytest._vm import Module, VmSpec

BUFFER_LIMIT_OF_SMALL = 4096
FRESH = frozenset(
    {"fresh", "twins", "configured", "busy start", "ticking", "closed", "open", "open always", "reload"}
)
"""Setups that every scenario gets anew, because it looks at the start or leaves a dead VM."""

_BUSY_START = (
    "configure: sset started yes & mdef 0 m_start & minc 1 & sget started & "
    "prop plugin_root_id & get 0 :path & pairs 0 & buf 0 0 10 & buf 7 0 9 & cont 0 & "
    "setprop a b & qreg q-start & qput first; queue_ready: qget"
)


def _setup(module: Module, *plugins: PluginSpec, buffer_limit: int | None = None) -> Setup:
    setup = Setup(
        plugins=list(plugins),
        clusters={"upstream": True, "service": True, "empty": False, "rpc": True, "bare": False},
        grpc_clusters={"rpc"},
    )
    if buffer_limit is not None:
        setup.buffer_limit = buffer_limit
    return setup


def _plugin(
    module: Module,
    root_id: str,
    configuration: str = "",
    *,
    allow: bool = True,
    policy: FailurePolicy = FailurePolicy.CLOSED,
) -> PluginSpec:
    return PluginSpec(
        root_id=root_id,
        configuration=configuration.encode(),
        vm=VmSpec(module=module, vm_id="conformance"),
        allow_on_headers_stop_iteration=allow,
        failure_policy=policy,
    )


def _two(module: Module) -> Setup:
    return _setup(module, _plugin(module, "a"), _plugin(module, "b"))


def _failing(policy: FailurePolicy) -> Callable[[Module], Setup]:
    return lambda module: _setup(
        module, _plugin(module, "a", policy=policy), _plugin(module, "b", policy=policy)
    )


SETUPS: dict[str, Callable[[Module], Setup]] = {
    "two": _two,
    "strict": lambda module: _setup(
        module, _plugin(module, "a", allow=False), _plugin(module, "b", allow=False)
    ),
    "small": lambda module: _setup(
        module, _plugin(module, "a"), _plugin(module, "b"), buffer_limit=BUFFER_LIMIT_OF_SMALL
    ),
    "fresh": _two,
    "twins": lambda module: _setup(module, _plugin(module, "a"), _plugin(module, "a")),
    "configured": lambda module: _setup(module, _plugin(module, "a", "request_headers: ret 0")),
    "busy start": lambda module: _setup(module, _plugin(module, "a", _BUSY_START)),
    "ticking": lambda module: _setup(module, _plugin(module, "a", "configure: tick 50; tick: tick 0")),
    "closed": _failing(FailurePolicy.CLOSED),
    "open": _failing(FailurePolicy.OPEN),
    "open always": _failing(FailurePolicy.OPEN_ALWAYS),
    "reload": _failing(FailurePolicy.RELOAD),
}
