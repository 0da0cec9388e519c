"""What a worker has beyond single streams: ledgers, reservations to renew, charges still to make."""

import contextlib
import logging
import random
from collections.abc import Mapping, Sequence
from typing import Final, Protocol, TypeAlias

from proxywasm import (
    CalloutError,
    ConfigurationError,
    HostError,
    PluginContext,
    SharedDataContentionError,
)

from .books import BusyError
from .central import Central, CentralError
from .config import Config
from .higress_redis import HigressRedis
from .leased_ledger import LeasedLedger
from .leasing import Outage
from .ledger import Allowance, Entry, Ledger, Overdrawn
from .ledger_config import RedisLedger
from .limits import Limit, Per
from .line import Line
from .owners import EMPTY, SILENT_BEATS, Heard, Roll, beat, decode_roll, encode_roll, listen, sign_out
from .slots import CorruptSlotError
from .webdis import encode_command, read_answer

__all__ = ["METRICS", "Desk", "GuardContext"]

_log = logging.getLogger(__name__)

METRICS: Final = "ai_budget_guard"
_TICK_S: Final = 1.0
_OWNERS: Final = "budget/owners"

AnyLedger: TypeAlias = Ledger | LeasedLedger


class Renewable(Protocol):
    """A request under way."""

    def renew(self, now_s: int) -> None:
        """Make its reservations last."""


class Desk:
    """What one worker keeps for one configuration."""

    def __init__(self, config: Config, ledger: AnyLedger) -> None:
        self.ledger = ledger
        self.limits: Mapping[str, Limit] = {limit.name: limit for limit in config.limits}
        self.headers = frozenset(limit.header for limit in config.limits if limit.per is Per.HEADER)


