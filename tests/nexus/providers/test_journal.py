import pytest

from nexus.providers import _journal
from nexus.providers._journal import REQUESTS_KEPT, Exchange, Journal


def open_exchange(journal: Journal, path: str = "/") -> Exchange:
    return journal.open(time_s=0.0, method="POST", path=path, headers=())


def shown(journal: Journal, last: int = REQUESTS_KEPT) -> list[dict[str, object]]:
    requests = journal.as_json(last)["requests"]
    assert isinstance(requests, list)
    return requests


def test_the_last_thousand_are_kept_in_order() -> None:
    journal = Journal()
    for number in range(1500):
        open_exchange(journal, f"/{number}")

    paths = [entry["path"] for entry in shown(journal)]

    assert paths == [f"/{number}" for number in range(500, 1500)]
    assert journal.as_json()["total"] == 1500


@pytest.mark.parametrize("last", [0, 1, 3, 9])
def test_fewer_can_be_asked_for(last: int) -> None:
    journal = Journal()
    for number in range(3):
        open_exchange(journal, f"/{number}")

    assert [entry["path"] for entry in shown(journal, last)] == ["/0", "/1", "/2"][3 - min(last, 3) :]


def test_a_body_that_is_not_utf8_is_shown_in_base64() -> None:
    journal = Journal()
    journal.keep_body(open_exchange(journal), b"\xff\x00")

    [entry] = shown(journal)

    assert (entry["body"], entry["body_base64"], entry["body_bytes"]) == (None, "/wA=", 2)


def test_every_value_of_a_header_is_kept_and_none_is_lost_to_its_encoding() -> None:
    journal = Journal()
    headers = ((b"X-A", b"1"), (b"X-A", b"2"), (b"X-B", b"caf\xe9"))
    journal.open(time_s=0.0, method="GET", path="/", headers=headers)

    [entry] = shown(journal)

    assert entry["headers"] == [["X-A", "1"], ["X-A", "2"], ["X-B", "caf\udce9"]]
    assert "caf\udce9".encode("utf-8", "surrogateescape") == b"caf\xe9"


def test_old_bodies_make_room_but_their_requests_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_journal, "BODY_BYTES_KEPT", 10)
    journal = Journal()
    for _ in range(3):
        journal.keep_body(open_exchange(journal), b"12345")

    assert [entry["body"] for entry in shown(journal)] == [None, "12345", "12345"]
    assert [entry["body_bytes"] for entry in shown(journal)] == [5, 5, 5]


def test_a_body_larger_than_all_the_room_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_journal, "BODY_BYTES_KEPT", 10)
    journal = Journal()
    journal.keep_body(open_exchange(journal), b"x" * 11)
    journal.keep_body(open_exchange(journal), b"12345")

    assert [entry["body"] for entry in shown(journal)] == [None, "12345"]


def test_a_body_that_comes_after_its_request_was_forgotten_takes_no_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_journal, "BODY_BYTES_KEPT", 10)
    journal = Journal()
    forgotten = open_exchange(journal)
    journal.clear()

    journal.keep_body(forgotten, b"1234567890")
    journal.keep_body(open_exchange(journal), b"1234567890")

    assert [entry["body"] for entry in shown(journal)] == ["1234567890"]


def test_clearing_forgets_and_counts() -> None:
    journal = Journal()
    open_exchange(journal)
    open_exchange(journal)

    assert journal.clear() == 2
    assert journal.as_json() == {"total": 0, "requests": []}
