"""A directory that a running Envoy watches: files are replaced whole, in an order that loses no request.

Envoy notices a file that another one is renamed onto, and reads it at some later moment. So what a file
points to is written before the file, and a provider that is gone stays a while: requests for which it was
chosen are still on their way.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .render import BOOTSTRAP, CLUSTERS, Node, discovery, key_file_name, to_yaml

__all__ = ["RETIREMENT_S", "LiveDirectory", "Publication"]

RETIREMENT_S = 30.0
"""How long a provider that is gone can still be reached: a new module takes Envoy ten seconds to load."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What publishing has changed."""

    replaced: tuple[str, ...]
    """Files that Envoy takes over by itself, in the order in which they were written."""
    needs_restart: bool
    """Whether the bootstrap configuration is another one: Envoy reads that only when it starts."""
    retiring: tuple[str, ...]
    """Providers and services that are gone from the description, and stay for `RETIREMENT_S`."""


class LiveDirectory:
    """The directory at *path*, which is made when it is not there; *source* is named in its files."""

    def __init__(self, path: Path, source: str = "") -> None:
        self.path = path
        self._source = [source] if source else []
        self._wanted: Mapping[str, Node] = {}
        self._retiring: tuple[str, ...] = ()
        self._retire_at_s = 0.0

    def publish(self, files: Mapping[str, Node], *, now_s: float | None = None) -> Publication:
        """Write those of *files* that say something new, in their order."""
        self.path.mkdir(parents=True, exist_ok=True)
        is_first = not (self.path / BOOTSTRAP).exists()
        self._wanted = files
        clusters, self._retiring = self._with_retiring(files[CLUSTERS])
        if self._retiring:
            self._retire_at_s = _now(now_s) + RETIREMENT_S
        replaced = [name for name, node in {**files, CLUSTERS: clusters}.items() if self._replace(name, node)]
        return Publication(
            replaced=tuple(name for name in replaced if name != BOOTSTRAP),
            needs_restart=BOOTSTRAP in replaced and not is_first,
            retiring=self._retiring,
        )

    def settle(self, *, now_s: float | None = None) -> bool:
        """Drop what is gone and whose time is over; return whether none is left that retires."""
        if self._retiring and _now(now_s) >= self._retire_at_s:
            self._replace(CLUSTERS, self._wanted[CLUSTERS])
            for name in map(key_file_name, self._retiring):
                (self.path / name).unlink(missing_ok=True)
            self._retiring = ()
        return not self._retiring

    def _with_retiring(self, clusters: Node) -> tuple[Node, tuple[str, ...]]:
        """Return *clusters* and those of the file so far that are gone from them, and their names."""
        wanted: Any = clusters["resources"]
        names = {cluster["name"] for cluster in wanted}
        gone = [cluster for cluster in self._written_clusters() if cluster["name"] not in names]
        if not gone:
            return clusters, ()
        return discovery([*wanted, *gone]), tuple(cluster["name"] for cluster in gone)

    def _written_clusters(self) -> list[Any]:
        """Return the clusters of the file, if it is one of ours, and as it was written."""
        try:
            document = yaml.safe_load((self.path / CLUSTERS).read_text(encoding="utf-8"))
            resources = document["resources"]
            is_ours = document == discovery(resources)
        except (OSError, yaml.YAMLError, TypeError, KeyError):
            return []
        return resources if is_ours else []

    def _replace(self, name: str, node: Node) -> bool:
        """Put *node* into the file *name*, whole; return whether that changed anything."""
        file, text = self.path / name, to_yaml(node, self._source)
        try:
            if file.read_text(encoding="utf-8") == text:
                return False
        except (OSError, UnicodeDecodeError):
            pass  # Not there yet, or spoilt.
        new = self.path / f".{name}.new"
        new.write_text(text, encoding="utf-8")
        os.replace(new, file)
        return True


def _now(given_s: float | None) -> float:
    return time.monotonic() if given_s is None else given_s
