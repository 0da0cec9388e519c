"""Reading and changing header maps."""

from .scenario import GET, OK_RESPONSE, POST, WITH_TRAILERS, Scenario, head, reply, reply_body

_X = [(b"x-t", b"one"), (b"x-t", b"two")]

SCENARIOS = (
    Scenario("headers/pass through untouched"),
    Scenario("headers/all pairs of a request", "request_headers: pairs 0"),
    Scenario("headers/all pairs of a response", "response_headers: pairs 2"),
    Scenario(
        "headers/first value of a repeated header",
        "request_headers: get 0 x-t",
        (head("GET", "/p", _X, end=True), *OK_RESPONSE),
    ),
    Scenario("headers/absent header", "request_headers: get 0 x-none"),
    Scenario(
        "headers/names are case-insensitive",
        "request_headers: get 0 X-T",
        (head("GET", "/p", [(b"X-T", b"v")], end=True), *OK_RESPONSE),
    ),
    Scenario("headers/add", "request_headers: add 0 x-new v & pairs 0"),
    Scenario(
        "headers/add a second value",
        "request_headers: add 0 x-t three & pairs 0",
        (head("GET", "/p", _X, end=True), *OK_RESPONSE),
    ),
    Scenario(
        "headers/add to a single-valued header joins",
        "request_headers: add 0 user-agent more & get 0 user-agent",
        (head("GET", "/p", [(b"user-agent", b"u")], end=True), *OK_RESPONSE),
    ),
    Scenario(
        "headers/add to content-type joins",
        "request_headers: add 0 content-type text/b & get 0 content-type",
        (head("GET", "/p", [(b"content-type", b"text/a")], end=True), *OK_RESPONSE),
    ),
    Scenario(
        "headers/add a second cookie",
        "request_headers: add 0 cookie b~2 & pairs 0",
        (head("GET", "/p", [(b"cookie", b"a~1")], end=True), *OK_RESPONSE),
    ),
    Scenario(
        "headers/add a second accept",
        "request_headers: add 0 accept text/b & pairs 0",
        (head("GET", "/p", [(b"accept", b"text/a")], end=True), *OK_RESPONSE),
    ),
    Scenario(
        "headers/add a second authorization",
        "request_headers: add 0 authorization two & pairs 0",
        (head("GET", "/p", [(b"authorization", b"one")], end=True), *OK_RESPONSE),
    ),
    Scenario(
        "headers/add a second cache-control",
        "response_headers: add 2 cache-control no-store & pairs 2",
        (head("GET", end=True), reply(200, [(b"cache-control", b"private")], end=True)),
    ),
    Scenario(
        "headers/add a second vary",
        "response_headers: add 2 vary b & pairs 2",
        (head("GET", end=True), reply(200, [(b"vary", b"a")], end=True)),
    ),
    Scenario(
        "headers/add a second set-cookie",
        "response_headers: add 2 set-cookie b & pairs 2",
        (head("GET", end=True), reply(200, [(b"set-cookie", b"a")], end=True)),
    ),
    Scenario(
        "headers/add a second etag",
        "response_headers: add 2 etag b & pairs 2",
        (head("GET", end=True), reply(200, [(b"etag", b"a")], end=True)),
    ),
    Scenario(
        "headers/add a second server",
        "response_headers: add 2 server b & pairs 2",
        (head("GET", end=True), reply(200, [(b"server", b"a")], end=True)),
    ),
    Scenario(
        "headers/add a second x-forwarded-for",
        "request_headers: add 0 x-forwarded-for 2.2.2.2 & pairs 0",
        (head("GET", "/p", [(b"x-forwarded-for", b"1.1.1.1")], end=True), *OK_RESPONSE),
    ),
    Scenario(
        "headers/repeated single-valued header from the wire",
        "request_headers: pairs 0",
        (
            head(
                "GET",
                "/p",
                [
                    (b"user-agent", b"a"),
                    (b"user-agent", b"b"),
                    (b"referer", b"a"),
                    (b"referer", b"b"),
                    (b"accept-encoding", b"a"),
                    (b"accept-encoding", b"b"),
                ],
                end=True,
            ),
            *OK_RESPONSE,
        ),
    ),
    Scenario(
        "headers/replace",
        "request_headers: set 0 x-t new & pairs 0",
        (head("GET", "/p", [(b"x-t", b"v")], end=True), *OK_RESPONSE),
    ),
    Scenario(
        "headers/replace keeps the second value",
        "request_headers: set 0 x-t new & pairs 0",
        (head("GET", "/p", _X, end=True), *OK_RESPONSE),
    ),
    Scenario(
        "headers/replace an absent header adds it",
        "request_headers: set 0 x-none v & pairs 0",
    ),
    Scenario(
        "headers/remove takes every value",
        "request_headers: del 0 x-t & pairs 0",
        (head("GET", "/p", _X, end=True), *OK_RESPONSE),
    ),
    Scenario("headers/remove an absent header is no error", "request_headers: del 0 x-none"),
    Scenario("headers/names are lowered on writing", "request_headers: add 0 X-Upper v & pairs 0"),
    Scenario(
        "headers/host means authority",
        "request_headers: get 0 host & set 0 host other.example & pairs 0",
    ),
    Scenario(
        "headers/change path and authority",
        "request_headers: set 0 :path /new & set 0 :authority new.example",
    ),
    Scenario("headers/change method", "request_headers: set 0 :method PUT"),
    Scenario(
        "headers/set all pairs",
        "request_headers: setpairs 0 :method=GET,:path=/n,:authority=h,x-n=1 & pairs 0",
    ),
    Scenario(
        "headers/set all pairs in an odd order",
        "request_headers: "
        "setpairs 0 x-b=1,:path=/n,x-a=1,:method=GET,host=h,x-b=2,user-agent=a,user-agent=b & "
        "pairs 0 & get 0 :path & get 0 x-b",
    ),
    Scenario(
        "headers/set all pairs with names in capitals",
        "request_headers: setpairs 0 :method=GET,:path=/n,:authority=h,X-Up=1,x-up=2 & pairs 0",
    ),
    Scenario(
        "headers/set all pairs without a path",
        "request_headers: setpairs 0 :method=GET,:authority=h",
    ),
    Scenario(
        "headers/set all pairs of a response",
        "response_headers: setpairs 2 x-r=1,:status=201,x-q=2,x-r=3 & pairs 2",
        (head("GET", end=True), reply(200, [(b"a", b"1")], end=True)),
    ),
    Scenario(
        "headers/set all pairs after the headers have left",
        "request_body: setpairs 0 :method=GET,:path=/n,:authority=h & set 0 x-a 1",
        POST,
    ),
    Scenario("headers/set no pairs", "request_headers: setpairs 0 _ & pairs 0"),
    Scenario("headers/empty value", "request_headers: add 0 x-e _ & get 0 x-e"),
    Scenario(
        "headers/size can be asked in its callback",
        "request_headers: size 0 & size 2; response_headers: size 2 & size 0",
    ),
    Scenario(
        "headers/unknown map",
        "request_headers: get 8 x & pairs 8 & add 8 x y & del 8 x & set 8 x y & size 8 & setpairs 8 a=b",
    ),
    Scenario(
        "headers/call maps outside a call",
        "request_headers: get 6 x & pairs 6 & add 6 x y & pairs 7 & pairs 4 & pairs 5",
    ),
    Scenario(
        "headers/request map is gone after continue",
        "request_body: get 0 :path & pairs 0 & add 0 x y & del 0 x & size 0; "
        "response_headers: get 0 :path & pairs 0 & set 0 a b",
        POST,
    ),
    Scenario(
        "headers/request map stays while stopped",
        "request_headers: ret 1; request_body: ret 1; request_body@end: ret 0 & get 0 :path & set 0 x-late v",
        POST,
    ),
    Scenario(
        "headers/request map stays readable in the response when never continued by return",
        "request_headers: ret 1; request_body: ret 1; request_body@end: ret 0; "
        "response_headers: get 0 :path & set 0 x-too-late v",
        POST,
    ),
    Scenario(
        "headers/response map is gone after continue",
        "response_body: get 2 :status & pairs 2 & add 2 x y; log: get 2 :status",
    ),
    Scenario(
        "headers/response map stays while stopped",
        "response_headers: ret 1; response_body: ret 1; response_body@end: ret 0 & "
        "set 2 x-late v & get 2 :status",
    ),
    Scenario(
        "headers/response map before the response",
        "request_headers: get 2 :status & pairs 2 & add 2 x y",
    ),
    Scenario(
        "headers/change the response",
        "response_headers: set 2 :status 201 & add 2 x-r v & del 2 a",
    ),
    Scenario("headers/remove the status", "response_headers: del 2 :status"),
    Scenario(
        "headers/second filter sees the changes",
        "request_headers: add 0 x-n v; response_headers: pairs 2",
        b="request_headers: get 0 x-n; response_headers: add 2 x-m w",
    ),
    Scenario(
        "headers/read in on_log",
        "log: get 0 :path & pairs 2 & get 2 :status & get 0 x-none & add 0 x y & set 2 x y & "
        "size 0 & pairs 1 & get 3 x & get 1 x",
    ),
    Scenario(
        "headers/on_log sees changes",
        "request_headers: add 0 x-n v; response_headers: set 2 a changed; log: get 0 x-n & get 2 a",
    ),
    Scenario(
        "headers/on_done and on_delete",
        "done: get 0 :path & pairs 2 & get 2 :status; delete: get 0 :path",
    ),
    Scenario(
        "headers/only head in the response",
        "response_headers: pairs 2",
        (head("GET", end=True), reply(204, end=True)),
    ),
    Scenario(
        "headers/HEAD request",
        "response_headers: pairs 2",
        (head("HEAD", end=True), reply(200, [(b"content-length", b"5")], end=True)),
    ),
    Scenario(
        "headers/content-length of a request",
        "request_headers: get 0 content-length & pairs 0",
        (head("POST", "/p", [(b"content-length", b"0")], end=True), *OK_RESPONSE),
    ),
    Scenario(
        "headers/values with odd bytes",
        "request_headers: get 0 x-odd",
        (head("GET", "/p", [(b"x-odd", b"\xc3\xa4\xff=;")], end=True), *OK_RESPONSE),
    ),
    Scenario("headers/removing the path", "request_headers: del 0 :path"),
    Scenario("headers/removing the method", "request_headers: del 0 :method"),
    Scenario("headers/removing the authority", "request_headers: del 0 :authority"),
    Scenario(
        "headers/hop headers of a request",
        "request_headers: pairs 0",
        (
            head(
                "GET",
                "/p",
                [
                    (b"connection", b"close"),
                    (b"keep-alive", b"x"),
                    (b"te", b"trailers"),
                    (b"proxy-connection", b"k"),
                    (b"upgrade-insecure-requests", b"1"),
                ],
                end=True,
            ),
            *OK_RESPONSE,
        ),
    ),
    Scenario(
        "headers/response with content-length",
        "response_headers: pairs 2",
        (head("GET", end=True), reply(200, [(b"content-length", b"3")]), reply_body(b"abc", end=True)),
    ),
    Scenario(
        "headers/trailers are read",
        "request_trailers: pairs 1 & get 1 t; response_trailers: pairs 3 & get 3 u",
        WITH_TRAILERS,
    ),
    Scenario("headers/in a GET with body callbacks", "request_headers: ret 1", GET),
)
