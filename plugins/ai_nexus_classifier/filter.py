"""The plugin `ai-nexus-classifier`: classifies requests to models, and hands the result on as signals."""

from aigateway import signals
from aigateway.intake import announced_bytes, too_large
from aigateway.refusals import InvalidRequestError, Refusal
from proxywasm import CONTINUE, HttpFilter, Outcome, Reply, Request, plugin

from .config import Config
from .intake import examine, refuses_too_large, wants_body

_METRICS = "ai_nexus_classifier"


@plugin("ai-nexus-classifier", config=Config.from_json, on_error="open")
class Classifier(HttpFilter[Config]):
    """Reads requests for `examine` and writes its answer into their headers.

    Counters: `ai_nexus_classifier.<domain>.<latency>` for what was classified, `.passed` for what was read
    and is no request to a model, and `.refused`.
    """

    async def on_request_headers(self, request: Request) -> Outcome:
        """Remove forged signals, then wait for the body and set the true ones."""
        headers, limit = request.headers, self.config.max_body_bytes
        forged = signals.forgeable(headers.starting_with(*signals.FORGEABLE_BEGINNINGS))
        path = request.path
        wanted = wants_body(request.method, path, headers)
        refusal = too_large(announced_bytes(headers), limit) if wanted else None
        for name in forged:
            del headers[name]
        if not wanted:
            return CONTINUE
        body = await request.body.read() if refusal is None else b""
        refusal = refusal or too_large(len(body), limit)
        if refusal is not None:
            return self._refused(refusal) if refuses_too_large(path, self.config) else self._passed()
        try:
            values = examine(path, body, self.config)
        except InvalidRequestError as error:
            return self._refused(error.refusal)
        if not values:
            return self._passed()
        headers.update(values)
        self._count(f"{values[signals.DOMAIN]}.{values[signals.LATENCY]}")
        return CONTINUE

    def _passed(self) -> Outcome:
        self._count("passed")
        return CONTINUE

    def _refused(self, refusal: Refusal) -> Outcome:
        self._count("refused")
        return Reply.json(refusal.status, refusal.to_json(), details=refusal.code or "")

    def _count(self, what: str) -> None:
        self.metrics.counter(f"{_METRICS}.{what}").increment()
