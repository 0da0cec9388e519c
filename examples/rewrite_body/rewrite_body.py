"""Fill in the model of a chat request that names none, and count how often that was needed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from proxywasm import CONTINUE, HttpFilter, Outcome, Reply, Request, plugin


@dataclass(frozen=True, slots=True)
class Config:
    """The model to fill in."""

    model: str

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Config":
        """Read the one setting; ValueError without it."""
        model = data.get("model")
        if not isinstance(model, str) or not model:
            raise ValueError(f"model: expected the name of a model, got {model!r}")
        return cls(model)


@plugin("rewrite-body", config=Config.from_json)
class RewriteBody(HttpFilter[Config]):
    """Waits for the whole body, and only then lets the request go on."""

    async def on_request_headers(self, request: Request) -> Outcome:
        """Read, change and hand on the body; refuse what is not a JSON object."""
        if request.end_of_stream:
            return CONTINUE
        body = await request.body.read()
        try:
            chat = json.loads(body)
        except ValueError:
            chat = None
        if not isinstance(chat, dict):
            return Reply.error(400, "The body is not a JSON object.")
        if "model" not in chat:
            chat["model"] = self.config.model
            request.body.replace(json.dumps(chat).encode())
            self.metrics.counter("models_filled_in").increment()
        return CONTINUE
