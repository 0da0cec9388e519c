"""OpenAI requests of all three APIs become the same plain values."""

from collections.abc import Mapping
from typing import Any

import pytest

from aigateway.chat import ChatRequest, Format, Need, Role, Turn
from aigateway.formats import read_request
from aigateway.refusals import InvalidRequestError

WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}


def chat(*messages: object, **more: object) -> ChatRequest:
    return read_request({"model": "auto", "messages": list(messages)} | more, Format.CHAT)


def user(content: object) -> dict[str, object]:
    return {"role": "user", "content": content}


def refusal(body: Mapping[str, Any], format: Format) -> str:
    with pytest.raises(InvalidRequestError) as raised:
        read_request(body, format)
    return raised.value.refusal.message


def test_string_content() -> None:
    request = chat(
        {"role": "system", "content": "Be brief."}, user("Hi"), {"role": "assistant", "content": "Yes?"}
    )

    assert request.format is Format.CHAT
    assert request.model == "auto"
    assert request.turns == (
        Turn(Role.SYSTEM, "Be brief."),
        Turn(Role.USER, "Hi"),
        Turn(Role.ASSISTANT, "Yes?"),
    )
    assert request.needs == frozenset()
    assert request.max_tokens is None


def test_content_parts_are_joined_and_media_are_priced() -> None:
    request = chat(
        user([{"type": "text", "text": "What is"}, IMAGE, {"type": "text", "text": "this?"}]),
    )

    assert request.turns == (Turn(Role.USER, "What is\nthis?"),)
    assert request.needs == {Need.VISION}
    assert request.media_tokens == 765


def test_detail_decides_what_an_image_costs() -> None:
    low = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}}

    assert chat(user([low, IMAGE])).media_tokens == 85 + 765


def test_the_bytes_of_media_are_neither_text_nor_tokens() -> None:
    data = "A" * 1_000_000
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}

    request = chat(user([image, {"type": "text", "text": "?"}]))

    assert request.turns == (Turn(Role.USER, "?"),)
    assert request.payloads == ()


def test_audio_costs_by_its_length() -> None:
    def audio(kind: object) -> ChatRequest:
        return chat(user([{"type": "input_audio", "input_audio": {"data": "A" * 640_000, "format": kind}}]))

    assert audio("wav").needs == {Need.AUDIO}
    assert audio("wav").media_tokens == 100  # Ten seconds.
    assert audio("mp3").media_tokens == 300
    assert audio(7).media_tokens == 100


def test_files_need_vision() -> None:
    assert chat(user([{"type": "file", "file": {"file_id": "f"}}])).needs == {Need.VISION}


def test_tools_and_calls_are_needs_and_payloads() -> None:
    request = chat(
        user("Weather?"),
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "1", "function": {"name": "get_weather", "arguments": '{"city":"Bern"}'}}],
        },
        {"role": "tool", "tool_call_id": "1", "content": "4 degrees"},
        tools=[WEATHER],
    )

    assert request.needs == {Need.TOOLS}
    assert request.turns[1:] == (Turn(Role.ASSISTANT, ""), Turn(Role.TOOL, "4 degrees"))
    assert request.payloads[:2] == ("get_weather", '{"city":"Bern"}')
    assert '"name":"get_weather"' in request.payloads[2]


def test_functions_of_old_clients_are_tools_too() -> None:
    request = chat(
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "1"},
        functions=[{"name": "f"}],
    )

    assert request.needs == {Need.TOOLS}
    assert request.turns[1].role is Role.TOOL


@pytest.mark.parametrize(
    ("more", "needs"),
    [
        ({"stream": True}, {Need.STREAM}),
        ({"stream": False}, set()),
        ({"stream": None}, set()),
        ({"response_format": {"type": "json_object"}}, {Need.JSON}),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}}, {Need.JSON}),
        ({"response_format": {"type": "text"}}, set()),
        ({"response_format": "json"}, set()),
        ({"response_format": {"type": ["json_object"]}}, set()),
        ({"modalities": ["text", "audio"]}, {Need.AUDIO}),
        ({"tools": []}, set()),
        ({"tools": None}, set()),
    ],
)
def test_needs_follow_from_the_parameters(more: dict[str, object], needs: set[Need]) -> None:
    assert chat(user("Hi"), **more).needs == needs


@pytest.mark.parametrize(
    ("more", "limit"),
    [
        ({"max_tokens": 100}, 100),
        ({"max_completion_tokens": 50, "max_tokens": 100}, 50),
        ({"max_tokens": 256.0}, 256),
        ({"max_tokens": 0}, 0),
        ({"max_tokens": -1}, None),
        ({"max_tokens": None}, None),
        ({}, None),
    ],
)
def test_the_limit_of_the_output(more: dict[str, object], limit: int | None) -> None:
    assert chat(user("Hi"), **more).max_tokens == limit


def test_unknown_roles_are_read_as_the_users_and_developers_as_system() -> None:
    request = chat({"role": "critic", "content": "a"}, {"role": "developer", "content": "b"})

    assert [turn.role for turn in request.turns] == [Role.USER, Role.SYSTEM]


def test_parts_of_later_versions_are_left_alone() -> None:
    assert chat(user([{"type": "hologram", "hologram": []}, {"type": "text", "text": "Hi"}])).turns == (
        Turn(Role.USER, "Hi"),
    )


