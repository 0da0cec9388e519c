"""The law of leases: what a gateway does with its share of an account.

1. Requests are admitted to what the lease leaves beside what is reserved and what was spent since the last
   call. Whoever does not fit asks Redis for what is lacking, and is refused when Redis has too little.
2. A call takes what was spent out of the lease and says so: what counts against the limit is the same before
   and after, in Redis and here. What was spent is in a call or waits for the next one, never in both.
3. One call at a time. As long as it has no answer the same call is made again, and whoever wants something
   in the meantime waits for the answer, too, and is counted in the next call.
4. A lease is of the window in which it was given; of a rolling one it goes on as long as it is renewed.
5. What is not needed goes back: all that is free when nobody has asked for a while, or somebody is short.

Everything here is a function of an account as it is in the shared data; see `lease` for what is kept there.
"""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from aigateway.windows import Span

from . import accounts
from .accounts import Account, Refused, Reservation
from .lease import FOR_EVER_S, NO_LEASE, Answer, Call

__all__ = [
    "Beyond",
    "Outage",
    "Terms",
    "Wait",
    "answered",
    "bring_to",
    "charged",
    "counted",
    "first_call",
    "is_settled",
    "next_call",
    "overdraws",
    "reserve",
]

_IDLE_S: Final = 2
"""Whoever has asked for nothing for so long gives back what is free."""

_HEARSAY_S: Final = 2
"""So long it is believed that a window is used up; an operator may have changed what is in Redis since."""


class Beyond(StrEnum):
    """What becomes of a request that the lease does not cover."""

    ASK = "ask"
    """Redis is asked; the others are for when it is away."""
    LOCAL_ONLY = "local_only"
    """It is admitted to what nobody else had spent or leased when Redis was last heard of."""
    FAIL_OPEN = "fail_open"
    FAIL_CLOSED = "fail_closed"


