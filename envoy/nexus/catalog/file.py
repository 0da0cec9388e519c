"""The file that holds the catalog, as it is edited and written: the keys `catalog` and `unpriced`."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import yaml

from aigateway.catalog import Catalog, read_catalog

from ..reading import DescriptionError, YamlFile

__all__ = ["KEYS", "Entry", "Listing", "load_catalog", "to_text", "write_text"]

Entry = dict[str, object]
"""One model as it stands in the file."""

KEYS: Final = (
    "name",
    "provider",
    "cluster",
    "upstream_name",
    "source",
    "prices_nano_usd_per_token",
    "quality",
    "domains",
    "context_window_tokens",
    "max_output_tokens",
    "needs",
    "realtime",
    "tier",
    "regions",
    "formats",
)
"""The keys of an entry, in the order in which they are written."""

_HEADER: Final = """\
# The models of the gateway, for every plugin that takes a catalog and has none of its own.
#
# Prices are whole nano-USD per token: 1 USD per million tokens is 1000. cached_input and cache_write are as
# input when they are not there. `python -m nexus catalog openai/gpt-5.5` imports a model, `python -m nexus
# catalog` brings those with a `source` up to date; what it keeps of what is written here is said in
# CATALOG.md. Comments below this one are lost when it writes.
"""


@dataclass(frozen=True, slots=True)
class Listing:
    """What a catalog file holds."""

    entries: tuple[Entry, ...] = ()
    unpriced: object = None
    """What models without prices cost, or `refuse`; None if the file does not say."""


def load_catalog(path: Path) -> Listing:
    """Read the file and check it as plugins do, or raise DescriptionError with everything that is wrong."""
    file = YamlFile(path)
    if "catalog" not in file.root:
        file.root.problem("catalog", "expected a list with at least one model, got nothing")
    read_catalog(file.root, default=Catalog(()))
    file.finish()
    values = file.root.values
    return Listing(tuple(cast("list[Entry]", values["catalog"])), values.get("unpriced"))


def to_text(file: Listing) -> str:
    """Write *file* as YAML: one key a line, in the same order whatever the order it was read in."""
    entries = [{key: entry[key] for key in KEYS if entry.get(key) is not None} for entry in file.entries]
    document: dict[str, object] = {"catalog": entries}
    if file.unpriced is not None:
        document = {"unpriced": file.unpriced} | document
    # With None, a list or mapping of plain values stands in one line.
    text = yaml.dump(
        document, Dumper=_Dumper, default_flow_style=None, sort_keys=False, allow_unicode=True, width=110
    )
    return f"{_HEADER}\n{text}"


def write_text(path: Path, text: str) -> None:
    """Write *text* at once, so that nobody ever reads half of it; raise DescriptionError if that fails."""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(text)
            # mkstemp keeps others out; a file of configuration is for everybody who may see the old one.
            temporary.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o644)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise DescriptionError([f"{path} cannot be written: {error.strerror}"]) from error


class _Dumper(yaml.SafeDumper):
    """Writes equal values twice, instead of once and by reference to that."""

    def ignore_aliases(self, data: object) -> bool:
        return True
