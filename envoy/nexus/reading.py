"""Reading the YAML that people write: every problem at once, each with file, path, expected and got.

A `Section` is the `Reader` with which plugins read their configuration, with what descriptions need besides:
keys that are required, texts of a certain form, lists of mappings, and parts that somebody else will read.
"""

import json
import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

import yaml

from aigateway.config import ConfigError, Problem, Reader

_ANY: Final = re.compile(".+", re.DOTALL)
_ANY_TEXT: Final = "a non-empty string"
_MERGE_TAG: Final = "tag:yaml.org,2002:merge"

# The forms in which providers hand out keys: sk-..., sk-ant-..., gsk_..., xai-..., hf_..., AIza..., and JWTs.
# There is a digit in all of them, and in hardly a name that has one of these beginnings by chance.
_KEY: Final = re.compile(
    r"(Bearer\s+)?((sk|gsk|xai|hf|nvapi|pplx|r8)[-_](?=[A-Za-z_-]*\d)[\w-]{16,}"
    r"|AIza[\w-]{30,}|ey[\w-]{20,}\.[\w.-]+)"
)
_A_KEY: Final = (
    "this looks like a key, and keys do not belong into YAML: "
    "name the variable that holds it under key_env, or its file under key_file, of a provider"
)


Default = TypeVar("Default")


class DescriptionError(ValueError):
    """Files that cannot be taken as they are; *problems* has one line for each thing wrong with them."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class Section(Reader):
    """One mapping of a file, read key by key."""

    @property
    def values(self) -> Mapping[str, object]:
        """Everything in the mapping, read or not."""
        return self._values

    def text(
        self,
        key: str,
        form: re.Pattern[str] = _ANY,
        expected: str = _ANY_TEXT,
        default: str | None = None,
    ) -> str:
        """Read a string of a *form*; without a *default* the key is required."""
        return super().text(key, form, expected, default)

    def optional_text(self, key: str, form: re.Pattern[str] = _ANY, expected: str = _ANY_TEXT) -> str | None:
        """Read a string as `text` does, or None when there is none."""
        return self.text(key, form, expected, "") or None

    def required_integer(self, key: str, *, at_least: int, at_most: int) -> int:
        """Read a whole number that must be there."""
        if key in self:
            return self.integer(key, at_least, at_least=at_least, at_most=at_most)
        expected = f"a whole number from {at_least} to {at_most}"
        return self._wrong(key, expected, self.value(key), at_least)

    def section(self, key: str) -> "Section":
        """Read a nested mapping; an absent one reads as empty."""
        value = self.value(key)
        return self._nest(key, {} if value is None else value)

    def sections(self, key: str, *, required: bool = False) -> list["Section"]:
        """Read a list of mappings; a *required* one has at least one."""
        value = self.value(key)
        if value is None and not required:
            return []
        if not isinstance(value, list) or (required and not value):
            return self._wrong(key, "a list with at least one entry" if required else "a list", value, [])
        items: list[object] = value
        for index, item in enumerate(items):
            if item is None:
                self._wrong(f"{key}[{index}]", "an object", item, None)
        return [self._nest(f"{key}[{index}]", item) for index, item in enumerate(items) if item is not None]

    def document(self, key: str) -> dict[str, object]:
        """Read a nested mapping as it stands: it is JSON that somebody else will understand."""
        value = self.value(key)
        if value is None:
            return {}
        if not isinstance(value, dict):
            return self._wrong(key, "an object", value, {})
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            self.problem(key, f"expected what JSON can say: {error}")
        return {str(name): item for name, item in value.items()}

    def ignore(self, *keys: str) -> None:
        """Accept *keys* without reading them."""
        for key in keys:
            self.value(key)

    def problem(self, key: str, message: str) -> None:
        """Note what only the caller can see to be wrong with *key*, or with the whole section for ""."""
        self._problems.append(Problem(self._at(key) if key else self._path, message))

    def _wrong(self, key: str, expected: str, got: object, default: Default, hint: str = "") -> Default:
        if got is None:
            # To whoever writes YAML, a key without a value is as good as no key.
            self.problem(key, f"expected {expected}, got nothing")
            return default
        return super()._wrong(key, expected, got, default, hint)

    def _nest(self, key: str, value: object) -> "Section":
        nested = Section(value, self._at(key))
        self._nested.append(nested)
        return nested


class YamlFile:
    """One YAML file, which holds one mapping.

    Raises DescriptionError when the file cannot be read, is not YAML, or has a key twice.
    """

    def __init__(self, path: Path) -> None:
        self._name = path.name
        document = self._load(path)
        self._refuse_keys(document)
        self.root = Section(document)

    def finish(self) -> None:
        """Raise DescriptionError with everything that was wrong, or was not asked for."""
        try:
            self.root.finish()
        except ConfigError as error:
            raise DescriptionError([f"{self._name}: {problem}" for problem in error.problems]) from error

    def _refuse_keys(self, document: object) -> None:
        """Raise before anything is read: messages quote what they got, and a key must not be quoted."""
        lines = [f"{self._name}: {where}: {_A_KEY}" for where in _find_keys(document, "")]
        if lines:
            raise DescriptionError(lines)

    def _load(self, path: Path) -> object:
        try:
            value = yaml.load(path.read_text(encoding="utf-8"), Loader=_StrictLoader)
        except OSError as error:
            raise DescriptionError([f"{path} cannot be read: {error.strerror}"]) from error
        except UnicodeDecodeError as error:
            raise DescriptionError([f"{self._name}: expected UTF-8"]) from error
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
            raise DescriptionError([f"{self._name}: {where}not valid YAML, {error.problem}"]) from error
        except yaml.YAMLError as error:
            raise DescriptionError([f"{self._name}: not valid YAML, {error}"]) from error
        if value is None:
            raise DescriptionError([f"{self._name}: expected an object, got nothing"])
        return value


def _find_keys(value: object, where: str) -> Iterator[str]:
    """Return the paths of all texts in *value* that look like the key of a provider."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _find_keys(item, f"{where}.{name}" if where else str(name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _find_keys(item, f"{where}[{index}]")
    elif isinstance(value, str) and _KEY.fullmatch(value.strip()):
        yield where


class _StrictLoader(yaml.SafeLoader):
    """A safe loader that refuses a key that is there twice; YAML forbids it, PyYAML lets the last one win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            if key_node.tag == _MERGE_TAG:
                continue
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                problem = f"the key {key} is there twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)
