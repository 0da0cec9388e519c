"""Headers: a case-insensitive multi-dict over what the host holds, lazily."""

from collections.abc import Callable
from enum import StrEnum

import pytest

from proxywasm import (
    CONTINUE,
    PAUSE,
    FrozenHeaders,
    Headers,
    HeadersUnavailableError,
    HostError,
    HttpFilter,
    InvalidHeaderError,
    Outcome,
    Request,
)
from proxywasm._abi import MapType, Status
from proxywasm.headers import _encoded_names

from .fake_host import FakeHost
from .worker import Worker, definition

KIND = MapType.REQUEST_HEADERS


@pytest.fixture
def host() -> FakeHost:
    host = FakeHost()
    host.maps[KIND] = [
        (b":path", b"/"),
        (b"accept", b"text/html"),
        (b"x-tag", b"one"),
        (b"x-tag", b"two"),
        (b"authorization", b"Bearer sk-secret"),
        (b"x-latin", b"caf\xe9"),
    ]
    return host


@pytest.fixture
def headers(host: FakeHost) -> Headers:
    return Headers(host, KIND)


def test_one_header_costs_one_host_call_and_fetches_nothing_else(host: FakeHost, headers: Headers) -> None:
    assert headers.get("Accept") == "text/html"
    assert host.calls == ["get_header_map_value"]


def test_names_are_case_insensitive(headers: Headers) -> None:
    assert headers["ACCEPT"] == "text/html"
    assert "X-Tag" in headers


def test_what_is_not_there_is_none_or_the_default(headers: Headers) -> None:
    assert headers.get("nope") is None
    assert headers.get("nope", "x") == "x"
    assert "nope" not in headers
    assert headers.get_all("nope") == []
    with pytest.raises(KeyError, match="nope"):
        headers["nope"]


def test_an_empty_value_is_there(host: FakeHost, headers: Headers) -> None:
    host.maps[KIND] = [(b"x-empty", b"")]

    assert headers["x-empty"] == ""
    assert "x-empty" in headers


def test_a_repeated_header_gives_its_first_value_or_all(headers: Headers) -> None:
    assert headers["x-tag"] == "one"
    assert headers.get_all("X-Tag") == ["one", "two"]
    assert headers["x-tag"] == "one"  # The same from the fetched map.


def test_iterating_gives_each_name_once_and_len_counts_values(headers: Headers) -> None:
    assert list(headers) == [":path", "accept", "x-tag", "authorization", "x-latin"]
    assert len(headers) == 6
    assert headers.items()[2:4] == [("x-tag", "one"), ("x-tag", "two")]


def test_the_map_is_fetched_once_until_it_is_written(host: FakeHost, headers: Headers) -> None:
    headers.items()
    headers.get("accept")
    headers.get_all("accept")
    assert host.counted()["get_header_map_pairs"] == 1

    headers["accept"] = "*/*"

    assert headers.items()[-1] == ("accept", "*/*")
    assert host.counted()["get_header_map_pairs"] == 2


def test_setting_replaces_all_values_and_adding_keeps_them(host: FakeHost, headers: Headers) -> None:
    headers.add("X-Tag", "three")
    assert headers.get_all("x-tag") == ["one", "two", "three"]

    headers["X-Tag"] = "only"
    assert headers.get_all("x-tag") == ["only"]


def test_deleting_removes_all_values_and_minds_no_absence(headers: Headers) -> None:
    del headers["X-Tag"]
    del headers["x-tag"]

    assert "x-tag" not in headers


def test_popping_returns_what_was_there(headers: Headers) -> None:
    assert headers.pop("x-tag") == "one"
    assert headers.pop("x-tag") is None
    assert headers.pop("x-tag", "default") == "default"


def test_assigning_replaces_the_whole_map_in_one_call(host: FakeHost, headers: Headers) -> None:
    headers.assign([("A", "1"), ("a", b"2")])

    assert host.maps[KIND] == [(b"a", b"1"), (b"a", b"2")]
    assert host.calls == ["set_header_map_pairs"]


