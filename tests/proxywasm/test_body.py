"""Bodies: read whole in every way they can arrive, looked at piece by piece, and replaced."""

from proxywasm import CONTINUE, HttpFilter, Outcome, Request
from proxywasm._abi import MapType

from .worker import Worker, definition


class ReadsAll(HttpFilter[object]):
    async def on_request_headers(self, request: Request) -> Outcome:
        body = await request.body.read()
        request.headers["x-body"] = body.decode()
        return CONTINUE


def test_a_request_without_a_body_reads_as_empty_at_once() -> None:
    stream = Worker(definition(ReadsAll)).stream()

    assert stream.request_headers(end=True) == 0

    assert stream.host.headers(MapType.REQUEST_HEADERS)["x-body"] == ""
