"""What a request asks for by its `model`: any, one, or some of a group."""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from aigateway.refusals import Refusal

from .choice import RefusedError
from .config import Alias, Config
from .market import Market

__all__ = ["Asked", "Names"]

_REMEMBERED: Final = 1024
_LONGEST_NAME: Final = 256
"""Characters; no name is longer, so what is cannot be known."""
_SHOWN: Final = 60
_NEAR_NAMES: Final = 3
_ALIKE: Final = 0.3
"""The share of its groups of three letters that a name must have in common to be offered."""


class Asked(NamedTuple):
    """What a request asks for."""

    models: int
    """The set to choose from."""
    is_explicit: bool = False
    """Whether the request, or an alias, names one model: then it need not be good enough, only possible."""
    strategy: str | None = None
    """What the alias says."""
    requested: int = 0
    """The models that the request names, heeded or not."""


class Names:
    """Knows the names of one configuration."""

    def __init__(self, config: Config, market: Market) -> None:
        self._config = config
        self._market = market
        self._auto = frozenset(config.auto_models)
        self._patterns = [(name, alias) for name, alias in config.aliases.items() if "*" in name]
        self._remembered: dict[str, Asked] = {}
        self._anything = Asked(market.everything)
        self._by_letters: dict[str, list[str]] = {}
        for name in dict.fromkeys((*config.aliases, *(model.name for model in market.models))):
            for letters in _threes(name):
                self._by_letters.setdefault(letters, []).append(name)

    def resolve(self, name: str | None) -> Asked:
        """Say what *name* asks for, or raise `RefusedError`."""
        if name is None or name in self._auto:
            return self._anything
        asked = self._remembered.get(name)
        if asked is None:
            asked = self._resolve(name)
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.clear()
            if len(name) <= _LONGEST_NAME:
                self._remembered[name] = asked
        return asked

    def _resolve(self, name: str) -> Asked:
        alias = self._config.aliases.get(name)
        if alias is not None:
            return self._of_alias(alias, name)
        models = self._market.matching(name) if len(name) <= _LONGEST_NAME else 0
        if not models or "*" in name:
            for pattern, of_pattern in self._patterns:
                if _fits(name, pattern):
                    return self._of_alias(of_pattern, name)
        if not models:
            if self._config.on_unknown_model == "route":
                return self._anything
            raise RefusedError(self._unknown(name))
        if self._config.on_explicit_model == "override":
            return self._anything._replace(requested=models)
        if self._config.on_explicit_model == "refuse":
            raise RefusedError(self._not_selectable())
        return Asked(models, "*" not in name, None, models)

    def _of_alias(self, alias: Alias, name: str) -> Asked:
        models = self._market.matching_any(alias.models)
        if not models:
            raise RefusedError(self._unknown(name))
        return Asked(models, models.bit_count() == 1, alias.strategy, models)

    def _unknown(self, name: str) -> Refusal:
        near = list(self._near(name[:_LONGEST_NAME]))
        hint = f"; near it are {', '.join(near)}" if near else ""
        shown = name if len(name) <= _SHOWN else f"{name[:_SHOWN]}..."
        return Refusal(
            status=404,
            message=f"model: expected {self._expected()}, got {shown!r}{hint}",
            param="model",
            code="model_not_found",
        )

    def _not_selectable(self) -> Refusal:
        aliases = [name for name in self._config.aliases if "*" not in name]
        names = ", ".join([*self._config.auto_models, *aliases][:10])
        return Refusal(
            status=400,
            message=f"model: this gateway chooses the model itself; send one of: {names}",
            param="model",
            code="model_not_selectable",
        )

    def _expected(self) -> str:
        auto = " or ".join(map(repr, self._config.auto_models[:3]))
        return f"{auto} or a model of the catalog" if auto else "a model of the catalog"

    def _near(self, name: str) -> Iterator[str]:
        """Offer the names that have most letters in common with an unknown one.

        Groups of three letters are looked up, so that it takes no longer with a thousand models, and a
        client that asks for nonsense all day costs little.
        """
        common: dict[str, int] = {}
        wanted = _threes(name)
        for letters in wanted:
            for known in self._by_letters.get(letters, ()):
                common[known] = common.get(known, 0) + 1
        alike = sorted(
            (-count / len(_threes(known) | wanted), known)
            for known, count in sorted(common.items(), key=lambda pair: -pair[1])[: 4 * _NEAR_NAMES]
        )
        for likeness, known in alike[:_NEAR_NAMES]:
            if -likeness >= _ALIKE:
                yield known


def _threes(name: str) -> set[str]:
    """Cut a name into its groups of three letters, without its provider."""
    bare = f" {name.rpartition('/')[2].lower()} "
    return {bare[at : at + 3] for at in range(len(bare) - 2)}


def _fits(name: str, pattern: str) -> bool:
    """Tell whether *name* is *pattern*, in which `*` stands for any text."""
    first, *middle, last = pattern.split("*")
    if len(name) < len(first) + len(last) or not (name.startswith(first) and name.endswith(last)):
        return False
    at, end = len(first), len(name) - len(last)
    return _in_turn(name, middle, at, end)


def _in_turn(name: str, parts: Iterable[str], at: int, end: int) -> bool:
    for part in parts:
        found = name.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True
