"""Put a header on every request and on every response."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from proxywasm import CONTINUE, HttpFilter, Outcome, Request, Response, plugin


@dataclass(frozen=True, slots=True)
class Config:
    """Which header, and what it says."""

    name: str = "x-hello"
    value: str = "world"

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Config":
        """Take over what is given; ValueError for anything that is not text."""
        for key in ("name", "value"):
            if not isinstance(data.get(key, ""), str):
                raise ValueError(f"{key}: expected text, got {data[key]!r}")
        return cls(**{key: data[key] for key in ("name", "value") if key in data})


@plugin("add-header", config=Config.from_json)
class AddHeader(HttpFilter[Config]):
    """Greets both ways."""

    def on_request_headers(self, request: Request) -> Outcome:
        """Tell the upstream."""
        request.headers[self.config.name] = self.config.value
        return CONTINUE

    def on_response_headers(self, response: Response) -> Outcome:
        """Tell the client."""
        response.headers[self.config.name] = self.config.value
        return CONTINUE
