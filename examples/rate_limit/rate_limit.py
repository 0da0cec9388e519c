"""Let each caller through a number of times per minute, counted over all workers of the proxy."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from proxywasm import CONTINUE, HttpFilter, Outcome, Reply, Request, plugin

MINUTE_S = 60


@dataclass(frozen=True, slots=True)
class Config:
    """How often, and which header says who it is."""

    requests_per_minute: int
    caller_header: str = "x-caller"

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Config":
        """Read the settings; ValueError for a limit that is none."""
        limit = data.get("requests_per_minute")
        if not isinstance(limit, int) or limit < 1:
            raise ValueError(f"requests_per_minute: expected a whole number above 0, got {limit!r}")
        return cls(limit, data.get("caller_header", "x-caller"))


@plugin("rate-limit", config=Config.from_json, on_error="closed")
class RateLimit(HttpFilter[Config]):
    """Counts in shared data with compare-and-swap, so that no two workers lose a request between them."""

    def on_request_headers(self, request: Request) -> Outcome:
        """Count this request, and refuse it when it is one too many."""
        caller = request.headers.get(self.config.caller_header, "anonymous")
        minute = int(self.now()) // MINUTE_S
        # The minute is part of the value: keys cannot be deleted, so there must not be one per minute.
        value = self.shared.update(f"rate/{caller}", lambda old: _counted(old, minute))
        if json.loads(value)["count"] > self.config.requests_per_minute:
            retry_after = MINUTE_S - int(self.now()) % MINUTE_S
            return Reply.error(
                429,
                f"More than {self.config.requests_per_minute} requests in a minute.",
                headers={"retry-after": str(retry_after)},
            )
        return CONTINUE


def _counted(old: bytes | None, minute: int) -> bytes:
    counter = json.loads(old) if old else {}
    count = counter["count"] if counter.get("minute") == minute else 0
    return json.dumps({"minute": minute, "count": count + 1}).encode()
