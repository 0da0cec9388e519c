"""The budget guard where one provider after the other is tried: whoever answers is paid, nobody else."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import requests

from aigateway.money import usd
from aigateway.usage import Usage
from nexus.controls import SeenRequest
from nexus.description import Retries, Timeouts
from nexus.providers import count_tokens
from nexus.testing import RunningGateway, describe_gateway, running_gateway

from .ledgers import accounts, chain, charged, lifetime, metric, price, price_of, wait_until

BREAKER = "ai-provider-circuit-breaker"
CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"
MODELS = {"openai": "gpt-4.1-mini", "anthropic": "claude-haiku", "google": "gemini-flash"}
"""The choice, which is the cheapest, and its fallbacks in order; the last one is the dearest."""
LIMIT_USD = 100
MAX_TOKENS = 40
IDLE_S = 0.8
SHUT_S = 0.1
QUESTION = "Is it going to rain?"
QUESTION_TOKENS = count_tokens(QUESTION)
PER = {"each": "consumer", "model": "model", "provider": "provider", "all": "all"}
LIMITS: list[dict[str, object]] = [
    {"name": name, "per": per, "limit_usd": LIMIT_USD} for name, per in PER.items()
]
ATTEMPTS = {
    "attempts": "upstream",
    "open_after": {"failures": 1_000, "failure_rate": 0},
    "shut_for": {
        **dict.fromkeys(("open_s", "open_limit_s", "rate_limit_s", "retry_after_limit_s"), SHUT_S),
        "unauthorized_s": SHUT_S,
        "jitter": 0,
    },
}
"""Breakers stay out of it for the most part, so that each fault is met again."""


@pytest.fixture(scope="module")
def started(budget_module: Path) -> Iterator[RunningGateway]:
    described = replace(
        describe_gateway(module=budget_module),
        timeouts=Timeouts(connect_s=1, headers_s=10, idle_s=5, response_s=0),
        retries=Retries(idle_s=IDLE_S),
    )
    with running_gateway(chain(LIMITS) | {BREAKER: ATTEMPTS}, gateway=described, workers=2) as running:
        yield running


@pytest.fixture
def gateway(started: RunningGateway) -> Iterator[RunningGateway]:
    """The gateway with providers that work, and afterwards without reservations or crashes."""
    started.reset()
    time.sleep(SHUT_S + 0.02)  # Until nobody is left alone any more.
    yield started
    started.reset()
    eventually_settled(started)
    assert started.vm_crashes() == []


def eventually_settled(gateway: RunningGateway) -> None:
    wait_until(lambda: metric(gateway, "reserved_nano_usd") == 0, "nothing is reserved")
    for limit in PER:
        assert all(account.holds == () for account in accounts(gateway, limit).values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What a caller got, and what the guard wrote down about it."""

    status: int
    headers: requests.structures.CaseInsensitiveDict[str]
    record: dict[str, object]


def ask(gateway: RunningGateway, who: str, *, path: str = CHAT, stream: bool = False) -> Answered:
    """Ask the choice, with its fallbacks; *who* is the consumer, and the name of the request in the log."""
    with requests.post(
        gateway.base_url + path, headers=headers(who), json=body(stream), timeout=20, stream=True
    ) as answer:
        try:
            _ = answer.content
        except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError):
            assert answer.status_code == 200, "only an answer that has begun can break off"
    return Answered(status=answer.status_code, headers=answer.headers, record=record_of(gateway, who))


def record_of(gateway: RunningGateway, who: str) -> dict[str, object]:
    wait_until(lambda: who in charged(gateway), f"what {who!r} was charged is in the log")
    return charged(gateway)[who]


def headers(who: str) -> dict[str, str]:
    (choice, model), *others = MODELS.items()
    return {
        "x-test-id": who,
        "x-mse-consumer": who,
        "x-ai-prompt-tokens": str(QUESTION_TOKENS),
        "x-ai-provider": choice,
        "x-ai-model": model,
        "x-ai-cluster": choice,
        "x-ai-fallbacks": ",".join(f"{provider}/{model}" for provider, model in others),
    }


def body(stream: bool) -> dict[str, object]:
    said = {"messages": [{"role": "user", "content": QUESTION}], "max_tokens": MAX_TOKENS}
    return said | {"model": MODELS["openai"], "stream": stream}


def the_only_request(gateway: RunningGateway, provider: str) -> SeenRequest:
    [seen] = gateway.providers[provider].requests()
    return seen


