"""The filter in a gateway: where requests go, what comes of it, and what is left for the router."""

import json

import pytest

from ai_provider_circuit_breaker import Breaker, Settings, encode_breaker
from aigateway.health import BreakerState, decode_health, decode_latency
from proxytest import ConfigurationRefusedError, Exchange, Gateway, Route

NAME = "ai-provider-circuit-breaker"
METRICS = "ai_provider_circuit_breaker"
CHAT = "/v1/chat/completions"
ANSWER = {"id": "1", "choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}
EVENTS = (
    b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n',
    b'data: {"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"completion_tokens":40}}\n\n',
    b"data: [DONE]\n\n",
)
STREAM = {"content-type": "text/event-stream"}
SURE = {"shut_for": {"jitter": 0}}
"""No jitter, so that deadlines are known."""

PROVIDERS = ("openai", "anthropic", "moonshot")
CHOICE = {
    "content-type": "application/json",
    "x-ai-provider": "openai",
    "x-ai-model": "gpt-5.5",
    "x-ai-cluster": "openai",
    "x-ai-fallbacks": "anthropic/claude-sonnet,moonshot/kimi",
}


@pytest.fixture
def three(gateway: Gateway) -> Gateway:
    """Three providers that work, routed to by the header that the router sets."""
    routes = [Route(name=name, cluster=name, headers=(("x-ai-cluster", name),)) for name in PROVIDERS]
    gateway.configure(workers=2, routes=(*routes, Route()))
    for name in PROVIDERS:
        gateway.cluster(name).respond(json=ANSWER)
    return gateway


def ask(gateway: Gateway, headers: dict[str, str] | None = None, worker: int = 0, **more: object) -> Exchange:
    body = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}]} | more
    return gateway.post(CHAT, headers=CHOICE | (headers or {}), json=body, worker=worker)


def state(gateway: Gateway, key: str = "breaker/openai") -> BreakerState:
    health = decode_health(gateway.shared_data.get(key))
    return BreakerState.CLOSED if health is None else health.state


def trip(gateway: Gateway) -> None:
    """Let openai fail three times."""
    gateway.cluster("openai").respond(500, json={"error": {}})
    for _ in range(3):
        ask(gateway)
    assert state(gateway) is BreakerState.OPEN


def served_by(exchange: Exchange) -> str:
    assert exchange.upstream is not None
    return exchange.upstream.cluster


# Where requests go


def test_a_request_to_a_provider_that_works_passes_as_it_is(three: Gateway) -> None:
    three.load(NAME)

    exchange = ask(three)

    assert served_by(exchange) == "openai"
    assert exchange.upstream is not None
    assert exchange.upstream.json() == {"model": "auto", "messages": [{"role": "user", "content": "Hi"}]}
    assert exchange.reply.status == 200
    assert exchange.reply.json() == ANSWER
    assert exchange.reply.headers["x-ai-attempts"] == "1"
    assert exchange.reply.headers["x-ai-model"] == "gpt-5.5"
    assert three.metrics[f"{METRICS}.openai.success"] == 1


def test_a_provider_cannot_say_that_another_has_answered_or_failed(three: Gateway) -> None:
    three.load(NAME)
    said = {"x-ai-model": "kimi", "x-ai-provider": "moonshot", "x-ai-failed": "anthropic/claude-sonnet"}
    three.cluster("openai").respond(json=ANSWER, headers=said)

    reply = ask(three).reply

    assert reply.headers.get_all("x-ai-model") == ["gpt-5.5"]
    assert reply.headers.get_all("x-ai-provider") == ["openai"]
    assert "x-ai-failed" not in reply.headers


def test_one_that_fails_three_times_gets_no_more_from_any_worker(three: Gateway) -> None:
    three.load(NAME, SURE)
    trip(three)

    exchanges = [ask(three, worker=worker) for worker in (0, 1)]

    assert [served_by(exchange) for exchange in exchanges] == ["anthropic", "anthropic"]
    assert three.metrics[f"{METRICS}.openai.failure"] == 3
    assert three.metrics[f"{METRICS}.openai.to_open"] == 1
    assert three.metrics[f"{METRICS}.openai.shut"] == 1
    assert three.metrics[f"{METRICS}.moved"] == 2


