"""What a request demands of whoever answers it: how much at most, and how soon."""

from dataclasses import dataclass

from aigateway.chat import Need
from aigateway.intake import Asked, asked_in, read_body, too_large
from aigateway.refusals import InvalidRequestError

from .config import Config

__all__ = ["LONGEST_BODY", "Demand", "read_demand"]

LONGEST_BODY = 4_194_304
"""Of a longer body nothing is known, unless an earlier plugin has read it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What matters of a request for attempts at it; this one is of a request that nothing is known of."""

    prompt_tokens: int = 0
    max_tokens: int | None = None
    """The limit of the output that it sets."""
    is_streamed: bool = False
    """Whether the answer is to be a stream."""

    @classmethod
    def of(cls, asked: Asked) -> "Demand":
        """Pick it from what a request asks for."""
        return cls(
            prompt_tokens=asked.prompt_tokens,
            max_tokens=asked.max_tokens,
            is_streamed=Need.STREAM in asked.needs,
        )

    def limit_s(self, config: Config) -> float:
        """Say how long an attempt may take to begin its answer; 0: for ever.

        A stream begins with its first event, and an answer in one piece when it is complete.
        """
        own_s = config.limits.first_token_s if self.is_streamed else config.limits.answer_s
        limits = (own_s, config.surroundings.timeout_s, config.bounds.deadline_s)
        return min((limit for limit in limits if limit), default=0.0)


def read_demand(path: str, body: bytes) -> Demand:
    """Read what a body demands; what no model could answer demands nothing."""
    if too_large(len(body), LONGEST_BODY):
        return Demand()
    try:
        request = read_body(path, body)
    except InvalidRequestError:
        return Demand()
    return Demand() if request is None else Demand.of(asked_in(request))