def lifetimes(gateway: RunningGateway, limit: str) -> dict[str, int]:
    """Return what each account of a limit was ever charged; idle ones are closed, and not among them."""
    return {subject: account.lifetime_nano_usd for subject, account in accounts(gateway, limit).items()}


FAULTS: dict[str, dict[str, object]] = {
    "503": {"status": 503},
    "429": {"status": 429, "retry_after_s": 0},
    "401": {"status": 401},
    "reset": {"reset": True},
    "timeout": {"hang": True},
}
FORMS = {"chat": (CHAT, False), "chat stream": (CHAT, True), "messages stream": (MESSAGES, True)}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("fault", FAULTS)
def test_whoever_answers_after_a_fault_is_what_is_charged(
    gateway: RunningGateway, fault: str, form: str
) -> None:
    path, stream = FORMS[form]
    who = f"{fault} {form}"
    gateway.providers["openai"].set_fault(**FAULTS[fault])
    before = {limit: lifetimes(gateway, limit) for limit in ("model", "provider")}
    everybody_before = lifetime(gateway, "all")

    answered = ask(gateway, who, path=path, stream=stream)

    assert (answered.status, answered.headers["x-ai-attempts"]) == (200, "2")
    assert answered.headers["x-ai-provider"] == "anthropic"
    assert answered.headers["x-ai-model"] == "claude-haiku"
    assert the_only_request(gateway, "openai").usage is None
    cost = price_of(the_only_request(gateway, "anthropic"))
    dearest = price("gemini-flash", Usage(QUESTION_TOKENS, MAX_TOKENS))
    assert answered.headers["x-ai-budget-remaining"] == usd(LIMIT_USD * 10**9 - dearest)
    assert answered.record["model"] == "anthropic/claude-haiku"
    assert answered.record["basis"] == "reported"
    assert answered.record["charged_nano_usd"] == cost
    assert answered.record["reserved_nano_usd"] == dearest
    assert accounts(gateway)[who].spent_nano_usd == cost
    assert lifetime(gateway, "all") - everybody_before == cost
    for limit, payer in (("model", "claude-haiku"), ("provider", "anthropic")):
        paid = {
            subject: nano_usd - before[limit].get(subject, 0)
            for subject, nano_usd in lifetimes(gateway, limit).items()
        }
        assert {subject: nano_usd for subject, nano_usd in paid.items() if nano_usd} == {payer: cost}


def test_a_third_attempt_is_paid_like_a_second(gateway: RunningGateway) -> None:
    gateway.providers["openai"].set_fault(status=503)
    gateway.providers["anthropic"].set_fault(hang=True)

    answered = ask(gateway, "third", stream=True)

    assert (answered.status, answered.headers["x-ai-attempts"]) == (200, "3")
    assert answered.record["model"] == "google/gemini-flash"
    assert accounts(gateway)["third"].spent_nano_usd == price_of(the_only_request(gateway, "google"))


@pytest.mark.parametrize(
    ("status", "faults"),
    [
        (503, {"openai": {"status": 500}, "anthropic": {"status": 502}, "google": {"status": 503}}),
        (504, {"openai": {"hang": True}, "anthropic": {"reset": True}, "google": {"hang": True}}),
    ],
    ids=["errors", "silence"],
)
def test_where_nobody_answers_nothing_is_charged(
    gateway: RunningGateway, faults: dict[str, dict[str, object]], status: int
) -> None:
    for provider, fault in faults.items():
        gateway.providers[provider].set_fault(**fault)
    who = f"nobody {status}"

    answered = ask(gateway, who)

    assert (answered.status, answered.headers["x-ai-attempts"]) == (status, "3")
    assert (answered.record["basis"], answered.record["charged_nano_usd"]) == ("nothing", 0)
    assert who not in accounts(gateway)


def test_a_stream_that_breaks_off_is_not_tried_again_and_costs_what_was_seen_of_it(
    gateway: RunningGateway,
) -> None:
    gateway.providers["openai"].set_fault(cut_after_bytes=2_500)

    answered = ask(gateway, "broken off", stream=True)

    assert answered.record["model"] == "openai/gpt-4.1-mini"
    assert answered.record["basis"] == "counted"
    seen = the_only_request(gateway, "openai")
    assert answered.record["charged_nano_usd"] == price_of(seen) > 0
    assert gateway.providers["anthropic"].requests_in_all() == 0
    assert accounts(gateway)["broken off"].spent_nano_usd == price_of(seen)


