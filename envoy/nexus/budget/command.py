"""The command ``python -m nexus budget``."""

import argparse
import os
from pathlib import Path
from typing import Final

from aigateway.money import parse_usd, usd

from .errors import BudgetError

__all__ = ["DEFAULT_PREFIX", "add_budget_command"]

_REDIS: Final = "redis://127.0.0.1:6379"
_VARIABLE: Final = "AI_NEXUS_REDIS"
DEFAULT_PREFIX: Final = "nexus:budget"
_LARGEST_NANO_USD: Final = 2**53
"""Lua has no exact numbers beyond."""


def add_budget_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to those of ``python -m nexus``."""
    parser = commands.add_parser(
        "budget",
        help="look at the accounts that budget guards keep in Redis, correct them, export them",
        description="Look at the accounts that budget guards keep in Redis, correct them, export them. "
        "Gateways may go on meanwhile: each change is one step for them, and no lease is taken from one that "
        "lives. What they have spent and not said yet is added afterwards.",
    )
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    show = _add(actions, "show", "a table of what is spent and leased, in USD")
    _add_selection(show)
    change = _add(actions, "set", "say what counts as spent in the present window")
    _add_account(change)
    change.add_argument("--spent", type=_amount, required=True, metavar="USD", help="12.5 for example")
    reset = _add(actions, "reset", "let nothing count as spent in the present window")
    reset.add_argument("limit", metavar="LIMIT")
    reset.add_argument("subject", nargs="?", metavar="SUBJECT", help="(default: all of the limit)")
    _add_yes(reset)
    release = _add(
        actions,
        "release",
        "give back the leases of gateways that are gone, which count as spent until their window ends",
    )
    _add_selection(release)
    _add_yes(release)
    export = _add(actions, "export", "everything, for billing; amounts are whole nano-USD")
    _add_selection(export)
    export.add_argument("--format", choices=("jsonl", "csv"), default="jsonl", help="(default: %(default)s)")


def _add(
    actions: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    description: str,
) -> argparse.ArgumentParser:
    parser = actions.add_parser(
        name, help=description, description=f"{description[0].upper()}{description[1:]}."
    )
    parser.add_argument(
        "--redis",
        metavar="URL",
        default=os.environ.get(_VARIABLE, _REDIS),
        help=f"redis://, rediss:// or unix://; a password is safer in the variable {_VARIABLE} "
        f"(default: that variable, else {_REDIS})",
    )
    parser.add_argument(
        "--plugins",
        type=Path,
        metavar="DIR",
        help="the plugins' YAML: it says which window is the present one of each limit. Without it, that is "
        "the newest one in which a gateway has asked for the account",
    )
    parser.add_argument(
        "--prefix",
        metavar="PREFIX",
        help=f"of the keys (default: that of the plugins' YAML, else {DEFAULT_PREFIX})",
    )
    parser.set_defaults(command=_run, action=name)
    return parser


def _add_selection(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--limit", metavar="NAME", help="only accounts under this limit")
    parser.add_argument("--subject", metavar="SUBJECT", help="only accounts of this subject")


def _add_account(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("limit", metavar="LIMIT")
    parser.add_argument("subject", metavar="SUBJECT", help="'' is the account that all share")


def _add_yes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="do not ask")


def _run(options: argparse.Namespace) -> None:
    try:
        from .actions import ACTIONS  # noqa: PLC0415 - no other command needs the client of Redis
    except ModuleNotFoundError as error:
        if error.name != "redis":
            raise
        raise BudgetError("The client of Redis is missing: install it with `pip install redis`.") from None
    ACTIONS[options.action](options)


def _amount(text: str) -> int:
    try:
        nano_usd = parse_usd(text)
    except ValueError:
        nano_usd = -1
    if not 0 <= nano_usd <= _LARGEST_NANO_USD:
        expected = f"US dollars from 0 to {usd(_LARGEST_NANO_USD)}, with at most 9 decimals"
        raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")
    return nano_usd
