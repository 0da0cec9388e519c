"""Redis and Webdis as tests start them: the real ones."""

import contextlib
import os
from pathlib import Path

import pytest
import requests
from redis import Redis

from nexus.servers import RunningRedis, ServerMissingError, running_redis, running_webdis
from nexus.stack import StartError


def is_running(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def client(redis: RunningRedis) -> Redis:
    return Redis.from_url(redis.url, decode_responses=True)


def test_what_redis_has_answered_it_still_knows_after_a_crash() -> None:
    with running_redis() as redis:
        with client(redis) as connection:
            connection.set("a", "b")
        killed = redis.pid

        redis.kill()

        assert not is_running(killed)
        redis.start()
        with client(redis) as connection:
            assert connection.get("a") == "b"


def test_nothing_is_left_of_them() -> None:
    with running_redis() as redis, running_webdis(redis) as webdis:
        pids = redis.pid, webdis.pid
        with client(redis) as connection:
            directory = Path(str(connection.config_get("dir")["dir"]))
        assert directory.is_dir()

    assert not any(is_running(pid) for pid in pids)
    assert not directory.exists()


def test_webdis_speaks_for_its_redis_and_says_when_that_is_away() -> None:
    with running_redis() as redis, running_webdis(redis) as webdis:
        assert requests.post(webdis.url, data="SET/a/b%2Fc", timeout=5).json() == {"SET": [True, "OK"]}
        with client(redis) as connection:
            assert connection.get("a") == "b/c"

        redis.stop()

        assert requests.post(webdis.url, data="GET/a", timeout=5).status_code == 503


def test_webdis_takes_settings() -> None:
    acl = [{"disabled": ["*"]}, {"enabled": ["EVAL"]}]

    with running_redis() as redis, running_webdis(redis, {"acl": acl}) as webdis:
        assert requests.post(webdis.url, data="GET/a", timeout=5).status_code == 403
        assert requests.post(webdis.url, data="EVAL/return 1/0", timeout=5).json() == {"EVAL": 1}


def test_why_a_server_did_not_start_is_said() -> None:
    with (
        pytest.raises(StartError, match=r"redis-server did not start: .*no-such-option"),
        running_redis(["--no-such-option", "1"]),
    ):
        pass


def test_a_server_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with (
        pytest.raises(ServerMissingError, match=r"redis-server is missing: .*apt-get install redis-server"),
        running_redis(),
    ):
        pass
