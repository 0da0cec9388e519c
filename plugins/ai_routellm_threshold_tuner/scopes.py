"""Whose requests share a threshold: the names of what is remembered, and a bound on how many there are."""

import re
from typing import Final

from aigateway.models import DOMAINS

from .thresholds import Scope

__all__ = ["Scopes", "scope_name"]

_OTHERS: Final = "others"
_LONGEST: Final = 200
_NOT_IN_METRICS: Final = re.compile(r"[^A-Za-z0-9_]+")


def scope_name(scope: Scope, *, route: str, domain: str, pair: str = "", stand_in: str = "") -> str:
    """Name what a request is remembered with.

    *pair* is there for pairs beside the default one, and *stand_in* for a scorer that stands in for another:
    its scores would not go with the others.
    """
    parts = ["everything"] if scope == "everything" else [route or "unnamed"]
    if scope == "route_and_domain":
        parts.append(domain if domain in DOMAINS else "general")
    return "/".join([part for part in (*parts, pair, stand_in) if part])[:_LONGEST]


class Scopes:
    """The scopes that a worker knows; a host never forgets a key, so there are not more than *most*."""

    __slots__ = ("_metric_names", "_most")

    def __init__(self, most: int) -> None:
        self._most = most
        self._metric_names: dict[str, str] = {}

    def known(self, name: str) -> str:
        """Give the scope of that name, or the one that all share who come too late."""
        if name in self._metric_names:
            return name
        if len(self._metric_names) >= self._most:
            name = _OTHERS
        self._metric_names[name] = _NOT_IN_METRICS.sub("_", name)
        return name

    def metric_name(self, name: str) -> str:
        """Give the name of a known scope as metrics can have it."""
        return self._metric_names[name]
