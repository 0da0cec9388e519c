"""Which accounts a request is on: those of everyone who may answer it, under every limit."""

from collections.abc import Sequence
from dataclasses import replace

from aigateway.models import Model

from .ledger import Allowance
from .limits import Limit, Per, Spender

__all__ = ["OWN", "allowance_of", "allowances_for", "allowances_of_caller"]

OWN = frozenset({Per.CONSUMER, Per.HEADER})
"""What limits are per whose accounts are the caller's own; of others he shares every account."""

_OF_ANSWER = frozenset({Per.MODEL, Per.PROVIDER})


def allowance_of(limit: Limit, subject: str, now_s: int, pays_for: frozenset[str] | None = None) -> Allowance:
    """Return what *subject* may spend under *limit* now."""
    return Allowance(
        limit=limit.name,
        subject=subject,
        nano_usd=limit.nano_usd_for(subject, now_s),
        window=limit.window,
        is_enforced=not limit.is_shadow,
        pays_for=pays_for,
    )


def allowances_for(
    limits: Sequence[Limit], spender: Spender, models: Sequence[Model], now_s: int
) -> tuple[Allowance, ...]:
    """Return what must have room for a request that any of *models* may answer, in a fixed order.

    Limits per model and per provider have an account for each who may answer; the one who does is paid from
    his, and the reservations in the others are given back.
    """
    found: list[Allowance] = []
    for limit in limits:
        if limit.per not in _OF_ANSWER:
            found.append(_allowance(limit, spender, now_s))
            continue
        payers: dict[str, set[str]] = {}
        for model in models:
            whose = replace(spender, model=model.name, provider=model.provider)
            payers.setdefault(limit.subject_of(whose), set()).add(model.key)
        for subject, keys in payers.items():
            found.append(allowance_of(limit, subject, now_s, frozenset(keys)))
    return tuple(found)


def allowances_of_caller(limits: Sequence[Limit], spender: Spender, now_s: int) -> tuple[Allowance, ...]:
    """Return what a caller may spend, whoever is to answer."""
    return tuple(_allowance(limit, spender, now_s) for limit in limits if limit.per not in _OF_ANSWER)


def _allowance(limit: Limit, spender: Spender, now_s: int) -> Allowance:
    return allowance_of(limit, limit.subject_of(spender), now_s)
