"""Redis through Higress: its own client, with one connection per worker."""

from collections.abc import Sequence
from typing import Final, Protocol

from proxywasm import CalloutError, RedisError

from .central import CentralError

__all__ = ["HigressRedis"]

_AT_ONCE: Final = "?buffer_flush_timeout=0&max_buffer_size_before_flush=0"
"""Send each command as it comes. Higress would wait up to 3 ms for others, and a request waits with it."""


class RedisCalls(Protocol):
    """What `HigressRedis` needs of the SDK: a filter or the context of a plugin."""

    async def redis_call(
        self, cluster: str, command: Sequence[str], *, timeout_s: float, username: str, password: str
    ) -> object:
        """Send a command and return the answer, or raise `CalloutError` or `RedisError`."""


class HigressRedis:
    """A `Central`; *cluster* may bring options for Higress behind a `?`."""

    def __init__(
        self, calls: RedisCalls, *, cluster: str, timeout_s: float, username: str, password: str
    ) -> None:
        self._calls = calls
        self._cluster = cluster if "?" in cluster else cluster + _AT_ONCE
        self._timeout_s = timeout_s
        self._username = username
        self._password = password

    async def command(self, parts: Sequence[str]) -> object:
        """Have a command executed and return the answer, or raise `CentralError`."""
        try:
            return await self._calls.redis_call(
                self._cluster,
                parts,
                timeout_s=self._timeout_s,
                username=self._username,
                password=self._password,
            )
        except RedisError as error:
            raise CentralError(f"Redis says {error.code}", error.code) from error
        except CalloutError as error:
            raise CentralError(error.reason) from error
