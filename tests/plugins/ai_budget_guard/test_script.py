"""The script of the leased ledger, in a real Redis."""

import hashlib
import time
from typing import cast

import pytest
from redis import Redis, ResponseError

from ai_budget_guard.lease import Answer, Call, encode_call
from ai_budget_guard.script import DIGEST, SCRIPT, read_answers

INDEX = "budget:accounts"
ALICE = "budget:each:alice"
DAY_S = 86_400
TODAY_S = int(time.time()) // DAY_S * DAY_S


def execute(
    redis: Redis,
    *calls: Call,
    gateway: str = "a",
    keys: tuple[str, ...] = (ALICE,),
    lease_s: int = 30,
    on_lost: str = "charge",
) -> list[Answer]:
    arguments = [gateway, str(lease_s), on_lost, *map(encode_call, calls)]
    reply = redis.eval(SCRIPT, 1 + len(keys), INDEX, *keys, *arguments)
    return read_answers(reply, len(calls))


def say(
    number: int,
    *,
    window_s: int = 0,
    from_s: int | None = None,
    limit: int = 1_000,
    keeps: int = 0,
    lifetime: int | None = None,
    lacks: int = 0,
    waiting: int = 0,
    wish: int = 0,
    spent: dict[int, int] | None = None,
) -> Call:
    spent = spent or {}
    return Call(
        number=number,
        window_s=window_s,
        counts_from_s=window_s if from_s is None else from_s,
        limit_nano_usd=limit,
        keeps_nano_usd=keeps,
        lifetime_nano_usd=sum(spent.values()) if lifetime is None else lifetime,
        lacks_nano_usd=lacks,
        waiting_nano_usd=waiting,
        wish_nano_usd=wish,
        spent=tuple(sorted(spent.items())),
    )


def fields(redis: Redis, key: str = ALICE) -> dict[str, str]:
    return cast("dict[str, str]", redis.hgetall(key))


def lose(redis: Redis, seconds: int, key: str = ALICE) -> None:
    """Let all leases of an account be *seconds* older."""
    for name, value in fields(redis, key).items():
        if name.startswith("lease:"):
            amount, window_s, expires_s, number = value.split("|")
            redis.hset(key, name, f"{amount}|{window_s}|{int(expires_s) - seconds}|{number}")


def test_its_digest_is_that_by_which_redis_knows_it(redis: Redis) -> None:
    assert hashlib.sha1(SCRIPT.encode()).hexdigest() == DIGEST
    assert redis.script_load(SCRIPT) == DIGEST


def test_what_is_lacking_is_leased_and_the_rest_is_left_for_others(redis: Redis) -> None:
    (answer,) = execute(redis, say(1, lacks=400))

    assert (answer.number, answer.lease_nano_usd) == (1, 400)
    assert (answer.spent_nano_usd, answer.leased_nano_usd, answer.is_wanted) == (0, 400, False)
    assert 25 <= answer.left_s <= 30
    assert redis.smembers(INDEX) == {ALICE}
    (other,) = execute(redis, say(1, lacks=600), gateway="b")
    assert (other.lease_nano_usd, other.leased_nano_usd) == (600, 1_000)


def test_a_wish_is_met_with_a_share_of_what_is_left(redis: Redis) -> None:
    assert execute(redis, say(1, lacks=10, wish=50))[0].lease_nano_usd == 50
    assert execute(redis, say(2, keeps=50, lacks=10, wish=900))[0].lease_nano_usd == 50 + 950 // 8


def test_those_who_wait_get_all_there_is(redis: Redis) -> None:
    (answer,) = execute(redis, say(1, lacks=10, waiting=3_000))

    assert (answer.lease_nano_usd, answer.is_wanted) == (1_000, True)


def test_too_little_is_left_alone_and_everybody_is_told(redis: Redis) -> None:
    execute(redis, say(1, lacks=700))

    (refused,) = execute(redis, say(1, lacks=301), gateway="b")

    assert (refused.lease_nano_usd, refused.leased_nano_usd, refused.is_wanted) == (0, 700, True)
    (told,) = execute(redis, say(2, keeps=700))
    assert told.is_wanted
    (returned,) = execute(redis, say(3, keeps=0, wish=500))
    assert returned.lease_nano_usd == 0
    assert execute(redis, say(2, lacks=301), gateway="b")[0].lease_nano_usd == 301


def test_a_number_is_done_once(redis: Redis) -> None:
    execute(redis, say(1, lacks=400))
    report = say(2, keeps=150, spent={0: 250})

    first, second = execute(redis, report)[0], execute(redis, report)[0]
    late = execute(redis, say(1, lacks=400))[0]

    assert first == second == late
    assert (first.number, first.spent_nano_usd, first.lease_nano_usd) == (2, 250, 150)
    assert redis.hget(ALICE, "lifetime") == "250"


def test_what_was_spent_is_charged_even_beyond_the_limit(redis: Redis) -> None:
    (answer,) = execute(redis, say(1, spent={0: 1_300}, lacks=1))

    assert (answer.spent_nano_usd, answer.lease_nano_usd) == (1_300, 0)


def test_many_accounts_in_one_call(redis: Redis) -> None:
    keys = tuple(f"budget:each:{number}" for number in range(64))

    answers = execute(redis, *[say(1, lacks=number) for number in range(64)], keys=keys)

    assert [answer.lease_nano_usd for answer in answers] == list(range(64))
    assert redis.smembers(INDEX) == set(keys)


