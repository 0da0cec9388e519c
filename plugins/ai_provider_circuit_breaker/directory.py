"""Who is where: the breakers that a catalog makes, found by what a request says of itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from aigateway.health import breaker_key, latency_key
from aigateway.models import Catalog, Model

__all__ = ["MAX_FALLBACKS", "Directory", "Scope", "Target"]

Scope = Literal["provider", "model"]

MAX_FALLBACKS: Final = 8
"""Of a longer list the rest is not looked at; the router names three."""

_LONGEST_LIST: Final = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A provider, and the model there, if that is known."""

    provider: str
    label: str
    """How metrics call the breaker: the provider, or `provider.model` if there is one for each."""
    breaker_key: str
    latency_key: str
    name: str
    """`provider/model`; the provider alone if the model is not known."""
    model: Model | None = None


class Directory:
    """The targets of a catalog, made once."""

    __slots__ = ("_at_cluster", "_named", "all")

    def __init__(self, catalog: Catalog, scope: Scope) -> None:
        self._named: Mapping[str, Target] = {model.key: _target(model, scope) for model in catalog}
        self._at_cluster: dict[str, Target] = {}
        breakers: dict[str, Target] = {}
        for model in catalog:
            self._at_cluster.setdefault(model.cluster, _provider(model.provider))
            breakers.setdefault(self._named[model.key].breaker_key, self._named[model.key])
        self.all: Final = tuple(breakers.values())
        """One target for each breaker."""

    def chosen(self, provider: str | None, model: str | None) -> Target | None:
        """Find what `x-ai-provider` and `x-ai-model` say; `None` if the catalog does not know it."""
        return self._named.get(f"{provider}/{model}")

    def named(self, name: str) -> Target:
        """Find a target by its name; what the catalog does not know is a provider."""
        return self._named.get(name) or _provider(name)

    def at_cluster(self, cluster: str | None) -> Target | None:
        """Say who is at the cluster of a route; one that the catalog does not know is its own provider."""
        if not cluster:
            return None
        return self._at_cluster.get(cluster) or _provider(cluster)

    def fallbacks(self, names: str | None) -> list[Target]:
        """Read `x-ai-fallbacks`, names of the form `provider/model` with commas between, in their order."""
        if not names:
            return []
        found = [self._named.get(name.strip()) for name in names[:_LONGEST_LIST].split(",")[:MAX_FALLBACKS]]
        return [target for target in found if target is not None]


def _target(model: Model, scope: Scope) -> Target:
    name = model.name if scope == "model" else None
    return Target(
        provider=model.provider,
        label=model.provider if name is None else f"{model.provider}.{name}",
        breaker_key=breaker_key(model.provider, name),
        latency_key=latency_key(model.provider, name),
        name=model.key,
        model=model,
    )


def _provider(name: str) -> Target:
    return Target(
        provider=name, label=name, breaker_key=breaker_key(name), latency_key=latency_key(name), name=name
    )
