"""What the two filters tell each other of a request: whose turn it is, and what has been tried.

The downstream filter writes an `Attempt` before the first one leaves. The upstream filter, of which there is
a new object for each attempt, reads it, and writes it again when it has settled the attempt or chosen the
next. It is a property of the stream, so the two may be in different VMs.
"""

import json
from dataclasses import dataclass, replace
from typing import Any, Final

from aigateway.chat import Format

from .breaker import NO_PERMIT, Permit

__all__ = ["ATTEMPT", "NEXT_CLUSTER", "Attempt", "decode_attempt", "encode_attempt"]

ATTEMPT: Final = "ai_nexus.attempt"
"""The property with the attempt."""

NEXT_CLUSTER: Final = "ai_nexus.next"
"""The property with the cluster that the next attempt goes to; the routes follow it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt: under way, settled, or chosen and not yet begun."""

    number: int
    """From 1 on, as Envoy counts."""
    tried: tuple[str, ...]
    """The names of all targets so far, this one last; empty if nobody was left for this attempt."""
    permit: Permit = NO_PERMIT
    is_settled: bool = False
    """Whether the breaker has been told."""
    format: Format | None = None
    began_s: float = 0.0
    """When the first attempt was sent, in epoch seconds."""
    limit_s: float = 0.0
    """How long each attempt may take to begin its answer; 0: for ever."""
    prompt_tokens: int = 0
    max_tokens: int | None = None
    """The limit of the output that the request sets."""
    failed: tuple[str, ...] = ()
    """Those of `tried` who are to blame for that there is another attempt."""
    spent_nano_usd: int = 0
    """What the attempts before this one may have cost."""
    path_prefix: str = ""
    """What stands in the path for `/v1` since the attempt before; empty if it still is `/v1`."""
    status: int = 0
    """The status of an answer that was given another to be retried; 0 if there was none."""
    cause: str = ""
    """What ended the attempt before."""
    wait_s: int = 0
    """If nobody was left: in how many seconds to ask again."""

    def settled(self) -> "Attempt":
        """Give this one, of which the breaker knows."""
        return replace(self, is_settled=True)

    def after(
        self,
        tried: tuple[str, ...],
        cause: str,
        *,
        permit: Permit = NO_PERMIT,
        failed: tuple[str, ...] = (),
        spent_nano_usd: int = 0,
        path_prefix: str = "",
        status: int = 0,
        wait_s: int = 0,
    ) -> "Attempt":
        """Give the one that comes next."""
        return Attempt(
            number=self.number + 1,
            tried=tried,
            permit=permit,
            format=self.format,
            began_s=self.began_s,
            limit_s=self.limit_s,
            prompt_tokens=self.prompt_tokens,
            max_tokens=self.max_tokens,
            failed=failed,
            spent_nano_usd=spent_nano_usd,
            path_prefix=path_prefix,
            status=status,
            cause=cause,
            wait_s=wait_s,
        )


def encode_attempt(attempt: Attempt) -> bytes:
    """Write *attempt* as JSON."""
    members = (
        attempt.number,
        attempt.tried,
        attempt.permit.generation,
        attempt.permit.probe,
        attempt.is_settled,
        attempt.format,
        attempt.began_s,
        attempt.limit_s,
        attempt.prompt_tokens,
        attempt.max_tokens,
        attempt.failed,
        attempt.spent_nano_usd,
        attempt.path_prefix,
        attempt.status,
        attempt.cause,
        attempt.wait_s,
    )
    return _ENCODER.encode(members).encode()


def decode_attempt(value: bytes | None) -> Attempt | None:
    """Read an attempt; `None` for what is none."""
    if not value:
        return None
    try:
        members: Any = json.loads(value)
        number, tried, generation, probe, settled, format, began_s, *rest = members
        limit_s, prompt_tokens, max_tokens, failed, spent, prefix, status, cause, wait_s = rest
        return Attempt(
            number=int(number),
            tried=tuple(tried),
            permit=Permit(int(generation), int(probe)),
            is_settled=bool(settled),
            format=Format(format) if format else None,
            began_s=float(began_s),
            limit_s=float(limit_s),
            prompt_tokens=int(prompt_tokens),
            max_tokens=None if max_tokens is None else int(max_tokens),
            failed=tuple(failed),
            spent_nano_usd=int(spent),
            path_prefix=str(prefix),
            status=int(status),
            cause=str(cause),
            wait_s=int(wait_s),
        )
    except (TypeError, ValueError):
        return None


_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
