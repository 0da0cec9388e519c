"""What goes wrong with these commands."""

__all__ = ["BudgetError"]


class BudgetError(RuntimeError):
    """Something cannot be done; the message is a sentence for the operator."""