class Outage(StrEnum):
    """Why there is neither a reservation nor a refusal."""

    AWAY = "away"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What holds for one account at this moment."""

    limit_nano_usd: int
    is_enforced: bool = True
    span: Span
    parts: int
    now_s: int
    most_nano_usd: int = 0
    """The most that is leased in advance."""
    lost: Collection[str] = field(default=frozenset())
    """Owners whose reservations do not count."""


@dataclass(frozen=True, slots=True)
class Wait:
    """A request that needs more than the lease has, and the call whose answer it waits for."""

    call: Call
    number: int
    """The first call in which it is counted: this one, or the next."""
    lacks_nano_usd: int


def bring_to(account: Account, terms: Terms) -> Account:
    """Bring an account to the present, and forget a lease of which nothing is left to know."""
    account = accounts.bring_to(account, terms.span, terms.parts, terms.now_s, terms.lost)
    lease = account.lease
    if lease is None or lease.call is not None or account.holds or account.lifetime_nano_usd:
        return account
    if lease.heard_s and lease.window_s >= account.counts_from_s:
        return account
    return replace(account, lease=None)


def worth(account: Account, now_s: int) -> int:
    """Return what a lease is worth: nothing if it is lost, or its window over."""
    lease = account.lease
    return _current(account) if lease is not None and now_s < lease.until_s else 0


def counted(account: Account) -> int:
    """Return all that counts, as far as is known here: of this gateway, and of others as last heard."""
    lease = account.lease or NO_LEASE
    here = account.spent_nano_usd + account.reserved_nano_usd + _unheard(account)
    if lease.window_s < account.counts_from_s:
        return here
    return here + lease.spent_nano_usd + lease.others_nano_usd


def overdraws(account: Account, now_s: int) -> bool:
    """Tell whether more is spent and reserved than the lease is worth."""
    return account.spent_nano_usd + account.reserved_nano_usd > worth(account, now_s)


def is_settled(account: Account) -> bool:
    """Tell whether Redis has heard all and got all back."""
    lease = account.lease
    if account.holds or account.lifetime_nano_usd:
        return False
    return lease is None or (lease.call is None and not lease.nano_usd)


def charged(account: Account, reservation: Reservation, actual_nano_usd: int) -> Account:
    """End a reservation and charge what the request did cost; the next call tells Redis."""
    account = accounts.settle(account, reservation, actual_nano_usd)
    return account if account.lease is not None else replace(account, lease=NO_LEASE)


def reserve(
    account: Account,
    nano_usd: int,
    terms: Terms,
    *,
    owner: str,
    lasts_s: int,
    beyond: Beyond = Beyond.ASK,
    wait: Wait | None = None,
    answer: Answer | None = None,
) -> tuple[Account, Reservation | Refused | Wait | Outage]:
    """Reserve from the lease, or say what there is to wait for, or why not.

    Call it again with what it returned as *wait* and the *answer* to that call, which it takes note of first.
    """
    account = bring_to(account, terms)
    if answer is not None:
        account = answered(account, answer, terms)
    lease = account.lease or NO_LEASE
    lacks = account.reserved_nano_usd + nano_usd - _left(account, terms)
    if (
        lacks <= 0
        or not terms.is_enforced
        or beyond is Beyond.FAIL_OPEN
        or (beyond is Beyond.LOCAL_ONLY and counted(account) + nano_usd <= terms.limit_nano_usd)
    ):
        waiting = lease.waiting_nano_usd
        if wait is not None and wait.number > lease.number:  # It was to be in a call that is not made yet.
            waiting = max(0, waiting - wait.lacks_nano_usd)
        if account.lease is None or lease.used_s != terms.now_s or lease.waiting_nano_usd != waiting:
            lease = replace(lease, used_s=terms.now_s, waiting_nano_usd=waiting)
            account = replace(account, lease=lease)
        return accounts.hold(account, nano_usd, terms.now_s, owner=owner, lasts_s=lasts_s)
    if beyond is Beyond.FAIL_CLOSED:
        return account, Outage.AWAY
    if beyond is Beyond.LOCAL_ONLY:
        return account, _refused_here(account, nano_usd, terms)
    if answer is None:
        if _is_used_up(account, nano_usd, terms):
            return account, _refused_here(account, nano_usd, terms)
    elif wait is not None and answer.number >= wait.number and lacks > _free(answer, terms):
        return account, _refused(account, answer, nano_usd, terms)
    return _wait(account, lacks, terms, wait)


def next_call(account: Account, terms: Terms, *, renew_s: int, resend_s: int) -> tuple[Account, Call | None]:
    """Return the call that is due without anybody waiting for it, if one is.

    It says what was spent and gives back what is not needed, renews a lease after *renew_s* seconds, and asks
    in advance for those who are likely to come. A call without an answer is made again after *resend_s*.
    """
    account = bring_to(account, terms)
    lease = account.lease
    if lease is None:
        return account, None
    if lease.call is not None:
        if _since(lease.sent_s, terms) < resend_s:
            return account, None
        return replace(account, lease=replace(lease, sent_s=terms.now_s)), lease.call
    is_idle = _since(lease.used_s, terms) >= _IDLE_S
    free = max(0, _left(account, terms) - account.reserved_nano_usd)
    gives_back = is_idle or lease.is_wanted or not terms.is_enforced
    wish = 0
    if not gives_back and 2 * free < lease.target_nano_usd:
        wish = lease.target_nano_usd - free
    is_due = (
        account.lifetime_nano_usd > 0
        or (gives_back and free > 0)
        or wish > 0
        or (lease.nano_usd > 0 and _since(lease.heard_s, terms) >= renew_s)
    )
    if not is_due:
        return account, None
    if is_idle:
        account = replace(account, lease=replace(lease, target_nano_usd=0))
    return _make_call(
        account, terms, gives_back=gives_back, waiting_nano_usd=lease.waiting_nano_usd, wish_nano_usd=wish
    )


def first_call(account: Account, terms: Terms) -> tuple[Account, Call | None]:
    """Return a call that only asks how an account stands of which nothing has been heard in this window."""
    account = bring_to(account, terms)
    lease = account.lease or NO_LEASE
    if lease.call is not None:
        return account, None if lease.heard_s else lease.call
    if lease.heard_s and lease.window_s >= account.counts_from_s:
        return account, None
    return _make_call(account, terms, gives_back=False)


def answered(account: Account, answer: Answer, terms: Terms) -> Account:
    """Take note of an answer; one to a call that has had an answer says nothing new."""
    lease = account.lease
    if lease is None or lease.call is None or answer.number < lease.call.number:
        return account
    if answer.number > lease.call.number:
        # The number was forgotten, with an idle account, and the clock set back. It was not heard: again.
        number = answer.number + 1
        return replace(
            account, lease=replace(lease, number=number, call=replace(lease.call, number=number), sent_s=0)
        )
    lease = replace(
        lease,
        nano_usd=answer.lease_nano_usd,
        window_s=answer.window_s,
        until_s=answer.until_s,
        heard_s=terms.now_s,
        spent_nano_usd=answer.spent_nano_usd,
        others_nano_usd=answer.leased_nano_usd - answer.lease_nano_usd,
        is_wanted=answer.is_wanted,
        call=None,
    )
    account = replace(
        account,
        window_s=max(account.window_s, answer.window_s),
        counts_from_s=max(account.counts_from_s, answer.counts_from_s),
        lease=lease,
    )
    return bring_to(account, terms)


def _wait(account: Account, lacks_nano_usd: int, terms: Terms, wait: Wait | None) -> tuple[Account, Wait]:
    """Ask for what is lacking; if a call is on its way, be counted in the next one."""
    lease = account.lease or NO_LEASE
    call = lease.call
    if call is None:
        target = min(terms.most_nano_usd, max(lacks_nano_usd, 2 * lease.target_nano_usd))
        account = replace(account, lease=replace(lease, target_nano_usd=target))
        account, call = _make_call(
            account,
            terms,
            gives_back=False,
            lacks_nano_usd=lacks_nano_usd,
            waiting_nano_usd=max(lacks_nano_usd, lease.waiting_nano_usd),
            wish_nano_usd=target,
        )
        return account, Wait(call, call.number, lacks_nano_usd)
    if wait is not None and wait.number >= call.number:
        return account, replace(wait, call=call)
    waiting = lease.waiting_nano_usd + lacks_nano_usd
    account = replace(account, lease=replace(lease, waiting_nano_usd=waiting))
    return account, Wait(call, call.number + 1, lacks_nano_usd)


def _make_call(
    account: Account,
    terms: Terms,
    *,
    gives_back: bool,
    lacks_nano_usd: int = 0,
    waiting_nano_usd: int = 0,
    wish_nano_usd: int = 0,
) -> tuple[Account, Call]:
    """Move what was spent out of the account, and as much out of the lease, into a call."""
    lease = account.lease or NO_LEASE
    keeps = max(0, _current(account) - account.spent_nano_usd)
    if gives_back:
        keeps = min(keeps, account.reserved_nano_usd)
    call = Call(
        # There may have been an account of the same name, of which only Redis knows the last number.
        number=lease.number + 1 if lease.number else terms.now_s * 1_000,
        window_s=account.window_s,
        counts_from_s=account.counts_from_s,
        limit_nano_usd=terms.limit_nano_usd,
        keeps_nano_usd=keeps,
        lifetime_nano_usd=account.lifetime_nano_usd,
        lacks_nano_usd=lacks_nano_usd,
        waiting_nano_usd=waiting_nano_usd,
        wish_nano_usd=wish_nano_usd,
        spent=account.spent,
    )
    lease = replace(
        lease, nano_usd=keeps, number=call.number, waiting_nano_usd=0, call=call, sent_s=terms.now_s
    )
    return replace(account, spent=(), lifetime_nano_usd=0, lease=lease), call


def _current(account: Account) -> int:
    """Return the lease, if it is of a window that is not over.

    Of a rolling window the oldest part is over already: in Redis it may be, by a clock that is ahead.
    """
    lease = account.lease
    if lease is None:
        return 0
    is_current = lease.window_s == account.window_s or lease.window_s > account.counts_from_s
    return lease.nano_usd if is_current else 0


def _left(account: Account, terms: Terms) -> int:
    """Return what the lease is worth beside what was spent of it."""
    return max(0, worth(account, terms.now_s) - account.spent_nano_usd)


def _since(then_s: int, terms: Terms) -> int:
    """Return how long ago something was; a clock that was set back says nothing, so it was long ago."""
    return terms.now_s - then_s if terms.now_s >= then_s else FOR_EVER_S


def _unheard(account: Account) -> int:
    """Return what the call on its way says was spent in windows that count."""
    call = account.lease.call if account.lease is not None else None
    if call is None:
        return 0
    return sum([nano_usd for start_s, nano_usd in call.spent if start_s >= account.counts_from_s])


def _free(answer: Answer, terms: Terms) -> int:
    return terms.limit_nano_usd - answer.spent_nano_usd - answer.leased_nano_usd


def _is_used_up(account: Account, nano_usd: int, terms: Terms) -> bool:
    """Whether so much is known to be spent that nothing but the end of the window can help."""
    lease = account.lease
    if lease is None or terms.parts != 1 or _since(lease.heard_s, terms) >= _HEARSAY_S:
        return False
    if lease.window_s != account.window_s:
        return False
    spent = lease.spent_nano_usd + _unheard(account) + account.spent_nano_usd
    return spent + nano_usd > terms.limit_nano_usd


def _refused_here(account: Account, nano_usd: int, terms: Terms) -> Refused:
    """Say why a request is refused, from what is known without asking."""
    lease = account.lease or NO_LEASE
    spent = account.spent_nano_usd + _unheard(account)
    if lease.window_s >= account.counts_from_s:
        spent += lease.spent_nano_usd
    return _refusal(account, spent, counted(account) - spent, nano_usd, terms)


def _refused(account: Account, answer: Answer, nano_usd: int, terms: Terms) -> Refused:
    """Say why a request is refused, from what Redis has answered."""
    known = replace(account, spent=answer.parts)
    spent = answer.spent_nano_usd + account.spent_nano_usd
    leased = max(account.reserved_nano_usd, answer.leased_nano_usd - account.spent_nano_usd)
    return _refusal(known, spent, leased, nano_usd, terms)


def _refusal(account: Account, spent: int, reserved: int, nano_usd: int, terms: Terms) -> Refused:
    over_nano_usd = spent + reserved + nano_usd - terms.limit_nano_usd
    return Refused(spent, reserved, accounts.resets_s(account, over_nano_usd, terms.span, terms.parts))
