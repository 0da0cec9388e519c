"""Anthropic requests become the same plain values."""

import pytest

from aigateway.chat import ChatRequest, Format, Need, Role, Turn
from aigateway.formats import read_request
from aigateway.refusals import InvalidRequestError


def anthropic(*messages: object, **more: object) -> ChatRequest:
    return read_request({"model": "auto", "messages": list(messages)} | more, Format.ANTHROPIC)


def user(content: object) -> dict[str, object]:
    return {"role": "user", "content": content}


@pytest.mark.parametrize("system", ["Be brief.", [{"type": "text", "text": "Be brief."}]])
def test_the_system_prompt_is_a_string_or_blocks(system: object) -> None:
    request = anthropic(user("Hi"), system=system, max_tokens=100)

    assert request.turns == (Turn(Role.SYSTEM, "Be brief."), Turn(Role.USER, "Hi"))
    assert request.max_tokens == 100


def test_tool_results_are_turns_of_the_tool_and_not_of_the_user() -> None:
    request = anthropic(
        user("Weather?"),
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Look it up."},
                {"type": "tool_use", "id": "1", "name": "get_weather", "input": {"city": "Bern"}},
            ],
        },
        user(
            [{"type": "tool_result", "tool_use_id": "1", "content": [{"type": "text", "text": "4 degrees"}]}]
        ),
        tools=[{"name": "get_weather", "input_schema": {}}],
    )

    assert request.turns == (
        Turn(Role.USER, "Weather?"),
        Turn(Role.ASSISTANT, "Look it up."),
        Turn(Role.TOOL, "4 degrees"),
    )
    assert request.needs == {Need.TOOLS}
    assert request.payloads[:2] == ("get_weather", '{"city":"Bern"}')


def test_words_beside_a_tool_result_are_the_users() -> None:
    request = anthropic(
        user([{"type": "tool_result", "content": "4"}, {"type": "text", "text": "In Kelvin?"}])
    )

    assert request.turns == (Turn(Role.TOOL, "4"), Turn(Role.USER, "In Kelvin?"))


def test_images_and_documents() -> None:
    image = {"type": "image", "source": {"type": "base64", "data": "A" * 100_000}}
    notes = {"type": "document", "source": {"type": "text", "data": "My notes"}}
    pdf = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "A"}}

    request = anthropic(user([image, notes, pdf, {"type": "text", "text": "Sum up"}]))

    assert request.turns == (Turn(Role.USER, "My notes\nSum up"),)
    assert request.needs == {Need.VISION}
    assert request.media_tokens == 765 + 1500


def test_results_inside_results_end_the_reading() -> None:
    result: object = "deep"
    for _ in range(50):
        result = [{"type": "tool_result", "content": result}]

    assert anthropic(user(result)).turns == (Turn(Role.TOOL, ""),)


def test_streams_and_schemas_are_needs() -> None:
    request = anthropic(user("Hi"), stream=True, output_format={"type": "json_schema", "schema": {}})

    assert request.needs == {Need.STREAM, Need.JSON}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "messages: expected an array of messages, got nothing"),
        (
            {"messages": [user("x")], "system": 5},
            "system: expected a string or an array of content parts, got a number",
        ),
        ({"messages": [{"content": "x"}]}, "messages[0].role: expected a string, got nothing"),
        (
            {"messages": [user([{"type": "tool_result", "content": 5}])]},
            "messages[0].content[0].content: expected a string or an array of content parts, got a number",
        ),
    ],
)
def test_wrong_requests_are_refused(body: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        read_request(body, Format.ANTHROPIC)
    assert raised.value.refusal.message == message
