"""Refusals are OpenAI error objects."""

from aigateway.refusals import InvalidRequestError, Refusal


def test_a_refusal_is_an_openai_error_object() -> None:
    refusal = Refusal(status=429, message="Spent.", type="insufficient_quota", code="budget_exceeded")

    assert refusal.to_json() == {
        "error": {"message": "Spent.", "type": "insufficient_quota", "param": None, "code": "budget_exceeded"}
    }


def test_an_invalid_value_is_named_by_its_place() -> None:
    refusal = InvalidRequestError.at("messages[3].content", "a string", "a number").refusal

    assert refusal.status == 400
    assert refusal.param == "messages[3].content"
    assert refusal.message == "messages[3].content: expected a string, got a number"


def test_a_body_that_is_no_object_is_named_by_its_kind() -> None:
    assert InvalidRequestError.not_an_object([1]).refusal.message == (
        "The request body: expected an object, got an array"
    )
