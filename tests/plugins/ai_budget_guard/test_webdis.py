"""How Webdis takes commands and gives answers; with a real one in `test_leased_filter`."""

import pytest

from ai_budget_guard.central import CentralError
from ai_budget_guard.webdis import encode_command, read_answer


def test_a_command_is_its_parts_with_slashes_between() -> None:
    assert encode_command(["GET", "a/b c.json", "", "é%"]) == b"GET/a%2Fb%20c%2Ejson//%C3%A9%25"


def test_answers_are_what_redis_says() -> None:
    assert read_answer(200, b'{"EVAL":["1,2"]}', "EVAL") == ["1,2"]


@pytest.mark.parametrize(
    ("status", "body", "code", "reason"),
    [
        (200, b'{"EVAL":[false,"NOSCRIPT No matching script."]}', "NOSCRIPT", "Redis says NOSCRIPT"),
        (403, b'{"EVAL":[false,"Forbidden"]}', "", "Webdis does not allow EVAL: see `acl`"),
        (503, b"", "", "status 503"),
        (200, b"upstream", "", "the answer is none of Webdis"),
        (200, b"[" * 100, "", "the answer is none of Webdis"),
        (200, b"[1]", "", "the answer is none of Webdis"),
        (200, b'{"GET":1}', "", "the answer is none of Webdis"),
    ],
)
def test_anything_else_is_an_error(status: int, body: bytes, code: str, reason: str) -> None:
    with pytest.raises(CentralError) as caught:
        read_answer(status, body, "EVAL")

    assert caught.value.code == code
    assert str(caught.value).startswith(reason)
