import pytest

from nexus.providers import Fault, FaultError, parse_fault
from nexus.providers._faults import FaultBox, fault_as_json


def test_an_empty_object_clears() -> None:
    assert parse_fault({}) is None


@pytest.mark.parametrize(
    "document",
    [
        {"status": 503, "count": 5},
        {"latency_ms": 2000},
        {"cut_after_bytes": 200},
        {"hang": True},
        {"retry_after_s": 3, "status": 429},
        {"first_token_ms": 100, "token_interval_ms": 20, "answer_tokens": 500},
        {"malformed": True, "rate": 0.3, "seed": 7},
        {"reset": True},
        {"oversized_bytes": 1 << 20},
    ],
)
def test_a_fault_is_shown_as_it_was_set(document: dict[str, object]) -> None:
    fault = parse_fault(document)

    assert fault is not None
    assert fault_as_json(fault) == document


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"stauts": 503}, "stauts: unknown key; did you mean status?"),
        ({"zzz": 1}, "zzz: unknown key; known keys are status, retry_after_s"),
        ({"status": 200}, "status: expected an integer from 400 to 599, got 200"),
        ({"status": "503"}, "status: expected an integer from 400 to 599, got '503'"),
        ({"status": True}, "status: expected an integer from 400 to 599, got True"),
        ({"hang": 1}, "hang: expected true or false, got 1"),
        ({"rate": 0}, "rate: expected a number above 0 and up to 1, got 0"),
        ({"rate": float("nan")}, "rate: expected a number above 0 and up to 1, got nan"),
        ({"count": 0}, "count: expected an integer from 1"),
        ({"retry_after_s": 3}, "retry_after_s: needs a status"),
        ({"seed": 3}, "seed: needs a rate"),
        ([], "expected an object, got []"),
        (None, "expected an object, got None"),
    ],
)
def test_what_cannot_be_set_is_named(document: object, problem: str) -> None:
    with pytest.raises(FaultError, match=r".") as caught:
        parse_fault(document)

    assert str(caught.value).startswith(problem)


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(FaultError) as caught:
        parse_fault({"status": 1, "hangs": True, "rate": 2})

    assert len(caught.value.problems) == 3


def test_a_counted_fault_hits_that_many_requests() -> None:
    box = FaultBox()
    box.set(Fault(status=503, count=2))

    assert box.as_json() == {"fault": {"status": 503, "count": 2}, "remaining": 2, "applied": 0}
    hits = [box.draw() is not None for _ in range(4)]

    assert hits == [True, True, False, False]
    assert box.as_json() == {"fault": None, "remaining": None, "applied": 2}


def test_a_rate_hits_its_share_and_the_same_requests_for_the_same_seed() -> None:
    box = FaultBox()

    def hits() -> list[bool]:
        box.set(Fault(status=503, rate=0.3, seed=1))
        return [box.draw() is not None for _ in range(2000)]

    first = hits()

    assert hits() == first
    assert 500 < sum(first) < 700


def test_setting_another_fault_lets_go_of_what_hangs() -> None:
    box = FaultBox()
    box.set(Fault(hang=True))
    drawn = box.draw()
    assert drawn is not None
    _, cleared = drawn
    assert not cleared.is_set()

    box.set(None)

    assert cleared.is_set()