class GuardContext(PluginContext[Config]):
    """The ledger of a worker, reservations to renew, and charges still to make."""

    def __init__(self) -> None:
        self._owner = _new_owner()
        self._has_signed_in = False
        self._beaten_s = 0
        self._heard: dict[str, Heard] = {}
        self._lost: frozenset[str] = frozenset()
        self._desks: dict[int, Desk] = {}
        self._live: set[Renewable] = set()
        self._reserved_nano_usd = 0
        self._owed: list[tuple[AnyLedger, Entry, int]] = []

    def on_configure(self) -> None:
        """Start the clock, and open ledgers in Redis: another worker may have left something there to do."""
        for config in self.configs:
            if config.ledger is None:
                continue
            if config.ledger.transport == "higress" and not self.has_redis:
                raise ConfigurationError(
                    ["ledger.transport: 'higress' needs Higress and the module that is built for it"]
                )
            self.desk(config)
        self.set_tick_period(_TICK_S)

    def on_tick(self) -> None:
        """Renew the reservations of streams that go on, and make charges that did not come through."""
        now_s = int(self.now())
        self._attend(now_s, is_tick=True)
        owed, self._owed = self._owed, []
        for ledger, entry, nano_usd in owed:
            self.settle(ledger, entry, nano_usd)
        for guard in list(self._live):
            guard.renew(now_s)
        for desk in self._desks.values():
            if isinstance(desk.ledger, LeasedLedger):
                self.run_in_background(desk.ledger.tick())

    def on_done(self) -> None:
        """Leave: there are no streams any more."""
        if self._has_signed_in:
            with contextlib.suppress(HostError, SharedDataContentionError):  # Then others notice the silence.
                self.shared.update(
                    _OWNERS, lambda value: encode_roll(sign_out(decode_roll(value), self._owner))
                )

    def desk(self, config: Config) -> Desk:
        """Return what there is for a configuration; it lives as long as this context."""
        desk = self._desks.get(id(config))
        if desk is None:
            ledger = self._open_ledger(config)
            ledger.lost = self._lost
            desk = self._desks[id(config)] = Desk(config, ledger)
        return desk

    async def reserve(
        self, desk: Desk, allowances: tuple[Allowance, ...], nano_usd: int, now_s: int
    ) -> tuple[Entry, ...] | Overdrawn | Outage:
        """Reserve under all of *allowances*, or under none."""
        if not self._has_signed_in or now_s - self._beaten_s > SILENT_BEATS // 2:
            self._attend(now_s)  # Others may think that nobody is here.
        try:
            if isinstance(desk.ledger, LeasedLedger):
                return await desk.ledger.reserve(allowances, nano_usd, now_s)
            return desk.ledger.reserve(allowances, nano_usd, now_s)
        finally:
            self._count_lost_races(desk.ledger)

    def settle(self, ledger: AnyLedger, entry: Entry, nano_usd: int) -> None:
        """End a reservation; what cannot be charged now is charged later."""
        try:
            ledger.settle(entry, nano_usd)
        except (BusyError, HostError) as error:
            self._owed.append((ledger, entry, nano_usd))
            self.count("charges_delayed")
            _log.warning("a charge is delayed: limit=%s why=%s", entry.allowance.limit, type(error).__name__)
        except CorruptSlotError:
            self.count("charges_lost")
            _log.error("a charge is lost: limit=%s nano_usd=%d", entry.allowance.limit, nano_usd)
        self._count_lost_races(ledger)

    def watch(self, guard: Renewable, nano_usd: int) -> None:
        """Renew the reservations of *guard*, of that much, until it is forgotten."""
        self._live.add(guard)
        self._reserved_nano_usd += nano_usd

    def forget(self, guard: Renewable, nano_usd: int) -> None:
        """Stop renewing."""
        self._live.discard(guard)
        self._reserved_nano_usd -= nano_usd

    def count(self, what: str, amount: int = 1) -> None:
        """Count something."""
        self.metrics.counter(f"{METRICS}.{what}").increment(amount)

    def _open_ledger(self, config: Config) -> AnyLedger:
        settings = config.ledger
        if settings is None:
            return Ledger(
                self.shared, owner=self._owner, slot_count=config.slots, lasts_s=config.reservation_s
            )
        line = Line(
            self.shared,
            self._central(settings),
            settings,
            # A gateway says one thing of an account. Where slots are others accounts are, too.
            name_key=f"lease/gateway/{config.slots}",
            new_name=_new_owner(),
            clock=self.now,
            note=self._note_redis,
        )
        return LeasedLedger(
            self.shared,
            line,
            settings=settings,
            limits={limit.name: limit for limit in config.limits},
            owner=self._owner,
            slot_count=config.slots,
            lasts_s=config.reservation_s,
            clock=self.now,
            count=self.count,
        )

    def _central(self, settings: RedisLedger) -> Central:
        if settings.transport == "webdis":
            return _Webdis(self, settings)
        return HigressRedis(
            self,
            cluster=settings.cluster,
            timeout_s=settings.timeout_s,
            username=settings.username,
            password=settings.password,
        )

    def _note_redis(self, is_away: bool) -> None:
        if is_away:
            self.count("redis_failures")
        self.metrics.gauge(f"{METRICS}.redis_away").set(int(is_away))

    def _attend(self, now_s: int, *, is_tick: bool = False) -> None:
        """Let the others hear of this owner, and hear which of them are gone.

        Who has no reservations yet only listens. Owners that others have given up go on under another name.
        """
        other_name = _new_owner()

        def name_in(roll: Roll) -> str:
            return other_name if self._owner in roll.lost else self._owner

        def change(value: bytes | None) -> bytes:
            roll = decode_roll(value)
            owner = name_in(roll) if signs_in else None
            return encode_roll(beat(roll, owner, self._reserved_nano_usd, self._heard, now_s))

        signs_in = self._has_signed_in or not is_tick
        try:
            roll = decode_roll(self.shared.get(_OWNERS))
            if is_tick:
                self._heard = listen(roll, self._heard)
            if not signs_in and roll is EMPTY:
                return
            roll = decode_roll(self.shared.update(_OWNERS, change, attempts=64))
        except (HostError, SharedDataContentionError):
            return  # The next beat comes soon enough.
        owner = name_in(roll)
        self._has_signed_in, self._beaten_s = signs_in, now_s
        self._owner, self._lost = owner, frozenset(roll.lost)
        for desk in self._desks.values():
            desk.ledger.owner, desk.ledger.lost = owner, self._lost
        if is_tick:
            self.metrics.gauge(f"{METRICS}.reserved_nano_usd").set(roll.reserved_nano_usd)

    def _count_lost_races(self, ledger: AnyLedger) -> None:
        books = ledger.books
        if books.lost_races:
            self.count("lost_races", books.lost_races)
            books.lost_races = 0


class _Webdis:
    """Redis by HTTP."""

    def __init__(self, context: PluginContext[Config], settings: RedisLedger) -> None:
        self._context = context
        self._settings = settings

    async def command(self, parts: Sequence[str]) -> object:
        """Have a command executed and return the answer, or raise `CentralError`."""
        settings = self._settings
        try:
            response = await self._context.http_call(
                settings.cluster,
                method="POST",
                authority=settings.authority,
                body=encode_command(parts),
                timeout_s=settings.timeout_s,
            )
        except CalloutError as error:
            raise CentralError(error.reason) from error
        return read_answer(response.status, response.body, parts[0])


def _new_owner() -> str:
    return f"{random.getrandbits(64):016x}"
