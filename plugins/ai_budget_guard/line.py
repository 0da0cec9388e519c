"""The line to Redis: calls about many accounts at once, and whether anybody answers."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from .books import Store
from .central import Central, CentralError, execute
from .lease import Answer, Call
from .ledger_config import RedisLedger

__all__ = ["Line"]

_log = logging.getLogger(__name__)

_RETRY_S: Final = 2
"""Requests do not wait for a Redis that was away so recently."""


class Line:
    """What one worker has of the line; all of a proxy call under one name, which is in the *store*."""

    def __init__(
        self,
        store: Store,
        central: Central,
        settings: RedisLedger,
        *,
        name_key: str,
        new_name: str,
        clock: Callable[[], float],
        note: Callable[[bool], None],
    ) -> None:
        self._store = store
        self._central = central
        self._settings = settings
        self._name_key = name_key
        self._new_name = new_name
        self._name = ""
        self._clock = clock
        self._note = note
        self._reasons: set[str] = set()
        """Why Redis is away, as far as it has been said; empty while it is not."""
        self._away_until_s = 0.0

    def is_away(self, now_s: float) -> bool:
        """Tell whether Redis was away so recently that requests do not try."""
        return now_s < self._away_until_s

    async def make(self, calls: Sequence[tuple[str, Call]]) -> list[Answer] | None:
        """Make calls, each with the key of its account, and return the answers; None if nobody answers."""
        if not calls:
            return []
        sent_s = int(self._clock())
        try:
            answers = await execute(
                self._central,
                calls,
                index=f"{self._settings.prefix}:accounts",
                gateway=self._gateway(),
                lease_s=self._settings.lease_s,
                on_lost_lease=self._settings.on_lost_lease,
            )
        except CentralError as error:
            self._away_until_s = self._clock() + _RETRY_S
            if not self._reasons:
                _log.error("redis is away: why=%s beyond_leases=%s", error, self._settings.on_redis_away)
            elif str(error) not in self._reasons:  # Whoever has mended one thing is to see the next.
                _log.error("redis is still away: why=%s", error)
            self._reasons.add(str(error))
            self._note(True)
            return None
        self._away_until_s = 0.0
        if self._reasons:
            _log.warning("redis is back")
            self._reasons.clear()
            self._note(False)
        if self._settings.on_lost_lease == "charge":  # Then a lease is good for as long as its window.
            return answers
        spare_s = self._settings.lease_s // 3
        return [replace(answer, until_s=sent_s + answer.left_s - spare_s) for answer in answers]

    def _gateway(self) -> str:
        """Return the name of this proxy; the first worker that needs one gives it."""
        if not self._name:
            self._store.create(self._name_key, self._new_name.encode("ascii"))
            current = self._store.get_versioned(self._name_key)
            self._name = self._new_name if current is None else current.value.decode("ascii")
        return self._name
