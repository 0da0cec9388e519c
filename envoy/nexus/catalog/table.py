"""What the price list does not know: quality, capabilities, limits, from a table that people edit.

    models:
      anthropic/claude-sonnet-*: {quality: 0.98, source: our own evaluation}
      anthropic/*: {formats: [chat_completions, anthropic_messages], needs: [vision, tools, json, stream]}

Each row is for the models whose `provider/name`, as the price list calls them, is its pattern, in which `*`
stands for any text. Of each key, the first row that has it counts.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aigateway.catalog import read_catalog
from aigateway.config import ConfigError, Reader

from ..reading import Section, YamlFile

__all__ = ["Table", "read_table"]

_OF_ONE_MODEL: Final = ("name", "upstream_name")
_TIERS: Final = ("highest", "first")
_COMPLETE: Final[dict[str, object]] = {
    "name": "x",
    "provider": "x",
    "prices_nano_usd_per_token": {"input": 0, "output": 0},
    "quality": 0,
    "context_window_tokens": 1,
}
"""An entry with which the facts of a row can be read as a catalog reads them."""


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of the table, by pattern, in their order."""

    rows: Mapping[str, Mapping[str, object]]

    def facts(self, *names: str) -> dict[str, object]:
        """Return what the table says of the model that the price list knows as each of *names*."""
        facts: dict[str, object] = {}
        for pattern, row in self.rows.items():
            if any(matches(pattern, name) for name in names):
                facts = {**row, **facts}
        return facts

    def idle(self, models: Iterable[str]) -> list[str]:
        """Return the patterns that none of *models* has: most likely slips."""
        known = list(models)
        return [pattern for pattern in self.rows if not any(matches(pattern, model) for model in known)]


def read_table(path: Path) -> Table:
    """Read the table, or raise DescriptionError with everything that is wrong with it."""
    file = YamlFile(path)
    rows: dict[str, Mapping[str, object]] = {}
    for pattern, row in file.root.document("models").items():
        if isinstance(row, dict):
            _check(file.root, pattern, row)
            rows[pattern] = {str(key): value for key, value in row.items() if value is not None}
        else:
            file.root.problem(f"models.{pattern}", "expected an object such as {quality: 0.9, source: ...}")
    file.finish()
    return Table(rows)


def matches(pattern: str, model: str) -> bool:
    """Tell whether *model* is *pattern*, in which `*` stands for any text."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), model) is not None


def _check(root: Section, pattern: str, row: Mapping[str, object]) -> None:
    """Note what is wrong with a row, by reading it as part of a catalog."""
    path = f"models.{pattern}"
    if row.get("quality") is not None and row.get("source") is None:
        root.problem(f"{path}.source", "expected where the number of quality comes from, got nothing")
    if row.get("tiers") not in (None, *_TIERS):
        root.problem(f"{path}.tiers", f"expected {' or '.join(map(repr, _TIERS))}")
    for key in _OF_ONE_MODEL:
        if key in row:
            root.problem(f"{path}.{key}", "expected in the catalog, where each model has its own")
    facts = {key: value for key, value in row.items() if key not in ("tiers", *_OF_ONE_MODEL)}
    entry = _COMPLETE | {key: value for key, value in facts.items() if value is not None}
    reader = Reader({"catalog": [entry]})
    read_catalog(reader)
    try:
        reader.finish()
    except ConfigError as error:
        for problem in error.problems:
            root.problem(path + problem.path.removeprefix("catalog[0]"), problem.message)
