"""Reading a plugin's configuration, and saying everything that is wrong with it at once.

A plugin's `Config.from_json` asks a `Reader` for each key by type. The reader notes problems and hands back
the default, so that reading goes on; `finish` then raises one `ConfigError` with all of them:

    budgets[0].limit_usd: expected a number above 0, got the string 'ten'
    budgets[1].consumer: expected a non-empty string, got nothing
    budgts: unknown key, did you mean 'budgets'?
"""

import difflib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from ._wording import describe, one_of
from .money import NANO_USD_PER_USD, parse_usd, usd

__all__ = ["ConfigError", "Problem", "Reader"]

Choice = TypeVar("Choice", bound=str)
Default = TypeVar("Default")

_LARGEST_AMOUNT: Final = 10**9 * NANO_USD_PER_USD


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a configuration: *path* is where, *message* what."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class ConfigError(ValueError):
    """A configuration that cannot be used; the message has one line per problem."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = tuple(problems)


class Reader:
    """Reads one JSON object of a configuration, key by key.

    Readers of nested objects share the list of problems, so only the outermost one needs `finish`.
    """

    def __init__(self, value: object, path: str = "") -> None:
        self._path = path
        self._problems: list[Problem] = []
        self._nested: list[Reader] = []
        self._known: dict[str, None] = {}
        self._values: Mapping[str, object] = {}
        if isinstance(value, Mapping):
            self._values = {str(key): item for key, item in value.items()}
        else:
            self._problems.append(Problem(path, f"expected an object, got {describe(value)}"))

    def __contains__(self, key: str) -> bool:
        return self._values.get(key) is not None

    def __iter__(self) -> Iterator[str]:
        """Go through the keys that are there, for objects whose keys are names of the user's own."""
        return iter(self._values)

    def value(self, key: str) -> object:
        """Read anything, to be judged by the caller with `refuse`; null counts as absent, as in YAML."""
        self._known[key] = None
        return self._values.get(key)

    def boolean(self, key: str, default: bool) -> bool:
        """Read true or false."""
        value = self.value(key)
        if value is None:
            return default
        if isinstance(value, bool):
            return value
        return self._wrong(key, "true or false", value, default)

    def string(self, key: str, default: str) -> str:
        """Read a string that is not empty."""
        value = self.value(key)
        if value is None:
            return default
        if isinstance(value, str) and value:
            return value
        return self._wrong(key, "a non-empty string", value, default)

    def text(self, key: str, form: re.Pattern[str], expected: str, default: str | None = None) -> str:
        """Read a string of a *form*; what is wrong, or absent without a *default*, reads as empty."""
        value = self.value(key)
        if value is None and default is not None:
            return default
        if isinstance(value, str) and form.fullmatch(value):
            return value
        return self._wrong(key, expected, value, "")

    def choice(self, key: str, default: Choice, *, among: Sequence[Choice]) -> Choice:
        """Read one of the strings *among*."""
        value = self.value(key)
        if value is None:
            return default
        for option in among:
            if value == option:
                return option
        nearest = _nearest(value, among) if isinstance(value, str) else ""
        return self._wrong(key, one_of(among), value, default, nearest)

    def integer(self, key: str, default: int, *, at_least: int, at_most: int | None = None) -> int:
        """Read a whole number within bounds, both included."""
        value = self.value(key)
        if value is None:
            return default
        if (
            isinstance(value, int)
            and not isinstance(value, bool)
            and value >= at_least
            and (at_most is None or value <= at_most)
        ):
            return value
        span = f"of at least {at_least}" if at_most is None else f"from {at_least} to {at_most}"
        return self._wrong(key, f"a whole number {span}", value, default)

    def number(
        self,
        key: str,
        default: float,
        *,
        above: float | None = None,
        at_least: float | None = None,
        at_most: float | None = None,
    ) -> float:
        """Read a finite number within bounds: *above* excludes its bound, the others include theirs."""
        value = self.value(key)
        if value is None:
            return default
        expected = _number_within(above, at_least, at_most)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return self._wrong(key, expected, value, default)
        try:
            number = float(value)
        except OverflowError:
            return self._wrong(key, expected, value, default)
        within = (
            math.isfinite(number)
            and (above is None or number > above)
            and (at_least is None or number >= at_least)
            and (at_most is None or number <= at_most)
        )
        return number if within else self._wrong(key, expected, value, default)

    def amount_usd(self, key: str, default: int | None = None, *, at_least: int = 0) -> int:
        """Read an amount of US dollars and return it in nano-USD, like the default and the bound.

        What is wrong, or absent without a *default*, reads as 0.
        """
        value = self.value(key)
        if value is None and default is not None:
            return default
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            try:
                amount = parse_usd(value)
            except ValueError:
                amount = -1
            if at_least <= amount <= _LARGEST_AMOUNT:
                return amount
        expected = f"US dollars from {usd(at_least)} to {usd(_LARGEST_AMOUNT)}, with at most 9 decimals"
        return self._wrong(key, expected, value, 0)

    def strings(self, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        """Read a list of strings that are not empty; an empty list is allowed."""
        value = self.value(key)
        if value is None:
            return default
        if not isinstance(value, list | tuple):
            return self._wrong(key, "a list of strings", value, default)
        good = []
        for index, item in enumerate(value):
            if isinstance(item, str) and item.strip():
                good.append(item)
            else:
                self._wrong(f"{key}[{index}]", "a non-empty string", item, None)
        return tuple(good)

    def table(self, key: str) -> "Reader":
        """Read a nested object; an absent one reads as empty."""
        value = self.value(key)
        nested = Reader({} if value is None else value, self._at(key))
        self._nested.append(nested)
        return nested

    def tables(self, key: str) -> list["Reader"]:
        """Read a list of objects; an absent one reads as empty."""
        value = self.value(key)
        if value is None:
            return []
        if not isinstance(value, list | tuple):
            return self._wrong(key, "a list of objects", value, [])
        readers = [Reader(item, f"{self._at(key)}[{index}]") for index, item in enumerate(value)]
        self._nested += readers
        return readers

    def refuse(self, key: str, expected: str, got: object) -> None:
        """Note a problem that only the plugin can see, and go on reading."""
        self._wrong(key, expected, got, None)

    def finish(self) -> None:
        """Refuse keys that nobody asked for, then raise `ConfigError` if anything was wrong."""
        problems = self._collect()
        if problems:
            raise ConfigError(problems)

    def _collect(self) -> list[Problem]:
        problems = list(self._problems)
        for key in self._values:
            if key not in self._known:
                problems.append(Problem(self._at(key), f"unknown key{_nearest(key, list(self._known))}"))
        for nested in self._nested:
            problems += nested._collect()
        return problems

    def _at(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key

    def _wrong(self, key: str, expected: str, got: object, default: Default, hint: str = "") -> Default:
        self._problems.append(Problem(self._at(key), f"expected {expected}, got {describe(got)}{hint}"))
        return default


def _nearest(name: str, known: Sequence[str]) -> str:
    """Offer the known name that *name* is most likely a slip of, or nothing."""
    close = difflib.get_close_matches(name, known, n=1)
    return f", did you mean {close[0]!r}?" if close else ""


def _number_within(above: float | None, at_least: float | None, at_most: float | None) -> str:
    """Say which numbers are expected: `a number above 0`, `a number from 0 to 1`."""
    if at_least is not None and at_most is not None:
        return f"a number from {at_least:g} to {at_most:g}"
    bounds = [
        f"{name} {bound:g}"
        for name, bound in (("above", above), ("of at least", at_least), ("of at most", at_most))
        if bound is not None
    ]
    return f"a number {' and '.join(bounds)}".rstrip()
