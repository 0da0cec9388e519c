"""Starting, ticking, dying and coming back. Each of these has a deployment of its own."""

from .scenario import GET, POST, Scenario, body, head, reply, reply_body, wait

_OK = (reply(), reply_body(b"response", end=True))

SCENARIOS = (
    Scenario("start/callbacks of two plugins", setup="fresh", with_start=True),
    Scenario("start/two plugins of one configuration share a context", setup="twins", with_start=True),
    Scenario(
        "start/the configuration can be read only while configuring",
        "request_headers: buf 7 0 10 & buf 6 0 10; log: buf 7 0 10",
        setup="configured",
        with_start=True,
    ),
    Scenario("start/host calls while configuring", setup="busy start", with_start=True, shared=("started",)),
    Scenario("tick/once", steps=(wait(0.2),), setup="ticking", with_start=True),
    Scenario(
        "trap/in request headers, failing closed",
        "request_headers: raise",
        (*GET, *GET),
        setup="closed",
        only_probe_logs=True,
    ),
    Scenario(
        "trap/in request headers, failing open",
        "request_headers: raise",
        (*GET, *GET),
        setup="open",
        only_probe_logs=True,
    ),
    Scenario(
        "trap/in request body, failing closed",
        "request_body: raise",
        POST,
        setup="closed",
        only_probe_logs=True,
    ),
    Scenario(
        "trap/in request body, failing open", "request_body: raise", POST, setup="open", only_probe_logs=True
    ),
    Scenario(
        "trap/in response headers, failing closed",
        "response_headers: raise",
        GET,
        setup="closed",
        only_probe_logs=True,
    ),
    Scenario(
        "trap/in response headers, failing open",
        "response_headers: raise",
        GET,
        setup="open",
        only_probe_logs=True,
    ),
    Scenario(
        "trap/in response body, failing closed",
        "response_body: raise",
        GET,
        setup="closed",
        only_probe_logs=True,
    ),
    Scenario(
        "trap/in request headers, always open",
        "request_headers: raise",
        (*GET, *GET),
        setup="open always",
        only_probe_logs=True,
    ),
    Scenario(
        "trap/in request body, always open",
        "request_body: raise",
        POST,
        setup="open always",
        only_probe_logs=True,
    ),
    Scenario(
        "trap/in response headers, always open",
        "response_headers: raise",
        GET,
        setup="open always",
        only_probe_logs=True,
    ),
    Scenario(
        "trap/in response body, always open",
        "response_body: raise",
        GET,
        setup="open always",
        only_probe_logs=True,
    ),
    Scenario("trap/in on_log", "log: raise", (*GET, *GET), setup="closed", only_probe_logs=True),
    Scenario("trap/in on_done", "done: raise", (*GET, *GET), setup="closed", only_probe_logs=True),
    Scenario(
        "trap/other streams of the VM",
        "request_headers: raise",
        (head(), body(b"x"), *GET),
        setup="closed",
        only_probe_logs=True,
    ),
    Scenario(
        "trap/the VM does not come back at once",
        "request_headers: raise",
        (head("GET", end=True), head("GET", "/again", unscripted=True, end=True), *_OK),
        setup="reload",
        only_probe_logs=True,
    ),
    Scenario(
        "trap/the VM comes back",
        "request_headers: raise",
        (head("GET", end=True), wait(1.7), head("GET", "/again", unscripted=True, end=True), *_OK),
        setup="reload",
        only_probe_logs=True,
    ),
)
