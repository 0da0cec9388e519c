"""A plugin that sends Redis what a request says, for tests on a host with Redis and on one without."""

import json
from typing import Any

from proxywasm import (
    CalloutError,
    ConfigurationError,
    HttpFilter,
    Outcome,
    PluginContext,
    RedisError,
    RedisValue,
    Reply,
    Request,
    UsageError,
    plugin,
)


class Context(PluginContext[dict[str, Any]]):
    """Refuses a configuration that wants Redis where there is none, and counts ticks in Redis."""

    def on_configure(self) -> None:
        if self.config.get("wants_redis") and not self.has_redis:
            raise ConfigurationError(["wants_redis: expected the module built for Higress"])
        if "ticks" in self.config:
            self.set_tick_period(1)

    async def on_tick(self) -> None:
        await self.redis_call("redis", ["INCR", self.config["ticks"]])


@plugin("redis-caller", context=Context)
class RedisCaller(HttpFilter[dict[str, Any]]):
    """Takes commands as a JSON array of arrays, and answers with what each of them gave."""

    async def on_request_headers(self, request: Request) -> Outcome:
        commands = json.loads(await request.body.read())
        return Reply.json(200, [await self._ask(command) for command in commands])

    async def _ask(self, command: list[str]) -> object:
        given = {"cluster": "redis", **self.config.get("redis", {})}
        try:
            return _as_json(await self.redis_call(command=command, **given))
        except (CalloutError, UsageError) as error:
            return {type(error).__name__: str(error)}
        except RedisError as error:
            return _as_json(error)


def _as_json(value: RedisValue) -> object:
    if isinstance(value, RedisError):
        return {"error": value.code, "message": value.message, "text": str(value)}
    if isinstance(value, list):
        return [_as_json(item) for item in value]
    return value.decode("latin-1") if isinstance(value, bytes) else value
