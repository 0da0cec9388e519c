"""Shared data, queues, metrics, properties, logs, callouts, time, foreign functions."""

from .scenario import GET, POST, Scenario, abort, body, head, reply, reply_body, reply_trailers, server_closes

_CALL = "call service :method=GET,:path=/c,:authority=h {body} {timeout}"


def _call(body_text: str = "_", timeout: str = "1000") -> str:
    return "request_headers: " + _CALL.format(body=body_text, timeout=timeout) + "; request_headers: ret 4"


_RESUME = "; http_call_response: effective & cont 0"
_ANSWER = (reply(200, [(b"c", b"1")], callout=True), reply_body(b"called", end=True, callout=True))
_SSE = (reply(200, [(b"a", b"1")]), reply_body(b"response", end=True))

SCENARIOS = (
    Scenario("shared/absent key", "request_headers: sget none"),
    Scenario(
        "shared/set and get",
        "request_headers: sset k1 v & sget k1; log: sget k1",
        shared=("k1",),
    ),
    Scenario("shared/empty value", "request_headers: sset k2 _ & sget k2", shared=("k2",)),
    Scenario(
        "shared/compare and swap",
        "request_headers: sset k3 a & sget k3 & sset k3 b @ & sset k3 c @ & sget k3",
        shared=("k3",),
    ),
    Scenario(
        "shared/wrong token on an absent key inserts",
        "request_headers: sset k4 a 4294967295 & sset k4 b 4294967295 & sget k4",
        shared=("k4",),
    ),
    Scenario(
        "shared/token 0 overwrites",
        "request_headers: sset k5 a & sset k5 b 0 & sget k5",
        shared=("k5",),
    ),
    Scenario(
        "shared/second filter sees it",
        "request_headers: sset k6 v",
        b="request_headers: sget k6; response_headers: sset k6 w",
        shared=("k6",),
    ),
    Scenario(
        "shared/from every callback",
        "request_body: sset k7 rb; response_headers: sset k8 rh; response_body: sset k9 rb; "
        "log: sset k10 log; done: sset k11 done; delete: sset k12 del",
        POST,
        shared=("k7", "k8", "k9", "k10", "k11", "k12"),
    ),
    Scenario(
        "queue/unknown",
        "request_headers: qres q-none & qput v 9999 & qget 9999",
    ),
    Scenario(
        "queue/put and get",
        "request_headers: qreg q1 & qget & qput v & qput w & qget & qget & qget",
    ),
    Scenario(
        "queue/resolve",
        "request_headers: qreg q2 & qres q2 & qput v; log: qget",
    ),
    Scenario(
        "metric/counter",
        "request_headers: mdef 0 m_counter & minc 2 & minc 0 & minc -1 & mget",
    ),
    Scenario(
        "metric/counter record adds",
        "request_headers: mdef 0 m_counter2 & mrec 5 & mrec 5 & mget",
    ),
    Scenario(
        "metric/gauge",
        "request_headers: mdef 1 m_gauge & mrec 7 & minc -3 & minc 2 & mget",
    ),
    Scenario(
        "metric/histogram",
        "request_headers: mdef 2 m_histogram & mrec 5 & minc 1 & mget",
    ),
    Scenario(
        "metric/unknown kind and id",
        "request_headers: mdef 3 m_none & mget 4000 & minc 1 4000 & mrec 1 4000 & "
        "mget 4001 & mget 4002 & mget 4003 & minc 1 4003 & mrec 1 4002",
    ),
    Scenario(
        "metric/defined twice is one",
        "request_headers: mdef 0 m_twice & minc 1 & mdef 0 m_twice & minc 1 & mget",
    ),
    Scenario("metric/in on_log", "log: mdef 0 m_log & minc 1"),
    Scenario(
        "property/of the request",
        "; ".join(
            f"request_headers: prop request.{name}"
            for name in [
                "path",
                "url_path",
                "host",
                "scheme",
                "method",
                "query",
                "protocol",
                "size",
                "headers.x-t",
                "headers.none",
                "referer",
                "useragent",
                "id",
                "duration",
                "total_none",
                "none",
            ]
        ),
        (head("GET", "/p?q=1&r=2", [(b"x-t", b"v"), (b"user-agent", b"ua")], end=True), *_SSE),
    ),
    Scenario(
        "property/of the request in its body",
        "request_body@1: prop request.path & prop request.method & prop request.headers.x-t; "
        "request_body@end: prop request.size",
        (head("POST", "/p", [(b"x-t", b"v")]), body(b"abc", end=True), *_SSE),
    ),
    Scenario(
        "property/of the request with a content-length",
        "request_headers: prop request.size",
        (head("POST", "/p", [(b"content-length", b"3")]), body(b"abc", end=True), *_SSE),
    ),
    Scenario(
        "property/of the request in the response",
        "response_headers: prop request.path & prop request.method & prop request.headers.x-t",
        (head("GET", "/p", [(b"x-t", b"v")], end=True), *_SSE),
    ),
    Scenario(
        "property/of the request in on_log",
        "log: prop request.path & prop request.method & prop request.host & "
        "prop request.headers.x-t & prop request.protocol",
        (head("GET", "/p", [(b"x-t", b"v")], end=True), *_SSE),
    ),
    Scenario(
        "property/of the response",
        "response_headers: prop response.code & prop response.code_details & "
        "prop response.headers.a; response_body: prop response.code & "
        "prop response.headers.a; log: prop response.code & prop response.code_details & "
        "prop response.headers.a & prop response.size & prop response.flags",
    ),
    Scenario(
        "property/of the response before it",
        "request_headers: prop response.code & prop response.code_details & "
        "prop response.headers.a & prop response.size",
    ),
    Scenario(
        "property/of the route",
        "request_headers: prop xds.cluster_name & prop xds.route_name; "
        "response_headers: prop xds.cluster_name; log: prop xds.cluster_name; "
        "request_headers: prop cluster_name & prop route_name",
    ),
    Scenario(
        "property/of the attempt",
        "; ".join(
            f"{callback}: prop upstream.request_attempt_count"
            for callback in (
                "request_headers",
                "request_body",
                "response_headers",
                "response_body",
                "log",
                "done",
            )
        ),
        (head("POST", "/p"), body(b"abc", end=True), *_SSE),
    ),
    Scenario(
        "property/of the attempt without a route",
        "request_headers: set 0 :path none; log: prop upstream.request_attempt_count",
        GET,
    ),
    Scenario(
        "property/of the attempt when a filter answers",
        "request_headers: reply 403 no; response_headers: prop upstream.request_attempt_count; "
        "log: prop upstream.request_attempt_count",
        (head("GET", "/p", end=True),),
    ),
    Scenario(
        "property/of the attempt when the server closes",
        "response_headers: prop upstream.request_attempt_count; log: prop upstream.request_attempt_count",
        (head("GET", "/p", end=True), server_closes()),
    ),
    Scenario(
        "property/of the plugin",
        "request_headers: prop plugin_name & prop plugin_root_id; log: prop plugin_name",
    ),
    Scenario(
        "property/unknown",
        "request_headers: prop nothing & prop nothing.at.all & prop request.nothing & "
        "prop metadata.filter_metadata.x & prop filter_state.x & prop plugin_name.x",
    ),
    Scenario(
        "property/set and get",
        "request_headers: setprop mine value & prop mine; response_headers: prop mine; log: prop mine",
    ),
    Scenario(
        "property/other filters see it",
        "request_headers: setprop mine2 value",
        b="request_headers: prop mine2 & setprop mine2 other; response_headers: prop mine2",
    ),
    Scenario(
        "property/set overwrites",
        "request_headers: setprop mine3 a & setprop mine3 b & prop mine3",
    ),
    Scenario("property/set in on_log", "log: setprop mine4 a & prop mine4"),
    Scenario(
        "property/survives not the stream",
        "request_headers: prop mine5 & setprop mine5 a",
        (*GET, *GET),
    ),
    Scenario("log/levels", "; ".join(f"request_headers: log {level} text{level}" for level in range(6))),
    Scenario("log/too high a level", "request_headers: log 7 text & log 99 text"),
    Scenario("foreign/unknown", "request_headers: foreign nothing x"),
    Scenario("foreign/clear the route cache", "request_headers: foreign clear_route_cache _"),
    Scenario("foreign/compress", "request_headers: foreign compress aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
    Scenario(
        "context/effective",
        "request_headers: effective 99999 & effective 1 & get 0 :path",
    ),
    Scenario("context/done of a stream", "request_headers: done"),
    Scenario(
        "call/answers and continues",
        _call() + "; http_call_response: get 6 :status & pairs 6 & buf 4 0 100 & status" + _RESUME,
        (head("GET", end=True), *_ANSWER, *_SSE),
    ),
    Scenario("call/with a body", _call("payload") + _RESUME, (head("GET", end=True), *_ANSWER, *_SSE)),
    Scenario("call/without a timeout", _call("_", "0") + _RESUME, (head("GET", end=True), *_ANSWER, *_SSE)),
    Scenario(
        "call/answer with trailers",
        _call() + "; http_call_response: pairs 7 & get 7 u" + _RESUME,
        (
            head("GET", end=True),
            reply(200, callout=True),
            reply_body(b"x", callout=True),
            reply_trailers((b"u", b"2"), callout=True),
            *_SSE,
        ),
    ),
    Scenario(
        "call/answer without a body",
        _call() + "; http_call_response: buf 4 0 10 & bufstat 4 & pairs 7 & get 7 x" + _RESUME,
        (head("GET", end=True), reply(204, end=True, callout=True), *_SSE),
    ),
    Scenario(
        "call/answer is read only",
        _call() + "; http_call_response: add 6 x y & setbuf 4 0 0 x & size 6" + _RESUME,
        (head("GET", end=True), *_ANSWER, *_SSE),
    ),
    Scenario(
        "call/stream maps in the answer",
        _call() + "; http_call_response: get 0 :path & effective & get 0 :path & set 0 x-called yes & "
        "get 6 :status & buf 4 0 10 & cont 0 & get 0 :path",
        (head("GET", end=True), *_ANSWER, *_SSE),
    ),
    Scenario(
        "call/reply from the answer",
        _call() + "; http_call_response: effective & reply 403 denied",
        (head("GET", end=True), *_ANSWER),
        b="response_headers: pairs 2",
    ),
    Scenario(
        "call/with a body waiting",
        _call() + _RESUME,
        (head(), body(b"one"), *_ANSWER, body(b"two", end=True), *_SSE),
        b="request_body: buf 0 0 100",
    ),
    Scenario(
        "call/with a whole body waiting",
        _call() + _RESUME + "; request_body: buf 0 0 100",
        (head(), body(b"one"), body(b"two", end=True), *_ANSWER, *_SSE),
        b="request_body: buf 0 0 100",
    ),
    Scenario("call/unknown cluster", "request_headers: call nowhere :method=GET,:path=/c,:authority=h _ 100"),
    Scenario(
        "call/missing headers",
        "request_headers: call service :method=GET,:path=/c _ 100 & "
        "call service :method=GET,:authority=h _ 100 & "
        "call service :path=/,:authority=h _ 100 & call service _ _ 100",
    ),
    Scenario(
        "call/host stands for authority",
        "request_headers: call service :method=GET,:path=/c,host=h _ 1000 & ret 4" + _RESUME,
        (head("GET", end=True), *_ANSWER, *_SSE),
    ),
    Scenario("call/negative timeout", "request_headers: call service :method=GET,:path=/c,:authority=h _ -1"),
    Scenario("call/no endpoint", "request_headers: call empty :method=GET,:path=/c,:authority=h _ 100"),
    Scenario(
        "call/server closes before the answer",
        _call() + "; http_call_response: status & pairs 6 & buf 4 0 200" + _RESUME,
        (head("GET", end=True), server_closes(callout=True), *_SSE),
    ),
    Scenario(
        "call/server closes in the answer",
        _call() + "; http_call_response: status & pairs 6 & buf 4 0 200" + _RESUME,
        (
            head("GET", end=True),
            reply(200, callout=True),
            reply_body(b"part", callout=True),
            server_closes(callout=True),
            *_SSE,
        ),
    ),
    Scenario(
        "call/outlives its stream",
        _call() + "; http_call_response: effective & cont 0",
        (head("GET", end=True), abort(), *_ANSWER),
    ),
    Scenario(
        "call/in on_log", "log: call service :method=GET,:path=/logged,:authority=h _ 1000", (*GET, *_ANSWER)
    ),
    Scenario(
        "call/in the response",
        "response_headers: call service :method=GET,:path=/c,:authority=h _ 1000 & ret 4; "
        "http_call_response: effective & set 2 x-late v & cont 1",
        (*GET, *_ANSWER),
    ),
    Scenario(
        "call/two at once",
        "request_headers: call service :method=GET,:path=/1,:authority=h _ 0 & "
        "call service :method=GET,:path=/2,:authority=h _ 0 & ret 4",
        (head("GET", end=True), *_ANSWER, abort()),
    ),
    Scenario(
        "call/error status is an answer",
        _call() + "; http_call_response: get 6 :status" + _RESUME,
        (head("GET", end=True), reply(500, end=True, callout=True), *_SSE),
    ),
)
