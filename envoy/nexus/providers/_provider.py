"""One fake provider as an aiohttp application."""

import asyncio
import hashlib
import time
from dataclasses import dataclass

from aiohttp import web

from ._answers import Answer, compose
from ._dialects import DIALECTS, AskError
from ._faults import Fault, FaultBox, fault_as_json, parse_fault
from ._journal import REQUESTS_KEPT, Exchange, Journal
from ._replies import error_reply, fault_reply, load_json, malformed_reply
from ._sending import ConnectionEndedError, Sender, usage

LARGEST_BODY_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class FakeProvider:
    """A fake provider's name, and the models it lists; it answers to any other model name as well."""

    name: str
    models: tuple[str, ...]


class ProviderApp:
    """The state and the handlers of one fake provider."""

    def __init__(self, provider: FakeProvider) -> None:
        self._provider = provider
        self._journal = Journal()
        self._faults = FaultBox()
        self._dialects = {dialect.path: dialect for dialect in DIALECTS}

    def application(self) -> web.Application:
        """Return the application that serves this provider."""
        app = web.Application(client_max_size=LARGEST_BODY_BYTES)
        app.router.add_get("/__requests", self._list_requests)
        app.router.add_delete("/__requests", self._clear_requests)
        app.router.add_get("/__faults", self._show_fault)
        app.router.add_post("/__faults", self._set_fault)
        app.router.add_get("/health", self._health)
        app.router.add_route("*", "/{path:.*}", self._api)
        return app

    async def _list_requests(self, request: web.Request) -> web.Response:
        last = request.query.get("last", str(REQUESTS_KEPT))
        if not last.isdecimal():
            return error_reply(400, f"last: expected a number of requests, got {last[:60]!r}", param="last")
        return web.json_response(self._journal.as_json(int(last)))

    async def _clear_requests(self, request: web.Request) -> web.Response:
        return web.json_response({"cleared": self._journal.clear()})

    async def _show_fault(self, request: web.Request) -> web.Response:
        return web.json_response(self._faults.as_json())

    async def _set_fault(self, request: web.Request) -> web.Response:
        try:
            self._faults.set(parse_fault(load_json(await request.read())))
        except ValueError as error:  # A FaultError is one too.
            return error_reply(400, str(error))
        return web.json_response(self._faults.as_json())

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "provider": self._provider.name})

    async def _api(self, request: web.Request) -> web.StreamResponse:
        """Answer everything that is not about the provider itself, and write down what became of it."""
        exchange = self._journal.open(
            time_s=time.time(), method=request.method, path=request.path_qs, headers=request.raw_headers
        )
        try:
            response = await self._exchange(request, exchange)
        except ConnectionEndedError:
            # aiohttp cancels this handler once it has noticed that the connection is gone.
            await asyncio.Event().wait()
            raise
        except (asyncio.CancelledError, ConnectionError):
            exchange.ended = exchange.ended or "client_aborted"
            raise
        exchange.ended = "complete"
        return response

    async def _exchange(self, request: web.Request, exchange: Exchange) -> web.StreamResponse:
        """Read the request, then answer it as the fault in force, if any, will have it."""
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            reply = error_reply(413, f"the body is larger than {LARGEST_BODY_BYTES} bytes")
            return await Sender(request, exchange, Fault()).send(reply)
        self._journal.keep_body(exchange, body)
        hit = self._faults.draw()
        if hit is None:
            return await self._answer(request, exchange, body, Fault())
        fault, cleared = hit
        exchange.fault = fault_as_json(fault)
        sender = Sender(request, exchange, fault)
        if fault.reset:
            sender.reset()
        if fault.latency_ms:
            await asyncio.sleep(fault.latency_ms / 1000)
        if fault.hang:
            await cleared.wait()
            sender.abort("released")
        if fault.status is not None:
            return await sender.send(fault_reply(fault, fault.status))
        return await self._answer(request, exchange, body, fault)

    async def _answer(
        self, request: web.Request, exchange: Exchange, body: bytes, fault: Fault
    ) -> web.StreamResponse:
        """Answer as an API would; *fault* may still spoil the answer on its way."""
        sender = Sender(request, exchange, fault)
        if request.method == "GET" and request.path == "/v1/models":
            return await sender.send(self._models())
        dialect = self._dialects.get(request.path)
        if dialect is None:
            reply = error_reply(404, f"no such path: {request.path[:200]}", code="unknown_url")
            return await sender.send(reply)
        if request.method != "POST":
            return await sender.send(error_reply(405, f"{request.path} takes POST"))
        try:
            document = load_json(body)
            if not isinstance(document, dict):
                raise AskError("the body must be a JSON object")
            ask = dialect.read(document)
        except AskError as error:
            return await sender.send(error_reply(400, str(error), param=error.param))
        except ValueError as error:
            return await sender.send(error_reply(400, str(error)))
        answer = compose(self._provider.name, ask.model, body, limit=ask.limit, tokens=fault.answer_tokens)
        if fault.oversized_bytes:
            answer = Answer((*answer.pieces, " " + "x" * fault.oversized_bytes), answer.finish_reason)
        # Equal bodies get equal ids: an answer is a function of its request, but for the time in it.
        ident = hashlib.sha256(body).hexdigest()[:24]
        if ask.stream:
            return await sender.stream(dialect.events(ask, answer, ident, int(time.time())), ask)
        if fault.malformed:
            return await sender.send(malformed_reply())
        exchange.usage = usage(ask, len(answer.pieces))
        return await sender.send(web.json_response(dialect.whole(ask, answer, ident, int(time.time()))))

    def _models(self) -> web.Response:
        owner = self._provider.name
        models = [
            {"id": model, "object": "model", "created": 0, "owned_by": owner}
            for model in self._provider.models
        ]
        return web.json_response({"object": "list", "data": models})
