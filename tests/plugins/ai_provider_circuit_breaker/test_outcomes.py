"""What counts as a failure of the provider, and what does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_provider_circuit_breaker import Answer, Event, Exchange, Kind, Limits, classify
from ai_provider_circuit_breaker.outcomes import classify_abandoned, classify_check, read_retry_after

NOW = 1_790_000_000.0
LIMITS = Limits()
UPSTREAM = "via_upstream"
BEFORE = "upstream_reset_before_response_started"
AFTER = "upstream_reset_after_response_started"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, Kind.SUCCESS),
        (201, Kind.SUCCESS),
        (204, Kind.SUCCESS),
        (302, Kind.NOT_COUNTED),
        (400, Kind.NOT_COUNTED),
        (401, Kind.UNAUTHORIZED),
        (402, Kind.UNAUTHORIZED),
        (403, Kind.UNAUTHORIZED),
        (404, Kind.NOT_COUNTED),
        (405, Kind.NOT_COUNTED),
        (408, Kind.FAILURE),
        (409, Kind.NOT_COUNTED),
        (413, Kind.NOT_COUNTED),
        (415, Kind.NOT_COUNTED),
        (422, Kind.NOT_COUNTED),
        (429, Kind.RATE_LIMITED),
        (499, Kind.NOT_COUNTED),
        (500, Kind.FAILURE),
        (501, Kind.FAILURE),
        (502, Kind.FAILURE),
        (503, Kind.FAILURE),
        (504, Kind.FAILURE),
        (529, Kind.FAILURE),
        (599, Kind.FAILURE),
    ],
)
def test_by_status(status: int, kind: Kind) -> None:
    assert classify(Exchange(status=status, code_details=UPSTREAM), LIMITS).kind is kind


@given(
    st.sampled_from([400, 404, 413, 422]), st.sampled_from(Answer), st.floats(0, 1e6), st.integers(0, 2**30)
)
def test_the_callers_mistakes_are_never_counted(
    status: int, answer: Answer, duration_s: float, flags: int
) -> None:
    exchange = Exchange(
        status=status, code_details=UPSTREAM, answer=answer, duration_s=duration_s, flags=flags
    )

    assert classify(exchange, Limits(slow_call_s=1, first_token_s=1)).kind is Kind.NOT_COUNTED


@pytest.mark.parametrize(
    ("details", "cause"),
    [
        (f"{BEFORE}{{connection_termination}}", "reset"),
        (f"{BEFORE}{{remote_reset}}", "reset"),
        (f"{BEFORE}{{protocol_error}}", "reset"),
        (
            f"{BEFORE}{{remote_connection_failure|delayed_connect_error:_Connection_refused}}",
            "connect_failure",
        ),
        (f"{BEFORE}{{connection_timeout}}", "connect_failure"),
        (f"{AFTER}{{connection_termination}}", "cut"),
        (f"{AFTER}{{remote_reset}}", "cut"),
        ("response_timeout", "timeout"),
        ("upstream_per_try_timeout", "timeout"),
        ("stream_idle_timeout", "timeout"),
        ("upstream_max_stream_duration_reached", "timeout"),
        ("no_healthy_upstream", "unreachable"),
        ("dns_resolution_failure", "unreachable"),
    ],
)
@pytest.mark.parametrize("status", [None, 200])
def test_what_breaks_on_the_way_is_a_failure(details: str, cause: str, status: int | None) -> None:
    assert classify(Exchange(status=status, code_details=details), LIMITS) == Event(Kind.FAILURE, cause)


@pytest.mark.parametrize(
    "details",
    [
        f"{BEFORE}{{overflow}}",
        f"{BEFORE}{{overload_manager}}",
        f"{BEFORE}{{local_reset}}",
        "budget_exceeded",
        "wasm_fail_stream",
        "cluster_not_found",
        "route_not_found",
        "request_payload_too_large",
        "response_payload_too_large",
        "request_overall_timeout",
        "all_providers_shut",
    ],
)
@pytest.mark.parametrize("status", [None, 200])
def test_what_the_proxy_or_a_plugin_answers_is_never_counted(details: str, status: int | None) -> None:
    assert classify(Exchange(status=status, code_details=details), LIMITS).kind is Kind.NOT_COUNTED


@pytest.mark.parametrize(
    ("bit", "kind"),
    [
        (1, Kind.FAILURE),
        (2, Kind.FAILURE),
        (4, Kind.FAILURE),
        (5, Kind.FAILURE),
        (6, Kind.FAILURE),
        (7, Kind.NOT_COUNTED),
        (8, Kind.NOT_COUNTED),
        (14, Kind.NOT_COUNTED),
        (23, Kind.FAILURE),
    ],
)
def test_flags_tell_where_there_are_no_details(bit: int, kind: Kind) -> None:
    assert classify(Exchange(flags=1 << bit), LIMITS).kind is kind


@pytest.mark.parametrize(
    ("answer", "cause"),
    [(Answer.CUT, "cut"), (Answer.MALFORMED, "malformed"), (Answer.ERROR, "error_event")],
)
def test_an_answer_that_is_none_is_a_failure(answer: Answer, cause: str) -> None:
    exchange = Exchange(status=200, code_details=UPSTREAM, answer=answer)

    assert classify(exchange, LIMITS) == Event(Kind.FAILURE, cause)


def test_a_stream_that_begins_too_late_is_a_failure() -> None:
    limits = Limits(first_token_s=30)
    late = Exchange(status=200, code_details=UPSTREAM, is_streamed=True, first_byte_s=30.1, duration_s=31)
    whole = Exchange(status=200, code_details=UPSTREAM, is_streamed=False, first_byte_s=30.1, duration_s=31)

    assert classify(late, limits) == Event(Kind.FAILURE, "slow_first_token")
    assert classify(whole, limits).kind is Kind.SUCCESS
    assert classify(late, Limits(first_token_s=0)).kind is Kind.SUCCESS


def test_a_call_that_takes_too_long_is_slow_if_so_configured() -> None:
    exchange = Exchange(status=200, code_details=UPSTREAM, duration_s=10.1)

    assert classify(exchange, Limits(slow_call_s=10)) == Event(Kind.SLOW, "slow_call")
    assert classify(exchange, LIMITS).kind is Kind.SUCCESS


@pytest.mark.parametrize(("limit_s", "kind"), [(40, "not_counted"), (20, "failure"), (0, "not_counted")])
def test_an_attempt_that_was_ended_has_its_own_limit(limit_s: float, kind: str) -> None:
    exchange = Exchange(duration_s=31, limit_s=limit_s)

    assert classify_abandoned(exchange, Limits(first_token_s=30), "deadline").kind == kind


@pytest.mark.parametrize("details", ["downstream_remote_disconnect", "downstream_local_disconnect"])
def test_a_caller_who_leaves_says_nothing_unless_it_was_kept_waiting(details: str) -> None:
    limits = Limits(first_token_s=30)
    impatient = Exchange(code_details=details, duration_s=29)
    patient = Exchange(code_details=details, duration_s=31)
    reading = Exchange(status=200, code_details=details, duration_s=31, first_byte_s=2)

    assert classify(impatient, limits).kind is Kind.NOT_COUNTED
    assert classify(patient, limits) == Event(Kind.FAILURE, "slow_first_token")
    assert classify(reading, limits).kind is Kind.NOT_COUNTED


def test_an_error_counts_though_the_caller_left_before_its_end() -> None:
    exchange = Exchange(status=503, code_details="downstream_remote_disconnect", retry_after_s=7)

    assert classify(exchange, LIMITS) == Event(Kind.FAILURE, "status_503", 7)


def test_keys_of_the_caller_say_nothing_about_the_provider() -> None:
    for status in (401, 402, 403):
        exchange = Exchange(status=status, code_details=UPSTREAM)
        assert classify(exchange, Limits(credentials="caller")).kind is Kind.NOT_COUNTED


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, Kind.SUCCESS),
        (400, Kind.SUCCESS),
        (401, Kind.SUCCESS),
        (404, Kind.SUCCESS),
        (405, Kind.SUCCESS),
        (408, Kind.FAILURE),
        (429, Kind.RATE_LIMITED),
        (500, Kind.FAILURE),
        (503, Kind.FAILURE),
        (504, Kind.FAILURE),
    ],
)
def test_a_check_asks_whether_there_is_life(status: int, kind: Kind) -> None:
    assert classify_check(status, None, LIMITS).kind is kind


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("30", 30.0),
        (" 2.5 ", 2.5),
        ("Mon, 21 Sep 2026 14:13:50 GMT", 30.0),
        ("Fri, 01 Jan 2027 00:00:00 GMT", 1_798_761_600.0 - NOW),
        ("Mon, 21 Sep 2026 14:13:00 GMT", 0.0),
        ("999999999999", 999_999_999_999.0),
        ("9" * 400, None),
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("٣", None),
        ("1e5", None),
        ("Mon, 31 Feb 2026 14:13:50 GMT", None),
        ("Mon, 21 Foo 2026 14:13:50 GMT", None),
        ("Mon, 21 Sep 0000 14:13:50 GMT", None),
    ],
)
def test_retry_after(text: str | None, seconds: float | None) -> None:
    assert read_retry_after(text, NOW) == seconds


@given(st.text(max_size=300))
def test_retry_after_of_any_kind_is_a_wait_or_nothing(text: str) -> None:
    seconds = read_retry_after(text, NOW)

    assert seconds is None or seconds >= 0
