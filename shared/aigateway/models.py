"""Models, their prices and catalogs of them, as values; `catalog` reads them from configuration."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from .chat import Format, Need
from .usage import Usage

__all__ = ["DOMAINS", "USUAL_NEEDS", "Catalog", "Model", "Prices"]

DOMAINS: Final = ("code", "medical", "legal", "general")
"""What a request can be about, as the signal `x-ai-domain` says it."""

USUAL_NEEDS: Final = frozenset({Need.TOOLS, Need.JSON, Need.STREAM})
"""What a model is taken to be able to do unless its entry says; images and sound must be said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What tokens of a model cost, in whole nano-USD each."""

    input: int
    output: int
    """Of what the model says and of what it thinks: providers bill reasoning as output."""
    cached_input: int
    """Of input that is read from the provider's cache."""
    cache_write: int
    """Of input that is written into it."""

    def cost(self, usage: Usage) -> int:
        """Compute what *usage* costs, in nano-USD, exactly.

        Counts that contradict themselves, more of the input cached than there is input, cost what the parts
        cost: never less than what was counted.
        """
        cached, written = usage.cached_input_tokens, usage.cache_write_tokens
        return (
            max(usage.input_tokens - cached - written, 0) * self.input
            + cached * self.cached_input
            + written * self.cache_write
            + usage.output_tokens * self.output
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One model at one provider."""

    name: str
    """Unique in the catalog: what clients ask for, and what rules and metrics say."""
    provider: str
    cluster: str
    """The Envoy cluster, or Higress service, that reaches the provider."""
    upstream_name: str
    """What the provider calls the model; goes into the body."""
    prices: Prices
    quality: float
    """How good its answers are, 0 to 1; comparable within the catalog."""
    domains: frozenset[str] = frozenset(DOMAINS)
    """What it may be asked about."""
    context_window_tokens: int
    """Input and output together."""
    max_output_tokens: int | None = None
    """What it can give at most; `None`: as much as its context window leaves."""
    needs: frozenset[Need] = USUAL_NEEDS
    """What it can do of what requests may need."""
    is_realtime: bool = True
    """Whether somebody can be kept waiting for its answers."""
    tier: str | None = None
    """`strong`, `weak` or any other word by which configuration names groups of models."""
    regions: frozenset[str] = frozenset()
    """Where it runs."""
    formats: frozenset[Format] = frozenset(Format)
    """The APIs by which it can be asked at its cluster."""

    @property
    def key(self) -> str:
        """Name the model with its provider: `openai/gpt-4.1-mini`."""
        return f"{self.provider}/{self.name}"


class Catalog:
    """The models a gateway may use, in the order of its configuration; names are unique."""

    __slots__ = ("_by_name", "models")

    def __init__(self, models: Iterable[Model]) -> None:
        self.models: Final = tuple(models)
        self._by_name: dict[str, Model] = {}
        for model in self.models:
            for name in (model.name, model.key):
                if name in self._by_name:
                    raise ValueError(f"{name!r} names two models of the catalog")
                self._by_name[name] = model

    def __len__(self) -> int:
        return len(self.models)

    def __iter__(self) -> Iterator[Model]:
        return iter(self.models)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Catalog) and self.models == other.models

    def __hash__(self) -> int:
        return hash(self.models)

    def __repr__(self) -> str:
        return f"<Catalog of {len(self.models)} models>"

    def find(self, text: str) -> Model | None:
        """Return the model of that name or `provider/name`, in exactly that spelling."""
        return self._by_name.get(text)

    def matching(self, pattern: str) -> tuple[Model, ...]:
        """Return the models whose name or `provider/name` is *pattern*, in which `*` stands for any text.

        However many stars, no name is gone through twice: patterns come from clients too.
        """
        if "*" not in pattern:
            model = self._by_name.get(pattern)
            return () if model is None else (model,)
        first, *middle, last = pattern.split("*")
        between = [part for part in middle if part]
        return tuple(
            model
            for model in self.models
            if _has_parts(model.name, first, between, last) or _has_parts(model.key, first, between, last)
        )


def _has_parts(name: str, first: str, between: list[str], last: str) -> bool:
    """Tell whether *name* starts with *first*, ends with *last* and has the others in turn in between."""
    if len(name) < len(first) + len(last) or not name.startswith(first) or not name.endswith(last):
        return False
    at, end = len(first), len(name) - len(last)
    for part in between:
        found = name.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True
