"""The plugin `ai-nexus-classifier`: classifies requests to models, and hands the result on as signals."""

from aigateway import signals
from aigateway.refusals import InvalidRequestError, Refusal
from proxywasm import CONTINUE, HttpFilter, Outcome, Reply, Request, plugin

from .config import Config
from .intake import examine, too_large, wants_body

_METRICS = "ai_nexus_classifier"

FORGEABLE_BEGINNINGS = ("x-ai-", "x-higress-llm-")
"""How each name begins that `signals.forgeable` may pick: most requests have none, which is soon known."""


@plugin("ai-nexus-classifier", config=Config.from_json, on_error="open")
class Classifier(HttpFilter[Config]):
    """Reads requests for `examine` and writes its answer into their headers.

    Counters: `ai_nexus_classifier.<domain>.<latency>` for what was classified, `.passed` for what was read
    and is no request to a model, and `.refused`.
    """

    async def on_request_headers(self, request: Request) -> Outcome:
        """Remove forged signals, then wait for the body and set the true ones."""
        headers = request.headers
        forged = signals.forgeable(headers.starting_with(*FORGEABLE_BEGINNINGS))
        path = request.path
        wanted = wants_body(
            request.method, path, headers.get("content-type"), headers.get("content-encoding")
        )
        oversized = wanted and self._is_oversized(headers.get("content-length", ""))
        for name in forged:
            del headers[name]
        if not wanted:
            return CONTINUE
        body = b"" if oversized else await request.body.read()
        if oversized or len(body) > self.config.max_body_bytes:
            refusal = too_large(path, self.config)
            return self._passed() if refusal is None else self._refused(refusal)
        try:
            values = examine(path, body, self.config)
        except InvalidRequestError as error:
            return self._refused(error.refusal)
        if not values:
            return self._passed()
        headers.update(values)
        self._count(f"{values[signals.DOMAIN]}.{values[signals.LATENCY]}")
        return CONTINUE

    def _is_oversized(self, content_length: str) -> bool:
        return content_length.isdecimal() and int(content_length[:20]) > self.config.max_body_bytes

    def _passed(self) -> Outcome:
        self._count("passed")
        return CONTINUE

    def _refused(self, refusal: Refusal) -> Outcome:
        self._count("refused")
        return Reply.json(refusal.status, refusal.to_json(), details=refusal.code or "")

    def _count(self, what: str) -> None:
        self.metrics.counter(f"{_METRICS}.{what}").increment()
