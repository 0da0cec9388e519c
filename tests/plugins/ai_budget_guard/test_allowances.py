"""Which accounts a request is on."""

from ai_budget_guard.allowances import allowances_for, allowances_of_caller
from ai_budget_guard.limits import Limit, Per, Spender
from aigateway.catalog import DEFAULT_CATALOG

LIMITS = tuple(
    Limit(name=per.value, per=per, header="x-team", nano_usd=10, is_shadow=per is Per.ALL) for per in Per
)
SPENDER = Spender(consumer="alice", headers={"x-team": "red"}, domain="code")
GPT, MINI, SONNET = DEFAULT_CATALOG.models[:3]


def test_everyone_who_may_answer_must_have_room() -> None:
    found = allowances_for(LIMITS, SPENDER, [GPT, SONNET, MINI], 0)

    assert [(allowance.limit, allowance.subject) for allowance in found] == [
        ("consumer", "alice"),
        ("header", "red"),
        ("model", "gpt-5.5"),
        ("model", "claude-sonnet"),
        ("model", "gpt-4.1-mini"),
        ("provider", "openai"),
        ("provider", "anthropic"),
        ("domain", "code"),
        ("all", ""),
    ]
    payers = {allowance.subject: allowance.pays_for for allowance in found}
    assert payers["alice"] is None
    assert payers["gpt-5.5"] == frozenset({"openai/gpt-5.5"})
    assert payers["openai"] == frozenset({"openai/gpt-5.5", "openai/gpt-4.1-mini"})
    assert [allowance.limit for allowance in found if not allowance.is_enforced] == ["all"]


def test_a_caller_has_accounts_whoever_answers() -> None:
    found = allowances_of_caller(LIMITS, SPENDER, 0)

    assert [allowance.limit for allowance in found] == ["consumer", "header", "domain", "all"]
