"""The catalog: which models there are, what they can do, and what a token of theirs costs.

    catalog:
      - name: gpt-4.1-mini
        provider: openai
        prices_nano_usd_per_token: {input: 400, output: 1600, cached_input: 100}
        quality: 0.84
        context_window_tokens: 1047576

Prices are whole nano-USD per token, so that costs add up exactly; 1 USD per million tokens is 1000. Every
model of a `Catalog` has prices: one that came without is refused, or costs what `unpriced` says, so that a
price nobody entered is never taken for nothing.
"""

import re
from collections.abc import Iterable
from typing import Final, TypeVar

from ._wording import one_of
from .chat import Format, Need
from .config import Reader
from .default_catalog import DEFAULT_CATALOG
from .models import DOMAINS, USUAL_NEEDS, Catalog, Model, Prices

__all__ = ["DEFAULT_CATALOG", "DOMAINS", "Catalog", "Model", "Prices", "read_catalog"]

Word = TypeVar("Word", bound=str)

_LARGEST_PRICE: Final = 10**9
"""One dollar for a token; beyond it somebody mistook the unit."""
_LARGEST_COUNT: Final = 10**12
_A_PRICE: Final = (
    f"a whole number of nano-USD per token from 0 to {_LARGEST_PRICE} (1 USD per million tokens is 1000)"
)

# Names travel in headers and in lists of `provider/name` with commas between, and `*` stands for any text.
_NAME: Final = re.compile(r"[A-Za-z0-9@~][A-Za-z0-9._:/@+~-]{0,199}")
_A_NAME: Final = "a name of at most 200 letters, digits and ._:/@+~-"
_PROVIDER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_A_PROVIDER: Final = "a name of at most 100 letters, digits and ._-"
_WORD: Final = re.compile(r"[!-+\--~]{1,256}")
_A_WORD: Final = "a word of at most 256 visible ASCII characters without commas"

_NOT_READ: Final = Prices(
    input=_LARGEST_PRICE, output=_LARGEST_PRICE, cached_input=_LARGEST_PRICE, cache_write=_LARGEST_PRICE
)
"""Stands in for `unpriced` when that is wrong, so that only that is reported."""


def read_catalog(reader: Reader, key: str = "catalog", default: Catalog = DEFAULT_CATALOG) -> Catalog:
    """Read the list of models under *key* and `unpriced` beside it; an absent list reads as *default*.

    What is wrong is noted with *reader*, and the model it is wrong with may be missing from what comes back.
    """
    unpriced = _read_unpriced(reader)
    value = reader.value(key)
    if value is None:
        return default
    if not isinstance(value, list | tuple) or not value:
        return reader._wrong(key, "a list with at least one model", value, default)
    models: list[Model] = []
    owners: dict[str, int] = {}
    for index, item in enumerate(value):
        entry = _Entry(item, reader, f"{key}[{index}]")
        model = entry.model(unpriced)
        if model is None:
            continue
        names = (model.name, model.key)
        owner = next((owners[name] for name in names if name in owners), None)
        if owner is None:
            models.append(model)
            owners |= dict.fromkeys(names, index)
        else:
            entry.refuse("name", f"a name of its own ({key}[{owner}] has this one)", model.name)
    return Catalog(models)


def _read_unpriced(reader: Reader) -> Prices | None:
    """Read what models without prices cost; `None`: they are refused."""
    value = reader.value("unpriced")
    if value is None or value == "refuse":
        return None
    if not isinstance(value, dict):
        return reader._wrong("unpriced", "'refuse' or {input, output}", value, _NOT_READ)
    return _Entry(value, reader, "unpriced").prices() or _NOT_READ


class _Entry(Reader):
    """One object of the catalog, with keys that must be there and values of certain forms."""

    def __init__(self, value: object, parent: Reader, key: str) -> None:
        super().__init__(value, parent._at(key))
        parent._nested.append(self)

    def model(self, unpriced: Prices | None) -> Model | None:
        """Read a model; `None` if this is no object, or its name, provider or prices are wrong."""
        if self._problems:
            return None
        name = self.text("name", _NAME, _A_NAME)
        provider = self.text("provider", _PROVIDER, _A_PROVIDER)
        cluster = self.text("cluster", _WORD, _A_WORD, provider)
        upstream_name = self.string("upstream_name", name)
        prices = self._prices_of(name, unpriced)
        quality = self._quality()
        domains = self._words("domains", DOMAINS, among=DOMAINS)
        context_window_tokens = self._count("context_window_tokens")
        is_limited = self.value("max_output_tokens") is not None
        max_output_tokens = self._count("max_output_tokens") if is_limited else None
        needs = self._words("needs", USUAL_NEEDS, among=tuple(Need), at_least=0)
        is_realtime = self.boolean("realtime", True)
        tier = self.text("tier", _WORD, _A_WORD, "")
        regions = frozenset(self.strings("regions", ()))
        formats = self._words("formats", tuple(Format), among=tuple(Format))
        # Where an imported entry comes from: of use only to whoever imports it again.
        self.string("source", "")
        if not name or not provider or prices is None:
            return None
        return Model(
            name=name,
            provider=provider,
            cluster=cluster,
            upstream_name=upstream_name,
            prices=prices,
            quality=quality,
            domains=domains,
            context_window_tokens=context_window_tokens,
            max_output_tokens=max_output_tokens,
            needs=needs,
            is_realtime=is_realtime,
            tier=tier or None,
            regions=regions,
            formats=formats,
        )

    def prices(self) -> Prices | None:
        """Read this object as prices; `None` if one is wrong."""
        input = self._price("input")
        output = self._price("output")
        cached_input = self._price("cached_input") if self.value("cached_input") is not None else input
        cache_write = self._price("cache_write") if self.value("cache_write") is not None else input
        if input is None or output is None or cached_input is None or cache_write is None:
            return None
        return Prices(input=input, output=output, cached_input=cached_input, cache_write=cache_write)

    def _prices_of(self, name: str, unpriced: Prices | None) -> Prices | None:
        key = "prices_nano_usd_per_token"
        value = self.value(key)
        if isinstance(value, dict):
            return _Entry(value, self, key).prices()
        if value is None and unpriced is not None:
            return unpriced
        whose = f" of {name!r}" if name else ""
        return self._wrong(
            key, f"the prices {{input, output}}{whose}, or `unpriced` beside the list", value, None
        )

    def _price(self, key: str) -> int | None:
        value = self.value(key)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST_PRICE:
            return value
        return self._wrong(key, _A_PRICE, value, None)

    def _quality(self) -> float:
        if "quality" in self:
            return self.number("quality", 0.0, at_least=0, at_most=1)
        return self._wrong("quality", "a number from 0 to 1", self.value("quality"), 0.0)

    def _count(self, key: str) -> int:
        if key in self:
            return self.integer(key, 1, at_least=1, at_most=_LARGEST_COUNT)
        return self._wrong(key, "a number of tokens", self.value(key), 1)

    def _words(
        self, key: str, default: Iterable[Word], *, among: tuple[Word, ...], at_least: int = 1
    ) -> frozenset[Word]:
        """Read a list of known words."""
        if key not in self:
            self.value(key)
            return frozenset(default)
        known = {str(word): word for word in among}
        words = self.strings(key, ())
        for index, word in enumerate(words):
            if word not in known:
                self.refuse(f"{key}[{index}]", one_of(known), word)
        if len(words) < at_least:
            self.refuse(key, f"at least one of {one_of(known)}", self.value(key))
        return frozenset(known[word] for word in words if word in known)
