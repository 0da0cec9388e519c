"""How a decision is handed over: to the router as a tier, or to the proxy as a model."""

from dataclasses import dataclass, field
from typing import Final

from aigateway import signals

from .config import Config
from .tiers import Tier

__all__ = ["HandedOver", "hand_over"]

_AUTO: Final = "auto"
"""What the router takes for the wish that it chooses."""


@dataclass(frozen=True, slots=True)
class HandedOver:
    """What changes about a request, beside the signals of the decision."""

    headers: dict[str, str] = field(default_factory=dict)
    model: str | None = None
    """What the body should name; None: what it names already."""


def hand_over(config: Config, tier: Tier, requested: str | None, *, is_measured: bool) -> HandedOver:
    """Say what changes about a request for the model *requested*.

    The router knows no model called `router-...`, so it is told `auto`: as a signal if a plugin before this
    one has measured the request, because then it reads signals, and otherwise in the body.
    """
    if config.hand_over == "model" and tier.model is not None:
        entry = tier.entry
        values = dict.fromkeys([signals.REQUESTED_MODEL, signals.MODEL, signals.HIGRESS_MODEL], tier.model)
        if entry is None:
            return HandedOver(values, tier.model)
        values |= {signals.PROVIDER: entry.provider, signals.CLUSTER: entry.cluster}
        return HandedOver(values, entry.upstream_name)
    if requested is None or requested == _AUTO:
        return HandedOver()
    return HandedOver({signals.REQUESTED_MODEL: _AUTO}, None if is_measured else _AUTO)
