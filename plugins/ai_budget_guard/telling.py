"""What callers are told of their budgets: what is left, what is nearly used up, and why a request is refused.

Amounts of a limit that a caller shares with others would tell what those spend. They are left out unless
the configuration says that callers may know.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from aigateway.money import usd
from aigateway.windows import Period

from .allowances import OWN
from .config import Config
from .ledger import Allowance, Entry, Overdrawn
from .limits import Limit, Per

__all__ = ["Refusal", "may_tell", "refuse", "refuse_all", "remaining", "warnings"]

_SOON_S: Final = 2
"""When a request is worth another try that only others under way leave no room for."""

_PATIENCE_S: Final = 60
"""Client libraries wait by themselves about as long as this; told to wait longer, they should not try."""

_PER: Final[Mapping[Per, str]] = {
    Per.CONSUMER: "this consumer",
    Per.HEADER: "this group of callers",
    Per.MODEL: "this model",
    Per.PROVIDER: "this provider",
    Per.DOMAIN: "this subject",
    Per.ALL: "all callers together",
}

_WINDOWS: Final[Mapping[Period, str]] = {
    Period.TOTAL: "in total",
    Period.MINUTE: "a minute",
    Period.HOUR: "an hour",
    Period.DAY: "a day",
    Period.WEEK: "a week",
    Period.MONTH: "a month",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer in place of the provider's."""

    status: int
    body: Mapping[str, object]
    headers: tuple[tuple[str, str], ...]


def may_tell(limit: Limit, config: Config) -> bool:
    """Tell whether a caller may know the amounts of *limit*."""
    return limit.per in OWN or config.show_shared_limits


def remaining(free_nano_usd: Iterable[int]) -> str | None:
    """Write what is left of the tightest of some limits, in dollars; None if there are none."""
    least = min(free_nano_usd, default=None)
    return None if least is None else usd(least)


def warnings(entries: Sequence[Entry], limits: Mapping[str, Limit], config: Config) -> str | None:
    """Say which limits are used beyond their soft limit; None if none is."""
    said = []
    for entry in entries:
        limit = limits[entry.allowance.limit]
        if limit.is_shadow or limit.soft_nano_usd is None or entry.counted_nano_usd < limit.soft_nano_usd:
            continue
        amounts = f"{usd(entry.counted_nano_usd)} of {usd(entry.allowance.nano_usd)} USD"
        said.append(f"{limit.name}: {amounts if may_tell(limit, config) else 'nearly used up'}")
    return "; ".join(said) or None


def refuse(overdrawn: Overdrawn, limit: Limit, needed_nano_usd: int, now_s: int, config: Config) -> Refusal:
    """Refuse a request that may cost up to *needed_nano_usd*, which *limit* has no room for."""
    refused, allowance = overdrawn.refused, overdrawn.allowance
    wait_s = _wait_s(overdrawn, needed_nano_usd, now_s)
    resets = None if refused.resets_s is None else _instant(refused.resets_s)
    budget: dict[str, object] = {
        "name": limit.name,
        "scope": str(limit.per),
        "window": _window(limit),
        "needed_usd": usd(needed_nano_usd),
        "resets_at": resets,
    }
    whose = f"The budget {limit.name!r} of {_PER[limit.per]}"
    if may_tell(limit, config):
        amounts = {
            "limit_usd": usd(allowance.nano_usd),
            "spent_usd": usd(refused.spent_nano_usd),
            "reserved_usd": usd(refused.reserved_nano_usd),
        }
        budget |= amounts
        spent = f"{amounts['spent_usd']} USD of it are spent"
        if refused.reserved_nano_usd:
            spent += f" and {amounts['reserved_usd']} USD are reserved for requests under way"
        whose += f" is {amounts['limit_usd']} USD {_window(limit)}: {spent}, and this request"
    else:
        whose += " is nearly used up: this request"
    message = f"{whose} may cost up to {usd(needed_nano_usd)} USD."
    if needed_nano_usd > allowance.nano_usd and may_tell(limit, config):
        message += " A lower limit of output tokens would make it cheaper."
    elif resets is not None:
        message += f" It resets at {resets}."
    headers: list[tuple[str, str]] = []
    if wait_s is not None:
        headers.append(("retry-after", str(wait_s)))
    if wait_s is None or wait_s > _PATIENCE_S:
        headers.append(("x-should-retry", "false"))
    return Refusal(config.refusal_status, _body(message, budget), tuple(headers))


def refuse_all(allowance: Allowance, limit: Limit, free_nano_usd: int, now_s: int, config: Config) -> Refusal:
    """Refuse a request for which no model costs as little as *limit* leaves its caller."""
    ends_s = None if limit.window.period is Period.ROLLING else limit.window.span(now_s).end_s
    resets = None if ends_s is None else _instant(ends_s)
    budget: dict[str, object] = {
        "name": limit.name,
        "scope": str(limit.per),
        "window": _window(limit),
        "resets_at": resets,
    }
    message = f"The budget {limit.name!r} of {_PER[limit.per]}"
    if may_tell(limit, config):
        budget |= {"limit_usd": usd(allowance.nano_usd), "left_usd": usd(free_nano_usd)}
        message += (
            f" is {usd(allowance.nano_usd)} USD {_window(limit)}: {usd(free_nano_usd)} USD of it are left"
        )
    else:
        message += " is nearly used up"
    message += ", and any model that can answer this request may cost more."
    if resets is not None:
        message += f" It resets at {resets}."
    header = ("x-should-retry", "false")
    if ends_s is not None and ends_s - now_s <= _PATIENCE_S:
        header = ("retry-after", str(max(1, ends_s - now_s)))
    return Refusal(config.refusal_status, _body(message, budget), (header,))


def _body(message: str, budget: Mapping[str, object]) -> Mapping[str, object]:
    """Write OpenAI's error object, with the budget in it."""
    error = {"message": message, "type": "budget_exceeded", "param": None, "code": "budget_exceeded"}
    return {"error": error | {"budget": budget}}


def _wait_s(overdrawn: Overdrawn, needed_nano_usd: int, now_s: int) -> int | None:
    """Say in how many seconds the request may fit; None if it never does."""
    refused, allowance = overdrawn.refused, overdrawn.allowance
    if needed_nano_usd > allowance.nano_usd:
        return None
    if refused.spent_nano_usd + needed_nano_usd <= allowance.nano_usd:
        return _SOON_S
    return None if refused.resets_s is None else max(1, refused.resets_s - now_s)


def _window(limit: Limit) -> str:
    if limit.window.period is Period.ROLLING:
        return f"in {limit.window.rolling_s} seconds"
    return _WINDOWS[limit.window.period]


def _instant(time_s: int) -> str:
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
