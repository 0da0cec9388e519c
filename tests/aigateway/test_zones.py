"""Zones, compared with the time-zone database of the machine."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigateway.zones import NAMED, UTC, Zone, parse_zone

_FROM_S = int(datetime(2026, 1, 1, tzinfo=ZoneInfo("UTC")).timestamp())
_UNTIL_S = int(datetime(2031, 1, 1, tzinfo=ZoneInfo("UTC")).timestamp())

instants = st.integers(_FROM_S, _UNTIL_S)


@pytest.mark.parametrize("name", NAMED)
def test_a_named_zone_is_the_one_of_the_database_around_every_change(name: str) -> None:
    zone, database = parse_zone(name), ZoneInfo(name)

    def known(now_s: int) -> timedelta | None:
        return datetime.fromtimestamp(now_s, database).utcoffset()

    for day_s in range(_FROM_S, _UNTIL_S, 86_400):
        step_s = 86_400 if known(day_s) == known(day_s + 86_400) else 1_800
        for now_s in range(day_s, day_s + 86_400, step_s):
            assert known(now_s) == timedelta(seconds=zone.offset_s(now_s)), datetime.fromtimestamp(
                now_s, ZoneInfo("UTC")
            )


@given(st.sampled_from(list(NAMED)), instants)
def test_a_day_begins_with_its_date(name: str, now_s: int) -> None:
    zone, database = parse_zone(name), ZoneInfo(name)

    midnight_s = zone.midnight_s(zone.day(now_s))

    today = datetime.fromtimestamp(now_s, database).date()
    assert midnight_s <= now_s
    assert datetime.fromtimestamp(midnight_s, database).date() == today
    assert datetime.fromtimestamp(midnight_s - 1, database).date() == today - timedelta(days=1)


@pytest.mark.parametrize("name", ["America/Santiago", "Africa/Cairo"])
def test_a_day_whose_midnight_does_not_exist_begins_with_its_first_second(name: str) -> None:
    rules = {
        "America/Santiago": "<-04>4<-03>,M9.1.6/24,M4.1.6/24",
        "Africa/Cairo": "EET-2EEST,M4.5.5/0,M10.5.4/24",
    }
    zone, database = parse_zone(rules[name]), ZoneInfo(name)
    for day in range(_FROM_S // 86_400, _UNTIL_S // 86_400):
        midnight = datetime.fromtimestamp(zone.midnight_s(day), database)
        before = datetime.fromtimestamp(zone.midnight_s(day) - 1, database)
        assert (midnight.date() - before.date()).days == 1


@pytest.mark.parametrize(
    ("text", "offset_s"), [("UTC", 0), ("+08:00", 28_800), ("-03:30", -12_600), ("JST-9", 32_400)]
)
def test_an_offset_is_counted_east_of_utc(text: str, offset_s: int) -> None:
    assert parse_zone(text) == Zone(offset_s)


def test_utc_is_utc() -> None:
    assert parse_zone(" Z ") is UTC


@pytest.mark.parametrize(
    "text",
    ["", "Mars/Olympus", "+8", "+15:00", "+08:60", "EST5EDT", "CET-1CEST,M13.5.0,M10.5.0", "X5", "CET-99"],
)
def test_what_is_no_zone_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a time zone"):
        parse_zone(text)


def test_a_slip_is_met_with_the_nearest_name() -> None:
    with pytest.raises(ValueError, match="did you mean 'Europe/Berlin'"):
        parse_zone("Europe/Berlín")
