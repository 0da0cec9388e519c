"""The encodings of the ABI, byte by byte."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxywasm._abi import (
    decode_bool,
    decode_float,
    decode_int,
    decode_pairs,
    encode_pairs,
    encode_path,
    parse_environment,
    status_name,
)


def test_pairs_are_a_count_then_sizes_then_nul_ended_strings() -> None:
    encoded = encode_pairs([(b"a", b"xyz"), (b"bc", b"")])

    assert encoded == struct.pack("<5I", 2, 1, 3, 2, 0) + b"a\0xyz\0bc\0\0"


def test_no_pairs_are_no_bytes() -> None:
    assert encode_pairs([]) == b""
    assert decode_pairs(b"") == []


@given(st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=50)), max_size=20))
def test_pairs_survive_the_round_trip(pairs: list[tuple[bytes, bytes]]) -> None:
    assert decode_pairs(encode_pairs(pairs)) == pairs


@pytest.mark.parametrize(
    "data",
    [
        b"\x01",
        struct.pack("<I", 1),
        struct.pack("<I", 2**32 - 1),
        struct.pack("<3I", 1, 1, 1) + b"a\0b",
        struct.pack("<3I", 1, 1, 1) + b"a\0b\0more",
    ],
)
def test_a_header_map_of_the_wrong_size_is_an_error(data: bytes) -> None:
    with pytest.raises(ValueError, match="header map"):
        decode_pairs(data)


def test_the_parts_of_a_property_path_are_joined_by_nul() -> None:
    assert encode_path(("request", "headers", "x.y")) == b"request\0headers\0x.y"


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (struct.pack("<q", 200), 200),
        (struct.pack("<q", -1), -1),
        (b"200", None),
        (b"", None),
    ],
)
def test_integers_are_64_bits_little_endian(data: bytes, value: int | None) -> None:
    assert decode_int(data) == value


@pytest.mark.parametrize(("data", "value"), [(struct.pack("<d", 1.5), 1.5), (b"1.5", None)])
def test_floats_are_64_bits_little_endian(data: bytes, value: float | None) -> None:
    assert decode_float(data) == value


@pytest.mark.parametrize(("data", "value"), [(b"\0", False), (b"\1", True), (b"", None), (b"true", None)])
def test_booleans_are_one_byte(data: bytes, value: bool | None) -> None:
    assert decode_bool(data) is value


@pytest.mark.parametrize(
    ("data", "variables"),
    [
        (b"", {}),
        (b"A=1\0B=\0C=x=y\0", {"A": "1", "B": "", "C": "x=y"}),
        (b"NONSENSE\0=x\0A=1", {"A": "1"}),
        (b"A=\xff\0", {"A": "\udcff"}),
    ],
)
def test_the_environment_is_nul_ended_entries(data: bytes, variables: dict[str, str]) -> None:
    assert parse_environment(data) == variables


def test_a_status_has_its_name_from_the_specification() -> None:
    assert status_name(8) == "CAS_MISMATCH"
    assert status_name(77) == "status 77"