def test_the_change_is_in_the_log(three: Gateway) -> None:
    three.load(NAME, SURE)
    trip(three)

    changes = [record.message for record in three.logs if "a breaker has changed" in record.message]
    assert len(changes) == 1
    assert (
        "key=breaker/openai before=closed after=open signal=tripped cause=status_500 for_s=60.0" in changes[0]
    )


def test_a_moved_request_says_so_everywhere(three: Gateway) -> None:
    three.load(NAME, SURE)
    trip(three)

    body = b'{"model": "auto", "temperature": 0.50}'
    exchange = three.post(CHAT, headers=CHOICE | {"content-length": str(len(body))}, body=body)

    assert exchange.upstream is not None
    seen = exchange.upstream.headers
    assert seen["x-ai-provider"] == "anthropic"
    assert seen["x-ai-model"] == "claude-sonnet"
    assert seen["x-ai-cluster"] == "anthropic"
    assert seen["x-higress-llm-model"] == "claude-sonnet"
    assert exchange.upstream.body == b'{"model": "claude-sonnet", "temperature": 0.50}'
    assert int(seen["content-length"]) == len(exchange.upstream.body)
    assert exchange.reply.headers["x-ai-model"] == "claude-sonnet"
    assert exchange.reply.headers["x-ai-provider"] == "anthropic"


def test_what_the_provider_calls_the_model_goes_into_the_body(three: Gateway) -> None:
    catalog = [
        {
            "name": name,
            "provider": provider,
            "upstream_name": f"{name}-2026",
            "prices_nano_usd_per_token": {"input": 1, "output": 1},
            "quality": 0.5,
            "context_window_tokens": 1000,
        }
        for name, provider in (("a", "openai"), ("b", "anthropic"))
    ]
    three.load(NAME, SURE | {"catalog": catalog})
    choice = {"x-ai-model": "a", "x-ai-fallbacks": "anthropic/b"}
    three.cluster("openai").respond(500)
    for _ in range(3):
        ask(three, choice)

    exchange = ask(three, choice)

    assert exchange.upstream is not None
    body = exchange.upstream.json()
    assert isinstance(body, dict)
    assert body["model"] == "b-2026"
    assert exchange.reply.headers["x-ai-model"] == "b"


def test_fallbacks_are_tried_in_their_order_and_only_if_they_may_be(three: Gateway) -> None:
    three.load(NAME, SURE)
    trip(three)
    three.cluster("anthropic").respond(429, headers={"retry-after": "20"})
    assert ask(three).reply.status == 429

    assert served_by(ask(three)) == "moonshot"
    unknown = {"x-ai-fallbacks": "nobody/nothing, ,moonshot/kimi"}
    assert served_by(ask(three, unknown)) == "moonshot"


def test_a_request_without_a_body_is_moved_too(three: Gateway) -> None:
    three.load(NAME, SURE)
    trip(three)

    exchange = three.get("/v1/models", headers=CHOICE)

    assert served_by(exchange) == "anthropic"
    assert exchange.reply.status == 200


def test_a_body_that_is_no_object_is_moved_as_it_is(three: Gateway) -> None:
    three.load(NAME, SURE)
    trip(three)

    exchange = three.post("/v1/audio/transcriptions", headers=CHOICE, body=b"RIFF....")

    assert served_by(exchange) == "anthropic"
    assert exchange.upstream is not None
    assert exchange.upstream.body == b"RIFF...."


def test_without_a_router_the_cluster_of_the_route_is_the_provider(gateway: Gateway) -> None:
    gateway.load(NAME, SURE)
    gateway.upstream.respond(503)

    for _ in range(3):
        gateway.post(CHAT, json={"model": "x"})
    exchange = gateway.post(CHAT, json={"model": "x"})

    assert exchange.upstream is None
    assert exchange.reply.status == 503
    assert state(gateway, "breaker/upstream") is BreakerState.OPEN


