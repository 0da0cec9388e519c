"""Local replies, continuing, closing, aborting."""

from .scenario import (
    GET,
    OK_RESPONSE,
    POST,
    WITH_TRAILERS,
    Scenario,
    abort,
    body,
    head,
    reply,
    reply_body,
    server_closes,
    trailers,
)

SCENARIOS = (
    Scenario("reply/in request headers", "request_headers: reply 403 denied"),
    Scenario("reply/without a body", "request_headers: reply 403 _ x-why=no"),
    Scenario(
        "reply/with headers",
        "request_headers: reply 429 slow+down retry-after=3,content-type=application/json",
    ),
    Scenario("reply/with a wrong content-length", "request_headers: reply 400 four content-length=99"),
    Scenario("reply/with a content-type and no body", "request_headers: reply 400 _ content-type=a/b"),
    Scenario(
        "reply/details are a property",
        "request_headers: reply 400 x _ my+details; log: prop response.code_details; "
        "response_headers: prop response.code_details",
    ),
    Scenario(
        "reply/what the callback returns does not matter",
        "request_headers: reply 403 denied & ret 0",
        b="request_headers: ret 0",
    ),
    Scenario(
        "reply/the outer filter sees it",
        "response_headers: pairs 2; response_body: buf 1 0 100",
        b="request_headers: reply 403 denied",
    ),
    Scenario(
        "reply/the inner filter does not see it",
        "request_headers: reply 403 denied",
        b="response_headers: pairs 2; log: pairs 2",
    ),
    Scenario(
        "reply/the outer filter changes it",
        "response_headers: set 2 :status 200 & add 2 x-seen 1; "
        "response_body@1: setbuf 1 0 100 changed; response_headers: del 2 content-length",
        b="request_headers: reply 403 denied",
    ),
    Scenario(
        "reply/its own filter sees it", "request_headers: reply 403 denied; response_headers: add 2 x-own 1"
    ),
    Scenario(
        "reply/to a POST before its body",
        "request_headers: reply 403 denied",
        (head(), body(b"late", end=True)),
    ),
    Scenario("reply/in request body", "request_body: reply 403 denied", (head(), body(b"x"))),
    Scenario("reply/in the last request body", "request_body@end: reply 403 denied", POST),
    Scenario(
        "reply/in request body of a stopped request",
        "request_headers: ret 1; request_body@end: reply 403 denied; request_body: ret 1",
        POST,
    ),
    Scenario(
        "reply/in request trailers",
        "request_trailers: reply 403 denied",
        (head(), body(b"x"), trailers((b"t", b"1"))),
    ),
    Scenario(
        "reply/in response headers goes straight to the client",
        "response_headers: reply 500 oops x-r=1",
        b="response_headers: ret 0",
    ),
    Scenario(
        "reply/in response headers of the inner filter",
        "response_headers: pairs 2",
        b="response_headers: reply 500 oops x-r=1",
    ),
    Scenario(
        "reply/in response body breaks the stream off",
        "response_body: reply 500 oops",
        (head("GET", end=True), reply(200, [(b"a", b"1")]), reply_body(b"part")),
    ),
    Scenario(
        "reply/in response body of a held response",
        "response_headers: ret 1; response_body: reply 500 oops",
        (head("GET", end=True), reply(), reply_body(b"part")),
    ),
    Scenario("reply/in response trailers", "response_trailers: reply 500 oops", WITH_TRAILERS),
    Scenario(
        "reply/in response trailers of a held response",
        "response_headers: ret 1; response_body: ret 1; response_trailers: reply 500 oops",
        WITH_TRAILERS,
    ),
    Scenario("reply/twice", "request_headers: reply 403 first & reply 404 second"),
    Scenario(
        "reply/both filters, response side",
        "response_headers: reply 502 outer",
        b="request_headers: reply 403 inner",
    ),
    Scenario("reply/status 200 with a large body", "request_headers: reply 200 q*70000"),
    Scenario("reply/status 204", "request_headers: reply 204 _"),
    Scenario("reply/to HEAD", "request_headers: reply 403 denied", (head("HEAD", end=True),)),
    Scenario(
        "reply/to gRPC",
        "request_headers: reply 403 denied",
        (head("POST", "/s/m", [(b"content-type", b"application/grpc")], end=True),),
    ),
    Scenario(
        "reply/to gRPC with a status",
        "request_headers: reply 403 not+now! _ why 8",
        (head("POST", "/s/m", [(b"content-type", b"application/grpc+proto")], end=True),),
    ),
    Scenario("reply/with a gRPC status to plain HTTP", "request_headers: reply 403 denied _ why 8"),
    Scenario(
        "reply/then more client data",
        "request_body@1: reply 413 big",
        (head(), body(b"one"), body(b"two", end=True)),
    ),
    Scenario(
        "continue/a request that was stopped, in the same callback",
        "request_headers: cont 0 & ret 1",
    ),
    Scenario(
        "continue/an unknown kind",
        "request_headers: cont 4 & cont 9 & close 4 & cont 2 & cont 3",
    ),
    Scenario("close/in request headers", "request_headers: close 0 & ret 1"),
    Scenario("close/in request body", "request_body: close 0 & ret 1", (head(), body(b"x"))),
    Scenario("close/in response headers", "response_headers: close 1 & ret 1"),
    Scenario(
        "close/in response body",
        "response_body: close 1",
        (head("GET", end=True), reply(), reply_body(b"part")),
    ),
    Scenario("close/request kind in the response", "response_headers: close 0 & ret 1"),
    Scenario("abort/after the head", "log: get 0 :path & get 2 :status & pairs 2", (head(), abort())),
    Scenario("abort/in the body", "request_body: ret 1", (head(), body(b"part"), abort())),
    Scenario("abort/before the response", "", (head("GET", end=True), abort())),
    Scenario("abort/after response headers", "log: get 2 :status", (head("GET", end=True), reply(), abort())),
    Scenario(
        "abort/in the response",
        "log: get 2 :status; done: buf 1 0 10",
        (head("GET", end=True), reply(), reply_body(b"part"), abort()),
    ),
    Scenario("abort/while stopped", "request_headers: ret 4", (head("GET", end=True), abort())),
    Scenario(
        "abort/while the response is held",
        "response_headers: ret 4; log: pairs 2",
        (head("GET", end=True), reply(), reply_body(b"part"), abort()),
    ),
    Scenario(
        "upstream/closes before the response",
        "response_headers: pairs 2; response_body: buf 1 0 200; log: prop response.code_details",
        (head("GET", end=True), server_closes()),
    ),
    Scenario(
        "upstream/closes in the response",
        "log: prop response.code_details",
        (head("GET", end=True), reply(), reply_body(b"part"), server_closes()),
    ),
    Scenario(
        "upstream/closes in a response of known length",
        "log: prop response.code_details & prop response.flags",
        (
            head("GET", end=True),
            reply(200, [(b"content-length", b"9")]),
            reply_body(b"part"),
            server_closes(),
        ),
    ),
    Scenario(
        "upstream/closes after headers only",
        "log: prop response.code_details & prop response.flags",
        (head("GET", end=True), reply(200), server_closes()),
    ),
    Scenario(
        "upstream/closes while the response is held",
        "response_headers: ret 1; response_body: ret 1",
        (head("GET", end=True), reply(), reply_body(b"part"), server_closes()),
    ),
    Scenario(
        "upstream/answers before the request is complete",
        "request_body: buf 0 0 10",
        (head(), body(b"one"), reply(200), reply_body(b"early", end=True)),
    ),
    Scenario(
        "upstream/headers before the request is complete",
        "request_body: buf 0 0 10",
        (head(), body(b"one"), reply(200), body(b"two", end=True), reply_body(b"late", end=True)),
    ),
    Scenario(
        "upstream/error status passes",
        "response_headers: pairs 2",
        (head("GET", end=True), reply(503), reply_body(b"busy", end=True)),
    ),
    Scenario(
        "upstream/stopped response then nothing",
        "response_headers: ret 4",
        (head("GET", end=True), reply(), reply_body(b"x", end=True)),
    ),
    Scenario(
        "flags/client gone",
        "log: prop response.flags & prop response.code_details & prop response.code",
        (head(), abort()),
    ),
    Scenario(
        "flags/upstream gone",
        "log: prop response.flags & prop response.code_details & prop response.code",
        (head("GET", end=True), server_closes()),
    ),
    Scenario(
        "flags/no route",
        "request_headers: set 0 :path none; log: prop response.flags & "
        "prop response.code_details & prop response.code",
    ),
    Scenario(
        "flags/local reply",
        "request_headers: reply 403 x; log: prop response.flags & "
        "prop response.code_details & prop response.code; "
        "response_headers: prop response.code",
    ),
    Scenario("route/no such route", "request_headers: set 0 :path none; response_headers: pairs 2", GET),
    Scenario("route/two requests in a row", "request_headers: pairs 0", (*GET, *POST)),
    Scenario("route/OK_RESPONSE unused body", "request_headers: ret 1", (head(), *OK_RESPONSE)),
)
