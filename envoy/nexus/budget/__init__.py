"""What operators do with the accounts of `ai-budget-guard` that are kept in Redis: look, correct, export.

They talk to Redis themselves, whatever way gateways take there. No command waits for a gateway, and none
takes a lease away from one that lives.
"""

from .command import add_budget_command
from .errors import BudgetError

__all__ = ["BudgetError", "add_budget_command"]
