r"""Changing members of a JSON object and leaving every other byte as it is.

    >>> set_members(b'{ "model":"auto",\n "x": 1.50 }', {"model": "gpt-4.1-mini"})
    b'{ "model":"gpt-4.1-mini",\n "x": 1.50 }'

The body is not decoded for that: the key is searched for, and what stands before it is looked at only to say
whether it is at the top level. So nothing is said about the rest of the body; in valid JSON what is changed
is exactly the members asked for.

A key counts however it is spelled, as long as some provider may take it for the name: with escapes, and in
any case, for Go's decoder does not tell `Model` from `model`. Of a key that comes twice some providers take
the first and some the last, so all of them are changed.
"""

import json
import re
from codecs import BOM_UTF8, utf_8_decode
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from .refusals import InvalidRequestError, Refusal

__all__ = ["JsonValue", "remove_members", "set_members"]

JsonValue = str | int | float | bool | None | list["JsonValue"] | dict[str, "JsonValue"]

_MAX_KEYS = 4_000
"""So many keys of one name, at any depth, are an attack: each costs a few microseconds."""

_MAX_PARTS = 10_000
"""The strings and brackets that a value may have that is to be replaced."""

_BLOCK_BYTES = 65_536
"""How much is taken apart at a time: the pieces of a whole body could be many."""

_NOT_STRUCTURE = bytes(code for code in range(256) if code not in b'"[]{}')
_NEITHER_STRUCTURE_NOR_ESCAPE = bytes(code for code in _NOT_STRUCTURE if code not in b"\\/bfnrtu")
"""What follows a backslash stays, or the backslash would come before something else."""

_SPACE = rb"[ \t\r\n]*+"
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_OPENING = re.compile(rb"(?:%b)?%b\{" % (BOM_UTF8, _SPACE))
_SCALAR = re.compile(rb'%b|[^\[\]{}",: \t\r\n]++' % _STRING, re.DOTALL)
_PART = re.compile(rb"%b|[\[\]{}]" % _STRING, re.DOTALL)
_COMMA = re.compile(rb"%b,%b" % (_SPACE, _SPACE))


_ENCODER = json.JSONEncoder(separators=(",", ":"))
"""Made once: `json.dumps` with options makes one for each call."""


class _Member(NamedTuple):
    """Where a member stands: its key, its value, and the end of it."""

    key: int
    value: int
    end: int


def set_members(body: bytes, members: Mapping[str, JsonValue]) -> bytes:
    """Give top-level members of the object in *body* these values; those that are missing come first.

    Names are of lower-case letters and underscores. Returns *body* itself when nothing had to be changed.
    Raises `InvalidRequestError` (400) when *body* is no JSON object in UTF-8.
    """
    opening = _opening(body)
    found = _find(body, opening, tuple(members))
    edits = []
    missing = []
    for name, value in members.items():
        text = _ENCODER.encode(value).encode()
        edits += [(place.value, place.end, text) for place in found[name]]
        if not found[name]:
            missing.append(b'"%b":%b' % (name.encode(), text))
    if missing:
        is_empty = body[opening:].lstrip().startswith(b"}")
        edits.append((opening, opening, b",".join(missing) + (b"" if is_empty else b",")))
    return _edited(body, edits)


def remove_members(body: bytes, names: Iterable[str]) -> bytes:
    """Take top-level members out of the object in *body*, each with its comma; like `set_members`."""
    opening = _opening(body)
    found = _find(body, opening, tuple(names))
    edits: list[tuple[int, int, bytes]] = []
    for begin, end in _runs(body, sorted(place for places in found.values() for place in places)):
        after = _COMMA.match(body, end)
        if after is not None:
            edits.append((begin, after.end(), b""))
        else:  # The last of the object: the comma before it goes too, if there is one.
            before = len(body[:begin].rstrip()) - 1
            edits.append((before if body[before : before + 1] == b"," else begin, end, b""))
    return _edited(body, edits)


def _opening(body: bytes) -> int:
    """Return where the members begin, or refuse what is no object."""
    if not body.isascii():
        _check_encoding(body)
    opening = _OPENING.match(body)
    if opening is None or not body.rstrip(b" \t\r\n").endswith(b"}"):
        raise _refused("expected a JSON object")
    return opening.end()


def _check_encoding(body: bytes) -> None:
    at = 0
    while at < len(body):
        block = body[at : at + _BLOCK_BYTES]
        try:
            at += utf_8_decode(block, "strict", at + _BLOCK_BYTES >= len(body))[1]
        except UnicodeDecodeError as error:
            raise _refused(f"the body is not UTF-8: byte {at + error.start} cannot be decoded") from None


