"""Where the ledger is: in the shared data of the proxy, or in a Redis that many proxies share."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from aigateway.config import Reader
from aigateway.money import NANO_USD_PER_USD

from .limits import Limit
from .script import LARGEST_LIMIT_USD

__all__ = ["OnLostLease", "OnRedisAway", "RedisLedger", "Transport", "read_ledger"]

Transport: TypeAlias = Literal["webdis", "higress"]
OnLostLease: TypeAlias = Literal["charge", "return"]
OnRedisAway: TypeAlias = Literal["local_only", "fail_open", "fail_closed"]

_PREFIX: Final = re.compile(r"[A-Za-z0-9_.:{}-]{1,64}")
_A_PREFIX: Final = "at most 64 letters, digits and characters of '_.:{}-'"
_KEYS: Final = (
    "transport",
    "cluster",
    "authority",
    "username",
    "password",
    "prefix",
    "timeout_s",
    "lease_percent",
    "lease_s",
    "on_lost_lease",
    "on_redis_away",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisLedger:
    """A ledger in Redis."""

    transport: Transport = "webdis"
    """Webdis is Redis by HTTP; Higress has a host call."""
    cluster: str
    authority: str = ""
    """For Webdis; empty: the name of the cluster."""
    username: str = ""
    password: str = ""
    """For Higress; Webdis has its own configuration."""
    prefix: str = "nexus:budget"
    """How all keys begin."""
    timeout_s: float = 1.0
    lease_percent: float = 1.0
    """The most of a limit that a gateway leases in advance."""
    lease_s: int = 30
    """So long after it was last heard of a gateway is lost."""
    on_lost_lease: OnLostLease = "charge"
    """Whether the lease of a lost gateway counts as spent, or may be spent by others."""
    on_redis_away: OnRedisAway = "local_only"
    """What becomes of requests beyond the lease when Redis does not answer."""


def read_ledger(reader: Reader, limits: Sequence[Limit], key: str = "ledger") -> RedisLedger | None:
    """Read where the ledger is; None for the shared data. Problems are noted with *reader*."""
    table = reader.table(key)
    if table.choice("kind", "embedded", among=("embedded", "redis")) == "embedded":
        is_meant = table.value("kind") in (None, "embedded")
        for name in _KEYS:
            if table.value(name) is not None and is_meant:  # Else the kind is what is wrong.
                _refuse(table, name, "none unless kind is 'redis'")
        return None
    transport: Transport = table.choice("transport", "webdis", among=("webdis", "higress"))
    if "cluster" not in table:
        table.refuse("cluster", "the name of the cluster that Webdis or Redis is in", None)
    for name in ("username", "password") if transport == "webdis" else ("authority",):
        _refuse(table, name, f"none with transport {transport!r}")
    for index, limit in enumerate(limits):
        _check_amounts(reader, f"limits[{index}]", limit)
    return RedisLedger(
        transport=transport,
        cluster=table.string("cluster", "-"),
        authority=table.string("authority", ""),
        username=table.string("username", ""),
        password=table.string("password", ""),
        prefix=table.text("prefix", _PREFIX, _A_PREFIX, "nexus:budget"),
        timeout_s=table.number("timeout_s", 1.0, above=0, at_most=60),
        lease_percent=table.number("lease_percent", 1.0, at_least=0, at_most=100),
        lease_s=table.integer("lease_s", 30, at_least=3, at_most=3_600),
        on_lost_lease=table.choice("on_lost_lease", "charge", among=("charge", "return")),
        on_redis_away=table.choice(
            "on_redis_away", "local_only", among=("local_only", "fail_open", "fail_closed")
        ),
    )


def _refuse(table: Reader, name: str, expected: str) -> None:
    """Refuse a key if it is there; a password is not repeated."""
    value = table.value(name)
    if value is not None:
        table.refuse(name, expected, "***" if name == "password" else value)


def _check_amounts(reader: Reader, path: str, limit: Limit) -> None:
    """Refuse amounts that are not exact in a script of Redis."""
    raised = sum(extra.nano_usd for extra in limit.raises)
    largest_usd = -(-(max([limit.nano_usd, *limit.subjects.values()]) + raised) // NANO_USD_PER_USD)
    if largest_usd > LARGEST_LIMIT_USD:
        expected = f"amounts of at most {LARGEST_LIMIT_USD} US dollars with a ledger in Redis"
        reader.refuse(path, expected, largest_usd)