def test_plain_strings_among_parts_are_text() -> None:
    assert chat(user(["Hi", {"text": "there"}])).turns == (Turn(Role.USER, "Hi\nthere"),)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "messages: expected an array of messages, got nothing"),
        ({"messages": []}, "messages: expected an array of messages, got an empty array"),
        ({"messages": {}}, "messages: expected an array of messages, got an object"),
        ({"messages": ["x"]}, "messages[0]: expected an object, got a string"),
        ({"messages": [{}]}, "messages[0].role: expected a string, got nothing"),
        ({"messages": [user("a"), {"role": 1}]}, "messages[1].role: expected a string, got a number"),
        (
            {"messages": [user(5)]},
            "messages[0].content: expected a string or an array of content parts, got a number",
        ),
        ({"messages": [user([5])]}, "messages[0].content[0]: expected an object, got a number"),
        (
            {"messages": [user([{"type": "text", "text": {}}])]},
            "messages[0].content[0].text: expected a string, got an object",
        ),
        (
            {"messages": [user([{"type": 1}])]},
            "messages[0].content[0].type: expected a string, got a number",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [1]}]},
            "messages[0].tool_calls[0]: expected an object, got a number",
        ),
        ({"messages": [user("a")], "model": 5}, "model: expected a string, got a number"),
        ({"messages": [user("a")], "stream": "yes"}, "stream: expected true or false, got a string"),
        ({"messages": [user("a")], "tools": {}}, "tools: expected an array, got an object"),
        ({"messages": [user("a")], "max_tokens": "9"}, "max_tokens: expected a whole number, got a string"),
        ({"messages": [user("a")], "max_tokens": True}, "max_tokens: expected a whole number, got true"),
        ({"messages": [user("a")], "max_tokens": 1.5}, "max_tokens: expected a whole number, got a number"),
        (
            {"messages": [user("a")], "max_tokens": 10**30},
            "max_tokens: expected a whole number from 0 to 1000000000, got one out of range",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_by_name_of_its_place(body: dict[str, object], message: str) -> None:
    assert refusal(body, Format.CHAT) == message


@pytest.mark.parametrize(
    ("prompt", "turns", "token_ids"),
    [
        ("Once upon", ("Once upon",), 0),
        (["Once", "upon"], ("Once\nupon",), 0),
        ([15, 16, 17], (), 3),
        ([[15, 16], [17]], (), 3),
        (None, (), 0),
        ([], (), 0),
    ],
)
def test_prompts_of_completions(prompt: object, turns: tuple[str, ...], token_ids: int) -> None:
    request = read_request({"model": "auto", "prompt": prompt, "max_tokens": 7}, Format.COMPLETION)

    assert request.turns == tuple(Turn(Role.USER, text) for text in turns)
    assert request.token_ids == token_ids
    assert request.max_tokens == 7


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        (5, "prompt: expected a string, an array of strings or token ids, got a number"),
        ([None], "prompt[0]: expected a string, a token id or an array of token ids, got nothing"),
        ([True], "prompt[0]: expected a string, a token id or an array of token ids, got true"),
    ],
)
def test_other_prompts_are_refused(prompt: object, message: str) -> None:
    assert refusal({"prompt": prompt}, Format.COMPLETION) == message


def responses(**body: object) -> ChatRequest:
    return read_request({"model": "auto"} | body, Format.RESPONSES)


def test_responses_take_a_string() -> None:
    request = responses(input="Hi", instructions="Be brief.", max_output_tokens=9, stream=True)

    assert request.turns == (Turn(Role.SYSTEM, "Be brief."), Turn(Role.USER, "Hi"))
    assert request.max_tokens == 9
    assert request.needs == {Need.STREAM}


def test_responses_take_items() -> None:
    request = responses(
        input=[
            {"role": "user", "content": [{"type": "input_text", "text": "Look"}, {"type": "input_image"}]},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I see"}]},
            {"type": "reasoning", "summary": []},
            {"type": "function_call", "name": "zoom", "arguments": "{}"},
            {"type": "function_call_output", "output": "done"},
            {"type": "computer_call_output", "output": {"type": "computer_screenshot", "image_url": "data:"}},
            {"type": "item_reference", "id": "x"},
        ],
        text={"format": {"type": "json_schema", "schema": {"type": "object"}}},
    )

    assert request.turns == (
        Turn(Role.USER, "Look"),
        Turn(Role.ASSISTANT, "I see"),
        Turn(Role.TOOL, "done"),
        Turn(Role.TOOL, ""),
    )
    assert request.needs == {Need.VISION, Need.TOOLS, Need.JSON}
    assert request.media_tokens == 2 * 765


def test_responses_may_have_no_input() -> None:
    assert responses(previous_response_id="resp_1").turns == ()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"input": 5}, "input: expected a string or an array of items, got a number"),
        ({"input": [5]}, "input[0]: expected an object, got a number"),
        ({"input": [{"content": "x"}]}, "input[0].role: expected a string, got nothing"),
        (
            {"input": [{"type": "function_call_output", "output": 5}]},
            "input[0].output: expected a string or an array of content parts, got a number",
        ),
        ({"instructions": 5}, "instructions: expected a string, got a number"),
    ],
)
def test_wrong_responses_requests_are_refused(body: dict[str, object], message: str) -> None:
    assert refusal(body, Format.RESPONSES) == message
