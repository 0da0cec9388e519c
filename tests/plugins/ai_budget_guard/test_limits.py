"""Limits, and how they are configured."""

from collections.abc import Mapping

import pytest

from ai_budget_guard.limits import DEFAULT_LIMITS, Limit, Per, Spender, read_limits
from aigateway.config import ConfigError, Reader
from aigateway.windows import Period

_USD = 10**9


def _limit(**keys: object) -> Limit:
    (limit,) = _read([{"name": "a", "limit_usd": 10} | keys])
    return limit


def _read(entries: object) -> tuple[Limit, ...]:
    reader = Reader({"limits": entries})
    limits = read_limits(reader)
    reader.finish()
    return limits


def _problems(entries: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        _read(entries)
    return str(caught.value).splitlines()


def test_without_configuration_each_consumer_has_25_dollars_in_all() -> None:
    reader = Reader({})

    (limit,) = read_limits(reader)

    assert (limit,) == DEFAULT_LIMITS
    assert limit.nano_usd_for("alice", 0) == 25 * _USD
    assert limit.window.period is Period.TOTAL


@pytest.mark.parametrize(
    ("keys", "subject"),
    [
        ({"per": "consumer"}, "alice"),
        ({"per": "header", "header": "X-Team"}, "red"),
        ({"per": "model"}, "m"),
        ({"per": "provider"}, "p"),
        ({"per": "domain"}, "code"),
        ({"per": "all"}, ""),
    ],
)
def test_the_subject_is_what_the_limit_is_per(keys: Mapping[str, object], subject: str) -> None:
    spender = Spender(consumer="alice", headers={"x-team": "red"}, model="m", provider="p", domain="code")

    assert _limit(**keys).subject_of(spender) == subject
    assert _limit(**keys).subject_of(Spender()) == ""


def test_a_subject_may_have_its_own_amount_and_more_for_a_while() -> None:
    limit = _limit(
        subjects={"alice": "0.5"},
        raises=[
            {"subject": "alice", "extra_usd": 2, "until": "2026-12-01T00:00:00Z"},
            {"extra_usd": 1, "until": "2026-12-01T08:00:00+08:00"},
        ],
    )
    end_s = 1_796_083_200

    assert limit.nano_usd_for("alice", end_s - 1) == 3_500_000_000
    assert limit.nano_usd_for("alice", end_s) == 500_000_000
    assert limit.nano_usd_for("bob", end_s - 1) == 11 * _USD
    assert limit.nano_usd_for("bob", end_s) == 10 * _USD


def test_windows_and_zones_are_read() -> None:
    limit = _limit(window="rolling", rolling_s=3600, timezone="Asia/Shanghai")

    assert (limit.window.period, limit.window.rolling_s) == (Period.ROLLING, 3600)
    assert limit.window.zone.standard_offset_s == 28_800


def test_a_header_without_its_limit_is_refused() -> None:
    assert _limit(per="header", header="x-team").per is Per.HEADER
    assert _problems([{"name": "a", "limit_usd": 1, "header": "x-team"}]) == [
        "limits[0].header: expected none unless per is 'header', got the string 'x-team'"
    ]


def test_everything_wrong_is_said_at_once() -> None:
    problems = _problems(
        [
            {"name": "Über", "limit_usd": "ten", "per": "custmer", "timezone": "Mars"},
            {"name": "b", "limit_usd": 1, "raises": [{"extra_usd": -1, "until": "tomorrow"}]},
            {"name": "b", "window": "fortnight"},
        ]
    )

    paths = {problem.partition(":")[0] for problem in problems}
    assert paths == {
        "limits[0].name",
        "limits[0].limit_usd",
        "limits[0].per",
        "limits[0].timezone",
        "limits[1].raises[0].extra_usd",
        "limits[1].raises[0].until",
        "limits[2].name",
        "limits[2].window",
        "limits[2].limit_usd",
    }
