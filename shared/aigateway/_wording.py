"""How messages name what they got instead of what they expected."""

from collections.abc import Iterable

_QUOTED_LENGTH = 60
"""Characters of a string that a message quotes; enough to recognise it, too little to flood a log."""


def kind_of(value: object) -> str:
    """Name the JSON type of *value* without its content, so that a prompt never gets into a message."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return "a string" if value else "an empty string"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list | tuple):
        return "an array" if value else "an empty array"
    return f"a {type(value).__name__}"


def describe(value: object) -> str:
    """Name the JSON type of *value* and show it when it is short; for configuration, never for prompts."""
    if isinstance(value, str) and value:
        shown = value if len(value) <= _QUOTED_LENGTH else value[:_QUOTED_LENGTH] + "..."
        return f"the string {shown!r}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        if isinstance(value, int) and value.bit_length() > 64:
            return "a number of more than 64 bits"
        return f"the number {value}"
    return kind_of(value)


def one_of(names: Iterable[str]) -> str:
    """List *names* as alternatives: `'a', 'b' or 'c'`."""
    quoted = [repr(name) for name in names]
    if len(quoted) == 1:
        return quoted[0]
    return f"{', '.join(quoted[:-1])} or {quoted[-1]}"
