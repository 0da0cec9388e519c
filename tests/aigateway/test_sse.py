"""Events are the same wherever the stream is cut, and none of its bytes is lost."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigateway.sse import Event, EventReader

Seen = tuple[bytes, bytes]

PIECES = [
    b"data: a",
    b"data:b",
    b"data",
    b"data:",
    b"data:  two spaces",
    b"datax: no",
    b" data: no",
    b"event: message_start",
    b"event:",
    b": a comment",
    b"id: 1",
    b"retry: 10",
    "data: 世界".encode(),
    b"\n",
    b"\r",
    b"\r\n",
    b"\n\n",
    b"\r\r",
    b"\r\n\r\n",
]
STREAMS = st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join)
CUTS = st.lists(st.integers(min_value=0, max_value=300), max_size=10)


def by_the_standard(stream: bytes) -> list[Seen]:
    """Read a whole stream line by line, as the standard's text has it."""
    stream = stream.removeprefix(b"\xef\xbb\xbf")
    seen: list[Seen] = []
    data, name = b"", b""
    *lines, _unended = re.split(rb"\r\n|\n|\r", stream)
    for line in lines:
        if not line:
            if data:
                seen.append((name, data[:-1]))
            data, name = b"", b""
            continue
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data += value + b"\n"
        elif field == b"event":
            name = value
    return seen


def pieces_of(stream: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(stream), *[cut for cut in cuts if cut < len(stream)]})
    return [stream[begin:end] for begin, end in pairwise(edges)]


def read(reader: EventReader, pieces: list[bytes]) -> list[Event]:
    return [event for piece in pieces for event in reader.feed(piece)]


def with_data(events: list[Event]) -> list[Seen]:
    return [(event.name, event.data) for event in events if event.data is not None]


@given(STREAMS, CUTS)
def test_events_are_those_of_the_standard_wherever_the_stream_is_cut(stream: bytes, cuts: list[int]) -> None:
    assert with_data(read(EventReader(), pieces_of(stream, cuts))) == by_the_standard(stream)


@given(STREAMS, CUTS)
def test_no_byte_is_lost(stream: bytes, cuts: list[int]) -> None:
    reader = EventReader()

    events = read(reader, pieces_of(stream, cuts))

    assert b"".join(event.raw for event in events) + reader.rest == stream


@given(STREAMS, CUTS, st.integers(min_value=8, max_value=40))
def test_long_events_lose_their_data_and_nothing_else(stream: bytes, cuts: list[int], limit: int) -> None:
    reader = EventReader(limit)

    events = read(reader, pieces_of(stream, cuts))

    assert b"".join(event.raw for event in events) + reader.rest == stream
    assert len(reader.rest) <= limit + 4
    assert all(len(event.raw.strip(b"\r\n")) <= limit for event in events if event.data is not None)


@given(st.integers(min_value=0, max_value=40))
def test_whether_an_event_is_too_long_does_not_depend_on_the_cut(length: int) -> None:
    stream = b"data: " + b"x" * length + b"\r\n\r\ndata: y\n\n"
    whole = with_data(read(EventReader(20), [stream]))

    assert whole == ([(b"", b"x" * length)] if length <= 14 else []) + [(b"", b"y")]
    for cut in range(len(stream)):
        assert with_data(read(EventReader(20), [stream[:cut], stream[cut:]])) == whole
    assert with_data(read(EventReader(20), [bytes([byte]) for byte in stream])) == whole


def test_a_byte_order_mark_counts_only_at_the_start() -> None:
    events = read(EventReader(), [b"\xef", b"\xbb\xbfdata: a\n\n", b"\xef\xbb\xbfdata: b\n\ndata: c\n\n"])

    assert with_data(events) == [(b"", b"a"), (b"", b"c")]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_every_end_of_line_is_one(end: bytes) -> None:
    stream = end.join([b"event: ping", b"data: 1", b"data: 2", b"", b"data: 3", b"", b""])

    for cut in range(len(stream)):
        events = read(EventReader(), [stream[:cut], stream[cut:]])
        assert with_data(events) == [(b"ping", b"1\n2"), (b"", b"3")]


def test_an_event_comes_as_soon_as_its_blank_line() -> None:
    reader = EventReader()

    assert reader.feed(b"data: x\n") == []
    assert [event.data for event in reader.feed(b"\r")] == [b"x"]
    assert [event.data for event in reader.feed(b"\ndata: y\n\n")] == [b"y"]


def test_a_long_event_in_many_pieces_is_read_once() -> None:
    """Searching all of it again for each piece would take minutes."""
    reader = EventReader()
    piece = b"x" * 1_000
    reader.feed(b"data: ")
    for _ in range(4_000):
        assert reader.feed(piece) == []

    [event] = reader.feed(b"\n\n")

    assert event.data is not None
    assert len(event.data) == 4_000_000
