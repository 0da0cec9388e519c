"""What a proxy does to headers where filters see the result: between the wire and the chain.

Headers that belong to one connection are taken off, and a few are added
(Envoy, http/conn_manager_utility.cc).
"""

import datetime

from ._abi import Pairs
from ._headers import HeaderMap

_REQUEST_HOP_HEADERS = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding"})
_RESPONSE_HOP_HEADERS = (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding")
_REQUIRED_OF_REQUEST = (b":method", b":path")
_REQUIRED_OF_RESPONSE = (b":status",)


def incoming_request(headers: Pairs) -> HeaderMap:
    """Order a client's headers as an HTTP/1.1 codec does, add what the proxy adds, drop hop headers."""
    pseudo = dict(headers)
    first = [(name, pseudo[name]) for name in (b":authority", b":path", b":method") if name in pseudo]
    plain = [
        (key, value)
        for key, value in headers
        if not key.startswith(b":") and key.lower() not in _REQUEST_HOP_HEADERS
    ]
    request = HeaderMap([*first, (b":scheme", b"http"), *plain])
    if b"x-forwarded-proto" not in request:
        request.add(b"x-forwarded-proto", b"http")
    return request


def outgoing_response(headers: HeaderMap, now_ns: int) -> None:
    """Make a response ready for the client's connection; on_log sees it like this too."""
    for name in _RESPONSE_HOP_HEADERS:
        headers.remove(name)
    now = datetime.datetime.fromtimestamp(now_ns // 1_000_000_000, datetime.UTC)
    headers.replace(b"date", now.strftime("%a, %d %b %Y %H:%M:%S GMT").encode())


def missing_from_request(headers: HeaderMap) -> bytes | None:
    """Name the first header a request cannot go without and does not have."""
    return next((name for name in _REQUIRED_OF_REQUEST if name not in headers), None)


def missing_from_response(headers: HeaderMap) -> bytes | None:
    """Name the first header a response cannot go without and does not have."""
    return next((name for name in _REQUIRED_OF_RESPONSE if name not in headers), None)
