"""Tiers: the levels of models that a request can be sent to, and what that costs."""

import re
from dataclasses import dataclass
from typing import Final

from aigateway.config import Reader
from aigateway.models import Catalog, Model, Prices
from aigateway.usage import Usage

from .worth import Worth, read_worth

__all__ = ["ConfiguredPair", "Pair", "Tier"]

_NAME: Final = re.compile(r"[A-Za-z0-9_]{1,40}")
_A_NAME: Final = "a name of its own, of at most 40 letters, digits and underscores"
_LARGEST_PRICE: Final = 10**9
_MOST_TIERS: Final = 16
_ROUNDING: Final = 1e-9
_ABSENT: Final = -1.0
"""Stands for a number that is not given; none may be negative."""
_DEFAULT_TIERS: Final = ({"name": "strong"}, {"name": "weak"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """One level, such as `strong`."""

    name: str
    model: str | None = None
    """The model that stands for it, by its name in the catalog or as the provider calls it."""
    entry: Model | None = None
    """The catalog's entry of that model."""
    prices: Prices | None = None
    """What its tokens cost; None if nobody knows."""
    quality: float | None = None
    """How good its answers are, 0 to 1."""

    def cost(self, input_tokens: int, output_tokens: int) -> int | None:
        """Estimate what a request costs here, in nano-USD."""
        return None if self.prices is None else self.prices.cost(Usage(input_tokens, output_tokens))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Tiers among which a score decides, strongest first: a strong and a weak one, or more."""

    name: str
    tiers: tuple[Tier, ...]
    worth: Worth | None = None
    """What chooses among them in the place of thresholds, if anything does."""

    @property
    def boundaries(self) -> int:
        """How many thresholds it takes to tell the tiers apart."""
        return len(self.tiers) - 1

    def costs(self, input_tokens: int, output_tokens: int) -> tuple[int, ...] | None:
        """Estimate what a request costs in each tier, in nano-USD; None unless all prices are known."""
        costs = [tier.cost(input_tokens, output_tokens) for tier in self.tiers]
        known = tuple([cost for cost in costs if cost is not None])
        return known if len(known) == len(costs) else None

    def tier_of(self, score: float, thresholds: tuple[float, ...]) -> int:
        """Give the tier of a score: the first whose threshold it reaches, or the last."""
        for index, threshold in enumerate(thresholds):
            if score >= threshold:
                return index
        return len(thresholds)


@dataclass(frozen=True, slots=True)
class ConfiguredPair:
    """A pair as it is configured, with what its tiers say about thresholds."""

    reader: Reader
    pair: Pair
    thresholds: tuple[float, ...]
    """Of all tiers but the last; empty if none has one."""
    fractions: tuple[float, ...]
    """The same for shares of requests."""

    @classmethod
    def read(cls, reader: Reader, name: str, catalog: Catalog) -> "ConfiguredPair":
        """Read the tiers of a pair, strongest first."""
        entries = reader.tables("tiers") or [Reader(tier) for tier in _DEFAULT_TIERS]
        tiers: list[Tier] = []
        thresholds: list[float] = []
        fractions: list[float] = []
        for entry in entries:
            tier = _tier(entry, catalog)
            if not _NAME.fullmatch(tier.name) or tier.name in [other.name for other in tiers]:
                entry.refuse("name", _A_NAME, tier.name or None)
            tiers.append(tier)
            thresholds.append(entry.number("threshold", _ABSENT, at_least=0, at_most=1))
            fractions.append(entry.number("fraction", _ABSENT, at_least=0, at_most=1))
        worth = read_worth(reader, entries, [tier.prices is not None for tier in tiers])
        if not 2 <= len(tiers) <= _MOST_TIERS:
            reader.refuse("tiers", f"2 to {_MOST_TIERS} tiers, strongest first", len(tiers))
            tiers = [Tier(name="strong"), Tier(name="weak")]
            thresholds, fractions = [_ABSENT, _ABSENT], [_ABSENT, _ABSENT]
        return cls(
            reader,
            Pair(name=name, tiers=tuple(tiers), worth=worth),
            _of_all(reader, entries, "threshold", thresholds),
            _of_all(reader, entries, "fraction", fractions),
        )


def _of_all(reader: Reader, entries: list[Reader], key: str, values: list[float]) -> tuple[float, ...]:
    """Check that all tiers but the last have a value, or none."""
    given = [value != _ABSENT for value in values]
    if not any(given):
        return ()
    for entry, is_given in zip(entries[:-1], given, strict=False):
        if not is_given:
            entry.refuse(key, "a number from 0 to 1, as another tier has one", None)
    if given[-1]:
        entries[-1].refuse(key, "nothing: the last tier takes what is left", values[-1])
    if key == "threshold" and values[:-1] != sorted(values[:-1], reverse=True):
        reader.refuse("tiers", "thresholds that fall from the strongest tier on", "others")
    if key == "fraction" and sum(values[:-1]) > 1 + _ROUNDING:
        reader.refuse("tiers", "fractions of 1 together at most", sum(values[:-1]))
    return tuple(values[:-1])


def _tier(entry: Reader, catalog: Catalog) -> Tier:
    """Read a tier; its model, or else the cheapest of its name in the catalog, says price and quality."""
    name = entry.string("name", "")
    model = entry.string("model", "")
    known = catalog.find(model) if model else _cheapest(catalog, name)
    prices = entry.table("prices_nano_usd_per_token")
    input, output = (
        prices.integer(key, int(_ABSENT), at_least=0, at_most=_LARGEST_PRICE) for key in ("input", "output")
    )
    quality = entry.number("quality", _ABSENT, at_least=0, at_most=1)
    own = input >= 0 and output >= 0
    if (input >= 0) != (output >= 0):
        entry.refuse("prices_nano_usd_per_token", "the prices of input and output", "one of them")
    return Tier(
        name=name,
        model=model or None,
        entry=known if model else None,
        prices=Prices(input=input, output=output, cached_input=input, cache_write=input)
        if own
        else (known.prices if known is not None else None),
        quality=quality if quality >= 0 else (known.quality if known is not None else None),
    )


def _cheapest(catalog: Catalog, tier: str) -> Model | None:
    """Give the model of a tier that the router is most likely to choose."""
    models = [model for model in catalog if model.tier == tier]
    return min(models, key=lambda model: model.prices.input + model.prices.output, default=None)
