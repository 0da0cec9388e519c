"""What the plugins' YAML says of limits: their windows and amounts, and where in Redis the accounts are."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ai_budget_guard.accounts import EMPTY, bring_to
from ai_budget_guard.config import Config
from ai_budget_guard.limits import Limit
from aigateway.config import ConfigError

from ..reading import DescriptionError
from ..wasmplugin import read_plugins

__all__ = ["KnownLimits", "Present", "read_known_limits"]

_GUARD = "ai-budget-guard"


@dataclass(frozen=True, slots=True)
class Present:
    """What is the case for one account now, by its limit."""

    window_s: int
    """When the window begins, in seconds since the epoch; of a rolling one, its newest part."""
    counts_from_s: int
    """When the oldest part that counts begins."""
    limit_nano_usd: int


@dataclass(frozen=True, slots=True)
class KnownLimits:
    """The limits of all budget guards of a deployment, by name."""

    limits: Mapping[str, Limit]
    prefixes: tuple[str, ...]
    """Those that ledgers in Redis have been given, each once."""

    def present(self, limit: str, subject: str, now_s: int) -> Present | None:
        """Return what is the case for *subject* under *limit* at *now_s*; None if the limit is not known."""
        known = self.limits.get(limit)
        if known is None:
            return None
        account = bring_to(EMPTY, known.window.span(now_s), known.window.parts, now_s)
        return Present(account.window_s, account.counts_from_s, known.nano_usd_for(subject, now_s))


def read_known_limits(directory: Path) -> KnownLimits:
    """Read the budget guards among the WasmPlugin YAML files of *directory*.

    Raises DescriptionError with everything that is wrong with them, or when there is none.
    """
    limits: dict[str, Limit] = {}
    prefixes: dict[str, None] = {}
    lines = []
    guards = [plugin for plugin in read_plugins(directory) if plugin.plugin_name == _GUARD]
    for plugin in guards:
        for where, values in plugin.configurations():
            try:
                config = Config.from_json(dict(values))
            except ConfigError as error:
                lines += [f"{plugin.file}: {where}.{problem}" for problem in error.problems]
                continue
            for limit in config.limits:
                limits.setdefault(limit.name, limit)
            if config.ledger is not None:
                prefixes[config.ledger.prefix] = None
    if lines:
        raise DescriptionError(lines)
    if not guards:
        raise DescriptionError([f"{directory}: expected a plugin {_GUARD} among the YAML files"])
    return KnownLimits(limits, tuple(prefixes))
