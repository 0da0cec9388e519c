"""Exceptions as one line of log, without source lines and without anything a client has sent.

The `traceback` module reads source files, of which a VM has none, and a message may quote what was parsed. So
only the places are shown, and a message only when it is known to consist of the program's own words:

- of exceptions whose class says so with a true `message_is_safe`, as all of the SDK do;
- of some built-in exceptions, put together here from parts that cannot come from traffic.

Of everything else the type and the places must do.
"""

import json
import os
import re
from collections import deque
from types import TracebackType
from typing import Final

__all__ = ["describe_exception", "one_line", "short_path"]

_CONTROLS: Final = re.compile("[\\x00-\\x08\\x0a-\\x1f\\x7f-\\x9f\\u2028\\u2029]")
_SDK: Final = os.path.dirname(__file__)
_OUTERMOST_FRAMES: Final = 4
_INNERMOST_FRAMES: Final = 12
_LONGEST_CHAIN: Final = 4
_LONGEST_MESSAGE: Final = 2_000

_FIXED: Final[dict[type[BaseException], str]] = {
    ZeroDivisionError: "division by zero",
    RecursionError: "too many calls within calls",
    MemoryError: "out of memory",
    NotImplementedError: "not implemented",
    GeneratorExit: "closed",
}


def describe_exception(error: BaseException) -> str:
    """Return type, message (if it is safe) and places, outermost first, and the same of what caused it."""
    parts: list[str] = []
    current: BaseException | None = error
    while current is not None and len(parts) < _LONGEST_CHAIN:
        parts.append(_describe_one(current))
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return ", caused by ".join(parts)


def one_line(text: str) -> str:
    """Escape what would make two log lines out of one, or play tricks on a terminal."""
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def _describe_one(error: BaseException) -> str:
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    message = _safe_message(error)
    places = _places(error.__traceback__)
    text = f"{name}: {message[:_LONGEST_MESSAGE]}" if message else name
    return f"{text} [{places}]" if places else text


def _places(traceback: TracebackType | None) -> str:
    """Return the frames as `file:line in function`, without those of the SDK that lead to the plugin."""
    entries = _Entries(traceback)
    places = [_place(entry) for entry in entries.outermost]
    if entries.left_out:
        places.append(f"{entries.left_out} more")
    return " > ".join(places + [_place(entry) for entry in entries.innermost])


class _Entries:
    """The two ends of a traceback; a RecursionError has a thousand entries between them."""

    __slots__ = ("innermost", "left_out", "outermost")

    def __init__(self, traceback: TracebackType | None) -> None:
        whole = traceback
        while traceback is not None and traceback.tb_frame.f_code.co_filename.startswith(_SDK):
            traceback = traceback.tb_next
        entry = traceback or whole
        self.outermost: list[TracebackType] = []
        inner: deque[TracebackType] = deque(maxlen=_INNERMOST_FRAMES)
        count = 0
        while entry is not None:
            count += 1
            if count <= _OUTERMOST_FRAMES:
                self.outermost.append(entry)
            else:
                inner.append(entry)
            entry = entry.tb_next
        self.innermost = list(inner)
        self.left_out = count - len(self.outermost) - len(self.innermost)


def _place(entry: TracebackType) -> str:
    code = entry.tb_frame.f_code
    return f"{short_path(code.co_filename)}:{entry.tb_lineno} in {code.co_qualname}"


def short_path(file: str) -> str:
    """Return the last two parts of a path: a package and a module."""
    return "/".join(file.replace(os.sep, "/").rsplit("/", 2)[-2:])


def _safe_message(error: BaseException) -> str:
    kind = type(error)
    if getattr(kind, "message_is_safe", False) is True:
        return _text_of(error)
    if kind in _FIXED:
        return _FIXED[kind]
    if isinstance(error, ModuleNotFoundError):
        missing = f"no module {error.name!r}" if _is_dotted_name(error.name) else "a module is missing"
        return f"{missing}; nothing can be imported at run time: import at the top of a module"
    if isinstance(error, ImportError):
        return f"cannot import from {error.name!r}" if _is_dotted_name(error.name) else ""
    if isinstance(error, AttributeError | NameError):
        what = "attribute" if isinstance(error, AttributeError) else "name"
        return f"no {what} {error.name!r}" if _is_written_in(error, error.name) else ""
    if kind is KeyError:
        key = error.args[0] if error.args else None
        return repr(key) if _is_written_in(error, key) else ""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at line {error.lineno}, column {error.colno}"
    if isinstance(error, UnicodeDecodeError):
        return f"{error.encoding} cannot decode byte {error.start}: {error.reason}"
    return ""


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # Its class is broken, but it is the error itself that must be told.
        return ""


def _is_dotted_name(name: str | None) -> bool:
    return name is not None and len(name) <= 200 and all(part.isidentifier() for part in name.split("."))


def _is_written_in(error: BaseException, name: object) -> bool:
    """Whether *name* stands in the source of a function that was running: then it is no client's."""
    if type(name) is not str:
        return False
    entries = _Entries(error.__traceback__)
    for entry in entries.outermost + entries.innermost:
        code = entry.tb_frame.f_code
        if name in code.co_names or any(type(item) is str and item == name for item in code.co_consts):
            return True
    return False
