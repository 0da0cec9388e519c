"""Accounts as bytes: many in one value of the shared data, so that the set of keys is bounded.

A value is lines of ASCII. The first is about the accounts that were closed here: the sum of what they had
ever been charged, the newest window of any, and since when it counts. Each of the others is one account:

    128000|1794960000|1794960000
    alice|512000|1794960000|1794960000|1794960000:3500|f3a91c:1794960000:1794967260:900

subject, lifetime, newest window, oldest window that counts, spent by window, reserved by owner, window and
expiry; of an account in Redis there follow the call on its way and the lease. Subjects are escaped as in
Python's strings, so one is found with one search, and the other lines of the value are neither parsed nor
written again.

An account that is opened begins where the newest of the closed ones ended: all accounts of a value are under
one limit, so a clock that is set back finds no window again that somebody has already left.
"""

import re
from codecs import unicode_escape_decode, unicode_escape_encode
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from .accounts import EMPTY, Account, Hold
from .lease import decode_lease, encode_lease

__all__ = [
    "CorruptSlotError",
    "close_idle",
    "closed_nano_usd",
    "every_account",
    "find",
    "name_of",
    "put",
    "unsettled_subjects",
]

_SETTLED: Final = re.compile(rb"[^|]*\|0\|\d+\|\d+\|\|\|\|0,.*")
"""The line of an account in Redis of which all is told, and nothing leased or reserved."""

_LONGEST_SUBJECT: Final = 256
"""Characters; subjects that differ only beyond share an account."""


class CorruptSlotError(ValueError):
    """A value that is none of ours; what it holds is not repeated."""


def find(slot: bytes | None, subject: str) -> Account:
    """Return the account of *subject*; an idle one if there is none."""
    if not slot:
        return EMPTY
    start, end = _place(slot, name_of(subject))
    if start >= 0:
        return _decode(slot[start:end])
    _, window_s, counts_from_s = _closed(slot)
    return Account(window_s=window_s, counts_from_s=counts_from_s)


def put(slot: bytes | None, subject: str, account: Account) -> bytes:
    """Return the value with *account* in it; an idle one is closed, and the first line remembers it."""
    slot = slot or b"0|0|0\n"
    name = name_of(subject)
    start, end = _place(slot, name)
    before, after = (slot, b"") if start < 0 else (slot[:start], slot[end + 1 :])
    if not account.is_idle:
        return before + name + _encode(account) + b"\n" + after
    nano_usd, window_s, counts_from_s = _closed(slot)
    head = b"%d|%d|%d" % (
        nano_usd + account.lifetime_nano_usd,
        max(window_s, account.window_s),
        max(counts_from_s, account.counts_from_s),
    )
    return head + b"\n" + (before + after).partition(b"\n")[2]


def close_idle(slot: bytes | None, bring: Callable[[Account], Account]) -> bytes | None:
    """Return the value without the accounts that are idle once *bring* has brought them to the present."""
    for subject, account in every_account(slot):
        present = bring(account)
        if present.is_idle:
            slot = put(slot, subject, present)
    return slot


def every_account(slot: bytes | None) -> list[tuple[str, Account]]:
    """Return all accounts of a value with their subjects."""
    return [(_subject(line), _decode(line)) for line in _lines(slot)]


def unsettled_subjects(slot: bytes | None) -> list[str]:
    """Return the subjects of accounts in Redis that are not at rest; a quick look, for there may be many."""
    return [_subject(line) for line in _lines(slot) if not _SETTLED.fullmatch(line)]


def closed_nano_usd(slot: bytes | None) -> int:
    """Return what the accounts that were closed in this value had ever been charged."""
    return _closed(slot)[0] if slot else 0


@lru_cache(maxsize=1_024)
def name_of(subject: str) -> bytes:
    """Escape a subject as it stands at the beginning of a line, with the bar after it."""
    escaped, _ = unicode_escape_encode(subject[:_LONGEST_SUBJECT])
    return escaped.replace(b"|", b"\\x7c") + b"|"


def _lines(slot: bytes | None) -> list[bytes]:
    return (slot or b"").split(b"\n")[1:-1]


def _subject(line: bytes) -> str:
    return unicode_escape_decode(line.partition(b"|")[0])[0]


def _place(slot: bytes, name: bytes) -> tuple[int, int]:
    """Return where the line of *name* begins and ends; -1 if there is none."""
    at = slot.find(b"\n" + name)
    if at < 0:
        return -1, -1
    end = slot.find(b"\n", at + 1)
    if end < 0:
        raise CorruptSlotError("a line of the ledger has no end")
    return at + 1, end


def _encode(account: Account) -> bytes:
    spent = ",".join([f"{start_s}:{nano_usd}" for start_s, nano_usd in account.spent])
    holds = ",".join(
        [f"{hold.owner}:{hold.window_s}:{hold.expires_s}:{hold.nano_usd}" for hold in account.holds]
    )
    times = f"{account.lifetime_nano_usd}|{account.window_s}|{account.counts_from_s}"
    lease = f"|{encode_lease(account.lease)}" if account.lease is not None else ""
    return f"{times}|{spent}|{holds}{lease}".encode("ascii")


def _decode(line: bytes) -> Account:
    try:
        _, lifetime, window_s, counts_from_s, spent, holds, *lease = line.decode("ascii").split("|")
        return Account(
            window_s=int(window_s),
            counts_from_s=int(counts_from_s),
            spent=tuple([_spent(part) for part in spent.split(",")]) if spent else (),
            holds=tuple([_hold(part) for part in holds.split(",")]) if holds else (),
            lifetime_nano_usd=int(lifetime),
            lease=decode_lease(*lease) if lease else None,
        )
    except (TypeError, ValueError) as error:
        raise CorruptSlotError("a line of the ledger is not an account") from error


def _spent(text: str) -> tuple[int, int]:
    start_s, nano_usd = text.split(":")
    return int(start_s), int(nano_usd)


def _hold(text: str) -> Hold:
    owner, window_s, expires_s, nano_usd = text.split(":")
    return Hold(owner, int(window_s), int(expires_s), int(nano_usd))


def _closed(slot: bytes) -> tuple[int, int, int]:
    """Read the first line."""
    try:
        nano_usd, window_s, counts_from_s = map(int, slot.partition(b"\n")[0].split(b"|"))
    except ValueError as error:
        raise CorruptSlotError("the first line of a ledger value is not three numbers") from error
    return nano_usd, window_s, counts_from_s