def _find(body: bytes, opening: int, names: tuple[str, ...]) -> dict[str, list[_Member]]:
    """Find the top-level members of these names, in any spelling."""
    found: dict[str, list[_Member]] = {name: [] for name in names}
    keys = 0
    at, depth = opening, 1
    for match in _pattern(names).finditer(body, opening):
        begin = match.start()
        if body[begin - 1] == 0x5C:  # A backslash: the quote is inside a string.
            continue
        depth += _depth_of(body[at:begin])
        at = begin
        keys += 1
        if keys > _MAX_KEYS:
            raise _refused(f"there are more than {_MAX_KEYS} keys of one name")
        if depth == 1 and match.lastindex is not None:
            place = _Member(begin, match.end(), _end_of_value(body, match.end()))
            found[names[match.lastindex - 1]].append(place)
    return found


@lru_cache(maxsize=64)
def _pattern(names: tuple[str, ...]) -> re.Pattern[bytes]:
    """Match any of the keys, with its colon; the group says which one."""
    spelled = [b"(%b)" % b"".join(map(_spellings, name)) for name in names]
    return re.compile(rb'"(?:%b)"%b:%b' % (b"|".join(spelled), _SPACE, _SPACE))


def _spellings(letter: str) -> bytes:
    """Match a letter of a name in either case, as itself and as an escape."""
    if not ("a" <= letter <= "z" or letter == "_"):
        raise ValueError("names are of lower-case letters and underscores")
    texts = {letter, letter.upper()}
    texts |= {"s": {"\u017f"}, "k": {"\u212a"}}.get(
        letter, set()
    )  # Long s and the Kelvin sign fold into them.
    ways = [re.escape(text.encode()) for text in sorted(texts)]
    ways += [rb"\\u(?i:%b)" % f"{ord(text):04x}".encode() for text in sorted(texts)]
    return b"(?:%b)" % b"|".join(ways)


def _depth_of(text: bytes) -> int:
    """Count how many brackets *text* opens and does not close; it begins and ends outside of strings."""
    if b"\\" in text:
        # Escaped quotes end no string. Of a run of backslashes pairs go first, so that an odd one is left.
        text = text.translate(None, _NEITHER_STRUCTURE_NOR_ESCAPE)
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    text = text.translate(None, _NOT_STRUCTURE)
    depth = 0
    inside = 0
    for begin in range(0, len(text), _BLOCK_BYTES):
        pieces = text[begin : begin + _BLOCK_BYTES].split(b'"')
        outside = b"".join(pieces[inside::2])
        inside ^= (len(pieces) - 1) & 1
        depth += outside.count(b"{") + outside.count(b"[") - outside.count(b"}") - outside.count(b"]")
    if inside:
        raise _refused("a string does not end")
    return depth


def _end_of_value(body: bytes, begin: int) -> int:
    scalar = _SCALAR.match(body, begin)
    if scalar is not None:
        return scalar.end()
    depth = 0
    for parts, part in enumerate(_PART.finditer(body, begin)):
        bracket = body[part.start()]
        depth += (bracket in b"[{") - (bracket in b"]}")
        if depth <= 0:
            if depth == 0 and parts:
                return part.end()
            break
        if parts > _MAX_PARTS:
            raise _refused(f"a value has more than {_MAX_PARTS} parts")
    raise _refused("a value is missing")


def _runs(body: bytes, places: list[_Member]) -> list[tuple[int, int]]:
    """Join members that follow each other, so that the commas between them are counted once."""
    runs: list[tuple[int, int]] = []
    for place in places:
        if runs and _COMMA.fullmatch(body, runs[-1][1], place.key):
            runs[-1] = (runs[-1][0], place.end)
        else:
            runs.append((place.key, place.end))
    return runs


def _edited(body: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    """Put each text in the place of its span; copies the body once, and not at all if nothing changes."""
    edits = sorted(edit for edit in edits if body[edit[0] : edit[1]] != edit[2])
    if not edits:
        return body
    view = memoryview(body)
    pieces: list[bytes | memoryview] = []
    at = 0
    for begin, end, text in edits:
        pieces += (view[at:begin], text)
        at = end
    pieces.append(view[at:])
    return b"".join(pieces)


def _refused(why: str) -> InvalidRequestError:
    return InvalidRequestError(
        Refusal(status=400, message=f"The request body is not valid JSON: {why}", code="invalid_json")
    )
