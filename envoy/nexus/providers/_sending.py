"""How the bytes of a response leave: counted, paced, cut or not at all."""

import asyncio
import socket
import struct
from collections.abc import Iterable
from typing import NoReturn

from aiohttp import web

from ._dialects import Ask, Event
from ._faults import Fault
from ._journal import Ending, Exchange

# With linger on and zero seconds, close() sends RST instead of FIN (socket(7)).
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class ConnectionEndedError(Exception):
    """The connection has been ended on purpose; there is nobody left to answer."""


class Sender:
    """The way out for one response; keeps its exchange up to date while it sends."""

    def __init__(self, request: web.Request, exchange: Exchange, fault: Fault) -> None:
        self._request = request
        self._exchange = exchange
        self._fault = fault

    async def send(self, reply: web.Response) -> web.StreamResponse:
        """Send a response that is known as a whole."""
        body = reply.body if isinstance(reply.body, bytes) else b""
        self._exchange.status = reply.status
        if self._fault.cut_after_bytes is None:
            await reply.prepare(self._request)
            await reply.write_eof()
            self._exchange.bytes_sent = len(body)
            return reply
        response = web.StreamResponse(status=reply.status, headers=reply.headers)
        response.content_length = len(body)
        await response.prepare(self._request)
        await self._write(response, body)
        await response.write_eof()
        return response

    async def stream(self, events: Iterable[Event], ask: Ask) -> web.StreamResponse:
        """Send server-sent events, each in a write of its own, at the pace the fault asks for."""
        headers = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}
        response = web.StreamResponse(headers=headers)
        self._exchange.status = response.status
        self._exchange.usage = usage(ask, 0)
        await response.prepare(self._request)
        wait_ms = self._fault.first_token_ms
        sent = 0
        for event in events:
            if wait_ms:
                await asyncio.sleep(wait_ms / 1000)
            wait_ms = self._fault.token_interval_ms
            await self._write(response, _broken(event.data) if self._fault.malformed else event.data)
            sent += event.tokens
            self._exchange.usage = usage(ask, sent)
        await response.write_eof()
        return response

    def abort(self, ending: Ending) -> NoReturn:
        """Close the connection without another byte."""
        self._exchange.ended = ending
        if self._request.transport is not None:
            self._request.transport.abort()
        raise ConnectionEndedError

    def reset(self) -> NoReturn:
        """Close the connection in the rudest way: the client gets RST."""
        transport = self._request.transport
        if transport is not None:
            connection = transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.abort("reset")

    async def _write(self, response: web.StreamResponse, data: bytes) -> None:
        limit = self._fault.cut_after_bytes
        if limit is None or self._exchange.bytes_sent + len(data) < limit:
            await response.write(data)
            self._exchange.bytes_sent += len(data)
            return
        data = data[: limit - self._exchange.bytes_sent]
        if data:
            await response.write(data)
        self._exchange.bytes_sent += len(data)
        await self._flush()
        self.abort("cut")

    async def _flush(self) -> None:
        """Wait until the kernel has everything: what is still in our buffer would die with an abort."""
        transport = self._request.transport
        if transport is not None and transport.get_write_buffer_size():
            transport.set_write_buffer_limits(high=0)
            await self._request.writer.drain()


def usage(ask: Ask, completion_tokens: int) -> dict[str, int]:
    """Return the usage as the journal keeps it, whatever the dialect."""
    return {"prompt_tokens": ask.prompt_tokens, "completion_tokens": completion_tokens}


def _broken(event: bytes) -> bytes:
    """Return an event that frames like one and holds half of its JSON."""
    return event[: len(event) // 2].rstrip(b"\n") + b"\n\n"
