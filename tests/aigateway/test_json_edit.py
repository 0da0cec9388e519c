"""Members are changed as if the whole had been decoded, and every other byte stays."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigateway.json_edit import JsonValue, remove_members, set_members
from aigateway.refusals import InvalidRequestError

Members = list[tuple[str, str]]
"""Keys and values, as JSON texts."""

TEXTS = st.text('ab "\\{}[]:,/\n\x00\x7fé患\u2028😀', max_size=8)
KEYS = st.sampled_from(["model", "max_tokens", "stream", "Model", "models", "mod", ""]) | TEXTS
TRAPS = ["model", '"model":', '\\"model":1', 'a "model', '{"model":"x"}', "\\", '\\\\"', "}", '"', "{["]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
    | st.sampled_from(TRAPS),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(KEYS, children, max_size=3),
    max_leaves=10,
)
SPACES = st.lists(st.sampled_from(["", " ", "\n", "\t \r\n"]), min_size=30, max_size=30)


@st.composite
def key_texts(draw: st.DrawFn) -> str:
    """A key, with one of its letters as an escape or in the other case."""
    key = draw(KEYS)
    text = json.dumps(key)
    if key.isascii() and key.isalpha():
        at = draw(st.integers(min_value=0, max_value=len(key) - 1))
        form = draw(st.sampled_from(["\\u{:04x}", "\\u{:04X}", "{:c}"]))
        text = f'"{key[:at]}{form.format(ord(key[at]))}{key[at + 1 :]}"'
    return text


@st.composite
def value_texts(draw: st.DrawFn) -> str:
    separators = draw(st.sampled_from([(",", ":"), (" , ", " : "), (",\n", ":\t")]))
    return json.dumps(draw(VALUES), ensure_ascii=draw(st.booleans()), separators=separators)


MEMBERS = st.lists(st.tuples(key_texts(), value_texts()), max_size=6)


def write(members: Members, spaces: list[str]) -> bytes:
    """Write an object; the same spaces stand around the same members."""
    space = iter(spaces)
    inner = ",".join(
        f"{next(space)}{key}{next(space)}:{next(space)}{value}{next(space)}" for key, value in members
    )
    return f"{spaces[28]}{{{inner}}}{spaces[29]}".encode()


def is_called(key: str, name: str) -> bool:
    decoded = json.loads(key)
    assert isinstance(decoded, str)
    return decoded.casefold() == name


@given(MEMBERS, SPACES)
def test_setting_changes_the_value_and_not_one_byte_more(members: Members, spaces: list[str]) -> None:
    body = write(members, spaces)
    changed = [(key, '"new"' if is_called(key, "model") else value) for key, value in members]

    if any(is_called(key, "model") for key, _ in members):
        expected = write(changed, spaces)
    else:
        comma = b"," if members else b""
        expected = body.replace(b"{", b'{"model":"new"' + comma, 1)

    assert set_members(body, {"model": "new"}) == expected


@given(MEMBERS, SPACES, st.sets(st.sampled_from(["model", "max_tokens", "stream"])))
def test_removing_leaves_the_others(members: Members, spaces: list[str], names: set[str]) -> None:
    body = write(members, spaces)
    kept = [(key, value) for key, value in members if not any(is_called(key, name) for name in names)]

    removed = remove_members(body, names)

    assert json.loads(removed, object_pairs_hook=list) == json.loads(
        write(kept, spaces), object_pairs_hook=list
    )
    if len(kept) == len(members):
        assert removed is body


@given(MEMBERS, SPACES)
def test_what_was_removed_can_be_set_again(members: Members, spaces: list[str]) -> None:
    body = set_members(remove_members(write(members, spaces), ["model"]), {"model": {"a": [1]}})

    pairs = json.loads(body, object_pairs_hook=list)
    assert pairs[0] == ["model", [["a", [1]]]] or pairs[0] == ("model", [("a", [1])])


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('{"model":"auto","messages":[]}', '{"model":"M","messages":[]}'),
        ('{ "messages" : [] , "model" : "auto" }\n', '{ "messages" : [] , "model" : "M" }\n'),
        ('\ufeff{"model": "auto"}', '\ufeff{"model": "M"}'),
        ("{}", '{"model":"M"}'),
        ('{ \n"a":1}', '{"model":"M", \n"a":1}'),
        ('{"model":"a","model":"b","MODEL":1}', '{"model":"M","model":"M","MODEL":"M"}'),
        ('{"mod\\u0065l":"a"}', '{"mod\\u0065l":"M"}'),
        ('{"\\u006D\\u006f\\u0044el":"a"}', '{"\\u006D\\u006f\\u0044el":"M"}'),
        ('{"x":{"model":"a"},"y":[{"model":"b"}]}', '{"model":"M","x":{"model":"a"},"y":[{"model":"b"}]}'),
        ('{"x":{"model":"a"},"model":"b"}', '{"x":{"model":"a"},"model":"M"}'),
        ('{"x":"\\\\","model":"b"}', '{"x":"\\\\","model":"M"}'),
        ('{"x":"\\"model\\":","model":"b"}', '{"x":"\\"model\\":","model":"M"}'),
        ('{"say \\"model":1,"model":2}', '{"say \\"model":1,"model":"M"}'),
        ('{"x":"}{","model":{"a":["}"]},"y":1}', '{"x":"}{","model":"M","y":1}'),
        ('{"model":null}', '{"model":"M"}'),
        ('{"model":-1.5e+3}', '{"model":"M"}'),
        ('{"type":"model","x":1}', '{"model":"M","type":"model","x":1}'),
        # Behind the first object nothing counts for a strict reader; for a loose one it is changed too.
        ('{"model":"a"}{"model":"b"}', '{"model":"M"}{"model":"M"}'),
    ],
)
def test_setting_one_member(body: str, expected: str) -> None:
    assert set_members(body.encode(), {"model": "M"}) == expected.encode()


@pytest.mark.parametrize(
    "name", ["max_tokens", "max_to\u212aens", "MAX_TOKEN\u017f", "max\\u005ftoken\\u017F"]
)
def test_keys_that_only_gos_decoder_takes_for_the_name_are_set_too(name: str) -> None:
    """It folds the long s and the Kelvin sign into ASCII letters."""
    body = f'{{"max_tokens":1,"{name}":99}}'.encode()

    assert set_members(body, {"max_tokens": 5}) == f'{{"max_tokens":5,"{name}":5}}'.encode()


def test_several_members_at_once() -> None:
    members: dict[str, JsonValue] = {"model": "é", "stream_options": {"include_usage": True}, "n": None}

    edited = set_members(b'{"stream":true,"model":"x"}', members)

    assert edited == b'{"stream_options":{"include_usage":true},"n":null,"stream":true,"model":"\\u00e9"}'


def test_a_body_that_is_right_already_is_not_copied() -> None:
    body = b'{"messages":[],"model":"x"}'

    assert set_members(body, {"model": "x"}) is body
    assert remove_members(body, ["stream"]) is body


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('{"model":1}', "{}"),
        ('{"model":1,"a":2}', '{"a":2}'),
        ('{"a":2,"model":1}', '{"a":2}'),
        ('{"a":2 , "model":1 }', '{"a":2  }'),
        ('{"a":2,"model":1,"b":3}', '{"a":2,"b":3}'),
        ('{"a":2,"model":1,"stream":0}', '{"a":2}'),
        ('{"model":1,"stream":0,"a":2}', '{"a":2}'),
        ('{"model":1,"a":2,"stream":0}', '{"a":2}'),
        ('{"model":1, "model":2}', "{}"),
        ('{"a":{"model":1}}', '{"a":{"model":1}}'),
    ],
)
def test_removing_members(body: str, expected: str) -> None:
    assert remove_members(body.encode(), ["model", "stream"]) == expected.encode()


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "expected a JSON object"),
        (b"[]", "expected a JSON object"),
        (b'"model"', "expected a JSON object"),
        (b'{"model":"a"', "expected a JSON object"),
        (b'{"model":}', "a value is missing"),
        (b'{"model":]}', "a value is missing"),
        (b'{"x":"abc,"model":1}', "a string does not end"),
        (b'{"model":"\xff"}', "byte 10 cannot be decoded"),
        (b'{"x":"' + b"\xe9" * 70_000 + b'"}', "byte 6 cannot be decoded"),
        ('{"model":"a"}'.encode("utf-16"), "not UTF-8"),
    ],
)
def test_what_is_no_object_is_refused(body: bytes, why: str) -> None:
    with pytest.raises(InvalidRequestError, match=why) as raised:
        set_members(body, {"model": "M"})

    assert raised.value.refusal.status == 400
    assert raised.value.refusal.code == "invalid_json"


def test_text_of_many_bytes_is_checked_in_blocks() -> None:
    body = ('{"x":"' + "患者" * 50_000 + '","model":"a"}').encode()

    assert set_members(body, {"model": "b"}) == body.replace(b'"a"', b'"b"')
    with pytest.raises(InvalidRequestError, match=f"byte {len(body) - 14} cannot"):
        set_members(body[:-14] + b"\xff" + body[-14:], {"model": "b"})


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":' + b"[" * 1_000_000 + b"]" * 1_000_000 + b',"model":"a"}',
        b'{"a":' + b'{"b":' * 300_000 + b"1" + b"}" * 300_000 + b',"model":"a"}',
        b'{"a":[' + b'"",' * 1_000_000 + b'""],"model":"a"}',
        b'{"a":"' + b'\\"' * 2_000_000 + b'","model":"a"}',
        b'{"a":"' + b"\\\\" * 2_000_000 + b'","model":"a"}',
        b'{"a":"' + b"x" * 4_000_000 + b'","model":"a"}',
        b'{"a":"' + b"\\u006d" * 700_000 + b'","model":"a"}',
    ],
)
def test_huge_and_deep_bodies_are_changed_in_no_time(body: bytes) -> None:
    begin = time.process_time()

    edited = set_members(body, {"model": "b"})

    assert edited == body.removesuffix(b'"a"}') + b'"b"}'
    assert time.process_time() - begin < 1


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b'{"a":[' + b'{"model":1},' * 500_000 + b"0]}", "more than 4000 keys of one name"),
        (b'{"model":[' + b"0,[]," * 500_000 + b"0]}", "a value has more than 10000 parts"),
    ],
)
def test_attacks_are_refused_in_no_time(body: bytes, why: str) -> None:
    begin = time.process_time()

    with pytest.raises(InvalidRequestError, match=why):
        set_members(body, {"model": "b"})

    assert time.process_time() - begin < 1


@pytest.mark.parametrize("name", ["Model", "a-b", "über", "x1"])
def test_names_are_of_lower_case_letters(name: str) -> None:
    with pytest.raises(ValueError, match="lower-case letters"):
        set_members(b"{}", {name: 1})
