"""The router: from a situation and what is known to a model."""

from collections.abc import Mapping

from .choice import Choice
from .config import Config
from .situation import Draw, Knowledge, Situation

__all__ = ["Router"]


class Router:
    """Chooses models by one configuration.

    It remembers what it has computed, and, for strategies that take turns, whose turn it is: so keep one for
    as long as its configuration lasts.
    """

    def __init__(self, config: Config) -> None:
        self._config = config

    def choose(self, situation: Situation, knowledge: Knowledge, draw: Draw) -> Choice:
        """Choose a model for a request, or raise `RefusedError` with what its sender should be told.

        The same situation, knowledge and draws give the same choice, but for the strategies that take turns.
        """
        raise NotImplementedError

    def begin(self, model: str) -> None:
        """Note that a request was sent to *model*, as `provider/name`, for the strategy `least_requests`."""
        raise NotImplementedError

    def end(self, model: str) -> None:
        """Note that a request to *model* that began has ended, however it did."""
        raise NotImplementedError


def headers(choice: Choice) -> Mapping[str, str]:
    """Write a choice as the request headers that Envoy routes by and that other plugins read."""
    raise NotImplementedError
