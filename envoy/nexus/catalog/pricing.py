"""From a price list to the four prices of a catalog: whole nano-USD per token, and never too low.

A price list has more to say than four numbers. A price may depend on the length of the input, on the time of
day, on a date to come, on how long a cache entry lives, on whether a token is text or sound. A catalog has
one price for each, so the highest is taken of those that a request may meet, and what was decided is said in
`Quote.notes`. Fractions of a nano-USD are rounded up.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from decimal import ROUND_CEILING, Decimal
from typing import Final, Literal

from genai_prices.types import ModelInfo, ModelPrice, StartDateConstraint, TieredPrices

from aigateway.catalog import Prices
from aigateway.chat import Need

__all__ = ["Quote", "Tiers", "quote"]

Tiers = Literal["highest", "first"]
Four = tuple[Decimal, Decimal, Decimal, Decimal]
"""The prices of input, output, cached input and writing into the cache."""

_NANO_USD_PER_TOKEN: Final = 1000
"""Of one US dollar for a million tokens, which is what price lists count in."""

_INPUT: Final = ("input_mtok", "input_text_mtok")
_CACHED: Final = ("cache_read_mtok", "cache_text_read_mtok")
_WRITTEN: Final = (
    "cache_write_mtok",
    "cache_write_5m_mtok",
    "cache_write_1h_mtok",
    "cache_text_write_mtok",
    "cache_text_write_5m_mtok",
    "cache_text_write_1h_mtok",
)
_OUTPUT: Final = ("output_mtok", "output_text_mtok", "output_reasoning_mtok")
_OF_NEED: Final = {
    Need.AUDIO: (("input_audio_mtok",), ("cache_audio_read_mtok",)),
    Need.VISION: (("input_image_mtok", "input_video_mtok"), ("cache_image_read_mtok",)),
}
"""The prices of input and cached input that a model has besides when it can hear or see."""

_SEARCHES: Final = ("web_searches_kcount", "storage_searches_kcount")
"""What is only billed to requests that ask the provider to search."""


@dataclass(frozen=True, slots=True)
class _Terms:
    """What a model is priced for."""

    needs: frozenset[Need]
    context_window_tokens: int | None
    tiers: Tiers


@dataclass(frozen=True, slots=True)
class Quote:
    """What a model costs."""

    prices: Prices
    longest_input_tokens: int | None
    """Beyond this many tokens of input it costs more; `None` if it does not."""
    notes: tuple[str, ...]
    """What was decided to get here, and what the prices do not cover."""


def quote(
    model: ModelInfo,
    today: date,
    *,
    needs: Iterable[Need],
    context_window_tokens: int | None,
    tiers: Tiers = "highest",
) -> Quote | None:
    """Compute the prices of *model* from *today* on; `None` if its input or its output has none.

    *needs* is what the model can do: one that is never sent images is not priced for them. *tiers* says
    whether a model that costs more for long input is taken at its highest price, or at its first, up to the
    length of input where the next begins. Lengths beyond *context_window_tokens* are never met.
    """
    terms = _Terms(frozenset(needs), context_window_tokens, tiers)
    offers = [_within(offer, context_window_tokens) for offer in _offers(model, today)]
    each = [_four(offer, terms) for offer in offers]
    priced = [four for four in each if four is not None]
    if len(priced) < len(each):
        return None
    exact = _dearest(priced)
    whole = [int(price.to_integral_value(ROUND_CEILING)) for price in exact]
    starts = sorted({tier.start for offer in offers for price in _tiered(offer) for tier in price.tiers})
    text = replace(terms, needs=frozenset())
    for_text = _dearest(four for offer in offers if (four := _four(offer, text)) is not None)
    notes = list(_decided(offers, starts, tiers))
    if exact != for_text:
        notes.append("images or sound cost more than text: their price is taken for all input")
    if any(price != rounded for price, rounded in zip(exact, whole, strict=True)):
        notes.append("fractions of a nano-USD are rounded up")
    notes.extend(_uncovered(model, offers, terms, exact))
    return Quote(
        prices=Prices(input=whole[0], output=whole[1], cached_input=whole[2], cache_write=whole[3]),
        longest_input_tokens=starts[0] if starts and tiers == "first" else None,
        notes=tuple(notes),
    )


def _dearest(prices: Iterable[Four]) -> Four:
    """Take the highest of each of the four prices."""
    input, output, cached, written = (max(column) for column in zip(*prices, strict=True))
    return input, output, cached, written


def _offers(model: ModelInfo, today: date) -> list[ModelPrice]:
    """Pick the prices that a request may meet from *today* on: now, at some hour, or after a date to come.

    Of conditional prices the last whose condition holds is billed, and the first if none holds.
    """
    if isinstance(model.prices, ModelPrice):
        return [model.prices]
    standing = 0
    for index, entry in enumerate(model.prices):
        constraint = entry.constraint
        if constraint is None or (
            isinstance(constraint, StartDateConstraint) and constraint.start_date <= today
        ):
            standing = index
    return [entry.prices for entry in model.prices[standing:]]


def _within(offer: ModelPrice, context_window_tokens: int | None) -> ModelPrice:
    """Drop the prices for input that does not fit into the context window."""
    if context_window_tokens is None:
        return offer
    reachable: dict[str, Decimal | TieredPrices | None] = {}
    for key, price in vars(offer).items():
        if isinstance(price, TieredPrices):
            tiers = [tier for tier in price.tiers if tier.start < context_window_tokens]
            reachable[key] = TieredPrices(price.base, tiers) if tiers else price.base
        else:
            reachable[key] = price
    return ModelPrice(**reachable)


def _four(offer: ModelPrice, terms: _Terms) -> Four | None:
    """Compute the prices of one offer in nano-USD; `None` if its input or its output has none.

    Cached input, or writing into the cache, that has no price of its own is billed as input.
    """
    heard_or_seen = [_OF_NEED[need] for need in terms.needs if need in _OF_NEED]
    also_input = [key for keys, _ in heard_or_seen for key in keys]
    also_cached = [key for _, keys in heard_or_seen for key in keys]
    input = _highest(offer, [*_INPUT, *also_input], terms.tiers)
    output = _highest(offer, _OUTPUT, terms.tiers)
    if input is None or output is None or _highest(offer, _INPUT, terms.tiers) is None:
        return None
    cached = _highest(offer, [*_CACHED, *also_cached], terms.tiers)
    written = _highest(offer, _WRITTEN, terms.tiers)
    return input, output, input if cached is None else cached, input if written is None else written


def _highest(offer: ModelPrice, keys: Iterable[str], tiers: Tiers) -> Decimal | None:
    prices: list[Decimal] = []
    for key in keys:
        price = _price(offer, key)
        if isinstance(price, TieredPrices):
            prices.append(price.base)
            if tiers == "highest":
                prices.extend(tier.price for tier in price.tiers)
        elif price is not None:
            prices.append(price)
    return max(prices) * _NANO_USD_PER_TOKEN if prices else None


def _price(offer: ModelPrice, key: str) -> Decimal | TieredPrices | None:
    price: Decimal | TieredPrices | None = vars(offer).get(key)
    return price


def _tiered(offer: ModelPrice) -> list[TieredPrices]:
    return [price for price in vars(offer).values() if isinstance(price, TieredPrices)]


def _decided(offers: list[ModelPrice], starts: list[int], tiers: Tiers) -> Iterable[str]:
    """Say where a highest price was taken, or the context window cut."""
    if starts and tiers == "first":
        yield f"costs more beyond {starts[0]} tokens of input: the context window ends there"
    elif starts:
        where = " and ".join(map(str, starts))
        yield f"costs more beyond {where} tokens of input: the highest price is taken for all"
    if len(offers) > 1:
        yield "the price depends on the hour, or another is announced: the highest is taken"
    if any(
        _price(offer, "cache_write_mtok") is not None and _price(offer, key) is not None
        for offer in offers
        for key in ("cache_write_1h_mtok", "cache_write_5m_mtok")
    ):
        yield "writing into the cache is priced as for its longest life"


def _uncovered(model: ModelInfo, offers: list[ModelPrice], terms: _Terms, exact: Four) -> Iterable[str]:
    """Say what may be billed beyond the prices."""
    fees = {
        key
        for offer in offers
        for key, price in vars(offer).items()
        if price is not None and not key.endswith("_mtok") and key not in _SEARCHES
    }
    if fees:
        yield f"is also billed by {', '.join(sorted(fees))}, which no catalog can say"
    dearer = set()
    for variant in model.price_variants or ():
        overrides = {key: price for key, price in vars(variant.prices).items() if price is not None}
        for offer in offers:
            varied = _within(ModelPrice(**(vars(offer) | overrides)), terms.context_window_tokens)
            prices = _four(varied, terms)
            if prices is not None and any(ours < theirs for ours, theirs in zip(exact, prices, strict=True)):
                dearer.add(" and ".join(f"{name}={value}" for name, value in variant.when.items()))
    if dearer:
        yield f"costs more than the catalog says with {' or '.join(sorted(dearer))}"
