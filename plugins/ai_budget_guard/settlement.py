"""What a request did cost, once it is over, and out of which accounts that is paid.

nobody was asked, or the proxy answered itself   nothing
the caller left before an answer came            its input
the provider reports its usage                   that, at the prices of who answered
an error, without usage                          nothing
an answer without usage                          what was said, or what was reserved
an answer that cannot be read                    what was reserved

Beside that, of each attempt that failed when it had begun to answer, though nothing of it reached the caller:
the input, and what had come.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from aigateway import signals
from aigateway.lost_answers import LostAnswer
from aigateway.models import Model
from aigateway.usage import Usage, tokens_in_bytes

from .config import OnMissingUsage
from .ledger import Entry
from .orders import Order

__all__ = ["Answer", "Basis", "Settlement", "conclude", "lost_costs", "shares", "who_answered"]

_FIRST_ERROR = 300


class Basis(StrEnum):
    """What a charge rests on."""

    REPORTED = "reported"
    """The provider's own count."""
    COUNTED = "counted"
    """What was given, and what was seen of the answer."""
    RESERVED = "reserved"
    """The most that it can have been."""
    NOTHING = "nothing"


class Reading(Protocol):
    """What was read of an answer: `aigateway.usage.UsageReader`."""

    def finish(self) -> Usage | None:
        """Return what the provider reported, if it did."""

    def so_far(self, *, input_tokens: int) -> Usage:
        """Return what was used as far as can be seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How a request ended."""

    was_sent: bool
    """Whether it went to a provider."""
    status: int | None = None
    """`None`: there was no answer."""
    is_local: bool = False
    """Whether the proxy or a plugin made the answer."""
    reading: Reading | None = None
    """`None`: it could not be read."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a request did cost."""

    nano_usd: int
    basis: Basis
    usage: Usage | None = None


def conclude(
    order: Order, answer: Answer, model: Model, *, reserved_nano_usd: int, on_missing_usage: OnMissingUsage
) -> Settlement:
    """Say what *order* did cost when *model* gave *answer*."""
    if not answer.was_sent or answer.is_local:
        return Settlement(0, Basis.NOTHING)
    if answer.status is None:
        return _priced(model, Usage(order.input_tokens, 0), Basis.COUNTED)
    reading = answer.reading
    reported = None if reading is None else reading.finish()
    if reported is not None:
        return _priced(model, reported, Basis.REPORTED)
    if answer.status >= _FIRST_ERROR:
        return Settlement(0, Basis.NOTHING)
    if reading is None or on_missing_usage == "charge_reserved":
        return Settlement(reserved_nano_usd, Basis.RESERVED)
    return _priced(model, reading.so_far(input_tokens=order.input_tokens), Basis.COUNTED)


def who_answered(models: Sequence[Model], headers: Mapping[str, str | None], cluster: str | None) -> Model:
    """Find who answered among those that may have.

    That is who the *headers* x-ai-model and x-ai-provider of the answer name, as the plugin sets them that
    sent the request on; else who is at the *cluster* that it went to. Nobody but *models* is believed; the
    first of them is the choice.
    """
    if len(models) > 1:
        name, provider = headers.get(signals.MODEL), headers.get(signals.PROVIDER)
        for model in models:
            if model.name == name and provider in (None, model.provider):
                return model
        if name is None and cluster != models[0].cluster:
            for model in models:
                if model.cluster == cluster:
                    return model
    return models[0]


def lost_costs(order: Order, lost: Sequence[LostAnswer]) -> list[tuple[Model, int]]:
    """Say what the answers did cost that never reached the caller, as far as that can be seen."""
    known = {model.key: model for model in order.models}
    return [
        (model, model.prices.cost(Usage(order.input_tokens, tokens_in_bytes(answer.seen_bytes))))
        for answer in lost
        if (model := known.get(answer.model)) is not None
    ]


def shares(entries: Sequence[Entry], costs: Sequence[tuple[Model, int]]) -> list[tuple[Entry, int]]:
    """Say what each account pays of what was asked of several models: what its own ones cost, or all."""
    return [
        (
            entry,
            sum(
                [
                    nano_usd
                    for model, nano_usd in costs
                    if entry.allowance.pays_for is None or model.key in entry.allowance.pays_for
                ]
            ),
        )
        for entry in entries
    ]


def _priced(model: Model, usage: Usage, basis: Basis) -> Settlement:
    return Settlement(model.prices.cost(usage), basis, usage)
