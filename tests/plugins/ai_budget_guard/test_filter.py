"""The filter in a gateway: what callers and providers see, and what is in the ledger afterwards."""

import json
from collections.abc import Mapping

import pytest

import ai_cost_optimal_router.filter
from ai_budget_guard.slots import closed_nano_usd, every_account
from aigateway.tokens import estimate_tokens
from proxytest import ConfigurationRefusedError, Exchange, Gateway, Route
from proxytest._abi import Status
from proxytest._plugin import FailurePolicy

NAME = "ai-budget-guard"
METRICS = "ai_budget_guard"
CHAT = "/v1/chat/completions"
JSON = {"content-type": "application/json"}
EVENTS = {"content-type": "text/event-stream"}


def model(name: str, provider: str, input: int, output: int, **more: object) -> dict[str, object]:
    return {
        "name": name,
        "provider": provider,
        "prices_nano_usd_per_token": {"input": input, "output": output},
        "quality": 0.5,
        "context_window_tokens": 1_000_000,
        **more,
    }


CATALOG = [
    model("small", "openai", 100, 1_000),
    model("large", "anthropic", 1_000, 10_000, upstream_name="large-2026"),
    model("cached", "openai", 100, 0)
    | {"prices_nano_usd_per_token": {"input": 100, "output": 1_000, "cached_input": 10, "cache_write": 125}},
]
CONFIG: dict[str, object] = {
    "catalog": CATALOG,
    "prompt_margin_percent": 0,
    "slots": 1,
    "limits": [{"name": "each", "limit_usd": "0.001"}],
}
"""Of 1,000,000 nano-USD; a request by `ask` can cost 10 x 100 + 50 x 1,000 = 51,000."""
RESERVED = 51_000
SIGNALS = {"x-mse-consumer": "alice", "x-ai-prompt-tokens": "10"}
ANSWER = {
    "id": "1",
    "choices": [{"message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 20, "total_tokens": 29},
}
COST = 9 * 100 + 20 * 1_000


def chat(**more: object) -> dict[str, object]:
    body = {"model": "small", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 50} | more
    return {name: value for name, value in body.items() if value is not ...}


def ask(
    gateway: Gateway, headers: Mapping[str, str] | None = None, worker: int = 0, **more: object
) -> Exchange:
    return gateway.post(CHAT, headers=SIGNALS | dict(headers or {}), json=chat(**more), worker=worker)


def accounts(gateway: Gateway, limit: str = "each") -> dict[str, tuple[int, int]]:
    """Return what each subject has spent and reserved under a limit."""
    slot = gateway.shared_data.get(f"budget/{limit}/0")
    return {
        subject: (account.spent_nano_usd, account.held_nano_usd) for subject, account in every_account(slot)
    }


def spent(gateway: Gateway, subject: str = "alice", limit: str = "each") -> int:
    """Return what a subject has spent; nothing may be reserved any more."""
    nano_usd, reserved = accounts(gateway, limit).get(subject, (0, 0))
    assert reserved == 0
    return nano_usd


def owners(gateway: Gateway) -> set[str]:
    """Return who has reserved anything."""
    slot = gateway.shared_data.get("budget/each/0")
    return {hold.owner for _, account in every_account(slot) for hold in account.holds}


def error(exchange: Exchange) -> dict[str, object]:
    assert exchange.upstream is None
    document = exchange.reply.json()
    assert isinstance(document, dict)
    found = document["error"]
    assert isinstance(found, dict)
    return found


def sent(exchange: Exchange) -> dict[str, object]:
    assert exchange.upstream is not None, exchange.reply.text
    document = exchange.upstream.json()
    assert isinstance(document, dict)
    return document


@pytest.fixture
def guarded(gateway: Gateway) -> Gateway:
    gateway.load(NAME, CONFIG)
    gateway.upstream.respond(json=ANSWER)
    return gateway


# Reserve, then settle


def test_what_it_can_cost_is_reserved_until_what_it_did_cost_is_known(guarded: Gateway) -> None:
    guarded.upstream.hold()

    exchange = ask(guarded)

    assert accounts(guarded) == {"alice": (0, RESERVED)}
    assert exchange.upstream_call is not None
    exchange.upstream_call.start(headers=JSON)
    exchange.upstream_call.send(json.dumps(ANSWER).encode(), end=True)
    assert exchange.reply.json() == ANSWER
    assert accounts(guarded) == {"alice": (COST, 0)}
    assert guarded.metrics[f"{METRICS}.spent_nano_usd"] == COST
    assert guarded.metrics[f"{METRICS}.settled.reported"] == 1


@pytest.mark.hosts("native", "wasm")
def test_a_gauge_shows_what_is_reserved_as_of_the_last_second(gateway: Gateway) -> None:
    gateway.configure(workers=2)
    gateway.load(NAME, CONFIG)
    gateway.upstream.hold()
    calls = [ask(gateway, worker=worker).upstream_call for worker in (0, 1)]

    gateway.advance(1)
    assert gateway.metrics[f"{METRICS}.reserved_nano_usd"] == 2 * RESERVED

    for call in calls:
        assert call is not None
        call.start(headers=JSON)
        call.send(json.dumps(ANSWER).encode(), end=True)
    gateway.advance(1)
    assert gateway.metrics[f"{METRICS}.reserved_nano_usd"] == 0


def test_a_caller_is_told_what_is_left_at_least(guarded: Gateway) -> None:
    first, second = ask(guarded), ask(guarded)

    assert first.reply.headers["x-ai-budget-remaining"] == "0.000949"
    assert second.reply.headers["x-ai-budget-remaining"] == "0.0009281"
    models = guarded.get("/v1/models", headers=SIGNALS)
    assert models.reply.headers["x-ai-budget-remaining"] == "0.0009582"
    assert 1_000_000 - 2 * COST == 958_200


def test_the_body_leaves_as_it_came(guarded: Gateway) -> None:
    body = b'{ "model" : "small",\n "max_tokens":50, "messages":[{"role":"user","content":"\\u00e9"}] }'

    exchange = guarded.post(CHAT, headers=SIGNALS | JSON, chunks=(body[:9], body[9:]))

    assert exchange.upstream is not None
    assert exchange.upstream.body == body


@pytest.mark.hosts("native", "wasm")
def test_a_cap_is_spent_to_the_last_unit_and_no_further(gateway: Gateway) -> None:
    gateway.configure(workers=2)
    gateway.load(NAME, CONFIG | {"limits": [{"name": "each", "limit_usd": "0.000357"}]})
    full = ANSWER | {"usage": {"prompt_tokens": 10, "completion_tokens": 50}}
    gateway.upstream.respond(json=full)

    statuses = [ask(gateway, worker=number % 2).reply.status for number in range(9)]

    assert 7 * RESERVED == 357_000
    assert statuses == [200] * 7 + [429] * 2
    assert spent(gateway) == 357_000
    assert ask(gateway, {"x-mse-consumer": "bob"}).reply.status == 200


def test_requests_under_way_count(guarded: Gateway) -> None:
    guarded.upstream.hold()
    under_way = [ask(guarded) for _ in range(19)]

    refused = ask(guarded)

    assert accounts(guarded) == {"alice": (0, 19 * RESERVED)}
    assert refused.reply.status == 429
    assert refused.reply.headers["retry-after"] == "2"
    assert error(refused)["budget"] == {
        "name": "each",
        "scope": "consumer",
        "window": "in total",
        "limit_usd": "0.001",
        "spent_usd": "0",
        "reserved_usd": "0.000969",
        "needed_usd": "0.000051",
        "resets_at": None,
    }
    for exchange in under_way:
        exchange.abort()
    assert ask(guarded).upstream is not None


@pytest.mark.parametrize("name", ["x-mse-consumer", "X-MSE-Consumer"])
def test_whoever_has_no_name_shares_the_account_of_the_nameless(guarded: Gateway, name: str) -> None:
    guarded.post(CHAT, headers={"x-ai-prompt-tokens": "10"}, json=chat())
    guarded.post(CHAT, headers={"x-ai-prompt-tokens": "10", name: "alice"}, json=chat())

    assert accounts(guarded) == {"": (COST, 0), "alice": (COST, 0)}


# Usage, wherever it is


def stream(*events: object, end: bytes = b"\n\n") -> bytes:
    texts = [event if isinstance(event, str) else json.dumps(event) for event in events]
    return b"".join(b"data: " + text.encode() + end for text in texts)


def delta(text: str) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": {"content": text}}]}


USAGE = {"id": "1", "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 20}}
BEFORE = stream(delta("Hi"), delta(" there"))
AFTER = stream("[DONE]")
STREAM = BEFORE + stream(USAGE) + AFTER


def test_a_body_cut_anywhere_is_charged_and_passed_on(guarded: Gateway) -> None:
    body = json.dumps(ANSWER).encode()
    for at in range(1, len(body)):
        guarded.upstream.respond(chunks=(body[:at], body[at:]), headers=JSON)
        consumer = {"x-mse-consumer": f"c{at}"}

        assert ask(guarded, consumer).reply.body == body
        assert spent(guarded, f"c{at}") == COST


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r"])
def test_the_event_that_was_asked_for_is_taken_out_however_the_stream_is_cut(
    guarded: Gateway, end: bytes
) -> None:
    whole = stream(delta("Hi"), USAGE, "[DONE]", end=end)
    expected = stream(delta("Hi"), "[DONE]", end=end)
    for at in range(1, len(whole)):
        guarded.upstream.respond(chunks=(whole[:at], whole[at:]), headers=EVENTS)
        consumer = {"x-mse-consumer": f"c{at}"}

        exchange = ask(guarded, consumer, stream=True)

        assert sent(exchange)["stream_options"] == {"include_usage": True}
        assert exchange.reply.body == expected
        assert spent(guarded, f"c{at}") == COST


def test_every_byte_by_itself(guarded: Gateway) -> None:
    guarded.upstream.respond(chunks=tuple(bytes([byte]) for byte in STREAM), headers=EVENTS)

    assert ask(guarded, stream=True).reply.body == BEFORE + AFTER
    assert spent(guarded) == COST


def test_events_pass_as_they_come(guarded: Gateway) -> None:
    guarded.upstream.hold()
    exchange = ask(guarded, stream=True)
    call = exchange.upstream_call
    assert call is not None
    call.start(headers=EVENTS | {"content-length": str(len(BEFORE + AFTER))})

    call.send(BEFORE + b"data: [DO")

    assert exchange.reply.body == BEFORE
    assert "content-length" not in exchange.reply.headers
    call.send(b"NE]\n\n", end=True)
    assert exchange.reply.body == BEFORE + AFTER


def test_who_asks_for_the_usage_gets_it(guarded: Gateway) -> None:
    guarded.upstream.respond(body=STREAM, headers=EVENTS)
    options = {"include_usage": True, "include_obfuscation": False}

    exchange = ask(guarded, stream=True, stream_options=options)

    assert sent(exchange)["stream_options"] == options
    assert exchange.reply.body == STREAM
    assert spent(guarded) == COST


def test_other_options_of_a_stream_stay(guarded: Gateway) -> None:
    exchange = ask(guarded, stream=True, stream_options={"include_usage": False, "x": [1]})

    assert sent(exchange)["stream_options"] == {"include_usage": True, "x": [1]}


def test_streams_need_not_be_asked(gateway: Gateway) -> None:
    gateway.load(NAME, CONFIG | {"ask_for_usage": False})
    gateway.upstream.respond(body=STREAM, headers=EVENTS)

    exchange = ask(gateway, stream=True)

    assert "stream_options" not in sent(exchange)
    assert exchange.reply.body == STREAM


RESPONSES_EVENTS = stream(
    {"type": "response.output_text.delta", "delta": "Hi"},
    {"type": "response.completed", "response": {"usage": {"input_tokens": 9, "output_tokens": 20}}},
)
ANTHROPIC_EVENTS = stream(
    {"type": "message_start", "message": {"usage": {"input_tokens": 9, "output_tokens": 1}}},
    {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Hi"}},
    {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 20}},
)


@pytest.mark.parametrize(
    ("path", "limit", "events"),
    [
        ("/v1/responses", "max_output_tokens", RESPONSES_EVENTS),
        ("/v1/messages", "max_tokens", ANTHROPIC_EVENTS),
    ],
)
def test_other_apis_are_charged_and_not_changed(
    guarded: Gateway, path: str, limit: str, events: bytes
) -> None:
    guarded.upstream.respond(body=events, headers=EVENTS)
    body = {"model": "small", "stream": True, limit: 50}
    body |= {"input": "Hi"} if "responses" in path else {"messages": [{"role": "user", "content": "Hi"}]}

    exchange = guarded.post(path, headers=SIGNALS, json=body)

    assert sent(exchange) == body
    assert exchange.reply.body == events
    assert spent(guarded) == COST


def test_cached_and_reasoning_tokens_have_their_own_price(guarded: Gateway) -> None:
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": 20,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 15},
    }
    guarded.upstream.respond(json=ANSWER | {"usage": usage})

    ask(guarded, model="cached")

    assert spent(guarded) == 5 * 100 + 4 * 10 + 20 * 1_000


# Without usage


def test_what_was_streamed_is_counted_when_the_stream_is_cut(guarded: Gateway) -> None:
    guarded.upstream.hold()
    exchange = ask(guarded, stream=True)
    call = exchange.upstream_call
    assert call is not None
    call.start(headers=EVENTS)
    call.send(BEFORE)
    assert accounts(guarded) == {"alice": (0, RESERVED)}

    call.close()

    assert spent(guarded) == 10 * 100 + 2 * 1_000
    assert guarded.metrics[f"{METRICS}.settled.counted"] == 1


def test_what_was_streamed_is_counted_when_the_caller_leaves(guarded: Gateway) -> None:
    guarded.upstream.hold()
    exchange = ask(guarded, stream=True)
    assert exchange.upstream_call is not None
    exchange.upstream_call.start(headers=EVENTS)
    exchange.upstream_call.send(BEFORE[:-3])

    exchange.abort()

    assert spent(guarded) == 10 * 100 + 1 * 1_000


def test_who_leaves_before_the_answer_pays_for_the_question(guarded: Gateway) -> None:
    guarded.upstream.hold()

    ask(guarded).abort()

    assert spent(guarded) == 10 * 100


def test_a_provider_that_reports_nothing_is_charged_by_what_it_says(guarded: Gateway) -> None:
    said = "This is all that I have got to say about it."
    guarded.upstream.respond(json={"choices": [{"message": {"content": said}}]})

    ask(guarded)

    assert spent(guarded) == 10 * 100 + estimate_tokens(said) * 1_000


def test_what_was_reserved_may_be_charged_instead(gateway: Gateway) -> None:
    gateway.load(NAME, CONFIG | {"on_missing_usage": "charge_reserved"})
    gateway.upstream.respond(json={"choices": [{"message": {"content": "Hi there"}}]})

    ask(gateway)

    assert spent(gateway) == RESERVED
    assert gateway.metrics[f"{METRICS}.settled.reserved"] == 1


def test_a_compressed_answer_is_charged_what_was_reserved(guarded: Gateway) -> None:
    guarded.upstream.respond(body=b"\x1f\x8b...", headers=JSON | {"content-encoding": "gzip"})

    exchange = ask(guarded, {"accept-encoding": "gzip"})

    assert exchange.upstream is not None
    assert "accept-encoding" not in exchange.upstream.headers
    assert spent(guarded) == RESERVED


@pytest.mark.parametrize("status", [400, 429, 500, 503])
def test_an_error_costs_nothing(guarded: Gateway, status: int) -> None:
    guarded.upstream.respond(status, json={"error": {"message": "no"}})

    exchange = ask(guarded)

    assert exchange.reply.status == status
    assert spent(guarded) == 0
    assert exchange.reply.headers["x-ai-budget-remaining"] == "0.000949"


def test_an_error_costs_what_it_says_it_costs(guarded: Gateway) -> None:
    guarded.upstream.respond(500, json={"error": {}, "usage": ANSWER["usage"]})

    ask(guarded)

    assert spent(guarded) == COST


@pytest.mark.hosts("native", "wasm")
def test_a_local_reply_costs_nothing(gateway: Gateway) -> None:
    gateway.configure(routes=(Route(cluster="nowhere"),))
    gateway.load(NAME, CONFIG)

    exchange = ask(gateway)

    assert exchange.reply.status == 503
    assert accounts(gateway) == {}
    assert gateway.metrics[f"{METRICS}.settled.nothing"] == 1


def test_a_connection_that_breaks_before_the_answer_costs_nothing(guarded: Gateway) -> None:
    guarded.upstream.hold()
    exchange = ask(guarded)
    assert exchange.upstream_call is not None

    exchange.upstream_call.close()

    assert exchange.reply.status == 503
    assert spent(guarded) == 0


def test_trailers_end_an_answer_too(guarded: Gateway) -> None:
    guarded.upstream.respond(body=STREAM, headers=EVENTS, trailers={"x-checksum": "1"})

    exchange = ask(guarded, stream=True)

    assert exchange.reply.body == BEFORE + AFTER
    assert exchange.reply.trailers["x-checksum"] == "1"
    assert spent(guarded) == COST


def test_more_than_was_reserved_is_charged_and_counted(guarded: Gateway) -> None:
    guarded.upstream.respond(json=ANSWER | {"usage": {"prompt_tokens": 9, "completion_tokens": 2_000}})

    ask(guarded)

    assert spent(guarded) == 9 * 100 + 2_000 * 1_000
    assert guarded.metrics[f"{METRICS}.underestimated"] == 1
    refused = ask(guarded)
    assert refused.reply.headers["x-ai-budget-remaining"] == "0"
    assert refused.reply.headers["x-should-retry"] == "false"
    assert "retry-after" not in refused.reply.headers


# What the body says


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"max_tokens": ...}, {"max_completion_tokens": 40}),
        ({}, {"max_tokens": 40}),
        ({"max_tokens": 30}, {"max_tokens": 30}),
        ({"max_tokens": 70, "max_completion_tokens": 20}, {"max_tokens": 40, "max_completion_tokens": 20}),
        ({"max_tokens": -1}, {"max_tokens": 40}),
        ({"max_tokens": None}, {"max_tokens": 40}),
        ({"max_tokens": None, "max_completion_tokens": 9}, {"max_tokens": None, "max_completion_tokens": 9}),
    ],
)
def test_answers_are_clamped(gateway: Gateway, body: dict[str, object], expected: dict[str, int]) -> None:
    gateway.load(NAME, CONFIG | {"clamp_output_tokens": 40})
    gateway.upstream.hold()

    exchange = gateway.post(CHAT, headers=SIGNALS, json=chat(**body))

    found = sent(exchange)
    assert {
        name: found[name] for name in ("max_tokens", "max_completion_tokens") if name in found
    } == expected
    most = max(limit for limit in expected.values() if limit)
    assert accounts(gateway) == {"alice": (0, 1_000 + most * 1_000)}


