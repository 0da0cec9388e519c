"""What a request orders, and what its body must say."""

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_budget_guard.config import Config
from ai_budget_guard.orders import Order, read_order
from aigateway.json_edit import set_members
from aigateway.refusals import InvalidRequestError

CHAT = "/v1/chat/completions"
CONFIG = Config()
MESSAGES = [{"role": "user", "content": "Is it going to rain?"}]


def read(
    body: Mapping[str, object] | bytes,
    path: str = CHAT,
    config: Config = CONFIG,
    **headers: str,
) -> Order:
    given = {":method": "POST", ":path": path} | {
        name.replace("_", "-"): text for name, text in headers.items()
    }
    order = read_order(given, body if isinstance(body, bytes) else json.dumps(body).encode(), config)
    assert order is not None
    return order


def chat(**more: object) -> dict[str, object]:
    return {"model": "kimi", "messages": MESSAGES} | more


def test_the_choice_of_the_router_and_its_fallbacks_may_answer() -> None:
    order = read(
        chat(model="auto"),
        x_ai_model="kimi",
        x_ai_provider="moonshot",
        x_ai_fallbacks="openai/gpt-5.5, nobody/none,openai/gpt-5.5,moonshot/kimi",
    )

    assert [model.name for model in order.models] == ["kimi", "gpt-5.5"]
    assert order.has_fallbacks
    assert order.without_fallbacks().models == order.models[:1]
    assert order.largest_cost(CONFIG) > order.without_fallbacks().largest_cost(CONFIG) > 0


def test_without_a_router_the_body_says_who_answers() -> None:
    order = read(chat())

    assert [model.key for model in order.models] == ["moonshot/kimi"]
    assert not order.has_fallbacks
    assert order.members == {"model": "kimi"}


def test_of_two_names_both_may_answer() -> None:
    order = read(b'{"Model":"gpt-5.5","model":"kimi","messages":[{"role":"user","content":"a"}]}')

    assert {model.name for model in order.models} == {"gpt-5.5", "kimi"}
    assert not order.has_fallbacks


@pytest.mark.parametrize(
    ("path", "body", "max_tokens", "choices"),
    [
        (CHAT, chat(), None, 1),
        (CHAT, chat(max_tokens=5), 5, 1),
        (CHAT, chat(max_tokens=5, max_completion_tokens=9), 9, 1),
        (CHAT, chat(max_tokens=5, max_completion_tokens=-1), None, 1),
        (CHAT, chat(max_tokens=5.0, n=3), 5, 3),
        (CHAT, chat(max_tokens=0), 0, 1),
        ("/v1/completions", {"model": "kimi", "prompt": "a", "best_of": 4, "n": 2}, None, 4),
        ("/v1/completions", {"model": "kimi", "prompt": ["a", "b", "c"], "n": 2}, None, 6),
        ("/v1/completions", {"model": "kimi", "prompt": [1, 2, 3]}, None, 1),
        ("/v1/completions", {"model": "kimi", "prompt": [[1, 2], [3]]}, None, 2),
        ("/v1/responses", {"model": "kimi", "input": "a", "max_output_tokens": 7, "n": 9}, 7, 1),
        ("/v1/messages", chat(max_tokens=7), 7, 1),
        ("/anything", chat(max_tokens=7), 7, 1),
    ],
)
def test_limits_and_choices_are_read(
    path: str, body: Mapping[str, object], max_tokens: int | None, choices: int
) -> None:
    order = read(body, path)

    assert (order.max_tokens, order.choices) == (max_tokens, choices)


def test_the_limit_is_that_of_every_api() -> None:
    config = Config(clamp_output_tokens=10, chat_limit_member="max_tokens")

    assert read(chat(), config=config).members["max_tokens"] == 10
    completion = read({"model": "kimi", "prompt": "a"}, "/v1/completions", config)
    assert completion.members["max_tokens"] == completion.max_tokens == 10
    responses = read({"model": "kimi", "input": "a", "max_output_tokens": 90}, "/v1/responses", config)
    assert responses.members["max_output_tokens"] == responses.max_tokens == 10


def test_input_that_the_provider_keeps_may_fill_the_context_window() -> None:
    order = read({"model": "kimi", "input": "a", "previous_response_id": "r1"}, "/v1/responses")

    assert order.is_input_elsewhere
    window = order.models[0].context_window_tokens
    assert order.largest_cost(CONFIG) > window * order.models[0].prices.input


