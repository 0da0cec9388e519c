"""What a decision comes to: a model with its fallbacks, or a refusal."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aigateway.catalog import Model
from aigateway.refusals import Refusal

__all__ = ["Choice", "RefusedError"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The model that a request goes to."""

    model: Model
    fallbacks: tuple[Model, ...]
    """What to try next, in this order, at most three; other providers first."""
    strategy: str
    """Who chose: a strategy, or `explicit` for a model that the request named."""
    reason: str
    """One short line for people: visible ASCII, at most 256 characters."""
    estimated_cost_nano_usd: int
    make_record: Callable[[], Mapping[str, object]]
    """Gives the audit record, made of JSON values, from which `replay` comes to the same choice."""


class RefusedError(Exception):
    """No model may answer this request; *refusal* is what its sender should be told."""

    def __init__(self, refusal: Refusal, retry_after_s: int | None = None) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal
        self.retry_after_s = retry_after_s
        """For the header Retry-After: when asking again may help."""
