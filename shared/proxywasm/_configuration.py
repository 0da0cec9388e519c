"""Plugin configuration: bytes from the host to a JSON object, and every problem in one error."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NoReturn, TypeVar

from ._tracebacks import describe_exception
from .errors import ConfigurationError

__all__ = ["apply_parser", "parse_json_object"]

Config = TypeVar("Config")

_DEEPEST: Final = 200
"""Levels of nesting. Some thousand overflow the native stack before Python notices, and end the VM."""

_BRACKETS: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', re.DOTALL)


def parse_json_object(data: bytes) -> dict[str, Any]:
    """Parse a configuration, or raise `ConfigurationError`; nothing at all is the empty object."""
    if not data.strip():
        return {}
    if data.count(b"[") + data.count(b"{") > _DEEPEST and _depth(data) > _DEEPEST:
        raise ConfigurationError([f"the JSON is nested more than {_DEEPEST} levels deep"])
    try:
        value = json.loads(data.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise ConfigurationError([f"not UTF-8 at byte {error.start}"]) from None
    except json.JSONDecodeError as error:
        problem = f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        raise ConfigurationError([problem]) from None
    except ValueError as error:  # From _refuse_constant, or a number of too many digits.
        raise ConfigurationError([f"not JSON: {error}"]) from None
    if not isinstance(value, dict):
        raise ConfigurationError([f"expected a JSON object, got {_kind(value)}"])
    return value


def apply_parser(
    parser: Callable[[Mapping[str, Any]], Config], values: Mapping[str, Any], path: str, problems: list[str]
) -> Config | None:
    """Return what a plugin's *parser* makes of *values*, or add what is wrong to *problems*.

    A ValueError is the parser's way to refuse, one problem per line of its message. If it has `problems`,
    each with a `path` and a `message`, then *path* can be put right in front. Anything else is a mistake in
    the plugin.
    """
    try:
        return parser(values)
    except (ValueError, ConfigurationError) as error:
        found = _listed_problems(error)
    except Exception as error:
        found = [("", f"the plugin failed to read its configuration: {describe_exception(error)}")]
    for inner, message in found:
        where = f"{path}.{inner}" if path and inner else path or inner
        problems.append(f"{where}: {message}" if where else message)
    return None


def _listed_problems(error: Exception) -> list[tuple[str, str]]:
    listed = getattr(error, "problems", ())
    found = [(getattr(problem, "path", ""), getattr(problem, "message", str(problem))) for problem in listed]
    return (
        found or [("", line) for line in str(error).splitlines() if line] or [("", "the plugin refuses it")]
    )


def _depth(data: bytes) -> int:
    depth = deepest = 0
    for match in _BRACKETS.finditer(data):
        token = match[0]
        if token in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif token in b"]}":
            depth -= 1
    return deepest


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return "a string"
    return "an array" if isinstance(value, list) else "a number"