def test_a_forged_provider_makes_no_key(three: Gateway) -> None:
    three.load(NAME)
    three.upstream.respond(500)

    for number in range(3):
        ask(three, {"x-ai-provider": f"forged-{number}", "x-ai-cluster": "", "x-ai-fallbacks": ""})

    assert state(three, "breaker/upstream") is BreakerState.OPEN
    assert not [key for key in ("", "forged-0", "forged-2") if f"breaker/{key}" in three.shared_data]


def test_per_model_one_model_is_shut_and_the_other_is_not(three: Gateway) -> None:
    three.load(NAME, SURE | {"scope": "model"})
    three.cluster("openai").respond(500)
    for _ in range(3):
        ask(three)

    assert state(three, "breaker/openai/gpt-5.5") is BreakerState.OPEN
    assert served_by(ask(three)) == "anthropic"
    assert served_by(ask(three, {"x-ai-model": "gpt-4.1-mini"})) == "openai"
    assert three.metrics[f"{METRICS}.openai.gpt-5.5.shut"] == 1
    assert three.metrics[f"{METRICS}.openai.gpt-4.1-mini.failure"] == 1


# When nobody may be tried


def shut_all(gateway: Gateway) -> None:
    """Open openai for 60 s, limit anthropic for 20 s, and have moonshot refuse the key."""
    trip(gateway)
    gateway.cluster("anthropic").respond(429, headers={"retry-after": "20"})
    ask(gateway)
    gateway.cluster("moonshot").respond(401)
    ask(gateway)


def test_a_request_that_nobody_may_have_is_refused_with_the_earliest_time(three: Gateway) -> None:
    three.load(NAME, SURE)
    shut_all(three)

    exchange = ask(three)

    assert exchange.upstream is None
    assert exchange.reply.status == 503
    assert exchange.reply.headers["retry-after"] == "20"
    assert exchange.reply.headers["x-ai-attempts"] == "0"
    error = exchange.reply.json()
    assert isinstance(error, dict)
    assert error["error"]["code"] == "all_providers_shut"
    assert error["error"]["message"] == (
        "No provider can take this request at present: openai is open, anthropic is rate-limited, "
        "moonshot is unauthorized. Try again in 20 s."
    )
    assert three.metrics[f"{METRICS}.refused"] == 1


def test_or_goes_to_the_one_that_is_least_shut(three: Gateway) -> None:
    three.load(NAME, SURE | {"on_all_shut": "last_resort"})
    shut_all(three)
    choice = {
        "x-ai-provider": "moonshot",
        "x-ai-model": "kimi",
        "x-ai-cluster": "moonshot",
        "x-ai-fallbacks": "anthropic/claude-sonnet,openai/gpt-5.5",
    }

    exchange = ask(three, choice)

    assert served_by(exchange) == "openai"
    assert three.metrics[f"{METRICS}.last_resort"] == 1
    assert state(three) is BreakerState.OPEN


def test_an_answer_by_last_resort_makes_room_for_probes(three: Gateway) -> None:
    three.load(NAME, SURE | {"on_all_shut": "last_resort"})
    trip(three)
    three.cluster("openai").respond(json=ANSWER)

    ask(three, {"x-ai-fallbacks": ""})

    assert state(three) is BreakerState.HALF_OPEN


# Back again


def test_after_the_deadline_two_answers_close_it(three: Gateway) -> None:
    three.load(NAME, SURE)
    trip(three)
    three.cluster("openai").respond(json=ANSWER)

    three.advance(59)
    assert served_by(ask(three)) == "anthropic"
    three.advance(1)
    assert served_by(ask(three)) == "openai"
    assert state(three) is BreakerState.HALF_OPEN
    assert served_by(ask(three, worker=1)) == "openai"

    assert state(three) is BreakerState.CLOSED
    assert three.metrics[f"{METRICS}.openai.to_closed"] == 1
    assert three.metrics[f"{METRICS}.openai.shut"] == 0


