"""Filters that choose a provider as a router does, and that show which configuration holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from proxywasm import CONTINUE, HttpFilter, Outcome, Request, Response, plugin


@plugin("chooser")
class Chooser(HttpFilter[None]):
    """Sends a request to the provider that its header ``x-want`` names."""

    def on_request_headers(self, request: Request) -> Outcome:
        """Choose, if asked to."""
        wanted = request.headers.get("x-want")
        if wanted:
            request.headers["x-ai-cluster"] = wanted
            request.headers["x-ai-provider"] = wanted
            self.properties.set("ai_nexus.router", f'{{"chosen": "{wanted}"}}')
        return CONTINUE


@dataclass(frozen=True, slots=True)
class Config:
    """What the probe tells the client."""

    mark: str

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Config":
        """Read the mark; ValueError for anything that is not text."""
        mark = data.get("mark")
        if not isinstance(mark, str):
            raise ValueError(f"mark: expected text, got {mark!r}")
        return cls(mark)


@plugin("probe", config=Config.from_json)
class Probe(HttpFilter[Config]):
    """Marks answers with its configuration, and counts requests in shared data and in a metric."""

    def on_request_headers(self, request: Request) -> Outcome:
        """Count."""
        self._count = self.shared.update("probe/requests", lambda old: str(int(old or b"0") + 1).encode())
        self.metrics.counter("probe.requests").increment()
        return CONTINUE

    def on_response_headers(self, response: Response) -> Outcome:
        """Tell the client."""
        response.headers["x-mark"] = self.config.mark
        response.headers["x-count"] = self._count.decode()
        return CONTINUE
