"""The command ``python -m nexus catalog``."""

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from aigateway.catalog import read_catalog
from aigateway.config import ConfigError, Reader

from ..reading import DescriptionError
from .file import Listing, load_catalog, to_text, write_text
from .table import read_table

__all__ = ["add_catalog_command"]

_FOLDER: Final = Path(__file__).resolve().parent.parent.parent


def add_catalog_command(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to those of ``python -m nexus``."""
    parser = commands.add_parser(
        "catalog",
        help="import models and their prices into the catalog, or bring it up to date",
        description="Import models from the price list of genai-prices, with the qualities of a table, into "
        "the catalog file, and bring those imported before up to date. Says what changed.",
    )
    parser.add_argument(
        "model",
        nargs="*",
        help="provider/model as genai-prices calls it, a provider for all its models, or a pattern with * "
        "(default: those imported before)",
    )
    parser.add_argument(
        "--catalog",
        type=Path,
        default=_FOLDER / "catalog.yaml",
        metavar="FILE",
        help="the catalog (default: envoy/catalog.yaml of this repository); made if it is not there",
    )
    parser.add_argument(
        "--table",
        type=Path,
        default=_FOLDER / "quality.yaml",
        metavar="FILE",
        help="qualities and capabilities (default: envoy/quality.yaml of this repository)",
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing, and exit with 1 if the file is not up to date"
    )
    parser.set_defaults(command=_catalog)


def _catalog(options: argparse.Namespace) -> None:
    # The price list takes 0.3 s to load, which no other command should have to wait for.
    from .importing import import_models  # noqa: PLC0415
    from .price_list import PriceList  # noqa: PLC0415

    path: Path = options.catalog
    before = load_catalog(path) if path.exists() or not options.model else Listing()
    prices = PriceList.packaged()
    table = read_table(options.table)
    done = import_models(before, options.model, prices=prices, table=table, today=datetime.now(UTC).date())
    _check(done.file, path)
    for pattern in table.idle(prices.names):
        print(f"note, {options.table.name}: {pattern} is no model of genai-prices")
    for line in done.lines():
        print(line)
    if not options.model and not any("source" in entry for entry in before.entries):
        print("none of them was imported; `python -m nexus catalog openai/gpt-5.5` imports one")
    text = to_text(done.file)
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    if options.check:
        raise DescriptionError([f"{path} is not up to date: `python -m nexus catalog` writes it"])
    write_text(path, text)


def _check(file: Listing, path: Path) -> None:
    """Refuse to write what no plugin would read."""
    reader = Reader(
        {"catalog": list(file.entries)} | ({} if file.unpriced is None else {"unpriced": file.unpriced})
    )
    read_catalog(reader)
    try:
        reader.finish()
    except ConfigError as error:
        raise DescriptionError([f"{path.name}: {problem}" for problem in error.problems]) from error