def test_workers_share_the_probes(three: Gateway) -> None:
    three.load(NAME, SURE)
    trip(three)
    three.advance(60)
    three.cluster("openai").hold()

    clusters = []
    for worker in (0, 1, 0, 1):
        exchange = ask(three, worker=worker)
        clusters.append(served_by(exchange))

    assert clusters == ["openai", "openai", "anthropic", "anthropic"]


def test_a_probe_whose_caller_leaves_makes_room_for_another(three: Gateway) -> None:
    three.load(NAME, SURE | {"half_open": {"probes": 1}})
    trip(three)
    three.advance(60)
    three.cluster("openai").hold()
    exchange = ask(three)
    assert served_by(ask(three)) == "anthropic"

    exchange.abort()

    assert served_by(ask(three)) == "openai"


def test_a_failed_probe_opens_it_for_longer(three: Gateway) -> None:
    three.load(NAME, SURE)
    trip(three)
    three.advance(60)

    assert ask(three).reply.status == 500

    health = decode_health(three.shared_data["breaker/openai"])
    assert health is not None
    assert health.state is BreakerState.OPEN
    three.advance(119)
    assert served_by(ask(three)) == "anthropic"


# What counts


def test_a_provider_that_closes_the_connection_fails(three: Gateway) -> None:
    three.load(NAME, SURE)
    three.cluster("openai").hold()

    for _ in range(3):
        exchange = ask(three)
        assert exchange.upstream_call is not None
        exchange.upstream_call.close()
        assert exchange.reply.status == 503

    assert state(three) is BreakerState.OPEN


def test_a_provider_that_never_answers_fails(three: Gateway) -> None:
    three.load(NAME, SURE)
    three.cluster("openai").hold()
    exchanges = [ask(three) for _ in range(3)]

    three.advance(15)

    assert [exchange.reply.status for exchange in exchanges] == [504] * 3
    assert state(three) is BreakerState.OPEN


def test_a_stream_that_breaks_off_fails(three: Gateway) -> None:
    three.load(NAME, SURE)
    three.cluster("openai").hold()

    for _ in range(3):
        exchange = ask(three, stream=True)
        assert exchange.upstream_call is not None
        exchange.upstream_call.start(headers=STREAM)
        exchange.upstream_call.send(EVENTS[0])
        exchange.upstream_call.close()
        assert exchange.was_reset

    assert state(three) is BreakerState.OPEN


def test_a_stream_that_ends_too_early_fails(three: Gateway) -> None:
    three.load(NAME, SURE)
    three.cluster("openai").respond(headers=STREAM, chunks=EVENTS[:1])

    replies = [ask(three, stream=True).reply for _ in range(3)]

    assert state(three) is BreakerState.OPEN
    assert all(reply.complete for reply in replies)
    assert replies[0].body.startswith(EVENTS[0] + b'data: {"error":{"message":"The provider ended')
    assert replies[0].body.endswith(b"}\n\n")


@pytest.mark.parametrize("first", [EVENTS[0][:20], b""])
def test_the_end_is_appended_whatever_the_last_chunk_is(three: Gateway, first: bytes) -> None:
    three.load(NAME)
    three.cluster("openai").hold()

    exchange = ask(three, stream=True)
    assert exchange.upstream_call is not None
    exchange.upstream_call.start(headers=STREAM | {"content-length": str(len(first))} if first else STREAM)
    exchange.upstream_call.send(first, end=True)

    assert exchange.reply.complete
    assert exchange.reply.body.startswith(first + (b"\n\n" if first else b"") + b'data: {"error"')


def test_a_whole_stream_passes_byte_for_byte(three: Gateway) -> None:
    three.load(NAME)
    three.cluster("openai").respond(headers=STREAM, chunks=EVENTS)

    assert ask(three, stream=True).reply.body == b"".join(EVENTS)
    assert three.metrics[f"{METRICS}.openai.success"] == 1


