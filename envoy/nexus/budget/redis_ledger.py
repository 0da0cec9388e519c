"""The accounts in Redis: found, read, and changed, each in one step that no call of a gateway gets into."""

import contextlib
import difflib
from codecs import unicode_escape_decode
from collections.abc import Iterator, Sequence
from typing import Final

from redis import Redis
from redis.exceptions import AuthenticationError, RedisError

from ai_budget_guard.slots import name_of

from .accounts import StoredAccount, read_account
from .errors import BudgetError
from .limits import Present

__all__ = ["RedisLedger", "connected"]

_CONNECT_TIMEOUT_S: Final = 5.0
_AT_ONCE: Final = 500
"""How many accounts are asked for before an answer is waited for."""

_SET_SPENT: Final = """\
-- KEYS: the set of all accounts, the account. ARGV: what counts as spent; when the present window begins and
-- the oldest that counts, and the limit, or '' for each that is not known.
-- Answers what counted as spent before, or nothing without an account.
local fields, account = redis.call('HGETALL', KEYS[2]), {}
for index = 1, #fields, 2 do account[fields[index]] = fields[index + 1] end
if #fields == 0 and ARGV[2] == '' then return false end
local window = math.max(tonumber(account.window or 0), tonumber(ARGV[2]) or 0)
local from = math.max(tonumber(account.from or 0), tonumber(ARGV[3]) or 0)
local before = 0
for name, value in pairs(account) do
  local start = tonumber(string.match(name, '^spent:(%d+)$'))
  if start then
    if start >= from then before = before + tonumber(value) end
    redis.call('HDEL', KEYS[2], name)
  end
end
local started = string.format('%.0f', window)
redis.call('HSET', KEYS[2], 'window', started, 'from', string.format('%.0f', from))
if ARGV[4] ~= '' then redis.call('HSET', KEYS[2], 'limit', ARGV[4]) end
if ARGV[1] ~= '0' then redis.call('HSET', KEYS[2], 'spent:' .. started, ARGV[1]) end
redis.call('SADD', KEYS[1], KEYS[2])
return string.format('%.0f', before)
"""

_RELEASE: Final = """\
-- KEYS: the account. Empties the leases whose gateways have not called in time, and answers how many there
-- were and what they were worth. The number of the gateway's last call stays: it tells a call that is made
-- again from a new one.
local now, count, total = tonumber(redis.call('TIME')[1]), 0, 0
local fields = redis.call('HGETALL', KEYS[1])
for index = 1, #fields, 2 do
  local amount, rest, expires = string.match(fields[index + 1], '^(%d+)(|%d+|(%d+)|%d+)$')
  local is_lease = string.sub(fields[index], 1, 6) == 'lease:' and amount and amount ~= '0'
  if is_lease and tonumber(expires) <= now then
    redis.call('HSET', KEYS[1], fields[index], '0' .. rest)
    count, total = count + 1, total + tonumber(amount)
  end
end
return {count, string.format('%.0f', total)}
"""


class RedisLedger:
    """All accounts under one *prefix*."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis = redis
        self.prefix = prefix
        """How all keys begin."""
        self._index = f"{prefix}:accounts"

    def now_s(self) -> int:
        """Return the time by the clock of Redis, which decides whether a lease is lost."""
        seconds, _ = self._redis.time()
        return int(seconds)

    def accounts(self, limit: str | None = None, subject: str | None = None) -> list[StoredAccount]:
        """Return the accounts of a *limit* and a *subject*, or of all, by limit and subject."""
        names = sorted(self._names(limit, subject))
        found: list[StoredAccount] = []
        for first in range(0, len(names), _AT_ONCE):
            some = names[first : first + _AT_ONCE]
            with self._redis.pipeline(transaction=False) as pipeline:
                for name in some:
                    pipeline.hgetall(self._key(*name))
                answers = pipeline.execute()
            found += [
                read_account(*name, fields) for name, fields in zip(some, answers, strict=True) if fields
            ]
        return found

    def existing(self, limit: str | None = None, subject: str | None = None) -> list[StoredAccount]:
        """Return what `accounts` does. Raises BudgetError when a name is given and there is nothing by it."""
        found = self.accounts(limit, subject)
        if found or limit is subject is None:
            return found
        if limit is not None and not self._names(limit, None):
            limits = sorted({name for name, _ in self._names(None, None)})
            raise BudgetError(f"There is no account under {limit!r}{_instead(limit, limits)}")
        subjects = sorted({name for _, name in self._names(limit, None)})
        where = "" if limit is None else f" under {limit}"
        raise BudgetError(f"{subject!r} has no account{where}{_instead(subject or '', subjects)}")

    def set_spent(self, limit: str, subject: str, nano_usd: int, present: Present | None = None) -> int:
        """Let *nano_usd* be what counts as spent, and return what did before.

        *present* says which window it is now; without it, it is the newest one that a gateway has seen, and
        the account must be there. Leases stay, and so does what was charged in all.
        """
        known = ("", "", "")
        if present is not None:
            known = (str(present.window_s), str(present.counts_from_s), str(present.limit_nano_usd))
        key = self._key(limit, subject)
        answer = self._redis.eval(_SET_SPENT, 2, self._index, key, str(nano_usd), *known)
        if answer is None:
            raise BudgetError(
                f"{subject!r} has no account under {limit} yet: give --plugins, which say what its window is."
            )
        return int(str(answer))

    def release(self, account: StoredAccount) -> tuple[int, int]:
        """Empty the lost leases of *account*, and return how many there were and their sum in nano-USD."""
        answer = self._redis.eval(_RELEASE, 1, self._key(account.limit, account.subject))
        assert isinstance(answer, list)
        count, nano_usd = answer
        return int(count), int(nano_usd)

    def _names(self, limit: str | None, subject: str | None) -> set[tuple[str, str]]:
        if limit is not None and subject is not None:
            return {(limit, subject)}
        names = {self._name(str(key)) for key in self._redis.sscan_iter(self._index, count=_AT_ONCE)}
        return {
            name
            for name in names
            if (limit is None or name[0] == limit) and (subject is None or name[1] == subject)
        }

    def _key(self, limit: str, subject: str) -> str:
        escaped = name_of(subject).rstrip(b"|").decode("ascii")
        return f"{self.prefix}:{limit}:{escaped}"

    def _name(self, key: str) -> tuple[str, str]:
        limit, _, escaped = key.removeprefix(f"{self.prefix}:").partition(":")
        return limit, unicode_escape_decode(escaped)[0]


@contextlib.contextmanager
def connected(url: str, prefix: str) -> Iterator[RedisLedger]:
    """Connect to the Redis at *url* for as long as the context lasts.

    Raises BudgetError when that is not possible, or when Redis refuses something. No message has the URL in
    it, which may have a password in it.
    """
    try:
        redis = Redis.from_url(url, decode_responses=True, socket_connect_timeout=_CONNECT_TIMEOUT_S)
    except ValueError:
        raise BudgetError("--redis: expected redis://, rediss:// or unix:// and an address.") from None
    try:
        with redis:
            yield RedisLedger(redis, prefix)
    except AuthenticationError as error:
        raise BudgetError(
            "--redis: this Redis asks for another name or password: redis://NAME:PASSWORD@HOST:PORT."
        ) from error
    except RedisError as error:
        raise BudgetError(f"Redis: {error}") from error


def _instead(name: str, names: Sequence[str]) -> str:
    """End the sentence with the names that there are, as far as that helps."""
    if not names:
        return ", nor any other."
    nearest = difflib.get_close_matches(name, names, n=1)
    return f", did you mean {nearest[0]!r}?" if nearest else "."
