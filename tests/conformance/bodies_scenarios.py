"""Reading, holding and rewriting bodies and trailers."""

from .scenario import (
    GET,
    OK_RESPONSE,
    POST,
    WITH_TRAILERS,
    Scenario,
    body,
    head,
    reply,
    reply_body,
    reply_trailers,
    trailers,
)

_LENGTH = (
    head("POST", "/p", [(b"content-length", b"6")]),
    body(b"one"),
    body(b"two", end=True),
    *OK_RESPONSE,
)

SCENARIOS = (
    Scenario("body/streams through", "", POST),
    Scenario("body/is seen piece by piece", "request_body: buf 0 0 100; response_body: buf 1 0 100", POST),
    Scenario(
        "body/is buffered and handed on whole",
        "request_body: ret 1 & buf 0 0 100; request_body@end: ret 0",
        POST,
        b="request_body: buf 0 0 100",
    ),
    Scenario(
        "body/stop in headers then buffer",
        "request_headers: ret 1; request_body: ret 1; request_body@end: ret 0 & set 0 x-len 6",
        POST,
        b="request_headers: pairs 0; request_body: buf 0 0 100",
    ),
    Scenario(
        "body/both filters buffer",
        "request_headers: ret 1; request_body: ret 1; request_body@end: ret 0",
        POST,
        b="request_headers: ret 1; request_body: ret 1; request_body@end: ret 0 & "
        "buf 0 0 100 & set 0 x-b-was here",
    ),
    Scenario("body/replace a piece", "request_body@1: setbuf 0 0 3 ONE", POST),
    Scenario("body/replace with longer", "request_body@1: setbuf 0 0 100 much+longer", POST),
    Scenario("body/replace with nothing", "request_body@1: setbuf 0 0 100 _", POST),
    Scenario(
        "body/replace the whole buffer",
        "request_body: ret 1; request_body@end: setbuf 0 0 4294967295 new & buf 0 0 100 & ret 0",
        POST,
    ),
    Scenario("body/prepend", "request_body@1: setbuf 0 0 0 pre", POST),
    Scenario("body/append at the end", "request_body@1: setbuf 0 3 0 post", POST),
    Scenario("body/append beyond the end", "request_body@1: setbuf 0 99 0 post", POST),
    Scenario("body/replace the front only", "request_body@1: setbuf 0 0 1 XX", POST),
    Scenario("body/replace in the middle is refused", "request_body@1: setbuf 0 1 1 X", POST),
    Scenario("body/append to the last empty piece", "request_body@end: setbuf 0 0 0 tail", POST),
    Scenario(
        "body/read in slices",
        "request_body@1: buf 0 1 1 & buf 0 1 100 & buf 0 3 1 & buf 0 4 1 & buf 0 99 5 & "
        "buf 0 0 0 & buf 0 1 4294967295",
        POST,
    ),
    Scenario("body/status", "request_body: bufstat 0; response_body: bufstat 1", POST),
    Scenario(
        "body/unknown buffer",
        "request_body@1: buf 9 0 1 & buf 12 0 1 & setbuf 12 0 0 x & bufstat 12",
        POST,
    ),
    Scenario(
        "body/buffers that are not there",
        "request_headers: buf 0 0 10 & bufstat 0 & setbuf 0 0 0 x & buf 4 0 10 & bufstat 4 & "
        "buf 6 0 10 & buf 7 0 10 & bufstat 7 & buf 5 0 1 & buf 8 0 1 & buf 2 0 1 & buf 3 0 1",
    ),
    Scenario(
        "body/request body in the response",
        "response_headers: buf 0 0 10 & bufstat 0 & setbuf 0 0 0 x",
        POST,
    ),
    Scenario(
        "body/response body in the request",
        "request_headers: buf 1 0 10 & setbuf 1 0 0 x",
        POST,
    ),
    Scenario("body/in on_log", "log: buf 0 0 10 & buf 1 0 10 & setbuf 1 0 0 x", POST),
    Scenario(
        "body/response is buffered",
        "response_body: ret 1 & buf 1 0 100; response_body@end: ret 0",
        POST,
        b="response_body: buf 1 0 100",
    ),
    Scenario(
        "body/response is buffered by the inner filter",
        "response_body: buf 1 0 100",
        POST,
        b="response_body: ret 1; response_body@end: ret 0",
    ),
    Scenario(
        "body/response headers are held too",
        "response_headers: ret 1; response_body: ret 1; response_body@end: ret 0 & "
        "set 2 x-late v & setbuf 1 0 100 new",
        POST,
    ),
    Scenario("body/response piece is replaced", "response_body@1: setbuf 1 0 100 other", POST),
    Scenario("body/response append in the last piece", "response_body@end: setbuf 1 0 0 tail", POST),
    Scenario(
        "body/value 2 buffers with back-pressure",
        "request_body: ret 2; request_body@end: ret 0; request_body: buf 0 0 100",
        POST,
        b="request_body: buf 0 0 100",
    ),
    Scenario("body/value 3 keeps nothing", "request_body@1: ret 3", POST, b="request_body: buf 0 0 100"),
    Scenario(
        "body/value 3 after emptying drops a piece",
        "request_body@1: setbuf 0 0 100 _ & ret 3",
        POST,
    ),
    Scenario("body/value 3 all the way", "request_body: ret 3", POST),
    Scenario("body/value 7 means 3", "request_body: ret 7", POST),
    Scenario("body/response value 3 on the first piece", "response_body@1: ret 3", POST),
    Scenario("body/headers value 2 means continue", "request_headers: ret 2; response_headers: ret 2", POST),
    Scenario("body/headers value 3 stops everything", "request_headers: ret 3", POST),
    Scenario("body/headers value 4 stops everything", "request_headers: ret 4", POST),
    Scenario("body/headers value 9 means 4", "request_headers: ret 9", POST),
    Scenario(
        "body/headers value 1 stops everything by default",
        "request_headers: ret 1; request_body: ret 0",
        POST,
        setup="strict",
    ),
    Scenario(
        "body/response headers value 1 stops everything by default",
        "response_headers: ret 1",
        POST,
        setup="strict",
    ),
    Scenario(
        "body/headers value 1 then body continues at once",
        "request_headers: ret 1; request_body: ret 0",
        POST,
        b="request_body: buf 0 0 100",
    ),
    Scenario(
        "body/response value 1 then body continues at once",
        "response_headers: ret 1; response_body: ret 0",
        POST,
    ),
    Scenario(
        "body/first piece is held and second continues",
        "request_body@1: ret 1",
        POST,
        b="request_body: buf 0 0 100",
    ),
    Scenario(
        "body/held again after continuing",
        "request_body@1: ret 1; request_body@2: ret 0; request_body@3: ret 1; request_body@4: ret 0",
        (head(), body(b"1"), body(b"2"), body(b"3"), body(b"4"), body(b"5", end=True), *OK_RESPONSE),
        b="request_body: buf 0 0 100",
    ),
    Scenario("body/content-length is kept when nothing changes", "", _LENGTH),
    Scenario(
        "body/content-length is removed",
        "request_headers: del 0 content-length & ret 1; request_body: ret 1; "
        "request_body@end: setbuf 0 0 100 changed & ret 0",
        _LENGTH,
    ),
    Scenario(
        "body/content-length is set right",
        "request_headers: ret 1; request_body: ret 1; "
        "request_body@end: setbuf 0 0 100 changed & set 0 content-length 7 & ret 0",
        _LENGTH,
    ),
    Scenario(
        "body/content-length too long",
        "request_headers: ret 1; request_body: ret 1; request_body@end: setbuf 0 0 100 abc & ret 0",
        _LENGTH,
    ),
    Scenario(
        "body/response with content-length streamed",
        "",
        (
            head("GET", end=True),
            reply(200, [(b"content-length", b"6")]),
            reply_body(b"abc"),
            reply_body(b"def", end=True),
        ),
    ),
    Scenario(
        "body/response content-length replaced",
        "response_headers: ret 1; response_body: ret 1; "
        "response_body@end: setbuf 1 0 100 12345678 & set 2 content-length 8 & ret 0",
        (head("GET", end=True), reply(200, [(b"content-length", b"6")]), reply_body(b"abcdef", end=True)),
    ),
    Scenario(
        "body/empty body with an end of its own",
        "request_body: buf 0 0 10",
        (head(), body(b"", end=True), *OK_RESPONSE),
    ),
    Scenario("body/trailers pass", "", WITH_TRAILERS),
    Scenario(
        "body/trailers end the body",
        "request_body: ret 1; request_trailers: buf 0 0 100 & ret 0; response_body: ret 1; "
        "response_trailers: buf 1 0 100",
        WITH_TRAILERS,
        b="request_body: buf 0 0 100; request_trailers: pairs 1",
    ),
    Scenario(
        "body/trailers are changed",
        "request_trailers: add 1 n v & set 1 t 9; response_trailers: del 3 u & add 3 w x",
        WITH_TRAILERS,
    ),
    Scenario(
        "body/trailers are held for ever",
        "request_trailers: ret 1",
        (head(), body(b"one"), trailers((b"t", b"1"))),
    ),
    Scenario(
        "body/trailers without body",
        "request_trailers: pairs 1",
        (head(), trailers((b"t", b"1")), *OK_RESPONSE),
    ),
    Scenario(
        "body/trailers are added in the last piece",
        "request_body@end: add 1 late v",
        POST,
        b="request_trailers: pairs 1",
    ),
    Scenario(
        "body/response trailers are added in the last piece",
        "response_body@end: add 3 late v",
        POST,
        b="response_trailers: pairs 3",
    ),
    Scenario(
        "body/trailers cannot be added before the end",
        "request_body@1: add 1 early v; request_headers: add 1 early v",
        POST,
    ),
    Scenario(
        "body/response trailers pass the chain in reverse",
        "response_trailers: pairs 3",
        WITH_TRAILERS,
        b="response_trailers: add 3 from-b v",
    ),
    Scenario(
        "body/response of headers and trailers",
        "response_trailers: pairs 3",
        (head("GET", end=True), reply(), reply_trailers((b"u", b"2"))),
    ),
    Scenario(
        "body/stopped headers with trailers",
        "request_headers: ret 1; request_body: ret 1; request_trailers: set 0 x-late v & buf 0 0 100 & ret 0",
        (head(), body(b"one"), trailers((b"t", b"1")), *OK_RESPONSE),
    ),
    Scenario(
        "body/10 KB through a buffer",
        "request_body: ret 1 & buf 0 0 99999; request_body@end: ret 0",
        (head(), body(b"x" * 5000), body(b"y" * 5000, end=True), *OK_RESPONSE),
    ),
    Scenario(
        "body/grow to 100 KB",
        "request_body: ret 1; request_body@end: setbuf 0 0 99 z*100000 & ret 0",
        POST,
    ),
    Scenario(
        "body/too large for the buffer",
        "request_body: ret 1; request_body@end: ret 0",
        (head(), body(b"x" * 3000), body(b"y" * 3000)),
        setup="small",
    ),
    Scenario(
        "body/too large in one piece",
        "request_body: ret 1; request_body@end: ret 0",
        (head(), body(b"x" * 6000)),
        setup="small",
    ),
    Scenario(
        "body/too large while stopped in headers",
        "request_headers: ret 3",
        (head(), body(b"x" * 6000)),
        setup="small",
    ),
    Scenario(
        "body/response too large for the buffer",
        "response_headers: ret 1; response_body: ret 1",
        (head("GET", end=True), reply(), reply_body(b"x" * 3000), reply_body(b"y" * 3000)),
        setup="small",
    ),
    Scenario(
        "body/response too large after its headers went",
        "response_body: ret 1",
        (head("GET", end=True), reply(), reply_body(b"x" * 3000), reply_body(b"y" * 3000)),
        setup="small",
    ),
    Scenario(
        "body/refused by the second filter before there is a connection",
        "request_headers: ret 1; request_body: ret 1; request_body@end: ret 0",
        (head(), body(b"x", end=True)),
        b="request_body@1: reply 403 refused",
    ),
    Scenario("body/GET has no body callbacks", "request_body: buf 0 0 1", GET),
)
