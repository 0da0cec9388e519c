"""Taking typed values out of a decoded request; what cannot be used is refused, by name of its place."""

from collections.abc import Mapping

from ._wording import kind_of
from .refusals import InvalidRequestError

MAX_TOKENS_LIMIT = 1_000_000_000
"""An output limit beyond this is a slip; as a header it would also be a burden."""


def wrong(path: str, expected: str, got: object) -> InvalidRequestError:
    """Refuse the value *got* at *path* without quoting it."""
    return InvalidRequestError.at(path, expected, kind_of(got))


def mapping(value: object, path: str) -> Mapping[str, object]:
    """Take an object."""
    if isinstance(value, dict):
        return value
    raise wrong(path, "an object", value)


def array(source: Mapping[str, object], key: str, path: str = "") -> list[object]:
    """Take a list; absent and null read as empty."""
    value = source.get(key)
    if value is None:
        return []
    if isinstance(value, list):
        return value
    raise wrong(path + key, "an array", value)


def string(source: Mapping[str, object], key: str, path: str = "") -> str | None:
    """Take a string; absent and null read as `None`."""
    value = source.get(key)
    if value is None or isinstance(value, str):
        return value
    raise wrong(path + key, "a string", value)


def flag(source: Mapping[str, object], key: str) -> bool:
    """Take true or false; absent and null read as false."""
    value = source.get(key)
    if value is None or isinstance(value, bool):
        return bool(value)
    raise wrong(key, "true or false", value)


def token_limit(source: Mapping[str, object], *keys: str) -> int | None:
    """Take the limit of the output from the first of *keys* that is there.

    A limit of -1 means "none" to several servers, and clients that compute their limit may send `256.0`.
    """
    for key in keys:
        value = source.get(key)
        if value is None:
            continue
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise wrong(key, "a whole number", value)
        if value == -1:
            return None
        if not 0 <= value <= MAX_TOKENS_LIMIT:
            raise InvalidRequestError.at(
                key, f"a whole number from 0 to {MAX_TOKENS_LIMIT}", "one out of range"
            )
        return value
    return None
