"""Compare imported prices with a second price list, and fail when they agree too seldom.

    python tests/bench/catalog_prices.py --data DATA

DATA is a folder with `litellm_prices/model_prices_and_context_window_backup.json`, which is a file of the
PyPI package litellm (MIT). All models of the providers below are imported from genai-prices as `python -m
nexus catalog` does it, and each price is held against what LiteLLM's list says of the same model, if it knows
it: the highest price that it has for input of any length that fits, at standard service, as in the import.

Two lists kept by different people, at different times, never agree wholly. What counts is that they mostly
do, so that neither list nor the import is wrong as a whole, and that where they do not, it is seldom the
imported price that is lower: announced prices and those of the dearest hour are imported, LiteLLM has those
of today.
"""

import argparse
import json
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from aigateway.catalog import read_catalog
from aigateway.config import Reader
from nexus.catalog.file import Listing
from nexus.catalog.importing import import_models
from nexus.catalog.price_list import PriceList
from nexus.catalog.table import Table

PREFIXES = {
    "openai": "",
    "anthropic": "",
    "google": "gemini/",
    "moonshotai": "moonshot/",
    "deepseek": "deepseek/",
    "mistral": "mistral/",
    "x-ai": "xai/",
    "groq": "groq/",
    "perplexity": "perplexity/",
    "openrouter": "openrouter/",
}
"""The providers that are compared, and what LiteLLM writes before the names of their models."""

KEYS = {
    "input": r"input_cost_per_token(?:_above_(\d+)k_tokens)?",
    "output": r"output_cost_per_(?:reasoning_)?token(?:_above_(\d+)k_tokens)?",
    "cached_input": r"cache_read_input_token_cost(?:_above_(\d+)k_tokens)?",
    "cache_write": r"cache_creation_input_token_cost(?:_above_1hr)?(?:_above_(\d+)k_tokens)?",
}
"""Which of LiteLLM's keys have which price; the others are of batches, priorities and other media."""

LEAST_AGREEMENT = 0.85
MOST_LOWER = 0.05
"""Shares of the prices that both lists have."""


def main() -> int:
    """Compare, print, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds litellm_prices/")
    parser.add_argument("--all", action="store_true", help="print every difference")
    options = parser.parse_args()
    path = options.data / "litellm_prices" / "model_prices_and_context_window_backup.json"
    litellm: dict[str, dict[str, object]] = json.loads(path.read_text(encoding="utf-8"))

    # The quality of a model, which no price list knows, is of no matter here, nor are images and sound.
    table = Table({"*": {"quality": 0.5, "needs": ["tools", "json", "stream"]}})
    done = import_models(
        Listing(), PREFIXES, prices=PriceList.packaged(), table=table, today=datetime.now(UTC).date()
    )
    reader = Reader({"catalog": list(done.file.entries)})
    catalog = read_catalog(reader)
    reader.finish()

    counts: dict[str, Counter[str]] = defaultdict(Counter)
    differences: list[str] = []
    compared = 0
    for model in catalog:
        theirs = litellm.get(PREFIXES[model.provider] + model.upstream_name)
        if theirs is None:
            continue
        compared += 1
        for kind in KEYS:
            ours = getattr(model.prices, kind)
            other = highest(theirs, kind, model.context_window_tokens)
            verdict = judge(ours, other)
            counts[kind][verdict] += 1
            if verdict in ("higher", "lower"):
                differences.append(f"{model.key} {kind}: imported {ours}, LiteLLM {other}")

    print(f"{len(catalog)} models imported, {compared} of them in LiteLLM's list; nano-USD per token")
    for kind, count in counts.items():
        print(
            f"{kind:>12}: {count['equal']:4} agree, {count['higher']:3} imported higher, "
            f"{count['lower']:3} imported lower, {count['absent']:3} not in LiteLLM's list"
        )
    shown = differences if options.all else differences[:10]
    print(*shown, sep="\n")
    if len(shown) < len(differences):
        print(f"and {len(differences) - len(shown)} more (--all)")
    total = sum(counts.values(), Counter())
    both = total["equal"] + total["higher"] + total["lower"]
    if not both:
        print("no price is in both lists")
        return 1
    agreement, lower = total["equal"] / both, total["lower"] / both
    print(
        f"{total['equal']} of {both} prices agree: {agreement:.1%}, at least {LEAST_AGREEMENT:.0%} wanted; "
        f"imported lower: {lower:.1%}, at most {MOST_LOWER:.0%} wanted"
    )
    return 0 if agreement >= LEAST_AGREEMENT and lower <= MOST_LOWER else 1


def highest(entry: Mapping[str, object], kind: str, context_window_tokens: int) -> int | None:
    """Return the highest price of its *kind* for input that fits, in nano-USD rounded up; `None` if none."""
    prices = []
    for key, value in entry.items():
        match = re.fullmatch(KEYS[kind], key)
        if match and isinstance(value, int | float) and int(match[1] or 0) * 1000 < context_window_tokens:
            prices.append(Decimal(repr(value)) * 10**9)
    return None if not prices else -int(-max(prices) // 1)


def judge(ours: int, theirs: int | None) -> str:
    """Tell how a price compares with that of the other list."""
    if theirs is None:
        return "absent"
    return "equal" if ours == theirs else "higher" if ours > theirs else "lower"


if __name__ == "__main__":
    sys.exit(main())
