"""Random scripts: legal things that clients, filters and upstreams can do, in random order."""

from hypothesis import strategies as st

from .scenario import (
    Scenario,
    Step,
    abort,
    body,
    head,
    reply,
    reply_body,
    reply_trailers,
    server_closes,
    trailers,
)

_HEADER_CALLS = ("get {m} x-t", "pairs {m}", "add {m} x-t new", "set {m} x-t set", "del {m} x-t", "size {m}")
_BODY_CALLS = (
    "buf {m} 0 100",
    "buf {m} 1 2",
    "bufstat {m}",
    "setbuf {m} 0 100 changed",
    "setbuf {m} 0 0 pre",
    "setbuf {m} 0 1 X",
    "setbuf {m} 1 0 mid",
    "setbuf {m} 999 0 post",
    "setbuf {m} 0 100 _",
)
_ANY_CALLS = (
    "sset r{n} v",
    "sget r{n}",
    "mdef 0 m_random & minc 1",
    "setprop p{n} v",
    "prop p{n}",
    "log 2 hi",
)


@st.composite
def filter_scripts(draw: st.DrawFn) -> str:
    """Draw what one filter does: some calls in some callbacks, and what the callbacks return.

    A callback that stops always finds its end: what is held is let go at the end of the message, so every
    script is one a filter could really be.
    """
    lines = []
    for side, header_map, trailer_map, buffer in (("request", 0, 1, 0), ("response", 2, 3, 1)):
        for part, calls, number in (
            (f"{side}_headers", _HEADER_CALLS, header_map),
            (f"{side}_body", _BODY_CALLS, buffer),
            (f"{side}_trailers", _HEADER_CALLS, trailer_map),
        ):
            for call in draw(st.lists(st.sampled_from((*calls, *_ANY_CALLS)), max_size=2)):
                text = call.format(m=number, n=draw(st.integers(0, 2)))
                lines.append(f"{part}: {text}")
        holds = draw(st.sampled_from(("no", "body", "all")))
        if holds == "all":
            lines.append(f"{side}_headers: ret 1")
        if holds != "no":
            value = draw(st.sampled_from((1, 1, 2)))
            lines += [f"{side}_body: ret {value}", f"{side}_body@end: ret 0"]
    answer = draw(st.sampled_from(("", "", "", "request_headers", "request_body@1", "response_headers")))
    if answer:
        lines.append(f"{answer}: reply 403 refused x-r=1 why")
    lines += draw(
        st.lists(st.sampled_from(("log: get 2 :status", "log: pairs 0", "done: sget r0")), max_size=2)
    )
    return "; ".join(lines)


@st.composite
def steps(draw: st.DrawFn) -> tuple[Step, ...]:
    """Draw what the client and the upstream do: one request, perhaps cut short, and one response."""
    pieces = st.binary(min_size=1, max_size=20)
    taken: list[Step] = []
    request = draw(st.lists(pieces, max_size=3))
    sent_headers = [(b"x-t", b"first")] * draw(st.integers(0, 2))
    has_trailers = bool(request) and draw(st.booleans())
    taken.append(head("POST" if request else "GET", "/random", sent_headers, end=not request))
    for index, piece in enumerate(request):
        taken.append(body(piece, end=index == len(request) - 1 and not has_trailers))
    if has_trailers:
        taken.append(trailers((b"t", b"1")))
    ending = draw(st.sampled_from(("answer", "answer", "answer", "answer", "abort", "close")))
    if ending == "abort":
        return (*taken[: draw(st.integers(1, len(taken)))], abort())
    if ending == "close":
        return (*taken, server_closes())
    response = draw(st.lists(pieces, max_size=3))
    status = draw(st.sampled_from((200, 404, 500)))
    reply_has_trailers = bool(response) and draw(st.booleans())
    taken.append(reply(status, [(b"x-t", b"up")], end=not response))
    for index, piece in enumerate(response):
        taken.append(reply_body(piece, end=index == len(response) - 1 and not reply_has_trailers))
    if reply_has_trailers:
        taken.append(reply_trailers((b"u", b"2")))
    return tuple(taken)


def scenarios() -> st.SearchStrategy[Scenario]:
    """Draw whole scenarios for two filters."""
    return st.builds(
        lambda a, b, taken: Scenario("random", a, taken, b),
        filter_scripts(),
        filter_scripts(),
        steps(),
    )
