"""The ledger that many proxies share: accounts in Redis, and leases of them in the shared data of each proxy.

All workers of a proxy are one gateway, and have their leases in common. A request whose lease covers it asks
nobody. One that needs more waits for Redis, under all its limits at once; the rest is said by a timer. See
`leasing` for the law, `script` for what Redis does.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias, TypeVar

from . import accounts
from .accounts import Account, Refused, Reservation
from .allowances import allowance_of
from .books import Books, BusyError, Store
from .lease import NO_LEASE, Answer, Call
from .leasing import (
    Beyond,
    Outage,
    Terms,
    Wait,
    answered,
    bring_to,
    charged,
    counted,
    first_call,
    is_settled,
    next_call,
    overdraws,
    reserve,
)
from .ledger import Allowance, Entry, Overdrawn
from .ledger_config import RedisLedger
from .limits import Limit
from .line import Line
from .slots import CorruptSlotError, name_of

__all__ = ["LeasedLedger"]

_ROUNDS: Final = 100
"""How often others may take what a request has waited for. While one worker has found Redis again and another
has not yet, they do so again and again."""

_MOST_PER_CALL: Final = 64
_SWEEP_S: Final = 60
"""In about so many seconds one worker looks at all accounts, for what dead ones have left."""

Result = TypeVar("Result")

_Key: TypeAlias = tuple[str, str]
"""The names of a limit and of a subject."""


@dataclass(slots=True)
class _Order:
    """A request under one of its limits."""

    allowance: Allowance
    entry: Entry | None = None
    wait: Wait | None = None
    answer: Answer | None = None


class LeasedLedger:
    """Accounts in Redis, by leases in a store; what happens is counted with *count*."""

    def __init__(
        self,
        store: Store,
        line: Line,
        *,
        settings: RedisLedger,
        limits: Mapping[str, Limit],
        owner: str,
        slot_count: int,
        lasts_s: int,
        clock: Callable[[], float],
        count: Callable[[str, int], None],
    ) -> None:
        self.books = Books(store, prefix="lease", slot_count=slot_count)
        self.owner = owner
        """Whose the reservations are from now on."""
        self.lost: Collection[str] = frozenset()
        """Owners whose reservations do not count any more."""
        self._line = line
        self._settings = settings
        self._limits = limits
        self._lasts_s = lasts_s
        self._clock = clock
        self._count = count
        self._touched: dict[_Key, Allowance] = {}
        self._next_slot = 0
        self._is_telling = False

    async def reserve(
        self, allowances: Sequence[Allowance], nano_usd: int, now_s: int
    ) -> tuple[Entry, ...] | Overdrawn | Outage:
        """Reserve *nano_usd* under every one of *allowances*, or under none."""
        orders = [_Order(allowance) for allowance in allowances]
        try:
            for attempt in range(_ROUNDS):
                refusal = self._reserve_rest(orders, nano_usd, now_s)
                if refusal is not None:
                    self._give_back(orders)
                    return refusal
                waiting = [order for order in orders if order.entry is None]
                if not waiting:
                    return tuple([order.entry for order in orders if order.entry is not None])
                if not attempt:
                    self._count("lease_waits", 1)
                self._count("leases_asked", len(waiting))
                await self._wait(waiting)
                now_s = int(self._clock())
        except BaseException:  # The caller may have left.
            self._give_back(orders)
            raise
        self._give_back(orders)
        raise BusyError(f"others took what was leased in each of {_ROUNDS} rounds")

    def settle(self, entry: Entry, actual_nano_usd: int) -> None:
        """End a reservation and charge what the request did cost; call it once for what `reserve` gave."""
        reservation = entry.reservation

        def change(account: Account) -> tuple[Account, None]:
            return charged(account, reservation, actual_nano_usd), None

        self._change(entry.allowance, change)

    def renew(self, entry: Entry, now_s: int) -> Entry:
        """Make a reservation ours, and last as long from now as a new one."""

        def change(account: Account) -> tuple[Account, Reservation]:
            account, renewed = accounts.renew(account, entry.reservation, now_s, self._lasts_s, self.owner)
            return account if account.lease is not None else replace(account, lease=NO_LEASE), renewed

        return replace(entry, reservation=self._change(entry.allowance, change))

    def free_nano_usd(self, allowance: Allowance, now_s: int) -> int:
        """Return what is left under *allowance*, as far as is known here."""
        account = self.books.find(allowance.limit, allowance.subject)
        return max(0, allowance.nano_usd - counted(bring_to(account, self._terms(allowance, now_s))))

    async def inform(self, allowances: Sequence[Allowance], now_s: int) -> None:
        """Ask Redis how those accounts stand that nothing was heard of; if it is away nothing is known."""
        if self._line.is_away(now_s):
            return
        calls = []
        for allowance in allowances:
            terms = self._terms(allowance, now_s)

            def change(account: Account, terms: Terms = terms) -> tuple[Account, Call | None]:
                return first_call(account, terms)

            call = self._change(allowance, change)
            if call is not None:
                calls.append((allowance, call))
        await self._tell(calls)

    async def tick(self) -> None:
        """Tell Redis what was spent, give back what is not needed, ask for what will be; once a second."""
        if self._is_telling:
            return
        self._is_telling = True
        try:
            now_s = int(self._clock())
            due = self._due(now_s)
            for start in range(0, len(due), _MOST_PER_CALL):
                batch = due[start : start + _MOST_PER_CALL]
                if not await self._tell(batch):
                    return
                self._count("reports", len(batch))
        finally:
            self._is_telling = False

    def _reserve_rest(self, orders: Sequence[_Order], nano_usd: int, now_s: int) -> Overdrawn | Outage | None:
        """Reserve where nothing is reserved yet; None when all are reserved or wait."""
        beyond = Beyond(self._settings.on_redis_away) if self._line.is_away(now_s) else Beyond.ASK
        for order in orders:
            if order.entry is not None:
                continue
            result = self._reserve_one(order, nano_usd, now_s, beyond)
            if isinstance(result, Refused):
                return Overdrawn(order.allowance, result)
            if isinstance(result, Outage):
                return result
            if isinstance(result, Entry):
                order.entry = result
            else:
                order.wait, order.answer = result, None
        return None

    def _reserve_one(
        self, order: _Order, nano_usd: int, now_s: int, beyond: Beyond
    ) -> Entry | Refused | Wait | Outage:
        allowance = order.allowance
        terms = self._terms(allowance, now_s)

        def change(account: Account) -> tuple[Account, tuple[Entry, bool] | Refused | Wait | Outage]:
            account, result = reserve(
                account,
                nano_usd,
                terms,
                owner=self.owner,
                lasts_s=self._lasts_s,
                beyond=beyond,
                wait=order.wait,
                answer=order.answer,
            )
            if not isinstance(result, Reservation):
                return account, result
            is_beyond = beyond is not Beyond.ASK and allowance.is_enforced and overdraws(account, now_s)
            return account, (Entry(allowance, result, counted(account)), is_beyond)

        def bring(account: Account) -> Account:
            return bring_to(account, terms)

        result = self._change(allowance, change, bring)
        if not isinstance(result, tuple):
            return result
        entry, is_beyond = result
        if is_beyond:
            self._count("admitted_beyond", 1)
        return entry

    async def _wait(self, orders: Sequence[_Order]) -> None:
        """Make the calls that *orders* wait for; when Redis is away they go without an answer."""
        calls = [(order.allowance, order.wait.call) for order in orders if order.wait is not None]
        answers = await self._line.make([(self._redis_key(allowance), call) for allowance, call in calls])
        for order, answer in zip(orders, answers or [], strict=False):
            order.answer = answer

    async def _tell(self, calls: Sequence[tuple[Allowance, Call]]) -> bool:
        """Make calls and take note of the answers, unless Redis is away."""
        answers = await self._line.make([(self._redis_key(allowance), call) for allowance, call in calls])
        now_s = int(self._clock())
        for (allowance, _), answer in zip(calls, answers or [], strict=False):
            terms = self._terms(allowance, now_s)

            def change(
                account: Account, answer: Answer = answer, terms: Terms = terms
            ) -> tuple[Account, None]:
                return answered(account, answer, terms), None

            self._change(allowance, change)
        return answers is not None

    def _due(self, now_s: int) -> list[tuple[Allowance, Call]]:
        """Return the calls that are due of all accounts that this worker knows, and of some that it finds."""
        settings = self._settings
        due: list[tuple[Allowance, Call]] = []
        for key, known in list((self._touched | self._found(now_s)).items()):
            allowance = self._at_present(known, now_s)
            terms = self._terms(allowance, now_s)

            def change(account: Account, terms: Terms = terms) -> tuple[Account, tuple[Call | None, bool]]:
                account, call = next_call(
                    account,
                    terms,
                    renew_s=max(1, settings.lease_s // 3),
                    resend_s=int(settings.timeout_s) + 2,
                )
                return account, (call, is_settled(account))

            try:
                call, is_at_rest = self.books.change(*key, change)
            except (BusyError, CorruptSlotError):  # The others are not to wait for it.
                continue
            if is_at_rest:
                self._touched.pop(key, None)
            if call is not None:
                due.append((allowance, call))
        return due

    def _found(self, now_s: int) -> dict[_Key, Allowance]:
        """Look through some of the slots for accounts that a worker may have left behind."""
        count = -(-self.books.slot_count // _SWEEP_S)
        first = self._next_slot
        self._next_slot = (first + count) % self.books.slot_count
        found = {}
        for limit in self._limits.values():
            for number in range(first, min(first + count, self.books.slot_count)):
                for subject in self.books.unsettled_subjects(limit.name, number):
                    found[limit.name, subject] = allowance_of(limit, subject, now_s)
        return found

    def _at_present(self, known: Allowance, now_s: int) -> Allowance:
        """Return an allowance with its amount of now; of a limit that is gone it stays as it was."""
        limit = self._limits.get(known.limit)
        return known if limit is None else allowance_of(limit, known.subject, now_s)

    def _give_back(self, orders: Sequence[_Order]) -> None:
        for order in orders:
            entry, order.entry = order.entry, None
            if entry is not None:
                self.settle(entry, 0)

    def _change(
        self,
        allowance: Allowance,
        change: Callable[[Account], tuple[Account, Result]],
        bring: Callable[[Account], Account] | None = None,
    ) -> Result:
        """Change an account, and have the timer look at it."""
        key = allowance.limit, allowance.subject
        self._touched[key] = allowance
        return self.books.change(*key, change, bring)

    def _terms(self, allowance: Allowance, now_s: int) -> Terms:
        window = allowance.window
        return Terms(
            limit_nano_usd=allowance.nano_usd,
            is_enforced=allowance.is_enforced,
            span=window.span(now_s),
            parts=window.parts,
            now_s=now_s,
            most_nano_usd=int(allowance.nano_usd * self._settings.lease_percent / 100),
            lost=self.lost,
        )

    def _redis_key(self, allowance: Allowance) -> str:
        subject = name_of(allowance.subject)[:-1].decode("ascii")
        return f"{self._settings.prefix}:{allowance.limit}:{subject}"
