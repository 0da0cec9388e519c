"""What a request did cost, and who pays."""

from typing import Literal

import pytest

from ai_budget_guard.accounts import Reservation
from ai_budget_guard.ledger import Allowance, Entry
from ai_budget_guard.orders import Order
from ai_budget_guard.settlement import Answer, Basis, conclude, lost_costs, shares, who_answered
from aigateway.chat import Format
from aigateway.lost_answers import LostAnswer
from aigateway.models import Model, Prices
from aigateway.usage import Usage
from aigateway.windows import TOTAL


def model(name: str, provider: str, price: int, cluster: str | None = None) -> Model:
    return Model(
        name=name,
        provider=provider,
        cluster=cluster or provider,
        upstream_name=name,
        prices=Prices(input=price, output=10 * price, cached_input=price, cache_write=price),
        quality=0.5,
        context_window_tokens=1_000,
    )


CHEAP, DEAR, OTHER = model("cheap", "a", 1), model("dear", "b", 100), model("cheap", "c", 7)
ORDER = Order(format=Format.CHAT, models=(CHEAP, DEAR), input_tokens=30, members={})
RESERVED = 99_999


class Reading:
    def __init__(self, reported: Usage | None) -> None:
        self._reported = reported

    def finish(self) -> Usage | None:
        return self._reported

    def so_far(self, *, input_tokens: int) -> Usage:
        return Usage(input_tokens, 4)


REPORTED = Reading(Usage(20, 5))
SILENT = Reading(None)


@pytest.mark.parametrize(
    ("answer", "nano_usd", "basis"),
    [
        (Answer(was_sent=False), 0, Basis.NOTHING),
        (Answer(was_sent=True), 30, Basis.COUNTED),
        (Answer(was_sent=True, status=503, is_local=True), 0, Basis.NOTHING),
        (Answer(was_sent=True, status=200, is_local=True), 0, Basis.NOTHING),
        (Answer(was_sent=True, status=200, reading=REPORTED), 20 + 50, Basis.REPORTED),
        (Answer(was_sent=True, status=500, reading=REPORTED), 20 + 50, Basis.REPORTED),
        (Answer(was_sent=True, status=200, reading=SILENT), 30 + 40, Basis.COUNTED),
        (Answer(was_sent=True, status=404, reading=SILENT), 0, Basis.NOTHING),
        (Answer(was_sent=True, status=302, reading=SILENT), 0, Basis.NOTHING),
        (Answer(was_sent=True, status=200), RESERVED, Basis.RESERVED),
        (Answer(was_sent=True, status=400), 0, Basis.NOTHING),
    ],
)
def test_each_end_has_its_price(answer: Answer, nano_usd: int, basis: Basis) -> None:
    settlement = conclude(ORDER, answer, CHEAP, reserved_nano_usd=RESERVED, on_missing_usage="count")

    assert (settlement.nano_usd, settlement.basis) == (nano_usd, basis)


@pytest.mark.parametrize(("mode", "nano_usd"), [("count", 70), ("charge_reserved", RESERVED)])
def test_what_is_not_reported_costs_what_is_configured(
    mode: Literal["count", "charge_reserved"], nano_usd: int
) -> None:
    answer = Answer(was_sent=True, status=200, reading=SILENT)

    assert (
        conclude(ORDER, answer, CHEAP, reserved_nano_usd=RESERVED, on_missing_usage=mode).nano_usd == nano_usd
    )


@pytest.mark.parametrize(
    ("name", "provider", "cluster", "expected"),
    [
        (None, None, None, CHEAP),
        (None, None, "a", CHEAP),
        (None, None, "b", DEAR),
        (None, None, "elsewhere", CHEAP),
        ("dear", None, "a", DEAR),
        ("dear", "b", "a", DEAR),
        ("cheap", "c", "a", OTHER),
        ("cheap", "x", "b", CHEAP),
        ("unknown", "x", "b", CHEAP),
    ],
)
def test_who_answered_is_found(
    name: str | None, provider: str | None, cluster: str | None, expected: Model
) -> None:
    headers = {"x-ai-model": name, "x-ai-provider": provider}

    assert who_answered((CHEAP, DEAR, OTHER), headers, cluster) is expected


def test_only_the_account_of_who_answered_pays() -> None:
    def entry(limit: str, *keys: str) -> Entry:
        allowance = Allowance(
            limit=limit,
            subject="",
            nano_usd=1,
            window=TOTAL,
            pays_for=frozenset(keys) if keys else None,
        )
        return Entry(allowance, Reservation("me", 0, 60, 5), 5)

    entries = [entry("all"), entry("cheap", "a/cheap", "c/cheap"), entry("dear", "b/dear")]

    assert [amount for _, amount in shares(entries, [(DEAR, 40)])] == [40, 0, 40]
    assert [amount for _, amount in shares(entries, [(CHEAP, 40)])] == [40, 40, 0]
    assert [amount for _, amount in shares(entries, [(DEAR, 7), (CHEAP, 40)])] == [47, 40, 7]


def test_answers_that_nobody_saw_cost_their_input_and_what_had_come() -> None:
    lost = [LostAnswer(DEAR.key, 0), LostAnswer(CHEAP.key, 9), LostAnswer("who/knows", 400)]

    costs = lost_costs(ORDER, lost)

    assert costs == [
        (DEAR, DEAR.prices.cost(Usage(ORDER.input_tokens, 0))),
        (CHEAP, CHEAP.prices.cost(Usage(ORDER.input_tokens, 3))),
    ]
