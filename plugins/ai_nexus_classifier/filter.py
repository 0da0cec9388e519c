"""Classify every request to a model, and hand the result on as signals."""

from ai_nexus_classifier.config import Config
from ai_nexus_classifier.intake import examine, too_large, wants_body
from aigateway.refusals import InvalidRequestError, Refusal
from aigateway.signals import forgeable
from proxywasm import CONTINUE, Continue, HttpFilter, Reply, Request, plugin


@plugin("ai-nexus-classifier", config=Config.from_json, on_error="open")
class Classifier(HttpFilter[Config]):
    """Adapts `examine` to a proxy."""

    async def on_request_headers(self, request: Request) -> Continue | Reply:
        """Remove forged signals, then wait for the body and set the true ones."""
        headers = request.headers
        for name in forgeable(headers):
            del headers[name]
        path = headers.get(":path", "")
        wanted = wants_body(
            headers.get(":method", ""), path, headers.get("content-type"), headers.get("content-encoding")
        )
        if not wanted or request.end_of_stream:
            return CONTINUE
        body = await request.body.read()
        if len(body) > self.config.max_body_bytes:
            refusal = too_large(path, self.config)
            return CONTINUE if refusal is None else _reply(refusal)
        try:
            values = examine(path, body, self.config)
        except InvalidRequestError as error:
            return _reply(error.refusal)
        for name, value in values.items():
            headers[name] = value
        return CONTINUE


def _reply(refusal: Refusal) -> Reply:
    return Reply.json(refusal.status, refusal.to_json())