def test_the_count_of_an_earlier_plugin_is_believed_unless_there_is_none() -> None:
    assert read(chat(), x_ai_prompt_tokens="1234").input_tokens == 1_234
    measured = read(chat()).input_tokens
    assert 8 <= measured <= 20
    distrusting = Config(trust_signals=False)
    assert read(chat(), config=distrusting, x_ai_prompt_tokens="1").input_tokens == measured
    assert read(chat(), x_ai_prompt_tokens="-1").input_tokens == measured


@pytest.mark.parametrize(
    ("options", "adds", "written"),
    [
        ({}, True, {"include_usage": True}),
        ({"stream_options": None}, True, {"include_usage": True}),
        ({"stream_options": {"include_usage": False, "a": 1}}, True, {"include_usage": True, "a": 1}),
        ({"stream_options": {"include_usage": True}}, False, None),
    ],
)
def test_streams_are_asked_for_their_usage(
    options: Mapping[str, object], adds: bool, written: dict[str, object] | None
) -> None:
    order = read(chat(stream=True, **options))

    assert order.is_streamed
    assert order.adds_usage is adds
    assert order.members.get("stream_options") == written


def test_others_are_not_asked() -> None:
    assert not read(chat(stream=False)).adds_usage
    assert not read({"model": "kimi", "input": "a", "stream": True}, "/v1/responses").adds_usage
    assert not read(chat(stream=True, max_tokens=5), "/v1/messages").adds_usage


@pytest.mark.parametrize(
    ("body", "path", "where"),
    [
        (chat(n="3"), CHAT, "n"),
        (chat(n=-1), CHAT, "n"),
        (chat(n=True), CHAT, "n"),
        (chat(stream="yes"), CHAT, "stream"),
        (chat(stream=True, stream_options=[]), CHAT, "stream_options"),
        (chat(max_tokens="many"), CHAT, "max_tokens"),
        (chat(max_tokens=10**12), CHAT, "max_tokens"),
        (chat(model=7), CHAT, "model"),
        (chat(model="nobody-knows"), CHAT, "model"),
        ({"messages": MESSAGES}, CHAT, "model"),
        (chat(messages="text"), CHAT, "messages"),
    ],
)
def test_what_no_provider_should_see_is_refused_by_its_place(
    body: Mapping[str, object], path: str, where: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read(body, path)

    assert caught.value.refusal.param == where
    assert "nobody-knows" not in caught.value.refusal.message


def test_what_is_no_request_to_a_model_is_none() -> None:
    for body in (b'{"input":["a","b"]}', b"[1]", b"{", b'{"x":1}'):
        assert read_order({":method": "POST", ":path": "/other"}, body, CONFIG) is None


_NUMBERS = st.one_of(st.none(), st.just(-1), st.integers(0, 10_000))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["max_tokens", "Max_Tokens", "MAX_COMPLETION_TOKENS", "max_completion_tokens"]),
            _NUMBERS,
        ),
        max_size=5,
    ),
    st.lists(st.tuples(st.sampled_from(["n", "N", "best_of"]), st.integers(1, 8)), max_size=3),
    st.one_of(st.none(), st.integers(1, 5_000)),
)
def test_however_it_is_read_the_body_asks_for_no_more_than_is_reserved(
    limits: list[tuple[str, int | None]], choices: list[tuple[str, int]], clamp: int | None
) -> None:
    """Any provider takes, of each name in any case, the first or the last member that is there."""
    config = Config(clamp_output_tokens=clamp)
    members = [*limits, *choices, ("model", "kimi")]
    text = ",".join(f"{json.dumps(name)}:{json.dumps(value)}" for name, value in members)
    body = b'{"messages":%b,' % json.dumps(MESSAGES).encode() + text.encode() + b"}"

    order = read(body, config=config)
    written: list[tuple[str, object]] = json.loads(set_members(body, order.members), object_pairs_hook=list)

    limits_sent = [value for name, value in written if name.lower().startswith("max_") and value is not None]
    choices_sent = [value for name, value in written if name.lower() in ("n", "best_of")]
    if order.max_tokens is not None:
        assert all(isinstance(value, int) and 0 <= value <= order.max_tokens for value in limits_sent)
        assert limits_sent
    assert all(isinstance(value, int) and value <= order.choices for value in choices_sent)
    if clamp is not None:
        assert order.max_tokens is not None
        assert order.max_tokens <= clamp
