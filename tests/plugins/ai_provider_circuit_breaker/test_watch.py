"""What is seen of an exchange as it passes, and what it is judged by."""

import pytest

from ai_provider_circuit_breaker import Answer, Kind, Limits, classify
from ai_provider_circuit_breaker.watch import Watch
from aigateway.chat import Format

SENT = 1_790_000_000.0
JSON = {"content-type": "application/json"}
STREAM = {"content-type": "text/event-stream"}
EVENT = b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n'


def feed(watch: Watch, *chunks: bytes, at_s: float = SENT + 1, ends: bool = True) -> bytes:
    """Feed *chunks*, the last one as the last one of all, and return what is to be appended."""
    appended = b""
    for index, chunk in enumerate(chunks):
        appended = watch.feed(chunk, lambda: at_s, is_last=ends and index == len(chunks) - 1)
    return appended


def test_a_whole_answer_is_a_success() -> None:
    watch = Watch(Format.CHAT, SENT)
    watch.answered(200, JSON)

    assert feed(watch, b'{"id":', b'"1"}') == b""
    exchange = watch.exchange(SENT + 2, "via_upstream")

    assert (exchange.status, exchange.answer, exchange.duration_s) == (200, Answer.WHOLE, 2)
    assert classify(exchange, Limits()).kind is Kind.SUCCESS


def test_an_error_is_judged_by_its_head() -> None:
    watch = Watch(Format.CHAT, SENT)
    watch.answered(429, {"retry-after": "7"})

    assert not watch.wants_body
    assert watch.exchange(SENT + 1, "via_upstream").retry_after_s == 7


def test_the_first_event_is_timed_and_not_the_comments_before_it() -> None:
    watch = Watch(Format.CHAT, SENT)
    watch.answered(200, STREAM)
    feed(watch, b": wait\n\n", at_s=SENT + 1, ends=False)
    feed(watch, EVENT, at_s=SENT + 3, ends=False)
    feed(watch, EVENT, at_s=SENT + 9, ends=False)

    exchange = watch.exchange(SENT + 10, "via_upstream")

    assert exchange.is_streamed
    assert exchange.first_byte_s == 3


def test_a_stream_that_ends_without_its_last_event_gets_one() -> None:
    watch = Watch(Format.CHAT, SENT)
    watch.answered(200, STREAM)

    assert b"stream_cut" in feed(watch, EVENT)
    assert watch.exchange(SENT + 1, "via_upstream").answer is Answer.CUT


@pytest.mark.parametrize("headers", [JSON, STREAM, {}])
def test_an_answer_that_breaks_off_is_cut_whatever_has_come(headers: dict[str, str]) -> None:
    watch = Watch(Format.CHAT, SENT)
    watch.answered(200, headers)
    feed(watch, EVENT, ends=False)

    exchange = watch.exchange(SENT + 1, "via_upstream", is_cut=True)

    assert classify(exchange, Limits()).cause == "cut"


def test_without_an_answer_there_is_no_status() -> None:
    exchange = Watch(None, SENT).exchange(SENT + 4, None)

    assert (exchange.status, exchange.first_byte_s, exchange.duration_s) == (None, None, 4)


@pytest.mark.parametrize(
    ("headers", "chunks", "wants_more", "verdict"),
    [
        (STREAM, [b": wait\n\n"], True, Answer.WHOLE),
        (STREAM, [EVENT[:9]], True, Answer.WHOLE),
        (STREAM, [EVENT], False, Answer.WHOLE),
        (STREAM, [b'data: {"error":{"message":"overloaded"}}\n\n'], False, Answer.ERROR),
        (STREAM, [b"data: nonsense\n\n"], False, Answer.MALFORMED),
        (JSON, [b'{"id":'], True, Answer.WHOLE),
        (JSON, [b"\n\n"], False, Answer.WHOLE),
        (JSON, [b"\n\n", b' {"id"'], True, Answer.WHOLE),
        (JSON, [b"<html>"], False, Answer.MALFORMED),
        (JSON, [b'{"id":"' + b"x" * 70_000], False, Answer.WHOLE),
        ({"content-type": "audio/mpeg"}, [b"ID3"], False, Answer.WHOLE),
    ],
)
def test_little_of_an_answer_may_show_that_it_is_none(
    headers: dict[str, str], chunks: list[bytes], wants_more: bool, verdict: Answer
) -> None:
    watch = Watch(Format.CHAT, SENT)
    watch.answered(200, headers)
    feed(watch, *chunks, ends=False)

    assert (watch.wants_more, watch.verdict()) == (wants_more, verdict)


@pytest.mark.parametrize(
    ("headers", "content", "verdict"),
    [(STREAM, b": wait\n\n", Answer.CUT), (JSON, b'{"id":', Answer.MALFORMED), (JSON, b"{}", Answer.WHOLE)],
)
def test_at_its_end_nothing_more_is_wanted(headers: dict[str, str], content: bytes, verdict: Answer) -> None:
    watch = Watch(Format.CHAT, SENT)
    watch.answered(200, headers)
    watch.has_ended = True
    feed(watch, content)

    assert (watch.wants_more, watch.verdict()) == (False, verdict)
    assert watch.exchange(SENT + 1, "via_upstream").answer is verdict