def test_every_choice_is_reserved_for(guarded: Gateway) -> None:
    guarded.upstream.hold()

    ask(guarded, n=3)

    assert accounts(guarded) == {"alice": (0, 1_000 + 3 * 50_000)}


def test_a_body_means_one_thing_to_all_providers(guarded: Gateway) -> None:
    guarded.upstream.hold()
    body = b'{"n":5,"Max_Tokens":90,"n":1,"max_tokens":50,"model":"large","messages":[],"model":"small"}'

    exchange = guarded.post(CHAT, headers=SIGNALS | JSON, body=body)

    assert exchange.upstream is not None
    assert exchange.upstream.body == (
        b'{"n":1,"Max_Tokens":90,"n":1,"max_tokens":90,"model":"small","messages":[],"model":"small"}'
    )
    assert accounts(guarded) == {"alice": (0, 1_000 + 90 * 1_000)}


def test_signals_of_a_client_are_not_believed_where_nobody_removes_them(gateway: Gateway) -> None:
    gateway.load(NAME, CONFIG | {"trust_signals": False})
    gateway.upstream.hold()

    exchange = ask(
        gateway,
        {"x-ai-prompt-tokens": "0", "x-ai-model": "free"},
        messages=[{"role": "user", "content": "word " * 100}],
    )

    assert exchange.upstream is not None
    assert "x-ai-model" not in exchange.upstream.headers
    assert accounts(gateway)["alice"][1] > 50_000 + 90 * 100


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"{", {}, 400, "invalid_json"),
        (b"[]", {}, 400, "invalid_json"),
        (b"", {}, 400, "invalid_json"),
        (b'{"model":"small","messages":[],"n":"3"}', {}, 400, "invalid_value"),
        (b'{"model":"small","messages":[],"n":1e6}', {}, 400, "invalid_value"),
        (b'{"model":"small","messages":[],"max_tokens":0.5}', {}, 400, "invalid_value"),
        (b'{"model":"nobody-knows","messages":[]}', {}, 400, "model_without_price"),
        (b'{"messages":[]}', {}, 400, "model_without_price"),
        (b"{}", {"content-encoding": "gzip"}, 415, "unsupported_encoding"),
        (b'{"messages":"' + b"x" * 200 + b'"}', {}, 413, "request_too_large"),
    ],
)
def test_what_cannot_be_priced_is_refused(
    gateway: Gateway, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    gateway.load(NAME, CONFIG | {"max_body_bytes": 200})

    exchange = gateway.post(CHAT, headers=SIGNALS | JSON | headers, body=body)

    assert exchange.reply.status == status
    assert error(exchange)["code"] == code
    assert gateway.metrics[f"{METRICS}.invalid.{code}"] == 1
    assert accounts(gateway) == {}


def test_models_without_a_price_may_have_one_for_all(gateway: Gateway) -> None:
    gateway.load(NAME, CONFIG | {"on_unknown_model": {"input": 100, "output": 1_000}})
    gateway.upstream.respond(json=ANSWER)

    assert ask(gateway, model="nobody-knows").reply.status == 200
    assert spent(gateway) == COST


def test_what_asks_for_no_text_passes_or_not(gateway: Gateway) -> None:
    gateway.load(NAME, CONFIG)
    assert gateway.post("/v1/embeddings", headers=SIGNALS, json={"input": "x"}).reply.status == 200
    assert gateway.metrics[f"{METRICS}.passed"] == 1


def test_what_asks_for_no_text_can_be_refused(gateway: Gateway) -> None:
    gateway.load(NAME, CONFIG | {"on_other_requests": "refuse"})
    assert gateway.get("/v1/models", headers=SIGNALS).reply.status == 200

    exchange = gateway.post("/v1/embeddings", headers=SIGNALS, json={"input": "x"})

    assert (exchange.reply.status, error(exchange)["code"]) == (403, "unpriced_request")


# Who answers

CHOICE = {"x-ai-model": "small", "x-ai-provider": "openai", "x-ai-fallbacks": "anthropic/large"}
LARGE_RESERVED = 10 * 1_000 + 50 * 10_000
LARGE_COST = 9 * 1_000 + 20 * 10_000


def test_room_is_made_for_the_dearest_who_may_answer(guarded: Gateway) -> None:
    guarded.upstream.hold()

    ask(guarded, CHOICE)

    assert accounts(guarded) == {"alice": (0, LARGE_RESERVED)}


def test_whoever_answered_is_charged(guarded: Gateway) -> None:
    guarded.upstream.respond(
        json=ANSWER, headers=JSON | {"x-ai-model": "large", "x-ai-provider": "anthropic"}
    )

    ask(guarded, CHOICE)

    assert spent(guarded) == LARGE_COST


def test_a_provider_cannot_pass_itself_off_as_somebody_else(guarded: Gateway) -> None:
    guarded.upstream.respond(json=ANSWER, headers=JSON | {"x-ai-model": "cached"})

    ask(guarded, CHOICE)

    assert spent(guarded) == COST


def test_what_is_left_goes_to_the_choice_when_it_is_too_little_for_its_fallbacks(guarded: Gateway) -> None:
    guarded.upstream.hold()
    ask(guarded, CHOICE)

    exchange = ask(guarded, CHOICE)

    assert exchange.upstream is not None
    assert "x-ai-fallbacks" not in exchange.upstream.headers
    assert exchange.upstream.headers["x-ai-model"] == "small"
    assert accounts(guarded) == {"alice": (0, LARGE_RESERVED + RESERVED)}
    assert guarded.metrics[f"{METRICS}.reduced"] == 1


def test_accounts_of_models_and_providers_are_those_of_who_answers(gateway: Gateway) -> None:
    limits = [
        {"name": "model", "per": "model", "limit_usd": 1},
        {"name": "provider", "per": "provider", "limit_usd": 1},
        {"name": "all", "per": "all", "limit_usd": 1},
    ]
    gateway.load(NAME, CONFIG | {"limits": limits})
    gateway.upstream.hold()
    exchange = ask(gateway, CHOICE)
    for limit in ("model", "provider"):
        assert [held for _, held in accounts(gateway, limit).values()] == [LARGE_RESERVED] * 2

    assert exchange.upstream_call is not None
    exchange.upstream_call.start(headers=JSON | {"x-ai-model": "large"})
    exchange.upstream_call.send(json.dumps(ANSWER).encode(), end=True)

    assert accounts(gateway, "model") == {"large": (LARGE_COST, 0)}
    assert accounts(gateway, "provider") == {"anthropic": (LARGE_COST, 0)}
    assert accounts(gateway, "all") == {"": (LARGE_COST, 0)}


def test_a_fallback_whose_own_limit_is_used_up_is_left_out(gateway: Gateway) -> None:
    limits = [{"name": "model", "per": "model", "limit_usd": 1, "subjects": {"large": 0}}]
    gateway.load(NAME, CONFIG | {"limits": limits})
    gateway.upstream.respond(json=ANSWER)

    exchange = ask(gateway, CHOICE)

    assert exchange.upstream is not None
    assert "x-ai-fallbacks" not in exchange.upstream.headers
    assert accounts(gateway, "model") == {"small": (COST, 0)}


def test_models_are_known_by_what_providers_call_them(guarded: Gateway) -> None:
    ask(guarded, model="large-2026")

    assert spent(guarded) == LARGE_COST


# Limits


def test_all_limits_of_a_request_must_hold(gateway: Gateway) -> None:
    limits = [
        {"name": "consumer", "limit_usd": 1},
        {"name": "team", "per": "header", "header": "X-Team", "limit_usd": "0.00006"},
        {"name": "all", "per": "all", "limit_usd": 1},
    ]
    gateway.load(NAME, CONFIG | {"limits": limits})
    gateway.upstream.respond(json=ANSWER)
    assert ask(gateway, {"x-team": "red"}).reply.status == 200

    refused = ask(gateway, {"x-team": "red", "x-mse-consumer": "bob"})

    assert refused.reply.status == 429
    assert accounts(gateway, "consumer") == {"alice": (COST, 0)}
    assert accounts(gateway, "all") == {"": (COST, 0)}
    assert gateway.metrics[f"{METRICS}.refused.team"] == 1
    assert ask(gateway, {"x-team": "blue"}).reply.status == 200


@pytest.mark.hosts("native", "wasm")
def test_a_window_ends(gateway: Gateway) -> None:
    limits = [{"name": "each", "window": "minute", "limit_usd": "0.00006"}]
    gateway.load(NAME, CONFIG | {"limits": limits})
    gateway.upstream.respond(json=ANSWER)
    ask(gateway)

    refused = ask(gateway)

    assert refused.reply.status == 429
    wait_s = int(refused.reply.headers["retry-after"])
    assert 0 < wait_s <= 60
    budget = error(refused)["budget"]
    assert isinstance(budget, dict)
    assert str(budget["resets_at"]).endswith(":00Z")
    gateway.advance(wait_s)
    assert ask(gateway).reply.status == 200


@pytest.mark.hosts("native", "wasm")
@pytest.mark.parametrize("window", ["minute", "hour", "day"])
def test_a_clock_that_steps_back_brings_no_budget(gateway: Gateway, window: str) -> None:
    limits = [{"name": "each", "window": window, "limit_usd": "0.00006"}]
    gateway.load(NAME, CONFIG | {"limits": limits})
    gateway.upstream.respond(json=ANSWER)
    assert ask(gateway).reply.status == 200

    for _ in range(3):
        gateway.emulator.clock.now_ns -= 36 * 3_600 * 10**9
        assert ask(gateway).reply.status == 429

    gateway.emulator.clock.now_ns += 4 * 36 * 3_600 * 10**9
    assert ask(gateway).reply.status == 200, "the next window"
    gateway.emulator.clock.now_ns -= 36 * 3_600 * 10**9
    assert ask(gateway).reply.status == 429, "the first window was left"


def test_a_raise_helps_until_it_ends(gateway: Gateway) -> None:
    ends_s = 1_900_000_000
    limits = [
        {
            "name": "each",
            "limit_usd": "0.00006",
            "raises": [{"subject": "alice", "extra_usd": "0.00004", "until": "2099-01-01T00:00:00Z"}],
        }
    ]
    gateway.load(NAME, CONFIG | {"limits": limits})
    gateway.upstream.respond(json=ANSWER)

    alice = [ask(gateway).reply.status for _ in range(4)]
    bob = [ask(gateway, {"x-mse-consumer": "bob"}).reply.status for _ in range(2)]

    assert ends_s
    assert alice == [200, 200, 200, 429]
    assert bob == [200, 429]


def test_shadow_limits_count_and_refuse_nobody(gateway: Gateway) -> None:
    limits = [{"name": "each", "limit_usd": "0.00006", "shadow": True, "soft_limit_usd": 0}]
    gateway.load(NAME, CONFIG | {"limits": limits})
    gateway.upstream.respond(json=ANSWER)

    exchanges = [ask(gateway) for _ in range(3)]

    assert [exchange.reply.status for exchange in exchanges] == [200] * 3
    assert spent(gateway) == 3 * COST
    assert gateway.metrics[f"{METRICS}.shadow_refused.each"] == 2
    assert "x-ai-budget-remaining" not in exchanges[0].reply.headers
    assert "x-ai-budget-warning" not in exchanges[0].reply.headers
    assert sum("would be refused: limit=each" in record.message for record in gateway.logs) == 2


def test_a_soft_limit_warns(gateway: Gateway) -> None:
    limits = [
        {"name": "each", "limit_usd": "0.001", "soft_limit_usd": "0.00007"},
        {"name": "all", "per": "all", "limit_usd": "0.5", "soft_limit_usd": "0.00007"},
    ]
    gateway.load(NAME, CONFIG | {"limits": limits})
    gateway.upstream.respond(json=ANSWER)

    first, second = ask(gateway), ask(gateway)

    assert "x-ai-budget-warning" not in first.reply.headers
    warning = second.reply.headers["x-ai-budget-warning"]
    assert warning == "each: 0.0000719 of 0.001 USD; all: nearly used up"
    assert gateway.metrics[f"{METRICS}.warned.each"] == 1


def test_a_refusal_says_nothing_of_others(gateway: Gateway) -> None:
    limits = [{"name": "all", "per": "all", "window": "month", "limit_usd": "0.00006"}]
    gateway.load(NAME, CONFIG | {"limits": limits})
    gateway.upstream.respond(json=ANSWER)
    ask(gateway)

    refused = ask(gateway, {"x-mse-consumer": "bob"})

    found = error(refused)
    assert found["type"] == "budget_exceeded"
    assert found["message"] == (
        "The budget 'all' of all callers together is nearly used up: this request may cost up to "
        f"0.000051 USD. It resets at {found['budget']['resets_at']}."  # type: ignore[index]
    )
    assert set(found["budget"]) == {"name", "scope", "window", "needed_usd", "resets_at"}  # type: ignore[call-overload]
    assert "x-ai-budget-remaining" not in refused.reply.headers


def test_callers_may_be_told_of_shared_limits(gateway: Gateway) -> None:
    limits = [{"name": "all", "per": "all", "limit_usd": "0.00006"}]
    gateway.load(NAME, CONFIG | {"limits": limits, "show_shared_limits": True, "refusal_status": 402})
    gateway.upstream.respond(json=ANSWER)
    ask(gateway)

    refused = ask(gateway)

    assert refused.reply.status == 402
    assert "0.00006 USD in total: 0.0000209 USD of it are spent" in str(error(refused)["message"])
    assert refused.reply.headers["x-ai-budget-remaining"] == "0.0000391"


# Before the router


def test_it_can_tell_the_router_what_is_left(gateway: Gateway) -> None:
    limits = [{"name": "each", "limit_usd": 1}, {"name": "all", "per": "all", "limit_usd": "0.0001"}]
    gateway.load(NAME, {"limits": limits, "slots": 1, "role": "announce"})
    gateway.load(ai_cost_optimal_router.filter.CostOptimalRouter.definition.name)
    gateway.load(NAME, {"limits": limits, "slots": 1})
    gateway.upstream.respond(json=ANSWER)
    best = SIGNALS | {"x-router-strategy": "quality_first", "x-ai-max-tokens": "50"}

    exchange = gateway.post(CHAT, headers=best | {"x-ai-budget-remaining": "9"}, json=chat(model="auto"))

    assert exchange.upstream is not None, exchange.reply.text
    assert exchange.upstream.headers["x-ai-model"] == "gpt-4.1-mini"
    assert "x-ai-budget-remaining" not in exchange.upstream.headers
    assert spent(gateway, "", "all") == 9 * 200 + 20 * 800
    for _ in range(9):
        exchange = gateway.post(CHAT, headers=best, json=chat(model="auto"))
    refused = gateway.metrics["ai_cost_optimal_router.refused.budget_exceeded"]
    assert gateway.metrics[f"{METRICS}.refused.all"] == refused > 0, "the guard itself refuses nobody"
    assert exchange.reply.status == 429
    assert exchange.reply.headers["x-should-retry"] == "false"
    assert error(exchange) == {
        "message": "The budget 'all' of all callers together is nearly used up, and any model that can "
        "answer this request may cost more.",
        "type": "budget_exceeded",
        "param": None,
        "code": "budget_exceeded",
        "budget": {"name": "all", "scope": "all", "window": "in total", "resets_at": None},
    }


def test_who_asked_for_too_much_is_told_by_the_guard_itself(gateway: Gateway) -> None:
    limits = [{"name": "each", "window": "day", "limit_usd": "0.00001"}]
    gateway.load(NAME, CONFIG | {"limits": limits, "role": "announce"})
    gateway.load(NAME, CONFIG | {"limits": limits})

    budget = error(ask(gateway))["budget"]

    assert isinstance(budget, dict)
    assert budget["needed_usd"] == "0.000051"


def test_a_caller_is_told_what_is_left_of_which_budget_when_no_model_is_cheap_enough(
    gateway: Gateway,
) -> None:
    limits = [{"name": "each", "window": "minute", "limit_usd": "0.0000001"}]
    gateway.load(NAME, {"limits": limits, "slots": 1, "role": "announce"})
    gateway.load(ai_cost_optimal_router.filter.CostOptimalRouter.definition.name)

    exchange = ask(gateway, model="auto")

    budget = error(exchange)["budget"]
    assert isinstance(budget, dict)
    resets_at = budget.pop("resets_at")
    assert budget == {
        "name": "each",
        "scope": "consumer",
        "window": "a minute",
        "limit_usd": "0.0000001",
        "left_usd": "0.0000001",
    }
    message = str(error(exchange)["message"])
    assert "is 0.0000001 USD a minute: 0.0000001 USD of it are left" in message
    assert message.endswith(f" It resets at {resets_at}.")
    assert 0 < int(exchange.reply.headers["retry-after"]) <= 60


# Exactly once


@pytest.mark.hosts("native", "wasm")
def test_a_reservation_is_renewed_as_long_as_the_stream_lasts(gateway: Gateway) -> None:
    gateway.configure(routes=(Route(timeout_s=0),))
    gateway.load(NAME, CONFIG | {"reservation_s": 60})
    gateway.upstream.hold()
    exchange = ask(gateway, stream=True)
    assert exchange.upstream_call is not None
    exchange.upstream_call.start(headers=EVENTS)

    for _ in range(40):
        gateway.advance(15)
    assert accounts(gateway) == {"alice": (0, RESERVED)}
    assert ask(gateway, max_tokens=999).reply.status == 429

    exchange.upstream_call.send(STREAM, end=True)
    assert spent(gateway) == COST
    assert gateway.metrics[f"{METRICS}.renewed"] > 5


@pytest.mark.hosts("native", "wasm")
def test_what_a_dead_vm_reserved_counts_until_it_is_missed(gateway: Gateway) -> None:
    gateway.configure(workers=2, routes=(Route(timeout_s=0),))
    gateway.load(NAME, CONFIG | {"reservation_s": 60}, failure_policy=FailurePolicy.RELOAD)
    gateway.upstream.hold()
    for worker in (0, 1):
        ask(gateway, worker=worker, stream=True)
    assert accounts(gateway) == {"alice": (0, 2 * RESERVED)}

    gateway.emulator.kill_vm(gateway.emulator.plugins[0], worker=0)
    gateway.advance(5)

    assert ask(gateway, worker=1, max_tokens=899).reply.status == 429
    gateway.advance(10)
    assert gateway.metrics[f"{METRICS}.reserved_nano_usd"] == RESERVED
    assert ask(gateway, max_tokens=899).upstream is not None  # All that is left beside the other stream.
    assert accounts(gateway) == {"alice": (0, RESERVED + 900_000)}


@pytest.mark.hosts("native", "wasm")
def test_a_vm_that_was_given_up_and_lives_reserves_again_under_another_name(gateway: Gateway) -> None:
    gateway.configure(workers=2, routes=(Route(timeout_s=0),))
    gateway.load(NAME, CONFIG)
    gateway.upstream.hold()
    exchange = ask(gateway, stream=True)
    [before] = owners(gateway)
    gateway.shared_data["budget/owners"] = f"-{before}|{2**40}\n".encode()

    gateway.advance(1)

    [after] = owners(gateway)
    assert after != before
    assert accounts(gateway) == {"alice": (0, RESERVED)}
    assert ask(gateway, worker=1, max_tokens=949).reply.status == 429
    call = exchange.upstream_call
    assert call is not None
    call.start(headers=EVENTS)
    call.send(STREAM, end=True)
    assert spent(gateway) == COST


@pytest.mark.hosts("native", "wasm")
def test_a_clock_that_jumps_gives_nobody_up(gateway: Gateway) -> None:
    gateway.configure(workers=2, routes=(Route(timeout_s=0),))
    gateway.load(NAME, CONFIG | {"reservation_s": 86_400})
    gateway.upstream.hold()
    for worker in (0, 1):
        ask(gateway, worker=worker, stream=True)

    for jump_s in (3_600, 60, 3_600):
        gateway.emulator.clock.now_ns += jump_s * 10**9
        gateway.advance(1)

    assert len(owners(gateway)) == 2
    assert accounts(gateway) == {"alice": (0, 2 * RESERVED)}


@pytest.mark.hosts("native", "wasm")
def test_a_charge_that_does_not_come_through_is_made_later(gateway: Gateway) -> None:
    gateway.load(NAME, CONFIG)
    gateway.upstream.hold()
    exchange = ask(gateway)
    call = exchange.upstream_call
    assert call is not None
    call.start(headers=JSON)

    gateway.emulator.faults.fail("set_shared_data", Status.CAS_MISMATCH, times=200)
    call.send(json.dumps(ANSWER).encode(), end=True)

    assert exchange.reply.json() == ANSWER
    assert accounts(gateway) == {"alice": (0, RESERVED)}
    assert gateway.metrics[f"{METRICS}.charges_delayed"] == 1
    assert gateway.metrics[f"{METRICS}.lost_races"] == 200
    gateway.advance(15)
    assert spent(gateway) == COST


@pytest.mark.hosts("native", "wasm")
def test_a_ledger_that_cannot_be_changed_lets_nobody_through(gateway: Gateway) -> None:
    gateway.load(NAME, CONFIG)
    gateway.emulator.faults.fail("set_shared_data", Status.CAS_MISMATCH, times=300)

    exchange = ask(gateway)

    assert (exchange.reply.status, error(exchange)["code"]) == (503, "budget_busy")
    assert exchange.reply.headers["retry-after"] == "1"


@pytest.mark.hosts("native", "wasm")
def test_a_lost_race_is_run_again(gateway: Gateway) -> None:
    gateway.load(NAME, CONFIG)
    gateway.upstream.respond(json=ANSWER)
    ask(gateway)
    gateway.emulator.faults.fail("set_shared_data", Status.CAS_MISMATCH, times=3)

    assert ask(gateway).reply.status == 200
    assert spent(gateway) == 2 * COST
    assert gateway.metrics[f"{METRICS}.lost_races"] == 3


@pytest.mark.hosts("native", "wasm")
def test_a_guard_that_fails_lets_nobody_through_and_keeps_nothing(gateway: Gateway) -> None:
    gateway.load(NAME, CONFIG)
    gateway.shared_data["budget/each/0"] = b"what is this"

    exchange = ask(gateway, {"x-mse-consumer": "mallory"})

    assert exchange.reply.status == 500
    assert exchange.upstream is None


def test_a_configuration_that_is_wrong_is_refused(gateway: Gateway) -> None:
    with pytest.raises(ConfigurationRefusedError):
        gateway.load(NAME, {"slotz": 3})


@pytest.mark.hosts("native", "wasm")
def test_the_lifetime_of_what_was_closed_is_kept(gateway: Gateway) -> None:
    limits = [{"name": "each", "window": "minute", "limit_usd": 1}]
    gateway.load(NAME, CONFIG | {"limits": limits})
    gateway.upstream.respond(json=ANSWER)
    ask(gateway)
    gateway.advance(120)

    ask(gateway, {"x-mse-consumer": "bob"})

    assert accounts(gateway) == {"bob": (COST, 0)}
    assert closed_nano_usd(gateway.shared_data["budget/each/0"]) == COST
