"""What the actions of ``python -m nexus budget`` do."""

import argparse
import contextlib
import sys
from collections.abc import Iterator
from typing import Final

from aigateway.money import usd

from .accounts import StoredAccount, at_present
from .command import DEFAULT_PREFIX
from .errors import BudgetError
from .limits import KnownLimits, read_known_limits
from .listing import csv_lines, json_lines, table
from .redis_ledger import RedisLedger, connected

__all__ = ["ACTIONS"]


def show(options: argparse.Namespace) -> None:
    """Print a table of accounts."""
    with _ledger(options) as (ledger, limits):
        now_s = ledger.now_s()
        accounts = _selected(options, ledger, limits, now_s)
    for line in table(accounts, now_s):
        print(line)


def export(options: argparse.Namespace) -> None:
    """Print accounts for billing."""
    with _ledger(options) as (ledger, limits):
        now_s = ledger.now_s()
        accounts = _selected(options, ledger, limits, now_s)
    lines = json_lines if options.format == "jsonl" else csv_lines
    for line in lines(accounts, now_s):
        print(line)


def set_spent(options: argparse.Namespace) -> None:
    """Say what an account has spent in the present window."""
    limit, subject = options.limit, options.subject
    with _ledger(options) as (ledger, limits):
        if limits is not None and limit not in limits.limits:
            names = ", ".join(limits.limits)
            raise BudgetError(f"There is no limit {limit!r} in {options.plugins}: there are {names}.")
        now_s = ledger.now_s()
        present = limits.present(limit, subject, now_s) if limits is not None else None
        before = ledger.set_spent(limit, subject, options.spent, present)
        [account] = ledger.existing(limit, subject)
    print(f"{usd(options.spent)} USD count as spent, {usd(before)} did before")
    for line in table([account], now_s):
        print(line)


def reset(options: argparse.Namespace) -> None:
    """Let accounts have spent nothing in the present window."""
    with _ledger(options) as (ledger, _):
        accounts = ledger.existing(options.limit, options.subject)
        spent = [account for account in accounts if account.spent]
        total = usd(sum(account.spent_nano_usd for account in spent))
        _confirm(options, f"Forget {total} USD that {_count(spent)} under {options.limit} spent?")
        forgotten = [ledger.set_spent(account.limit, account.subject, 0) for account in spent]
    print(f"{_count(spent)} reset, {usd(sum(forgotten))} USD")


def release(options: argparse.Namespace) -> None:
    """Give back lost leases."""
    with _ledger(options) as (ledger, _):
        now_s = ledger.now_s()
        accounts = ledger.existing(options.limit, options.subject)
        losing = [account for account in accounts if account.lost(now_s)]
        total = usd(sum(lease.nano_usd for account in losing for lease in account.lost(now_s)))
        _confirm(options, f"Give back {total} USD of lost leases to {_count(losing)}?")
        released = [ledger.release(account) for account in losing]
    count = sum(number for number, _ in released)
    given_back = usd(sum(nano_usd for _, nano_usd in released))
    print(f"{given_back} USD given back, of {count} lost lease{'' if count == 1 else 's'}")


ACTIONS: Final = {"show": show, "set": set_spent, "reset": reset, "release": release, "export": export}
"""What each action of the command line does."""


@contextlib.contextmanager
def _ledger(options: argparse.Namespace) -> Iterator[tuple[RedisLedger, KnownLimits | None]]:
    """Read the plugins' YAML, if it is given, and connect."""
    limits = read_known_limits(options.plugins) if options.plugins is not None else None
    prefixes = limits.prefixes if limits is not None else ()
    if options.prefix is None and len(prefixes) > 1:
        raise BudgetError(f"--prefix: expected one of {', '.join(prefixes)}: ledgers of the plugins differ.")
    with connected(options.redis, options.prefix or next(iter(prefixes), DEFAULT_PREFIX)) as ledger:
        yield ledger, limits


def _selected(
    options: argparse.Namespace, ledger: RedisLedger, limits: KnownLimits | None, now_s: int
) -> list[StoredAccount]:
    accounts = ledger.existing(options.limit, options.subject)
    if not accounts:
        # On standard error: a table and a bill have nothing else in them than accounts.
        print(f"There are no accounts under {ledger.prefix}.", file=sys.stderr)
    if limits is None:
        return accounts
    presents = [limits.present(account.limit, account.subject, now_s) for account in accounts]
    return [
        account if present is None else at_present(account, present)
        for account, present in zip(accounts, presents, strict=True)
    ]


def _confirm(options: argparse.Namespace, question: str) -> None:
    """Ask, unless that was answered beforehand; anything but yes is no."""
    if options.yes:
        return
    if not sys.stdin.isatty():
        raise BudgetError("Nobody is there to be asked: give --yes.")
    if input(f"{question} [y/N] ").strip().lower() not in ("y", "yes"):
        raise BudgetError("Nothing was changed.")


def _count(accounts: list[StoredAccount]) -> str:
    return f"{len(accounts)} account{'' if len(accounts) == 1 else 's'}"
