"""Which models can matter: the few among a thousand that no size of the request makes others beat.

A choice needs at most `WANTED` models: the best one, then the best of each further provider, then the next
best whoever provides it. Scores that are linear in the tokens of input and output keep their order within a
cell of sizes if they have it at the corners of the cell. So a model that enough others beat at all corners
is not needed anywhere in the cell, and what remains, a dozen of a thousand, is scored exactly.
"""

from collections.abc import Sequence
from operator import gt, lt
from typing import Final

__all__ = ["WANTED", "needed", "needed_in_groups", "pick", "prompt_cell", "unbeaten"]

WANTED: Final = 4
"""A choice and three fallbacks."""


def prompt_cell(bits: int) -> tuple[int, int]:
    """Return the least and the greatest of the numbers that have so many bits."""
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
    all_providers = set(providers)
    few_providers = len(all_providers) < WANTED
    # Sorted by the first corner, so that nobody is beaten by one that comes later.
    entries = sorted(zip(*keys, providers, range(len(providers)), strict=True))
    corners = len(keys)
    kept: list[tuple[int, ...]] = []
    bar: tuple[int, ...] | None = None
    for entry in entries:
        # What is behind the bar at every corner is behind enough of those kept; nearly all are.
        if bar is not None and all(map(gt, entry, bar)):
            continue
        provider = entry[corners]
        better = [other[corners] for other in kept if all(map(lt, other[:corners], entry))]
        if few_providers:
            drop = provider in better and len(better) >= WANTED
        else:
            drop = provider in better or len(set(better)) >= WANTED
        if drop:
            continue
        kept.append(entry)
        if bar is None:
            bar = _bar(kept, corners, all_providers if few_providers else None)
    return sorted(entry[-1] for entry in kept)


def needed_in_groups(keys: Sequence[Sequence[int]], groups: Sequence[int], few_providers: bool) -> list[int]:
    """Return the positions of the models that can be needed whatever is added to the keys of whole groups.

    All models of a group are of one provider. So who is beaten by another of its group is not the best of
    its provider; with *few_providers*, fewer than `WANTED`, that does not yet mean it is not needed.
    """
    enough = WANTED if few_providers else 1
    kept: dict[int, list[tuple[int, ...]]] = {}
    positions: list[int] = []
    corners = len(keys)
    for entry in sorted(zip(*keys, groups, range(len(groups)), strict=True)):
        rivals = kept.setdefault(entry[corners], [])
        better = 0
        for rival in rivals:
            if all(map(lt, rival, entry)):
                better += 1
                if better == enough:
                    break
        else:
            rivals.append(entry[:corners])
            positions.append(entry[-1])
    return sorted(positions)


def unbeaten(keys: Sequence[Sequence[int]]) -> list[int]:
    """Return the positions of those that no single other is ahead of, or level with, at all corners."""
    first = keys[0]
    kept: list[int] = []
    for position in sorted(range(len(first)), key=first.__getitem__):
        if not any(all(at[other] <= at[position] for at in keys) for other in kept):
            kept.append(position)
    return kept


def _bar(
    kept: Sequence[tuple[int, ...]], corners: int, all_providers: set[int] | None
) -> tuple[int, ...] | None:
    """Find keys behind which nothing is needed, once enough models were kept.

    With *all_providers*, the few that there are, that takes a model of each of them.
    """
    best: dict[int, tuple[int, ...]] = {}
    for entry in kept:
        best.setdefault(entry[corners], entry[:corners])
    if all_providers is None:
        ahead = list(best.values())
        enough = len(best) >= WANTED
    else:
        ahead = [entry[:corners] for entry in kept]
        enough = len(kept) >= WANTED and len(best) == len(all_providers)
    return tuple(map(max, *ahead)) if enough else None
