"""The hosts the emulator can be, where they differ."""

import enum
from dataclasses import dataclass

HIGRESS_ABI = "proxy_abi_version_0_2_100"
"""Higress's own version marker, under which a header callback may pause itself and still get the body."""


class Wasi(enum.Enum):
    """Which generation of WASI functions a host registers (proxy-wasm-cpp-host, exports.h)."""

    UNTIL_2024 = 15
    UNTIL_2026 = 18
    GO_RUNTIME = 44


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One host: its name and every place where it behaves in its own way."""

    name: str
    """`envoy` or `higress`."""

    wasi: Wasi
    """The WASI functions a module may import."""

    abi_versions: tuple[str, ...]
    """Version markers the host knows; the first one in a module's export section decides."""

    higress_calls: bool
    """Whether Redis, data injection and the special properties exist."""

    old_property_names: bool
    """Whether `cluster_name` and `route_name` can be read without `xds.` in front."""

    restricts_allocation: bool
    """Whether most host calls end the VM while the host allocates guest memory."""


ENVOY = Profile(
    name="envoy",
    wasi=Wasi.GO_RUNTIME,
    abi_versions=("proxy_abi_version_0_1_0", "proxy_abi_version_0_2_0", "proxy_abi_version_0_2_1"),
    higress_calls=False,
    old_property_names=False,
    restricts_allocation=True,
)
"""Stock Envoy, release 1.39 and later."""

HIGRESS = Profile(
    name="higress",
    wasi=Wasi.GO_RUNTIME,
    abi_versions=(*ENVOY.abi_versions, HIGRESS_ABI),
    higress_calls=True,
    old_property_names=True,
    restricts_allocation=False,
)
"""Higress 2.2."""

PROFILES = {profile.name: profile for profile in (ENVOY, HIGRESS)}