def test_updating_sets_each(headers: Headers) -> None:
    headers.update({"x-tag": "new", "x-other": "1"})

    assert headers.get_all("x-tag") == ["new"]
    assert headers["x-other"] == "1"


def test_updating_with_a_bad_header_sets_none(host: FakeHost, headers: Headers) -> None:
    with pytest.raises(InvalidHeaderError, match="x-bad"):
        headers.update({"x-good": "1", "x-bad": "a\nb"})

    assert host.calls == []


def test_updating_headers_that_have_left_says_so(host: FakeHost, headers: Headers) -> None:
    host.read_only = True

    with pytest.raises(HeadersUnavailableError, match="replace_header_map_value"):
        headers.update({"x-tag": "new"})


class Level(StrEnum):
    HIGH = "high"


def test_an_enumerated_value_is_its_text(headers: Headers) -> None:
    headers["x-level"] = Level.HIGH

    assert headers["x-level"] == "high"


def test_names_by_their_beginning(host: FakeHost, headers: Headers) -> None:
    host.maps[KIND] += [(b"x-tag", b"x-value"), (b"max-x-t", b""), (b"x-to", b"")]

    assert headers.starting_with("x-ta", "acc") == ["accept", "x-tag"]
    assert headers.starting_with("x-v", "max-y") == []
    assert host.counted()["get_header_map_pairs"] == 1


def test_names_by_their_beginning_are_those_of_the_map_as_it_is(headers: Headers) -> None:
    before = headers.starting_with("x-ai-")
    headers["X-AI-New"] = "1"
    between = headers.starting_with("x-ai-")
    del headers["x-ai-new"]

    assert (before, between, headers.starting_with("x-ai-")) == ([], ["x-ai-new"], [])


def test_frozen_headers_by_their_beginning() -> None:
    assert FrozenHeaders([("X-A", "1"), ("x-a", "2"), ("y", "3")]).starting_with("x-") == ["x-a"]


def test_a_name_is_refused_however_often_it_was_asked_for(headers: Headers) -> None:
    for _ in range(2):
        assert headers.get("a\nb") is None
        with pytest.raises(InvalidHeaderError):
            headers["a\nb"] = "x"


def test_names_are_remembered_within_bounds(headers: Headers) -> None:
    for number in range(2000):
        headers.get(f"x-{number}")
    headers.get("x" * 1000)

    assert 0 < len(_encoded_names) <= 512
    assert max(map(len, _encoded_names)) <= 64
    assert headers["accept"] == "text/html"


def test_bytes_that_are_not_utf8_survive_reading_and_writing(host: FakeHost, headers: Headers) -> None:
    value = headers["x-latin"]
    assert value == "caf\udce9"
    assert headers.get_bytes("x-latin") == b"caf\xe9"

    headers["x-copy"] = value
    headers["x-raw"] = b"\xff\xfe"

    assert host.maps[KIND][-2:] == [(b"x-copy", b"caf\xe9"), (b"x-raw", b"\xff\xfe")]


@pytest.mark.parametrize("value", ["a\r\nset-cookie: x", "a\nb", "a\rb", "a\0b", b"a\nb"])
def test_a_value_that_would_smuggle_in_a_header_is_refused(
    host: FakeHost, headers: Headers, value: str | bytes
) -> None:
    with pytest.raises(InvalidHeaderError, match="x-evil"):
        headers["X-Evil"] = value
    assert host.calls == []


@pytest.mark.parametrize("name", ["", "a\nb", "a\0"])
def test_a_name_that_is_none_is_refused(headers: Headers, name: str) -> None:
    with pytest.raises(InvalidHeaderError):
        headers[name] = "x"


def test_headers_that_have_left_cannot_be_read(host: FakeHost, headers: Headers) -> None:
    del host.maps[KIND]

    with pytest.raises(
        HeadersUnavailableError, match=r"get_header_map_value: BAD_ARGUMENT: .*request headers"
    ):
        headers.get("accept")


