"""Configuration is read by type, and everything wrong with it is said at once."""

import re

import pytest

from aigateway.config import ConfigError, Reader


def problems(reader: Reader) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        reader.finish()
    return str(raised.value).splitlines()


def test_absent_and_null_keys_read_as_their_defaults() -> None:
    reader = Reader({"flag": None})

    assert reader.boolean("flag", True) is True
    assert reader.string("name", "anonymous") == "anonymous"
    assert reader.number("share", 0.5) == 0.5
    assert reader.integer("count", 3, at_least=0) == 3
    assert reader.choice("mode", "on", among=("on", "off")) == "on"
    assert reader.strings("names", ("a",)) == ("a",)
    assert reader.tables("budgets") == []
    assert reader.table("nested").number("inner", 1.5) == 1.5
    reader.finish()


def test_values_of_the_right_type_are_read() -> None:
    reader = Reader(
        {
            "flag": False,
            "name": "x",
            "share": 1,
            "count": 0,
            "mode": "off",
            "names": [],
            "nested": {"inner": 2},
        }
    )

    assert reader.boolean("flag", True) is False
    assert reader.string("name", "anonymous") == "x"
    assert reader.number("share", 0.5, at_least=0, at_most=1) == 1.0
    assert reader.integer("count", 3, at_least=0) == 0
    assert reader.choice("mode", "on", among=("on", "off")) == "off"
    assert reader.strings("names", ("a",)) == ()
    assert reader.table("nested").number("inner", 1.5) == 2.0
    reader.finish()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("ten", "limit_usd: expected a number above 0, got the string 'ten'"),
        (0, "limit_usd: expected a number above 0, got the number 0"),
        (True, "limit_usd: expected a number above 0, got true"),
        ([], "limit_usd: expected a number above 0, got an empty array"),
        ({}, "limit_usd: expected a number above 0, got an object"),
        (float("inf"), "limit_usd: expected a number above 0, got the number inf"),
        (float("nan"), "limit_usd: expected a number above 0, got the number nan"),
        (10**400, "limit_usd: expected a number above 0, got a number of more than 64 bits"),
    ],
)
def test_a_wrong_number_is_named_with_what_was_expected_and_what_came(value: object, message: str) -> None:
    reader = Reader({"limit_usd": value})

    assert reader.number("limit_usd", 1.0, above=0) == 1.0
    assert problems(reader) == [message]


@pytest.mark.parametrize(
    ("least", "most", "expected"),
    [(0, None, "a number of at least 0"), (None, 1, "a number of at most 1"), (0, 1, "a number from 0 to 1")],
)
def test_bounds_of_a_number_are_said(least: float | None, most: float | None, expected: str) -> None:
    reader = Reader({"share": "x"})

    reader.number("share", 0.5, at_least=least, at_most=most)

    assert problems(reader) == [f"share: expected {expected}, got the string 'x'"]


@pytest.mark.parametrize("value", [-1, 11, 1.5, True, "1"])
def test_a_whole_number_is_within_bounds_and_neither_bool_nor_fraction(value: object) -> None:
    reader = Reader({"count": value})

    assert reader.integer("count", 3, at_least=0, at_most=10) == 3
    (problem,) = problems(reader)
    assert problem.startswith("count: expected a whole number from 0 to 10, got ")


def test_all_problems_come_at_once_with_their_paths() -> None:
    reader = Reader(
        {
            "budgets": [{"limit_usd": "ten"}, {"limit_usd": 1, "consumer": ""}, 7],
            "budgts": 1,
            "mode": "onn",
            "names": ["a", ""],
        }
    )
    for budget in reader.tables("budgets"):
        budget.number("limit_usd", 1, above=0)
        budget.string("consumer", "anonymous")
    reader.choice("mode", "on", among=("on", "off"))
    reader.strings("names", ())
    reader.boolean("budget", True)

    assert problems(reader) == [
        "mode: expected 'on' or 'off', got the string 'onn', did you mean 'on'?",
        "names[1]: expected a non-empty string, got an empty string",
        "budgts: unknown key, did you mean 'budgets'?",
        "budgets[0].limit_usd: expected a number above 0, got the string 'ten'",
        "budgets[1].consumer: expected a non-empty string, got an empty string",
        "budgets[2]: expected an object, got the number 7",
    ]


def test_problems_carry_path_and_message_apart() -> None:
    reader = Reader({"nested": {"inner": "x"}})
    reader.table("nested").integer("inner", 1, at_least=0)

    with pytest.raises(ConfigError) as raised:
        reader.finish()

    (problem,) = raised.value.problems
    assert problem.path == "nested.inner"
    assert problem.message == "expected a whole number of at least 0, got the string 'x'"


def test_a_key_like_no_other_gets_no_suggestion() -> None:
    reader = Reader({"zzz": 1})
    reader.boolean("enabled", True)

    assert problems(reader) == ["zzz: unknown key"]


@pytest.mark.parametrize("value", [None, [], "text", 3])
def test_a_configuration_that_is_no_object_is_refused(value: object) -> None:
    (problem,) = problems(Reader(value))

    assert problem.startswith("expected an object, got ")


def test_a_long_string_is_shown_in_part() -> None:
    reader = Reader({"mode": "x" * 5000})
    reader.choice("mode", "on", among=("on", "off"))

    (problem,) = problems(reader)
    assert len(problem) < 150


def test_what_only_the_plugin_sees_can_be_refused_too() -> None:
    reader = Reader({"name": "--"})
    reader.refuse("name", "a letter", reader.string("name", "x"))

    assert problems(reader) == ["name: expected a letter, got the string '--'"]


def test_an_amount_is_read_exactly() -> None:
    reader = Reader({"a": 0.1, "b": "25", "c": 3, "d": 1e-9})

    amounts = [reader.amount_usd(key) for key in "abcd"]

    assert amounts == [100_000_000, 25 * 10**9, 3 * 10**9, 1]
    reader.finish()


@pytest.mark.parametrize("value", ["ten", -1, True, [], 1e-10, float("nan"), 2e9])
def test_what_is_no_amount_is_refused(value: object) -> None:
    reader = Reader({"limit_usd": value})
    assert reader.amount_usd("limit_usd", 5) == 0

    (problem,) = problems(reader)
    assert problem.startswith(
        "limit_usd: expected US dollars from 0 to 1000000000, with at most 9 decimals, got"
    )


def test_an_amount_that_must_be_there_is_missed() -> None:
    reader = Reader({})
    reader.amount_usd("limit_usd")

    assert problems(reader)[0].endswith("got nothing")


def test_names_of_the_users_own_are_known_keys_once_read() -> None:
    reader = Reader({"consumers": {"alice": 1, "bob": 2}})
    table = reader.table("consumers")

    assert [table.integer(name, 0, at_least=0) for name in table] == [1, 2]
    assert "alice" in table
    reader.finish()


def test_a_text_must_have_its_form() -> None:
    reader = Reader({"name": "Bad Name", "other": "good"})
    form = re.compile("[a-z]+")

    assert reader.text("other", form, "letters") == "good"
    assert reader.text("absent", form, "letters", "default") == "default"
    assert reader.text("name", form, "letters") == ""
    assert problems(reader) == ["name: expected letters, got the string 'Bad Name'"]