@pytest.mark.parametrize("body", [b'{"id": "chatcmpl-1", "choi', b"", b"<html>"])
def test_an_answer_that_is_no_json_fails(three: Gateway, body: bytes) -> None:
    three.load(NAME, SURE)
    chunks = (body,) if body else ()
    three.cluster("openai").respond(headers={"content-type": "application/json"}, chunks=chunks)

    for _ in range(3):
        ask(three)

    assert state(three) is BreakerState.OPEN


def test_a_stream_that_begins_too_late_fails(three: Gateway) -> None:
    three.load(NAME, SURE | {"first_token_s": 5})
    three.cluster("openai").hold()

    for _ in range(3):
        exchange = ask(three, stream=True)
        assert exchange.upstream_call is not None
        exchange.upstream_call.start(headers=STREAM)
        exchange.upstream_call.send(b": still thinking\n\n")
        three.advance(5.5)
        for event in EVENTS:
            exchange.upstream_call.send(event)
        exchange.upstream_call.finish()
        assert exchange.reply.complete

    assert state(three) is BreakerState.OPEN


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_the_callers_mistakes_open_nothing(three: Gateway, status: int) -> None:
    three.load(NAME, SURE)
    three.cluster("openai").respond(status, json={"error": {}})

    for _ in range(30):
        assert ask(three).reply.status == status

    assert "breaker/openai" not in three.shared_data
    assert three.metrics[f"{METRICS}.openai.not_counted"] == 30


def test_what_the_proxy_itself_answers_opens_nothing(gateway: Gateway) -> None:
    gateway.configure(routes=(Route(cluster_header="x-ai-cluster"),))
    gateway.load(NAME, SURE)

    for _ in range(5):
        exchange = gateway.post(CHAT, headers={"x-ai-cluster": "nowhere"}, json={"model": "x"})
        assert exchange.reply.status == 503

    assert "breaker/nowhere" not in gateway.shared_data


def test_a_caller_who_leaves_opens_nothing(three: Gateway) -> None:
    three.load(NAME, SURE)
    three.cluster("openai").hold()

    for _ in range(5):
        ask(three).abort()

    assert "breaker/openai" not in three.shared_data


def test_a_429_shuts_it_out_for_as_long_as_it_says(three: Gateway) -> None:
    three.load(NAME, SURE)
    three.cluster("openai").respond(429, headers={"retry-after": "7"})
    ask(three)
    three.cluster("openai").respond(json=ANSWER)

    assert state(three) is BreakerState.RATE_LIMITED
    three.advance(6)
    assert served_by(ask(three)) == "anthropic"
    three.advance(1)
    assert [served_by(ask(three)) for _ in range(3)] == ["openai"] * 3


def test_a_refused_key_has_a_state_and_a_metric(three: Gateway) -> None:
    three.load(NAME, SURE)
    three.cluster("openai").respond(401)
    ask(three)

    assert state(three) is BreakerState.UNAUTHORIZED
    assert three.metrics[f"{METRICS}.openai.unauthorized"] == 1
    assert three.metrics[f"{METRICS}.openai.to_unauthorized"] == 1


def test_but_not_if_callers_bring_their_own(three: Gateway) -> None:
    three.load(NAME, SURE | {"credentials": "caller"})
    three.cluster("openai").respond(401)
    ask(three)

    assert state(three) is BreakerState.CLOSED


# Latency


def test_latencies_are_there_a_second_later(three: Gateway) -> None:
    three.load(NAME)
    three.cluster("openai").hold()
    for worker in (0, 1):
        exchange = ask(three, stream=True, worker=worker)
        call = exchange.upstream_call
        assert call is not None
        three.advance(0.4)
        call.start(headers=STREAM)
        call.send(EVENTS[0])
        three.advance(0.8)
        call.send(EVENTS[1])
        call.send(EVENTS[2], end=True)

    three.advance(1)

    stats = decode_latency(three.shared_data["latency/openai"])
    assert stats is not None
    assert stats.samples == pytest.approx(2, rel=0.02)
    assert stats.p95_ms == pytest.approx(1_200, rel=0.05)
    assert stats.ewma_ms == pytest.approx(1_200, rel=0.01)
    assert stats.ttft_p95_ms == pytest.approx(400, rel=0.05)
    assert stats.tokens_per_s == pytest.approx(50, rel=0.05)


