"""Leases: what one gateway may spend of an account that many gateways share, and what it says of that.

The account itself is in Redis: what was spent, and who holds how much of the rest. A gateway spends from its
lease without asking. Now and then it makes a call: it says what it has spent and how much of its lease it
keeps, and asks for more. An account has one call at a time, with a number that only grows. Redis does what a
number says once, and answers with what then is the case; so a call whose answer was lost is made again, by
anybody, until one comes.

All amounts are whole nano-USD, all times whole seconds since the epoch.
"""

from dataclasses import dataclass
from typing import Final

__all__ = [
    "FOR_EVER_S",
    "NO_LEASE",
    "Answer",
    "Call",
    "Lease",
    "decode_answer",
    "decode_call",
    "decode_lease",
    "encode_call",
    "encode_lease",
]

FOR_EVER_S: Final = 1 << 33


@dataclass(frozen=True, slots=True)
class Call:
    """What a gateway says of one account, until it knows that it was heard."""

    number: int
    window_s: int
    """When the newest window that the gateway knows begins."""
    counts_from_s: int
    limit_nano_usd: int
    keeps_nano_usd: int
    """What is left of the lease when that is taken off which it has spent, or gives back."""
    lifetime_nano_usd: int
    """All that it has spent since it was last heard, in whatever window."""
    lacks_nano_usd: int = 0
    """The least that is of use to who asks."""
    waiting_nano_usd: int = 0
    """What all who wait would need."""
    wish_nano_usd: int = 0
    """What it would like to have in advance."""
    spent: tuple[tuple[int, int], ...] = ()
    """What it has spent in windows, or parts of a rolling one, that count; oldest first."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is the case in Redis after a call."""

    number: int
    """That of the last call that this gateway was heard with."""
    lease_nano_usd: int
    window_s: int
    counts_from_s: int
    left_s: int
    """How long the lease is good, by the clock of Redis."""
    spent_nano_usd: int
    leased_nano_usd: int
    """The leases of all gateways, this one included."""
    is_wanted: bool
    """Whether somebody is short, so that what is free should be given back."""
    parts: tuple[tuple[int, int], ...] = ()
    """What was spent by window, or by part of a rolling one, if there was too little; oldest first."""
    until_s: int = FOR_EVER_S
    """Until when the lease may be spent, by the clock of the gateway."""


@dataclass(frozen=True, slots=True)
class Lease:
    """What a gateway holds of an account, and what it has heard of the rest."""

    nano_usd: int = 0
    window_s: int = 0
    """The newest window, or part of a rolling one, when it was given; it is worth nothing after that."""
    until_s: int = 0
    """From then on it may be spent by others."""
    number: int = 0
    """That of the last call."""
    used_s: int = 0
    """When a request was last admitted."""
    target_nano_usd: int = 0
    """What is worth having in advance: it grows when requests have to wait."""
    waiting_nano_usd: int = 0
    """What those lack who wait for a call in which they are not counted."""
    heard_s: int = 0
    """When the last answer came; 0: none has."""
    spent_nano_usd: int = 0
    """In Redis, as last heard, and so are the next two."""
    others_nano_usd: int = 0
    """The leases of other gateways."""
    is_wanted: bool = False
    call: Call | None = None
    """The call that has no answer yet."""
    sent_s: int = 0
    """When it was last made."""


NO_LEASE: Final = Lease()


def encode_call(call: Call) -> str:
    """Write a call as the script takes it: numbers with something in between."""
    spent = "".join([f",{start_s}:{nano_usd}" for start_s, nano_usd in call.spent])
    return (
        f"{call.number},{call.window_s},{call.counts_from_s},{call.limit_nano_usd},{call.keeps_nano_usd},"
        f"{call.lifetime_nano_usd},{call.lacks_nano_usd},{call.waiting_nano_usd},{call.wish_nano_usd}{spent}"
    )


def decode_call(text: str) -> Call:
    """Read what `encode_call` wrote, or raise ValueError."""
    number, window_s, counts_from_s, limit, keeps, lifetime, lacks, waiting, wish, *spent = text.split(",")
    return Call(
        number=int(number),
        window_s=int(window_s),
        counts_from_s=int(counts_from_s),
        limit_nano_usd=int(limit),
        keeps_nano_usd=int(keeps),
        lifetime_nano_usd=int(lifetime),
        lacks_nano_usd=int(lacks),
        waiting_nano_usd=int(waiting),
        wish_nano_usd=int(wish),
        spent=_parts(spent),
    )


def decode_answer(text: str) -> Answer:
    """Read what the script answers of one account, or raise ValueError."""
    number, lease, window_s, counts_from_s, left_s, spent, leased, wanted, *parts = text.split(",")
    return Answer(
        number=int(number),
        lease_nano_usd=int(lease),
        window_s=int(window_s),
        counts_from_s=int(counts_from_s),
        left_s=int(left_s),
        spent_nano_usd=int(spent),
        leased_nano_usd=int(leased),
        is_wanted=wanted == "1",
        parts=tuple(sorted(_parts(parts))),
    )


def encode_lease(lease: Lease) -> str:
    """Write a lease as two fields of a line of ASCII: the call on its way, or nothing, and the rest."""
    call = f"{lease.sent_s},{encode_call(lease.call)}" if lease.call is not None else ""
    return (
        f"{call}|{lease.nano_usd},{lease.window_s},{lease.until_s},{lease.number},{lease.used_s},"
        f"{lease.target_nano_usd},{lease.waiting_nano_usd},{lease.heard_s},{lease.spent_nano_usd},"
        f"{lease.others_nano_usd},{lease.is_wanted:d}"
    )


def decode_lease(call: str, lease: str) -> Lease:
    """Read the two fields that `encode_lease` wrote, or raise ValueError."""
    nano_usd, window_s, until_s, number, used_s, target, waiting, heard_s, spent, others, wanted = (
        lease.split(",")
    )
    sent_s, _, said = call.partition(",")
    return Lease(
        nano_usd=int(nano_usd),
        window_s=int(window_s),
        until_s=int(until_s),
        number=int(number),
        used_s=int(used_s),
        target_nano_usd=int(target),
        waiting_nano_usd=int(waiting),
        heard_s=int(heard_s),
        spent_nano_usd=int(spent),
        others_nano_usd=int(others),
        is_wanted=wanted == "1",
        call=decode_call(said) if call else None,
        sent_s=int(sent_s) if call else 0,
    )


def _parts(texts: list[str]) -> tuple[tuple[int, int], ...]:
    pairs = [text.split(":") for text in texts]
    return tuple([(int(start_s), int(nano_usd)) for start_s, nano_usd in pairs])
