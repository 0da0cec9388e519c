"""The plugin `ai-budget-guard`: whether a caller can still pay, and what a call did cost.

    >>> from ai_budget_guard import EMPTY, free, reserve, settle
    >>> from aigateway.windows import TOTAL
    >>> law = {"span": TOTAL.span(0), "parts": TOTAL.parts, "now_s": 0}
    >>> account, reservation = reserve(EMPTY, 400, limit_nano_usd=1_000, owner="me", lasts_s=60, **law)
    >>> account = settle(account, reservation, 250)
    >>> free(account, 1_000, **law)
    750

Importing this package needs no proxy; `ai_budget_guard.filter` is the adapter that runs inside one.
"""

from .accounts import EMPTY, Account, Refused, Reservation, free, renew, reserve, settle
from .books import BusyError
from .bounds import largest_cost
from .config import Config
from .ledger import Allowance, Entry, Ledger, Overdrawn
from .limits import Limit, Per, Spender
from .orders import Order, read_order
from .settlement import Answer, Basis, Settlement, conclude

__all__ = [
    "EMPTY",
    "Account",
    "Allowance",
    "Answer",
    "Basis",
    "BusyError",
    "Config",
    "Entry",
    "Ledger",
    "Limit",
    "Order",
    "Overdrawn",
    "Per",
    "Refused",
    "Reservation",
    "Settlement",
    "Spender",
    "conclude",
    "free",
    "largest_cost",
    "read_order",
    "renew",
    "reserve",
    "settle",
]