WRITES: dict[str, Callable[[Headers], object]] = {
    "replace_header_map_value": lambda headers: headers.set("a", "b"),
    "add_header_map_value": lambda headers: headers.add("a", "b"),
    "remove_header_map_value": lambda headers: headers.__delitem__("a"),
    "set_header_map_pairs": lambda headers: headers.assign({"a": "b"}),
}
READS: dict[str, Callable[[Headers], object]] = {
    "get_header_map_value": lambda headers: headers.get("a"),
    "get_header_map_pairs": lambda headers: headers.items(),
}


@pytest.mark.parametrize("call", WRITES)
def test_headers_that_cannot_be_changed_say_so(host: FakeHost, headers: Headers, call: str) -> None:
    host.read_only = True

    with pytest.raises(HeadersUnavailableError, match=f"{call}: .* request headers cannot be changed now"):
        WRITES[call](headers)


@pytest.mark.parametrize("call", READS | WRITES)
def test_any_other_status_is_an_error_with_the_name_of_the_call(
    host: FakeHost, headers: Headers, call: str
) -> None:
    host.statuses[call] = Status.INTERNAL_FAILURE

    with pytest.raises(HostError, match=f"{call}: INTERNAL_FAILURE") as caught:
        (READS | WRITES)[call](headers)

    assert caught.value.call == call
    assert caught.value.status == Status.INTERNAL_FAILURE


def test_the_repr_shows_headers_but_no_secrets(headers: Headers) -> None:
    headers["x-api-key"] = "sk-123"
    headers["cookie"] = "session=1"

    shown = repr(headers)

    assert "'accept': 'text/html'" in shown
    assert "secret" not in shown
    assert "sk-123" not in shown
    assert "session" not in shown


def test_frozen_headers_are_values() -> None:
    headers = FrozenHeaders([("A", "1"), ("a", "2")])

    assert headers == FrozenHeaders([("a", "1"), ("a", "2")])
    assert hash(headers) == hash(FrozenHeaders([("a", "1"), ("a", "2")]))
    assert headers != FrozenHeaders({"a": "1"})
    assert headers.get_all("A") == ["1", "2"]
    assert list(headers) == ["a"]


class Looks(HttpFilter[object]):
    """Looks at all names in each callback, and holds the headers until the body has ended."""

    def __init__(self) -> None:
        self.seen: list[list[str]] = []

    def on_request_headers(self, request: Request) -> Outcome:
        self.seen.append(request.headers.starting_with("x-"))
        return PAUSE

    def on_request_body(self, request: Request) -> Outcome:
        self.seen.append(request.headers.starting_with("x-"))
        return CONTINUE if request.end_of_stream else PAUSE

    def on_request_trailers(self, request: Request) -> Outcome:
        self.seen.append(request.headers.starting_with("x-"))
        return CONTINUE


def test_what_was_fetched_is_kept_no_longer_than_the_callback() -> None:
    made: list[Looks] = []

    class Watched(Looks):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    worker = Worker(definition(Watched))
    stream = worker.stream()
    stream.request_headers({"x-a": "1"})
    worker.host.maps[KIND].append((b"x-b", b"2"))
    stream.request_body(b"1")
    worker.host.maps[KIND].append((b"x-c", b"3"))
    stream.request_body(b"2", end=True)
    worker.host.maps[KIND].clear()
    stream.request_trailers()

    assert made[0].seen == [["x-a"], ["x-a", "x-b"], ["x-a", "x-b", "x-c"], []]


def test_what_was_fetched_is_not_kept_while_a_callout_is_awaited() -> None:
    class Calls(HttpFilter[object]):
        async def on_request_headers(self, request: Request) -> Outcome:
            before = len(request.headers)
            await self.http_call("cluster")
            request.headers["x-seen"] = f"{before} {len(request.headers)}"
            return CONTINUE

    worker = Worker(definition(Calls))
    stream = worker.stream()
    stream.request_headers(end=True)
    worker.host.maps[KIND].append((b"x-b", b"2"))
    worker.respond(4, {":status": "200"})

    assert worker.host.headers(KIND)["x-seen"] == "3 4"
