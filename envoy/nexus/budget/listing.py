"""Accounts as text: a table for people, lines of JSON or CSV for whatever makes bills."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from aigateway.money import usd

from .accounts import StoredAccount, StoredLease

__all__ = ["csv_lines", "json_lines", "table"]

_HEAD = ("limit", "subject", "window since", "spent", "leased", "of", "lifetime")
_AMOUNTS = frozenset({"spent", "of", "lifetime"})
_COLUMNS = (
    "limit",
    "subject",
    "window_start",
    "limit_nano_usd",
    "spent_nano_usd",
    "leased_nano_usd",
    "lost_nano_usd",
    "lifetime_nano_usd",
)


def table(accounts: Sequence[StoredAccount], now_s: int) -> list[str]:
    """Return the lines of a table; amounts are in USD."""
    rows = [
        _HEAD,
        *(
            (
                account.limit,
                _shown(account.subject),
                _instant(account.window_s) or "ever",
                usd(account.spent_nano_usd),
                _leased(account, now_s),
                "?" if account.limit_nano_usd is None else usd(account.limit_nano_usd),
                usd(account.lifetime_nano_usd),
            )
            for account in accounts
        ),
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if name in _AMOUNTS else cell.ljust(width)
            for name, cell, width in zip(_HEAD, row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]


def json_lines(accounts: Iterable[StoredAccount], now_s: int) -> Iterator[str]:
    """Return one JSON object for each account, with all parts of its window and all leases."""
    for account in accounts:
        parts = [{"start": _instant(start_s), "nano_usd": nano_usd} for start_s, nano_usd in account.spent]
        leases = [
            {
                "gateway": lease.gateway,
                "nano_usd": lease.nano_usd,
                "expires": _instant(lease.expires_s),
                "lost": lease.expires_s <= now_s,
            }
            for lease in account.leases
        ]
        record = _record(account, now_s) | {"spent": parts, "leases": leases}
        yield json.dumps(record, ensure_ascii=False)


def csv_lines(accounts: Iterable[StoredAccount], now_s: int) -> Iterator[str]:
    """Return a line of names and one for each account (RFC 4180)."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="")
    writer.writeheader()
    yield text.getvalue()
    for account in accounts:
        text.seek(0)
        text.truncate()
        writer.writerow(_record(account, now_s))
        yield text.getvalue()


def _record(account: StoredAccount, now_s: int) -> dict[str, object]:
    return {
        "limit": account.limit,
        "subject": account.subject,
        "window_start": _instant(account.window_s),
        "limit_nano_usd": account.limit_nano_usd,
        "spent_nano_usd": account.spent_nano_usd,
        "leased_nano_usd": _sum(account.held(now_s)),
        "lost_nano_usd": _sum(account.lost(now_s)),
        "lifetime_nano_usd": account.lifetime_nano_usd,
    }


def _leased(account: StoredAccount, now_s: int) -> str:
    """Say how much is leased, by how many gateways, and what of it is lost."""
    held, lost = account.held(now_s), account.lost(now_s)
    parts = [f"{usd(_sum(held))} by {len(held)}"] if held else []
    parts += [f"{usd(_sum(lost))} lost by {len(lost)}"] if lost else []
    return ", ".join(parts) or "-"


def _sum(leases: Iterable[StoredLease]) -> int:
    return sum(lease.nano_usd for lease in leases)


def _instant(seconds: int) -> str | None:
    """Return an instant of UTC; None for the beginning of the window that is all time."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if seconds else None


def _shown(subject: str) -> str:
    """Return a subject that does nothing to a terminal, and is seen also when it is empty."""
    return subject if subject and subject.isprintable() else repr(subject)