def test_failures_have_no_latency(three: Gateway) -> None:
    three.load(NAME)
    three.cluster("openai").respond(500)
    ask(three)
    three.advance(2)

    assert "latency/openai" not in three.shared_data


def test_an_answer_of_any_other_kind_is_good(three: Gateway) -> None:
    three.load(NAME)
    three.cluster("openai").respond(headers={"content-type": "audio/mpeg"}, body=b"\xff\xfb")

    exchange = three.post("/v1/audio/speech", headers=CHOICE, json={"model": "tts"})

    assert exchange.reply.body == b"\xff\xfb"
    assert three.metrics[f"{METRICS}.openai.success"] == 1


# Active checks


CHECKED = SURE | {"check": {"every_s": 10, "requests": [{"provider": "openai", "path": "/health"}]}}


def test_an_open_provider_is_checked_by_one_worker_and_comes_back_early(three: Gateway) -> None:
    three.load(NAME, CHECKED)
    trip(three)
    three.cluster("openai").respond(200, json={"data": []})
    before = len(three.cluster("openai").calls)

    three.advance(9)
    assert len(three.cluster("openai").calls) == before
    three.advance(2)

    calls = [call.received for call in three.cluster("openai").calls[before:]]
    assert [(call.method, call.path) for call in calls] == [("GET", "/health")]
    assert state(three) is BreakerState.HALF_OPEN
    assert three.metrics[f"{METRICS}.openai.check_success"] == 1


def test_a_check_that_fails_leaves_it_open(three: Gateway) -> None:
    three.load(NAME, CHECKED)
    trip(three)
    before = len(three.cluster("openai").calls)

    three.advance(35)

    assert len(three.cluster("openai").calls) == before + 3
    assert state(three) is BreakerState.OPEN
    assert three.metrics[f"{METRICS}.openai.check_failure"] == 3


def test_a_check_of_a_cluster_that_is_gone_fails(gateway: Gateway) -> None:
    gateway.load(NAME, {"check": {"every_s": 1}})
    breaker = Breaker(state=BreakerState.OPEN, generation=1, until_s=9e9, openings=1)
    gateway.shared_data["breaker/openai"] = encode_breaker(breaker, Settings())

    gateway.advance(1.5)

    assert gateway.metrics[f"{METRICS}.openai.check_failure"] == 1
    assert state(gateway) is BreakerState.OPEN


# Trouble of its own


def test_damaged_shared_data_stop_nothing(three: Gateway) -> None:
    three.load(NAME, SURE)
    three.shared_data["breaker/openai"] = b'{"state":"open"'
    three.shared_data["latency/openai"] = b"\xff"

    assert served_by(ask(three)) == "openai"
    three.advance(1)

    assert decode_latency(three.shared_data["latency/openai"]) is not None
    assert state(three) is BreakerState.CLOSED


def test_a_wrong_configuration_is_refused(gateway: Gateway) -> None:
    with pytest.raises(ConfigurationRefusedError):
        gateway.load(NAME, {"open_after": {"failurs": 1}})


def test_with_rules_alone_each_route_has_its_own_breaker_settings(three: Gateway) -> None:
    strict = {"_match_route_": ["openai"], "open_after": {"failures": 1}} | SURE
    three.load(NAME, {"_rules_": [strict]})
    three.cluster("openai").respond(500)
    ask(three)
    three.advance(1)

    assert state(three) is BreakerState.OPEN
    assert served_by(ask(three)) == "anthropic"


def test_no_prompt_and_no_key_is_in_the_log(three: Gateway) -> None:
    three.load(NAME, SURE)
    three.cluster("openai").respond(500, json={"error": {"message": "SECRET"}})
    for _ in range(4):
        ask(three, {"authorization": "Bearer SECRET"}, user="SECRET")

    assert "SECRET" not in json.dumps([record.message for record in three.logs])
