"""Windows, compared with the calendar."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigateway.windows import ROLLING_PARTS, Period, Span, Window
from aigateway.zones import parse_zone

_ZONES = ["UTC", "Asia/Shanghai", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Adelaide"]

instants = st.integers(1_767_225_600, 1_924_992_000)
windows = st.builds(
    Window,
    period=st.sampled_from(Period),
    zone=st.sampled_from([parse_zone(name) for name in _ZONES]),
    rolling_s=st.integers(60, 10_000_000),
)


def _seconds(text: str, zone: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp())


@pytest.mark.parametrize(
    ("period", "zone", "now", "start", "end"),
    [
        ("minute", "UTC", "2026-05-03 10:20:59", "2026-05-03 10:20", "2026-05-03 10:21"),
        ("hour", "UTC", "2026-05-03 10:20", "2026-05-03 10:00", "2026-05-03 11:00"),
        ("hour", "Asia/Kolkata", "2026-05-03 10:20", "2026-05-03 10:00", "2026-05-03 11:00"),
        ("day", "Asia/Shanghai", "2026-05-03 07:59", "2026-05-03", "2026-05-04"),
        ("week", "UTC", "2026-05-03 10:20", "2026-04-27", "2026-05-04"),
        ("week", "UTC", "2026-05-04 00:00", "2026-05-04", "2026-05-11"),
        ("month", "UTC", "2026-12-31 23:59:59", "2026-12-01", "2027-01-01"),
        ("month", "UTC", "2028-02-29 12:00", "2028-02-01", "2028-03-01"),
        ("day", "Europe/Berlin", "2026-03-29 12:00", "2026-03-29", "2026-03-30"),
        ("month", "Europe/Berlin", "2026-10-25 02:30", "2026-10-01", "2026-11-01"),
    ],
)
def test_calendar_windows(period: str, zone: str, now: str, start: str, end: str) -> None:
    window = Window(period=Period(period), zone=parse_zone(zone))

    assert window.span(_seconds(now, zone)) == Span(_seconds(start, zone), _seconds(end, zone))


def test_the_day_of_a_change_of_clocks_has_23_or_25_hours() -> None:
    window = Window(period=Period.DAY, zone=parse_zone("Europe/Berlin"))

    hours = [
        (span.end_s or 0) - span.start_s
        for span in (
            window.span(_seconds(f"2026-{day} 12:00", "Europe/Berlin")) for day in ("03-29", "10-25")
        )
    ]

    assert hours == [23 * 3600, 25 * 3600]


def test_total_has_no_end() -> None:
    assert Window(period=Period.TOTAL).span(1_800_000_000) == Span(0, None)


@given(windows, instants)
def test_windows_follow_one_another_without_a_gap(window: Window, now_s: int) -> None:
    span = window.span(now_s)
    assert span.start_s <= now_s
    if span.end_s is None:
        return
    assert now_s < span.end_s
    assert window.span(span.start_s) == span
    assert window.span(span.end_s - 1) == span
    assert window.span(span.end_s).start_s == span.end_s


@given(st.integers(60, 10_000_000), instants)
def test_the_parts_of_a_rolling_window_cover_all_of_it(rolling_s: int, now_s: int) -> None:
    window = Window(period=Period.ROLLING, rolling_s=rolling_s)
    span = window.span(now_s)
    length_s = (span.end_s or 0) - span.start_s

    oldest_s = span.start_s - (window.parts - 1) * length_s

    assert window.parts == ROLLING_PARTS + 1
    assert oldest_s <= now_s - rolling_s
    assert now_s - rolling_s - oldest_s < 2 * length_s + ROLLING_PARTS


def test_a_day_of_the_calendar_is_that_of_the_zone() -> None:
    window = Window(period=Period.DAY, zone=parse_zone("+08:00"))
    now = datetime(2026, 5, 3, 16, 0, tzinfo=ZoneInfo("UTC"))

    assert window.span(int(now.timestamp())).start_s == int(now.timestamp())
    assert window.span(int((now - timedelta(seconds=1)).timestamp())).end_s == int(now.timestamp())
