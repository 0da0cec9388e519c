"""What Redis does when a gateway calls: the one script of the leased ledger, and how its answers are read.

A key is one account, `<prefix>:<limit>:<subject>`, a hash of

    window, from      when the newest window that was seen begins, and the oldest, or its part, that counts
    limit             as the gateway had it that called last
    lifetime          all that was ever charged
    spent:<start>     what was spent in the window, or part of a rolling one, that begins then
    lease:<gateway>   amount|window|expiry|number of the last call
    wanted            until when somebody is short

and the set `<prefix>:accounts` has all of these keys. What was spent and all leases that count are never more
than the limit, but for what was spent in spite of it: when Redis was away, or more than was reserved.

Numbers of Lua are doubles: exact up to 2**53 nano-USD, which is 9 million USD.
"""

from collections.abc import Sequence
from typing import Final

from .lease import Answer, decode_answer

__all__ = ["DIGEST", "LARGEST_LIMIT_USD", "SCRIPT", "read_answers"]

LARGEST_LIMIT_USD: Final = 9_000_000

SCRIPT: Final = """\
-- KEYS: the set of all accounts, then some accounts.
-- ARGV: the gateway; for how many seconds a lease is good; 'charge' or 'return' leases that are lost;
-- then what is said of each account, as numbers:
--   number, window, from, limit, kept of the lease, lifetime, lacked, waited for, wished, (start, spent)...
local gateway, lease_s, charges_lost = 'lease:' .. ARGV[1], tonumber(ARGV[2]), ARGV[3] == 'charge'
local now = tonumber(redis.call('TIME')[1])
local DAY, WANTED_S, SHARES, CLOCKS_DIFFER_S = 86400, 5, 8, 60

local function numbers(text)
  local found = {}
  for digits in string.gmatch(text, '%d+') do found[#found + 1] = tonumber(digits) end
  return found
end

local function digits(number)  -- Lua would write 1e+15.
  return string.format('%.0f', number)
end

for at = 4, #ARGV do  -- Before anything is written.
  if numbers(ARGV[at])[2] > now + CLOCKS_DIFFER_S then
    return redis.error_reply('CLOCK the clock of the gateway is ahead of that of Redis')
  end
end

local answers = {}
for at = 2, #KEYS do
  local key, said = KEYS[at], numbers(ARGV[at + 2])
  local number, window, from, limit, keeps, lifetime, lacks, waiting, wish = unpack(said, 1, 9)
  local fields, account = redis.call('HGETALL', key), {}
  for index = 1, #fields, 2 do account[fields[index]] = fields[index + 1] end

  -- Windows never go back.
  local said_window = window
  window = math.max(window, tonumber(account.window or 0))
  from = math.max(from, tonumber(account.from or 0))

  local function counts(lease)
    return lease[2] >= from and (charges_lost or now < lease[3])
  end

  local spent, leased, parts, gone = 0, 0, {}, {}
  local own = account[gateway] and numbers(account[gateway]) or {0, -1, 0, 0}
  for name, value in pairs(account) do
    local start = tonumber(string.match(name, '^spent:(%d+)$'))
    if start and start >= from then
      parts[start] = tonumber(value)
      spent = spent + parts[start]
    elseif start then
      gone[#gone + 1] = name
    elseif string.sub(name, 1, 6) == 'lease:' and name ~= gateway then
      local lease = numbers(value)
      local lost_s, is_open = now - lease[3], counts(lease) and lease[1] > 0
      if is_open and lost_s > 30 * DAY then  -- Nobody comes back to it.
        redis.call('HINCRBY', key, 'spent:' .. digits(lease[2]), digits(lease[1]))
        parts[lease[2]] = (parts[lease[2]] or 0) + lease[1]
        spent = spent + lease[1]
        gone[#gone + 1] = name
      elseif is_open then
        leased = leased + lease[1]
      elseif lost_s > DAY then
        gone[#gone + 1] = name
      end
    end
  end

  local lease = counts(own) and own[1] or 0
  local is_wanted = now < tonumber(account.wanted or 0)
  local expires = own[3]
  if number > own[4] then
    for index = 10, #said, 2 do
      local start, amount = said[index], said[index + 1]
      if start >= from then
        redis.call('HINCRBY', key, 'spent:' .. digits(start), digits(amount))
        parts[start] = (parts[start] or 0) + amount
        spent = spent + amount
      end
    end
    if lifetime > 0 then redis.call('HINCRBY', key, 'lifetime', digits(lifetime)) end

    -- A lease that others may have had in the meantime is kept as far as there is room.
    if not counts(own) then
      lease = said_window >= from and math.max(0, limit - spent - leased) or 0
    end
    lease = math.min(keeps, lease)
    local free = limit - spent - leased - lease
    local asked = math.max(lacks, waiting)
    if free > 0 and lacks <= free then
      local granted = math.max(lacks, math.min(waiting, free))
      if not is_wanted then granted = math.max(granted, math.min(wish, math.floor(free / SHARES))) end
      lease = lease + granted
    end
    if asked > math.max(free, 0) then
      redis.call('HSET', key, 'wanted', digits(now + WANTED_S))
      is_wanted = true
    end
    own = {lease, window, now + lease_s, number}
    local record = digits(lease) .. '|' .. digits(window) .. '|' .. digits(own[3]) .. '|' .. digits(number)
    redis.call('HSET', key, 'window', digits(window), 'from', digits(from), 'limit', digits(limit))
    redis.call('HSET', key, gateway, record)
    if #fields == 0 then redis.call('SADD', KEYS[1], key) end
  end
  if #gone > 0 then redis.call('HDEL', key, unpack(gone)) end

  leased = leased + lease
  local answer = {own[4], lease, window, from, math.max(0, own[3] - now), spent, leased, is_wanted and 1 or 0}
  for index = 1, #answer do answer[index] = digits(answer[index]) end
  if math.max(lacks, waiting) > limit - spent - leased then
    for start, amount in pairs(parts) do answer[#answer + 1] = digits(start) .. ':' .. digits(amount) end
  end
  answers[#answers + 1] = table.concat(answer, ',')
end
return answers
"""

DIGEST: Final = "db2c123b65d41cca1909b0836255e903a07d0f67"
"""The SHA-1 of the script, by which Redis knows it."""


def read_answers(reply: object, count: int) -> list[Answer]:
    """Read the reply to a call about *count* accounts, or raise ValueError."""
    if not isinstance(reply, Sequence) or len(reply) != count:
        raise ValueError("the script has another answer")
    return [decode_answer(text.decode("ascii") if isinstance(text, bytes) else str(text)) for text in reply]
