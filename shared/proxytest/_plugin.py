"""What a plugin is to the host: a name, a configuration, a VM, and what to do when the VM dies."""

import enum
from dataclasses import dataclass

from ._vm import VmSpec


class FailurePolicy(enum.Enum):
    """What becomes of requests once the VM is dead (envoy.extensions.wasm.v3.FailurePolicy)."""

    CLOSED = "closed"
    """Every request gets 503."""

    OPEN = "open"
    """Later requests pass as if the plugin were not there; those inside the VM at that moment still get 503,
    except on Higress."""

    OPEN_ALWAYS = "open-always"
    """Requests inside the VM pass too (the deprecated `fail_open: true`)."""

    RELOAD = "reload"
    """The next request gets a new VM, with a pause between attempts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginSpec:
    """One wasm filter of a chain."""

    root_id: str
    configuration: bytes
    vm: VmSpec
    failure_policy: FailurePolicy = FailurePolicy.CLOSED
    allow_on_headers_stop_iteration: bool = False
    """Whether a header callback may pause itself and still get the body (Envoy 1.35 and later)."""

    @property
    def key(self) -> tuple[str, bytes]:
        """Plugins of one VM with equal keys share a root context."""
        return self.root_id, self.configuration
