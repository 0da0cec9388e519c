"""What the tests of the budget guard read: its accounts, what it says that it charged, and its metrics."""

import json
import time
from collections.abc import Callable, Mapping

import requests

from ai_budget_guard.accounts import Account
from ai_budget_guard.owners import Roll, decode_roll
from ai_budget_guard.slots import closed_nano_usd, every_account
from aigateway.catalog import DEFAULT_CATALOG
from aigateway.usage import Usage
from nexus.controls import SeenRequest
from nexus.testing import RunningGateway

__all__ = [
    "GUARD",
    "SLOTS",
    "accounts",
    "chain",
    "charged",
    "lifetime",
    "metric",
    "owners",
    "price",
    "price_of",
    "wait_until",
]

GUARD = "ai-budget-guard"
SLOTS = 8
METRICS = "wasmcustom.ai_budget_guard"


def chain(limits: list[dict[str, object]], **more: object) -> dict[str, Mapping[str, object]]:
    """Return the guard, and before it the filter that shows its ledger."""
    config = {"limits": limits, "slots": SLOTS, "prompt_margin_percent": 0} | more
    return {"ledger": {"slots": SLOTS}, GUARD: config}


def accounts(gateway: RunningGateway, limit: str = "each") -> dict[str, Account]:
    """Return the accounts of a limit that are open, by their subjects."""
    return dict(account for slot in _slots(gateway, limit) for account in every_account(slot or None))


def lifetime(gateway: RunningGateway, limit: str) -> int:
    """Return everything that was ever charged under a limit."""
    slots = _slots(gateway, limit)
    opened = (account for slot in slots for _, account in every_account(slot or None))
    return sum(map(closed_nano_usd, slots)) + sum(account.lifetime_nano_usd for account in opened)


def owners(gateway: RunningGateway) -> Roll:
    """Return who has reserved something, and who was given up."""
    return decode_roll(requests.get(f"{gateway.base_url}/__owners", timeout=10).content)


def price(model: str, usage: Usage) -> int:
    """Return what *usage* costs, in nano-USD."""
    found = DEFAULT_CATALOG.find(model)
    assert found is not None
    return found.prices.cost(usage)


def price_of(seen: SeenRequest) -> int:
    """Return what a provider's log says that an answer costs, in nano-USD."""
    assert seen.usage is not None
    usage = Usage(seen.usage["prompt_tokens"], seen.usage["completion_tokens"])
    return price(json.loads(seen.body or b"{}")["model"], usage)


def metric(gateway: RunningGateway, name: str) -> int:
    """Return a metric of the guard; 0 if it does not exist yet."""
    return gateway.admin.stats(f"{METRICS}.{name}").get(f"{METRICS}.{name}", 0)


def wait_until(holds: Callable[[], bool], what: str, *, for_s: float = 10) -> None:
    """Wait for what happens a moment later."""
    deadline = time.monotonic() + for_s
    while not holds():
        assert time.monotonic() < deadline, f"it is not so after {for_s} s: {what}"
        time.sleep(0.02)


def charged(gateway: RunningGateway) -> dict[str, dict[str, object]]:
    """Return what the guard says that it charged, by the id of the request; nothing if it never reserved."""
    found: dict[str, dict[str, object]] = {}
    for line in gateway.logs:
        _, mark, rest = line.partition("charged test_id=")
        if mark:
            test_id, _, record = rest.partition(" record=")
            text = record[: record.rfind("}") + 1]
            assert test_id not in found, f"{test_id} was settled twice"
            found[test_id] = json.loads(text) if text else {}
    return found


def _slots(gateway: RunningGateway, limit: str) -> list[bytes]:
    return requests.get(f"{gateway.base_url}/__ledger/{limit}", timeout=10).content.split(b"\0")
