"""Bringing a catalog up to date with a price list, and saying what changed.

Where each key of an entry comes from:

- prices and context window: from the table if it says, else from the price list, else as they were;
- quality, needs, limit of the output: from the table if it says, else as they were;
- provider, cluster, domains, realtime, tier, regions, formats: from the table when the model is new; from
  then on they are the operator's to change in the file, as the name is.

An entry is known by its `source`. One without is the operator's own and left alone, unless that very model is
asked for. Nothing is ever deleted.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Final, cast

from genai_prices.types import ModelInfo

from aigateway.chat import Need
from aigateway.models import USUAL_NEEDS

from ..reading import DescriptionError
from .file import KEYS, Entry, Listing
from .price_list import PriceList
from .pricing import Tiers, quote
from .table import Table

__all__ = ["Import", "import_models"]

_SOURCE: Final = "genai-prices:"
_PRICES: Final = "prices_nano_usd_per_token"
_WINDOW: Final = "context_window_tokens"
_FOLLOWED: Final = ("quality", "max_output_tokens", "needs")
"""What the table decides at every import, beside the prices and the window."""
_PROPOSED: Final = ("provider", "cluster", "domains", "realtime", "tier", "regions", "formats")
"""What the table decides of a new model only."""
_NO_PRICE: Final = "no price"
_LISTED: Final = 12
"""Names in one line of the report; a provider may have hundreds."""


@dataclass(slots=True)
class Import:
    """A catalog as it is after an import, and what the import did."""

    file: Listing
    added: dict[str, str] = field(default_factory=dict)
    """The new models and what they cost, by name."""
    changed: dict[str, str] = field(default_factory=dict)
    """What changed of models that were there, by name."""
    vanished: list[str] = field(default_factory=list)
    """Models that the price list no longer has."""
    skipped: dict[str, list[str]] = field(default_factory=dict)
    """What was not taken, by the reason."""
    notes: dict[str, list[str]] = field(default_factory=dict)
    """What there is to know of imported models, by the note."""

    def lines(self) -> list[str]:
        """Say what the import did, a line for each thing."""
        lines = [f"added {name}: {summary}" for name, summary in self.added.items()]
        lines += [f"changed {name}: {changes}" for name, changes in self.changed.items()]
        lines += [
            f"vanished {name}: genai-prices has it no more; it stays as it was" for name in self.vanished
        ]
        lines += [f"skipped, {reason}: {_listed(names)}" for reason, names in self.skipped.items()]
        lines += [f"note, {note}: {_listed(names)}" for note, names in self.notes.items()]
        count = len(self.file.entries)
        models = "1 model" if count == 1 else f"{count} models"
        lines.append(
            f"{models}: {len(self.added)} added, {len(self.changed)} changed, "
            f"{len(self.vanished)} vanished; {sum(map(len, self.skipped.values()))} skipped"
        )
        return lines


def import_models(
    file: Listing, wanted: Iterable[str], *, prices: PriceList, table: Table, today: date
) -> Import:
    """Bring the imported models of *file* up to date with *prices*, and add those that are *wanted*.

    A model that cannot be taken is skipped when a provider or pattern stood for it. One that was named itself
    is refused: DescriptionError is raised, with all of them.
    """
    selected = prices.select(wanted)
    entries = [dict(entry) for entry in file.entries]
    done = Import(file)
    refused: list[str] = []
    for wish, index in _places(entries, selected, table):
        before = {} if index is None else entries[index]
        found = prices.find(wish)
        if found is None:
            done.vanished.append(str(before["name"]))
            continue
        listed_as, model = found
        facts = table.facts(wish, listed_as)
        draft = _draft(wish, model, before=before, facts=facts, today=today)
        missing = [
            reason for reason in draft.missing if reason != _NO_PRICE or not isinstance(file.unpriced, dict)
        ]
        if missing and selected.get(wish):
            refused.append(f"{wish}: {' and '.join(missing)} in genai-prices or the table of qualities")
            continue
        if missing:
            done.skipped.setdefault(missing[0], []).append(wish)
            continue
        if index is None:
            name = _free_name(draft.entry, entries)
            given = {} if name == draft.entry["name"] else {"upstream_name": draft.entry["name"]}
            entry = _ordered(draft.entry | given | {"name": name})
            entries.append(entry)
            done.added[name] = _described(entry)
        else:
            name = str(before["name"])
            entry = entries[index] = _ordered(draft.entry)
            changes = _changes(before, entry)
            if changes:
                done.changed[name] = changes
        notes = draft.notes if listed_as == wish else (f"listed as {listed_as}", *draft.notes)
        for note in notes:
            done.notes.setdefault(note, []).append(name)
    if refused:
        raise DescriptionError(refused)
    done.file = Listing(tuple(entries), file.unpriced)
    return done


def _places(entries: list[Entry], selected: Iterable[str], table: Table) -> list[tuple[str, int | None]]:
    """Tell which models of the price list have which entries, or get one; `None`: a new one."""
    places: list[tuple[str, int | None]] = []
    own: dict[str, int] = {}
    for index, entry in enumerate(entries):
        source = str(entry.get("source", ""))
        if source.startswith(_SOURCE):
            places.append((source.removeprefix(_SOURCE), index))
        else:
            own[f"{entry['provider']}/{entry.get('upstream_name', entry['name'])}"] = index
    present = {wish for wish, _ in places}
    for wish in selected:
        if wish not in present:
            provider, _, model = wish.partition("/")
            places.append((wish, own.get(f"{table.facts(wish).get('provider', provider)}/{model}")))
    return places


@dataclass(frozen=True, slots=True)
class _Draft:
    """An entry as it would be."""

    entry: Entry
    missing: tuple[str, ...]
    """What it cannot be without."""
    notes: tuple[str, ...]


def _draft(wish: str, model: ModelInfo, *, before: Entry, facts: Mapping[str, object], today: date) -> _Draft:
    """Make the entry of a model of what the table, the price list and the entry so far say."""
    provider, _, model_id = wish.partition("/")
    entry: Entry = {"name": model_id, "provider": provider} | before
    if not before:
        entry |= {key: facts[key] for key in _PROPOSED if key in facts}
    if entry["name"] != model_id:
        entry.setdefault("upstream_name", model_id)
    entry["source"] = _SOURCE + wish
    entry |= {key: facts[key] for key in _FOLLOWED if key in facts}

    notes: list[str] = []
    if model.deprecated:
        notes.append("deprecated by its provider")
    needs = cast("Iterable[str] | None", entry.get("needs"))
    if needs is None:
        needs = USUAL_NEEDS
        notes.append(f"genai-prices knows no capabilities: taken to do {', '.join(sorted(needs))}")
    window = cast("int | None", facts.get(_WINDOW, model.context_window or before.get(_WINDOW)))
    offer = quote(
        model,
        today,
        needs=[Need(need) for need in needs],
        context_window_tokens=window,
        tiers=cast("Tiers", facts.get("tiers", "highest")),
    )
    if _PRICES in facts:
        entry[_PRICES] = facts[_PRICES]
        notes.append("priced by the table")
    elif offer is not None:
        entry[_PRICES] = asdict(offer.prices)
        notes.extend(offer.notes)
        if offer.longest_input_tokens is not None:
            window = min(offer.longest_input_tokens, window or offer.longest_input_tokens)
        if not any(asdict(offer.prices).values()):
            notes.append("costs nothing")
    elif _PRICES in before:
        notes.append("genai-prices has no price any more: it stays as it was")
    if window is not None:
        entry[_WINDOW] = window
    missing = [
        what
        for key, what in (("quality", "no quality"), (_PRICES, _NO_PRICE), (_WINDOW, "no context window"))
        if key not in entry
    ]
    return _Draft(entry, tuple(missing), tuple(notes))


def _free_name(entry: Entry, entries: Iterable[Entry]) -> str:
    """Return the model's name, with its provider behind it if another provider's model has that name."""
    taken = {name for other in entries for name in (other["name"], f"{other['provider']}/{other['name']}")}
    name, provider = entry["name"], entry["provider"]
    if name in taken or f"{provider}/{name}" in taken:
        return f"{name}@{provider}"
    return str(name)


def _ordered(entry: Entry) -> Entry:
    return {key: entry[key] for key in KEYS if entry.get(key) is not None}


def _described(entry: Entry) -> str:
    """Say of a new model what was not typed in by hand."""
    prices = cast("Mapping[str, int]", entry.get(_PRICES, {}))
    cost = ", ".join(f"{key} {price}" for key, price in prices.items())
    return f"{cost or 'unpriced'}; quality {entry['quality']}; window {entry[_WINDOW]}"


def _changes(before: Entry, after: Entry) -> str:
    """Say which values differ, from what to what; of prices, each on its own."""
    old, new = _flat(before), _flat(after)
    return ", ".join(
        f"{key} {_shown(old.get(key))} -> {_shown(new.get(key))}"
        for key in dict.fromkeys([*old, *new])
        if old.get(key) != new.get(key)
    )


def _flat(entry: Entry) -> Entry:
    prices = cast("Mapping[str, object]", entry.get(_PRICES, {}))
    rest = {key: value for key, value in entry.items() if key != _PRICES}
    return {**prices, **rest}


def _shown(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(str, value))}]"
    return "nothing" if value is None else str(value)


def _listed(names: list[str]) -> str:
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")
