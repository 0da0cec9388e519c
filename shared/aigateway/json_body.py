"""Decoding JSON that strangers send.

`json.loads` trusts its input. Three things it would do to a filter that lives in a WebAssembly module:

- nested brackets overflow the native stack of the engine long before Python's recursion check sees them
  (3,000 end the VM, 1,000 do not);
- `[],[],[]` takes 72 bytes of memory for every 3 of the body, and WebAssembly memory never shrinks;
- object keys that collide under the module's fixed hash seed make its key table quadratic.

All three are bounded *before* decoding, by counting bytes at C speed. Ordinary requests never get past the
first count; only a suspicious body pays for the exact answer.
"""

import json
import re
from codecs import BOM_UTF8
from itertools import groupby
from typing import NoReturn

from .refusals import InvalidRequestError, Refusal

__all__ = ["MAX_DEPTH", "MAX_DISTINCT_KEYS", "MAX_VALUES", "decode_json"]

MAX_DEPTH = 200
"""Levels of nesting. Tool schemas, the deepest thing in practice, stay well below 50."""

MAX_VALUES = 1_000_000
"""Values in one body, so at most about 80 MB of lists; prompts of token ids have some hundred thousand."""

MAX_DISTINCT_KEYS = 4_000
"""Different object keys in one body: colliding on purpose, they cost some 40 ms and not minutes."""

_DEPTH_STEP = {"[": 1, "{": 1, "]": -1, "}": -1}
_NOT_BRACKETS = re.compile(r"[^\[\]{}]+")
_KEY_FOLLOWS = re.compile(r"[ \t\r\n]*:")


def decode_json(body: bytes) -> object:
    """Decode a request body, or raise `InvalidRequestError` (400) saying why it cannot be used.

    The encoding is UTF-8, with or without a byte order mark. NaN and Infinity, which Python would accept, are
    not JSON. Of duplicate keys the last one counts.
    """
    try:
        text = body.removeprefix(BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        raise _refused(f"the body is not UTF-8: byte {error.start} cannot be decoded") from None
    if not text or text.isspace():
        raise _refused("expected a JSON object, got an empty body")
    _check_structure(text)
    try:
        value: object = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise _refused(f"{error.msg} at line {error.lineno}, column {error.colno}") from None
    except InvalidRequestError:
        raise
    except ValueError:  # From int(): the interpreter bounds the digits of a decimal number.
        raise _refused("a number has too many digits") from None
    return value


def _check_structure(text: str) -> None:
    """Refuse a body that would be too deep, too large or too slow to decode."""
    brackets = text.count("[") + text.count("{")
    colons = text.count(":")
    if brackets <= MAX_DEPTH and colons <= MAX_DISTINCT_KEYS and len(text) <= MAX_VALUES:
        return
    commas = text.count(",")
    if brackets <= MAX_DEPTH and colons <= MAX_DISTINCT_KEYS and commas <= MAX_VALUES:
        return
    # The counts may come from the text of prompts. Look only at what is outside strings, for which escapes
    # must go first: what is left of a run of backslashes decides whether a quote ends its string. Raw control
    # characters are not allowed in JSON strings, so they are free to stand for the escapes.
    plain = text.replace("\\\\", "\x00b").replace('\\"', "\x00q")
    if plain.count('"') > 2 * MAX_VALUES:
        _refuse_size()
    pieces = plain.split('"')
    outside = "".join(pieces[::2])
    if outside.count(",") + outside.count("[") + outside.count("{") > MAX_VALUES:
        _refuse_size()
    _check_depth(outside)
    if outside.count(":") > MAX_DISTINCT_KEYS:
        _check_keys(pieces)


def _check_depth(outside: str) -> None:
    depth = 0
    for step in map(_DEPTH_STEP.__getitem__, _NOT_BRACKETS.sub("", outside)):
        depth += step
        if depth > MAX_DEPTH:
            raise _refused(f"the JSON is nested more than {MAX_DEPTH} levels deep")


def _check_keys(pieces: list[str]) -> None:
    """Count different keys by sorting: a set would collide just as the decoder's table does."""
    keys = [key for key, after in zip(pieces[1::2], pieces[2::2], strict=False) if _KEY_FOLLOWS.match(after)]
    keys.sort()
    if sum(1 for _ in groupby(keys)) > MAX_DISTINCT_KEYS:
        raise _refused(f"the JSON has more than {MAX_DISTINCT_KEYS} different keys")


def _refuse_size() -> NoReturn:
    raise _refused(f"the JSON has more than {MAX_VALUES} values")


def _refuse_constant(name: str) -> NoReturn:
    raise _refused(f"{name} is not a JSON value")


def _refused(why: str) -> InvalidRequestError:
    return InvalidRequestError(
        Refusal(status=400, message=f"The request body is not valid JSON: {why}", code="invalid_json")
    )


# Made once, after the function it needs: `json.loads` would make a decoder for each body.
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
