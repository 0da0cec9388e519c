"""The command ``budget``, on accounts that the guard's own script has made in a real Redis."""

import csv
import json
import time
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from redis import Redis
from redis.exceptions import NoPermissionError, ResponseError

from ai_budget_guard.lease import Answer, Call, encode_call
from ai_budget_guard.script import SCRIPT, read_answers
from nexus.cli import main
from nexus.servers import RunningRedis, running_redis

USD = 10**9
DAY_S = 86_400
TODAY_S = int(time.time()) // DAY_S * DAY_S
PREFIX = "nexus:budget"


@pytest.fixture(scope="module")
def server() -> Iterator[RunningRedis]:
    with running_redis(("--appendonly", "no")) as server:
        yield server


@pytest.fixture
def redis(server: RunningRedis, monkeypatch: pytest.MonkeyPatch) -> Iterator[Redis]:
    """An empty Redis, which the command talks to."""
    monkeypatch.setenv("AI_NEXUS_REDIS", server.url)
    with Redis.from_url(server.url, decode_responses=True) as client:
        client.flushall()
        yield client


@pytest.fixture
def budget(redis: Redis, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run the command and return what it prints."""

    def run(*arguments: str, fails: bool = False) -> str:
        assert main(["budget", *arguments]) == (1 if fails else 0)
        out, err = capsys.readouterr()
        assert (out == "") if fails else (err == "")
        return err if fails else out

    return run


def call(
    redis: Redis,
    limit: str = "month",
    subject: str = "alice",
    *,
    gateway: str = "a",
    number: int = 1,
    spent: int = 0,
    lacks: int = 0,
    keeps: int = 0,
    window_s: int = TODAY_S,
    amount: int = 25 * USD,
) -> Answer:
    """Say what a gateway would say."""
    said = Call(
        number=number,
        window_s=window_s,
        counts_from_s=window_s,
        limit_nano_usd=amount,
        keeps_nano_usd=keeps,
        lifetime_nano_usd=spent,
        lacks_nano_usd=lacks,
        spent=((window_s, spent),) if spent else (),
    )
    keys = (f"{PREFIX}:accounts", f"{PREFIX}:{limit}:{subject}")
    reply = redis.eval(SCRIPT, 2, *keys, gateway, "30", "charge", encode_call(said))
    return read_answers(reply, 1)[0]


def lose(redis: Redis, gateway: str, key: str = f"{PREFIX}:month:alice") -> None:
    """Let a gateway have been silent for too long."""
    amount, window_s, _, number = str(redis.hget(key, f"lease:{gateway}")).split("|")
    redis.hset(key, f"lease:{gateway}", f"{amount}|{window_s}|{int(time.time()) - 1}|{number}")


def write_plugins(directory: Path, **ledger: Any) -> str:
    limits = [
        {"name": "month", "window": "day", "limit_usd": 25, "subjects": {"bob": "7.5"}},
        {"name": "last-hour", "window": "rolling", "rolling_s": 3600, "limit_usd": 1},
    ]
    document = {
        "apiVersion": "extensions.higress.io/v1alpha1",
        "kind": "WasmPlugin",
        "metadata": {"name": "ai-budget-guard"},
        "spec": {"pluginName": "ai-budget-guard", "defaultConfig": {"limits": limits}},
    }
    (directory / "guard.yaml").write_text(yaml.safe_dump(document))
    return str(directory)


class TestShow:
    def test_it_says_what_is_spent_leased_and_lost(self, redis: Redis, budget: Callable[..., str]) -> None:
        call(redis, spent=20_310_000_001, lacks=USD)
        call(redis, gateway="b", lacks=USD // 2)
        lose(redis, "b")
        call(redis, subject="bob", gateway="b", lacks=1)

        head, alice, bob = budget("show").splitlines()

        today = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(TODAY_S))
        assert head.split() == ["limit", "subject", "window", "since", "spent", "leased", "of", "lifetime"]
        assert (
            alice.split() == f"month alice {today} 20.310000001 1 by 1, 0.5 lost by 1 25 20.310000001".split()
        )
        assert bob.split() == f"month bob {today} 0 0.000000001 by 1 25 0".split()

    def test_it_can_be_of_one_limit_or_subject(self, redis: Redis, budget: Callable[..., str]) -> None:
        for limit, subject in [("month", "alice"), ("month", "bob"), ("day", "alice")]:
            call(redis, limit, subject, lacks=1)

        def shown(*arguments: str) -> list[list[str]]:
            return [line.split()[:2] for line in budget("show", *arguments).splitlines()[1:]]

        assert shown() == [["day", "alice"], ["month", "alice"], ["month", "bob"]]
        assert shown("--limit", "month") == [["month", "alice"], ["month", "bob"]]
        assert shown("--subject", "alice") == [["day", "alice"], ["month", "alice"]]
        assert shown("--limit", "month", "--subject", "bob") == [["month", "bob"]]

    @pytest.mark.parametrize("action", [("show",), ("export",), ("release", "--yes")])
    def test_a_name_that_is_not_there_is_not_taken_for_an_empty_ledger(
        self, action: tuple[str, ...], redis: Redis, budget: Callable[..., str]
    ) -> None:
        call(redis, lacks=1)

        assert budget(*action, "--limit", "moth", fails=True) == (
            "There is no account under 'moth', did you mean 'month'?\n"
        )
        assert budget(*action, "--subject", "alicia", fails=True) == (
            "'alicia' has no account, did you mean 'alice'?\n"
        )

    def test_the_plugins_say_which_window_it_is(
        self, redis: Redis, budget: Callable[..., str], tmp_path: Path
    ) -> None:
        """Of yesterday's account nothing counts any more, though nobody has asked for it today."""
        call(redis, subject="bob", window_s=TODAY_S - DAY_S, spent=3 * USD, lacks=USD)

        line = budget("show", "--plugins", write_plugins(tmp_path)).splitlines()[1]

        assert line.split()[3:] == ["0", "-", "7.5", "3"]

    def test_subjects_are_shown_as_they_are_unless_that_would_harm(
        self, redis: Redis, budget: Callable[..., str]
    ) -> None:
        for escaped in ("\\u540d", "a\\x1b[2J", "", "a:b"):
            call(redis, subject=escaped, lacks=1)

        subjects = [line.split()[1] for line in budget("show").splitlines()[1:]]

        assert subjects == ["''", "'a\\x1b[2J'", "a:b", "名"]


class TestSet:
    def test_it_replaces_what_is_spent_and_leaves_leases_alone(
        self, redis: Redis, budget: Callable[..., str]
    ) -> None:
        call(redis, spent=9 * USD, lacks=USD)

        said = budget("set", "month", "alice", "--spent", "0.1")

        assert said.splitlines()[0] == "0.1 USD count as spent, 9 did before"
        answer = call(redis, number=2, keeps=USD)
        assert (answer.spent_nano_usd, answer.lease_nano_usd) == (USD // 10, USD)
        assert redis.hget(f"{PREFIX}:month:alice", "lifetime") == str(9 * USD)

    def test_without_an_account_the_window_must_be_known(
        self, redis: Redis, budget: Callable[..., str], tmp_path: Path
    ) -> None:
        assert budget("set", "month", "bob", "--spent", "2", fails=True) == (
            "'bob' has no account under month yet: give --plugins, which say what its window is.\n"
        )
        assert redis.keys() == []

        budget("set", "month", "bob", "--spent", "2", "--plugins", write_plugins(tmp_path))

        assert call(redis, subject="bob", lacks=1).spent_nano_usd == 2 * USD
        assert budget("show").splitlines()[1].split()[:2] == ["month", "bob"]

    def test_of_a_rolling_window_all_parts_are_replaced_by_one(
        self, redis: Redis, budget: Callable[..., str], tmp_path: Path
    ) -> None:
        now_s = int(time.time()) // 60 * 60
        key = f"{PREFIX}:last-hour:alice"
        redis.sadd(f"{PREFIX}:accounts", key)
        redis.hset(key, mapping={"window": now_s - 60, "from": now_s - 7200})
        for age_s in (120, 60, 7200):
            redis.hset(key, f"spent:{now_s - age_s}", str(USD // 10))

        said = budget("set", "last-hour", "alice", "--spent", "0.5", "--plugins", write_plugins(tmp_path))

        assert said.splitlines()[0] == "0.5 USD count as spent, 0.2 did before"
        fields = {str(name): str(value) for name, value in redis.hgetall(key).items()}
        spent = {name: value for name, value in fields.items() if name.startswith("spent:")}
        assert spent == {f"spent:{fields['window']}": str(USD // 2)}
        assert int(fields["window"]) >= now_s

    def test_a_limit_that_the_plugins_do_not_have_is_named(
        self, budget: Callable[..., str], tmp_path: Path
    ) -> None:
        said = budget("set", "moth", "bob", "--spent", "2", "--plugins", write_plugins(tmp_path), fails=True)

        assert said.startswith("There is no limit 'moth' in ")
        assert said.endswith(": there are month, last-hour.\n")

    @pytest.mark.parametrize("amount", ["-1", "ten", "0.0000000001", "9007200", "nan"])
    def test_amounts_are_exact_or_refused(
        self, amount: str, redis: Redis, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit):
            main(["budget", "set", "month", "alice", f"--spent={amount}"])

        assert "expected US dollars from 0 to 9007199.254740992" in capsys.readouterr().err


class TestReset:
    def test_one_account_or_all_of_a_limit(self, redis: Redis, budget: Callable[..., str]) -> None:
        for subject in ("alice", "bob", "carol"):
            call(redis, subject=subject, spent=2 * USD, lacks=USD)

        assert budget("reset", "month", "bob", "--yes") == "1 account reset, 2 USD\n"
        assert budget("reset", "month", "--yes") == "2 accounts reset, 4 USD\n"
        answer = call(redis, number=2, keeps=USD)
        assert (answer.spent_nano_usd, answer.lease_nano_usd) == (0, USD)

    def test_nothing_is_reset_unasked(self, redis: Redis, budget: Callable[..., str]) -> None:
        call(redis, spent=USD)

        assert budget("reset", "month", fails=True) == "Nobody is there to be asked: give --yes.\n"
        assert call(redis, number=2).spent_nano_usd == USD

    @pytest.mark.parametrize(("answer", "left_nano_usd"), [("y", 0), ("", USD)])
    def test_somebody_who_is_there_is_asked(
        self,
        answer: str,
        left_nano_usd: int,
        redis: Redis,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        class Terminal(StringIO):
            def isatty(self) -> bool:
                return True

        call(redis, spent=USD)
        monkeypatch.setattr("sys.stdin", Terminal(f"{answer}\n"))

        assert main(["budget", "reset", "month"]) == (0 if answer else 1)

        out, err = capsys.readouterr()
        assert out.startswith("Forget 1 USD that 1 account under month spent? [y/N] ")
        assert err == ("" if answer else "Nothing was changed.\n")
        assert call(redis, number=2).spent_nano_usd == left_nano_usd

    def test_a_name_that_is_not_there_is_an_error(self, redis: Redis, budget: Callable[..., str]) -> None:
        assert budget("reset", "month", fails=True) == "There is no account under 'month', nor any other.\n"
        call(redis, lacks=1)

        assert budget("reset", "moth", "--yes", fails=True) == (
            "There is no account under 'moth', did you mean 'month'?\n"
        )
        assert budget("reset", "month", "alicia", "--yes", fails=True) == (
            "'alicia' has no account under month, did you mean 'alice'?\n"
        )


class TestRelease:
    def test_what_lost_gateways_held_can_be_leased_again(
        self, redis: Redis, budget: Callable[..., str]
    ) -> None:
        call(redis, gateway="gone", lacks=20 * USD)
        call(redis, gateway="here", lacks=USD)
        lose(redis, "gone")
        assert call(redis, gateway="here", number=2, keeps=USD, lacks=10 * USD).lease_nano_usd == USD

        assert budget("release", "--yes") == "20 USD given back, of 1 lost lease\n"

        assert call(redis, gateway="here", number=3, keeps=USD, lacks=10 * USD).lease_nano_usd == 11 * USD

    def test_a_gateway_that_comes_back_is_heard_once(self, redis: Redis, budget: Callable[..., str]) -> None:
        """Its last call may have been done, and only the answer lost: it makes that again."""
        call(redis, lacks=5 * USD)
        call(redis, number=2, keeps=2 * USD, spent=3 * USD)
        lose(redis, "a")
        budget("release", "--yes")

        again = call(redis, number=2, keeps=2 * USD, spent=3 * USD)
        later = call(redis, number=3, keeps=USD, spent=USD)

        assert (again.spent_nano_usd, again.lease_nano_usd) == (3 * USD, 0)
        assert (later.spent_nano_usd, later.lease_nano_usd) == (4 * USD, 0)


class TestExport:
    def test_json_lines_have_everything_in_whole_nano_usd(
        self, redis: Redis, budget: Callable[..., str]
    ) -> None:
        call(redis, subject="\\u540d", spent=1, lacks=7)

        [record] = map(json.loads, budget("export").splitlines())

        expires = record["leases"][0].pop("expires")
        assert expires.endswith("Z")
        today = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(TODAY_S))
        assert record == {
            "limit": "month",
            "subject": "名",
            "window_start": today,
            "limit_nano_usd": 25 * USD,
            "spent_nano_usd": 1,
            "leased_nano_usd": 7,
            "lost_nano_usd": 0,
            "lifetime_nano_usd": 1,
            "spent": [{"start": today, "nano_usd": 1}],
            "leases": [{"gateway": "a", "nano_usd": 7, "lost": False}],
        }

    def test_csv_is_quoted_where_it_must_be(self, redis: Redis, budget: Callable[..., str]) -> None:
        call(redis, subject='a,"b"', spent=2**53 - 1, amount=2**53)

        [row] = csv.DictReader(StringIO(budget("export", "--format", "csv")))

        assert (row["subject"], row["lifetime_nano_usd"]) == ('a,"b"', str(2**53 - 1))


def test_the_rights_that_the_readme_gives_are_enough_and_no_more() -> None:
    readme = Path(__file__).parents[3] / "envoy" / "README.md"
    commands = [line for line in readme.read_text(encoding="utf-8").splitlines() if line.startswith("ACL ")]
    with running_redis() as server:
        url = server.url.replace("redis://", "redis://{}@")
        with Redis.from_url(server.url) as everybody:
            for command in commands:
                everybody.execute_command(*command.split())
        with Redis.from_url(url.format(":PASSWORD1"), decode_responses=True) as gateway:
            assert call(gateway, lacks=USD, spent=1).lease_nano_usd == USD
            assert call(gateway, number=2, keeps=1).lease_nano_usd == 1
            with pytest.raises(ResponseError, match="can't run this command"):
                gateway.eval("return redis.call('FLUSHALL')", 0)
            with pytest.raises(NoPermissionError):
                gateway.hgetall("something else")
        assert main(["budget", "show", "--redis", url.format("operator:PASSWORD2")]) == 0


class TestTrouble:
    def test_a_redis_that_is_away_is_an_error_without_its_password(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["budget", "show", "--redis", "redis://:secret@127.0.0.1:1/0"]) == 1

        err = capsys.readouterr().err
        assert "Connection refused" in err
        assert "secret" not in err

    def test_a_password_that_is_missing_or_wrong_is_asked_for(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with running_redis(["--requirepass", "right"]) as redis:
            for password in ("", ":wrong@"):
                url = redis.url.replace("://", f"://{password}")
                assert main(["budget", "show", "--redis", url]) == 1

                err = capsys.readouterr().err
                assert err.startswith("--redis: this Redis asks for another name or password: redis://NAME")
                assert "wrong" not in err

    def test_what_is_no_url_is_not_repeated(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["budget", "show", "--redis", "secret@somewhere"]) == 1

        err = capsys.readouterr().err
        assert err == "--redis: expected redis://, rediss:// or unix:// and an address.\n"

    def test_a_hash_of_somebody_else_is_named(self, redis: Redis, budget: Callable[..., str]) -> None:
        redis.sadd(f"{PREFIX}:accounts", f"{PREFIX}:month:alice")
        redis.hset(f"{PREFIX}:month:alice", "spent:0", "lots")

        assert budget("show", fails=True).startswith(
            "The account of 'alice' under month is not one that a budget guard has written: "
        )

    def test_accounts_are_looked_for_under_the_prefix_that_is_given(
        self, redis: Redis, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """That there are none is said beside the table: it may be the wrong prefix, or the wrong Redis."""
        call(redis, lacks=1)

        assert main(["budget", "show", "--prefix", "other"]) == 0

        out, err = capsys.readouterr()
        assert len(out.splitlines()) == 1
        assert err == "There are no accounts under other.\n"
