"""A real Redis for the tests of the leased ledger."""

from collections.abc import Iterator

import pytest
from redis import Redis

from nexus.servers import running_redis


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Redis]:
    """A client of a Redis that forgets everything when it ends."""
    with (
        running_redis(("--appendonly", "no")) as server,
        Redis.from_url(server.url, decode_responses=True) as client,
    ):
        yield client


@pytest.fixture
def redis(redis_server: Redis) -> Redis:
    """An empty Redis."""
    redis_server.flushall()
    return redis_server
