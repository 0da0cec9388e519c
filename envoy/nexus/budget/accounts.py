"""Accounts as they stand in Redis: read, and brought to the present.

What the fields of an account's hash mean is said in `ai_budget_guard.script`, which writes them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from .errors import BudgetError
from .limits import Present

__all__ = ["StoredAccount", "StoredLease", "at_present", "read_account"]


@dataclass(frozen=True, slots=True)
class StoredLease:
    """What one gateway may spend of an account without asking."""

    gateway: str
    nano_usd: int
    window_s: int
    """The window it is of; in a later one it does not count."""
    expires_s: int
    """Until when the gateway must call again, by the clock of Redis; after that the lease is lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAccount:
    """One account: what a subject has spent under a limit, and which gateways hold how much of the rest."""

    limit: str
    subject: str
    window_s: int
    """When the newest window that was seen begins, in seconds since the epoch; of a rolling one, its part."""
    counts_from_s: int
    """When the oldest one that counts begins."""
    limit_nano_usd: int | None
    """As the gateway had it that called last; None for an account that no gateway has asked for yet."""
    lifetime_nano_usd: int
    """All that was ever charged."""
    spent: tuple[tuple[int, int], ...]
    """What was spent by window, or by part of a rolling one; oldest first."""
    leases: tuple[StoredLease, ...]
    """Those that are of a window that counts, and are not empty."""

    @property
    def spent_nano_usd(self) -> int:
        """What counts as spent."""
        return sum(nano_usd for _, nano_usd in self.spent)

    def held(self, now_s: int) -> tuple[StoredLease, ...]:
        """Return the leases of gateways that have called in time."""
        return tuple(lease for lease in self.leases if lease.expires_s > now_s)

    def lost(self, now_s: int) -> tuple[StoredLease, ...]:
        """Return the leases of gateways that have not."""
        return tuple(lease for lease in self.leases if lease.expires_s <= now_s)


def read_account(limit: str, subject: str, fields: Mapping[str, str]) -> StoredAccount:
    """Read the *fields* of an account's hash. Raises BudgetError when they are none of ours."""
    try:
        counts_from_s = int(fields.get("from", 0))
        spent = {
            int(name.removeprefix("spent:")): int(value)
            for name, value in fields.items()
            if name.startswith("spent:")
        }
        leases = [
            _read_lease(name.removeprefix("lease:"), value)
            for name, value in fields.items()
            if name.startswith("lease:")
        ]
        return StoredAccount(
            limit=limit,
            subject=subject,
            window_s=int(fields.get("window", 0)),
            counts_from_s=counts_from_s,
            limit_nano_usd=int(fields["limit"]) if "limit" in fields else None,
            lifetime_nano_usd=int(fields.get("lifetime", 0)),
            spent=tuple(sorted(entry for entry in spent.items() if entry[0] >= counts_from_s)),
            leases=tuple(
                lease
                for lease in sorted(leases, key=lambda lease: lease.gateway)
                if lease.nano_usd and lease.window_s >= counts_from_s
            ),
        )
    except ValueError as error:
        raise BudgetError(
            f"The account of {subject!r} under {limit} is not one that a budget guard has written: {error}."
        ) from error


def at_present(account: StoredAccount, present: Present) -> StoredAccount:
    """Return what counts of *account* now, though no gateway may have asked for it in this window."""
    counts_from_s = max(account.counts_from_s, present.counts_from_s)
    return replace(
        account,
        window_s=max(account.window_s, present.window_s),
        counts_from_s=counts_from_s,
        limit_nano_usd=present.limit_nano_usd,
        spent=tuple(entry for entry in account.spent if entry[0] >= counts_from_s),
        leases=tuple(lease for lease in account.leases if lease.window_s >= counts_from_s),
    )


def _read_lease(gateway: str, value: str) -> StoredLease:
    nano_usd, window_s, expires_s, _ = value.split("|")
    return StoredLease(gateway, int(nano_usd), int(window_s), int(expires_s))
