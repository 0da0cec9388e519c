"""Which models can matter: the few among a thousand that no size of the request makes others beat.

A choice needs at most `WANTED` models: the best one, then the best of each further provider, then the next
best whoever provides it. Scores that are linear in the tokens of input and output keep their order within a
cell of sizes if they have it at the corners of the cell. So a model that enough others beat at all corners
is not needed anywhere in the cell, and what remains, a dozen of a thousand, is scored exactly.
"""

from collections.abc import Sequence
from operator import gt, lt
from typing import Final

__all__ = ["WANTED", "needed", "pick", "prompt_cell", "unbeaten"]

WANTED: Final = 4
"""A choice and three fallbacks."""


def prompt_cell(prompt_tokens: int) -> tuple[int, int]:
    """Return the least and the greatest count of tokens in the cell that holds this one: a power of two."""
    bits = prompt_tokens.bit_length()
    return (1 << bits) >> 1, (1 << bits) - 1


def pick(ranked: Sequence[int], providers: Sequence[int]) -> list[int]:
    """Take the choice and its fallbacks from *ranked*, the best first: other providers first.

    `providers` gives the provider of each model.
    """
    picked: list[int] = []
    seen: set[int] = set()
    for model in ranked:
        if providers[model] not in seen:
            seen.add(providers[model])
            picked.append(model)
            if len(picked) == WANTED:
                return picked
    for model in ranked:
        if model not in picked:
            picked.append(model)
            if len(picked) == WANTED:
                break
    return picked


def needed(keys: Sequence[Sequence[int]], providers: Sequence[int]) -> list[int]:
    """Return the positions of the models that `pick` can need anywhere in a cell, ascending.

    *keys* has one list per corner, with the key of each model there; lower is better, and no two keys at one
    corner are equal. *providers* has the provider of each model.

    A model is needed if it is the best of its provider and fewer than `WANTED` others have a better one;
    with fewer providers than that also if fewer than `WANTED` models are better. Being beaten at all corners
    carries over from one model to the next, so it is enough to look at those that were kept.
    """
    first = keys[0]
    all_providers = set(providers)
    few_providers = len(all_providers) < WANTED
    kept: list[int] = []
    kept_keys: list[tuple[int, tuple[int, ...]]] = []
    bar: tuple[int, ...] | None = None
    for position in sorted(range(len(first)), key=first.__getitem__):
        corners = tuple([at[position] for at in keys])
        # What is behind the bar at every corner is behind enough of those kept; nearly all are.
        if bar is not None and all(map(gt, corners, bar)):
            continue
        provider = providers[position]
        better = [other for other, ahead in kept_keys if all(map(lt, ahead, corners))]
        if few_providers:
            drop = provider in better and len(better) >= WANTED
        else:
            drop = provider in better or len(set(better)) >= WANTED
        if drop:
            continue
        kept.append(position)
        kept_keys.append((provider, corners))
        if bar is None:
            bar = _bar(kept_keys, all_providers if few_providers else None)
    return sorted(kept)


def unbeaten(keys: Sequence[Sequence[int]]) -> list[int]:
    """Return the positions of those that no single other is ahead of, or level with, at all corners."""
    first = keys[0]
    kept: list[int] = []
    for position in sorted(range(len(first)), key=first.__getitem__):
        if not any(all(at[other] <= at[position] for at in keys) for other in kept):
            kept.append(position)
    return kept


def _bar(
    kept: Sequence[tuple[int, tuple[int, ...]]], all_providers: set[int] | None
) -> tuple[int, ...] | None:
    """Find keys behind which nothing is needed, once enough models were kept.

    With *all_providers*, the few that there are, that takes a model of each of them.
    """
    best: dict[int, tuple[int, ...]] = {}
    for provider, corners in kept:
        best.setdefault(provider, corners)
    if all_providers is None:
        ahead = list(best.values())
        enough = len(best) >= WANTED
    else:
        ahead = [corners for _, corners in kept]
        enough = len(kept) >= WANTED and len(best) == len(all_providers)
    return tuple(map(max, *ahead)) if enough else None