LOST: dict[str, tuple[bool, dict[str, object], int]] = {
    "cut": (False, {"cut_after_bytes": 100}, 25),
    "malformed": (False, {"malformed": True}, -1),
    "silent stream": (True, {"first_token_ms": 3_000}, 0),
}
"""Whether it is a stream, the fault, and the tokens that came; -1: as many as there were bytes for."""


@pytest.mark.parametrize("name", LOST)
def test_an_answer_that_broke_before_the_caller_saw_it_costs_its_question_and_what_had_come(
    gateway: RunningGateway, name: str
) -> None:
    stream, fault, tokens = LOST[name]
    gateway.providers["openai"].set_fault(**fault)
    before = lifetimes(gateway, "model")

    answered = ask(gateway, name, stream=stream)

    assert answered.headers["x-ai-provider"] == "anthropic"
    lost = the_only_request(gateway, "openai")
    assert lost.status == 200
    tokens = -(-lost.bytes_sent // 4) if tokens < 0 else tokens
    lost_cost = price("gpt-4.1-mini", Usage(QUESTION_TOKENS, tokens))
    cost = price_of(the_only_request(gateway, "anthropic"))
    assert answered.record["lost"] == [{"model": "openai/gpt-4.1-mini", "charged_nano_usd": lost_cost}]
    assert answered.record["charged_nano_usd"] == lost_cost + cost
    assert accounts(gateway)[name].spent_nano_usd == lost_cost + cost
    after = lifetimes(gateway, "model")
    assert after["claude-haiku"] - before.get("claude-haiku", 0) == cost
    assert after["gpt-4.1-mini"] - before.get("gpt-4.1-mini", 0) == lost_cost


def test_while_nobody_has_answered_the_dearest_is_reserved_wherever_it_may_be_paid_from(
    gateway: RunningGateway,
) -> None:
    gateway.providers["openai"].set_fault(hang=True)
    dearest = price("gemini-flash", Usage(QUESTION_TOKENS, MAX_TOKENS))
    with ThreadPoolExecutor(1) as pool:
        answered = pool.submit(ask, gateway, "silent")
        deadline = time.monotonic() + IDLE_S / 2
        while gateway.providers["openai"].requests_in_all() == 0:
            assert time.monotonic() < deadline
            time.sleep(0.01)

        assert accounts(gateway)["silent"].reserved_nano_usd == dearest
        for limit, payers in (("model", MODELS.values()), ("provider", MODELS)):
            found = accounts(gateway, limit)
            assert all(found[payer].reserved_nano_usd == dearest for payer in payers)
        assert not answered.done()
        assert answered.result().record["model"] == "anthropic/claude-haiku"


def test_a_caller_who_leaves_pays_whoever_was_asked_last(gateway: RunningGateway) -> None:
    gateway.providers["openai"].set_fault(status=503)
    gateway.providers["anthropic"].set_fault(hang=True)
    dearest = price("gemini-flash", Usage(QUESTION_TOKENS, MAX_TOKENS))

    with pytest.raises(requests.exceptions.Timeout):
        requests.post(gateway.base_url + CHAT, headers=headers("left"), json=body(False), timeout=IDLE_S / 2)

    record = record_of(gateway, "left")
    asked = price("claude-haiku", Usage(QUESTION_TOKENS, 0))
    assert (record["model"], record["basis"]) == ("anthropic/claude-haiku", "counted")
    assert (record["charged_nano_usd"], record["reserved_nano_usd"]) == (asked, dearest)


def test_what_only_the_choice_can_be_paid_for_is_not_sent_to_others(budget_module: Path) -> None:
    choice = price("gpt-4.1-mini", Usage(QUESTION_TOKENS, MAX_TOKENS))
    limits: list[dict[str, object]] = [{"name": "each", "limit_usd": usd(choice)}]
    with running_gateway(chain(limits) | {BREAKER: ATTEMPTS}, module=budget_module, workers=2) as gateway:
        gateway.providers["openai"].set_fault(status=503)

        failed = ask(gateway, "poor")
        gateway.providers["openai"].set_fault()
        answered = requests.post(
            gateway.base_url + CHAT, headers=headers("poor") | {"x-test-id": ""}, json=body(False)
        )

        assert (failed.status, failed.headers["x-ai-attempts"]) == (503, "1")
        assert failed.record["charged_nano_usd"] == 0
        assert answered.status_code == 200, "what failed has cost nothing"
        assert gateway.providers["anthropic"].requests_in_all() == 0
        assert metric(gateway, "reduced") == 2
        assert json.loads(answered.content)["model"] == "gpt-4.1-mini"