def test_large_amounts_are_exact(redis: Redis) -> None:
    limit = 9_000_000 * 10**9

    execute(redis, say(1, limit=limit, lacks=limit - 1))
    (answer,) = execute(redis, say(2, limit=limit, keeps=1, spent={0: limit - 2}))

    assert (answer.spent_nano_usd, answer.leased_nano_usd) == (limit - 2, 1)
    assert execute(redis, say(1, limit=limit, lacks=1), gateway="b")[0].lease_nano_usd == 1
    assert execute(redis, say(2, limit=limit, keeps=1, lacks=1), gateway="b")[0].lease_nano_usd == 1


def test_a_new_window_has_all_of_the_limit_and_the_old_one_is_only_remembered(redis: Redis) -> None:
    execute(redis, say(1, window_s=TODAY_S - DAY_S, lacks=900), gateway="dead")
    execute(redis, say(1, window_s=TODAY_S - DAY_S, spent={TODAY_S - DAY_S: 100}))

    (answer,) = execute(redis, say(2, window_s=TODAY_S, lifetime=30, lacks=1_000))

    assert (answer.lease_nano_usd, answer.spent_nano_usd, answer.window_s) == (1_000, 0, TODAY_S)
    assert redis.hget(ALICE, "lifetime") == "130"
    assert not [name for name in fields(redis) if name.startswith("spent:")]


def test_a_gateway_whose_clock_is_behind_finds_the_window_that_others_are_in(redis: Redis) -> None:
    execute(redis, say(1, window_s=TODAY_S - DAY_S, lacks=300))
    execute(redis, say(1, window_s=TODAY_S, lacks=900), gateway="b")
    spent = {TODAY_S - DAY_S: 200}

    (answer,) = execute(redis, say(2, window_s=TODAY_S - DAY_S, keeps=100, spent=spent, lacks=50))

    assert (answer.window_s, answer.lease_nano_usd, answer.spent_nano_usd) == (TODAY_S, 50, 0)
    assert redis.hget(ALICE, "lifetime") == "200"


def test_a_gateway_whose_clock_is_far_ahead_ends_no_window(redis: Redis) -> None:
    execute(redis, say(1, window_s=TODAY_S, lacks=300))
    before = fields(redis)

    with pytest.raises(ResponseError, match="CLOCK"):
        execute(redis, say(2, window_s=TODAY_S + 2 * DAY_S, spent={TODAY_S: 1}))

    assert fields(redis) == before


def test_a_rolling_window_counts_its_parts(redis: Redis) -> None:
    start_s = TODAY_S - 4_000
    for part in range(4):
        part_s = start_s + part * 100
        execute(redis, say(part + 1, window_s=part_s, from_s=start_s, spent={part_s: 100}))

    (answer,) = execute(redis, say(5, window_s=start_s + 500, from_s=start_s + 200, lacks=801))

    assert (answer.spent_nano_usd, answer.lease_nano_usd) == (200, 0)
    assert answer.parts == ((start_s + 200, 100), (start_s + 300, 100))
    assert redis.hget(ALICE, "lifetime") == "400"


@pytest.mark.parametrize("on_lost", ["charge", "return"])
def test_the_lease_of_a_gateway_that_is_lost(redis: Redis, on_lost: str) -> None:
    execute(redis, say(1, lacks=900), gateway="dead", on_lost=on_lost)
    lose(redis, 31)

    (answer,) = execute(redis, say(1, lacks=1_000), on_lost=on_lost)

    assert answer.lease_nano_usd == (1_000 if on_lost == "return" else 0)
    back = execute(redis, say(2, keeps=900), gateway="dead", on_lost=on_lost)[0]
    assert back.lease_nano_usd == (0 if on_lost == "return" else 900)


def test_a_lost_lease_is_kept_as_far_as_there_is_room(redis: Redis) -> None:
    execute(redis, say(1, lacks=900), on_lost="return")
    lose(redis, 31)
    execute(redis, say(1, lacks=300), gateway="b", on_lost="return")

    (answer,) = execute(redis, say(2, keeps=800, spent={0: 100}), on_lost="return")

    assert (answer.spent_nano_usd, answer.lease_nano_usd, answer.leased_nano_usd) == (100, 600, 900)


def test_a_redis_that_has_forgotten_everything_is_told(redis: Redis) -> None:
    execute(redis, say(1, lacks=900))
    redis.flushall()

    (answer,) = execute(redis, say(2, keeps=800, spent={0: 100}))

    assert (answer.spent_nano_usd, answer.lease_nano_usd) == (100, 800)


def test_what_nobody_comes_back_for_is_cleared_away_in_the_end(redis: Redis) -> None:
    execute(redis, say(1, lacks=400), gateway="dead")
    execute(redis, say(1), gateway="idle")
    lose(redis, DAY_S + 60)

    execute(redis, say(1))
    assert {name for name in fields(redis) if ":" in name} == {"lease:a", "lease:dead"}
    lose(redis, 30 * DAY_S)
    (answer,) = execute(redis, say(2))

    assert (answer.spent_nano_usd, answer.leased_nano_usd) == (400, 0)
    assert {name for name in fields(redis) if ":" in name} == {"lease:a", "spent:0"}
