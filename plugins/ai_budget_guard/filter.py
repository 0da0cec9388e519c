"""The plugin `ai-budget-guard`: reserves what a request can cost, and charges what it did cost."""

import contextlib
import json
import logging
from collections.abc import Mapping, Sequence
from typing import Final

from aigateway import signals
from aigateway.intake import too_large, unreadable, wants_body
from aigateway.json_edit import set_members
from aigateway.lost_answers import LOST_ANSWERS, decode_lost_answers
from aigateway.models import Model
from aigateway.money import usd
from aigateway.refusals import InvalidRequestError, Refusal
from proxywasm import (
    CONTINUE,
    HostError,
    HttpFilter,
    Outcome,
    Reply,
    Request,
    Response,
    plugin,
)

from .allowances import allowances_for, allowances_of_caller
from .books import BusyError
from .config import Config
from .context import Desk, GuardContext
from .leased_ledger import LeasedLedger
from .leasing import Outage
from .ledger import Allowance, Entry, Overdrawn
from .limits import Spender
from .orders import Order, read_order
from .reading import AnswerReading
from .settlement import Answer, Settlement, conclude, lost_costs, shares, who_answered
from .telling import may_tell, refuse, refuse_all, remaining, warnings

_log = logging.getLogger(__name__)

_RECORD: Final = "ai_nexus.budget"
"""The property with what was charged; access logs: `%FILTER_STATE(wasm.ai_nexus.budget:PLAIN)%`."""

_WARNING: Final = "x-ai-budget-warning"
_RETRIES: Final = frozenset({"retry-after", "x-should-retry"})
_EXCEEDED: Final = "budget_exceeded"
"""What `response.code_details` says of a refusal, the router's included."""
_VIA_UPSTREAM: Final = "via_upstream"


@plugin("ai-budget-guard", config=Config.from_json, context=GuardContext, on_error="closed")
class BudgetGuard(HttpFilter[Config]):
    """Holds requests to what their callers may spend.

    When it fails the request is refused: what cannot be accounted for must not be spent.

    Counters, each with `ai_budget_guard.` in front: `spent_nano_usd`, `settled.<basis>`, `refused.<limit>`,
    `shadow_refused.<limit>`, `warned.<limit>`, `invalid.<code>`, `passed`, `reduced` for requests that went
    out without fallbacks they could not pay, `underestimated` for those that cost more than was reserved,
    `renewed`, `lost_races`, `charges_delayed`, `charges_lost`. Gauge: `reserved_nano_usd`.
    """

    plugin: GuardContext

    def __init__(self) -> None:
        self._spender = Spender()
        self._order: Order | None = None
        self._entries: tuple[Entry, ...] = ()
        self._reserved_nano_usd = 0
        self._remaining: str | None = None
        self._warnings: str | None = None
        self._status: int | None = None
        self._is_local = False
        self._reading: AnswerReading | None = None
        self._named: dict[str, str | None] = {}
        self._record = ""
        self._tightest: tuple[int, Allowance] | None = None

    async def on_request_headers(self, request: Request) -> Outcome:
        """Wait for the body, reserve what it can cost, and send it on its way; or refuse it."""
        config = self.config
        given = dict(reversed(request.headers.items()))  # Of several values the first.
        if not config.trust_signals:
            signals.remove_forgeable(request.headers)
        desk = self.plugin.desk(config)
        self._spender = _spender(given, desk, config)
        if config.role == "announce":
            return await self._announce(request)
        if signals.BUDGET_REMAINING in given:  # Nobody beyond here needs to know, least of all the provider.
            del request.headers[signals.BUDGET_REMAINING]
        if not wants_body(given.get(":method", ""), given.get(":path", ""), given, takes_any_type=True):
            return self._passed(given)
        refusal = unreadable(given, config.max_body_bytes)
        body = await request.body.read() if refusal is None else b""
        refusal = refusal or too_large(len(body), config.max_body_bytes)
        if refusal is not None:
            return self._invalid(refusal)
        try:
            order = read_order(given, body, config)
            if order is None:
                return self._passed(given)
            edited = set_members(body, order.members)
        except InvalidRequestError as error:
            return self._invalid(error.refusal)
        now_s = int(self.now())
        refused = await self._reserve(desk, order, now_s, request)
        if refused is not None:
            return refused
        if "accept-encoding" in given:
            del request.headers["accept-encoding"]  # There is nothing here to decompress the answer with.
        if edited is not body:
            request.body.replace(edited)
        return CONTINUE

    def on_response_headers(self, response: Response) -> Outcome:
        """Tell the caller what is left, and find out how to read the answer."""
        if self.config.role == "announce":
            return self._answer_for_router(response)
        headers = response.headers
        if self._order is None:
            limits = self.plugin.desk(self.config).limits
            told = remaining(
                free_nano_usd
                for free_nano_usd, allowance in self._enforced(int(self.now()))
                if may_tell(limits[allowance.limit], self.config)
            )
            if told is not None:
                headers[signals.BUDGET_REMAINING] = told
            return CONTINUE
        if self._remaining is not None:
            headers[signals.BUDGET_REMAINING] = self._remaining
        if self._warnings is not None:
            headers[_WARNING] = self._warnings
        self._status = response.status
        self._is_local = response.code_details != _VIA_UPSTREAM
        self._named = {name: headers.get(name) for name in (signals.MODEL, signals.PROVIDER)}
        if not self._is_local and headers.get("content-encoding", "identity") == "identity":
            kind = headers.get("content-type")
            strips = self._order.adds_usage and _is_event_stream(kind)
            self._reading = AnswerReading(kind, strips=strips)
            if strips:
                del headers["content-length"]
        if self._is_local or response.end_of_stream:
            self._settle()
        return CONTINUE

    def on_response_body(self, response: Response) -> Outcome:
        """Look for the usage in the answer, and take out the event that only the guard has asked for."""
        if self._reading is not None:
            chunk = response.body.chunk
            passed = self._reading.feed(chunk, ends=response.end_of_stream)
            if passed != chunk:
                response.body.replace(passed)
        if response.end_of_stream and self._order is not None:
            self._settle()
        return CONTINUE

    def on_response_trailers(self, response: Response) -> Outcome:
        """Settle: the body is complete."""
        self._settle()
        return CONTINUE

    def on_log(self) -> None:
        """Settle what ended before its end, and leave the record."""
        self._settle()
        if self._record:
            self.properties.set(_RECORD, self._record)

    def on_done(self) -> None:
        """Settle in any case."""
        self._settle()

    def renew(self, now_s: int) -> None:
        """Make the reservations last if they would not last until long after the next tick."""
        ledger = self.plugin.desk(self.config).ledger
        soon_s = now_s + self.config.reservation_s // 2
        renewed = list(self._entries)
        for index, entry in enumerate(self._entries):
            reservation = entry.reservation
            if reservation.expires_s <= soon_s or reservation.owner != ledger.owner:
                with contextlib.suppress(BusyError, HostError):  # The next tick comes before it expires.
                    renewed[index] = ledger.renew(entry, now_s)
        if tuple(renewed) != self._entries:
            self._entries = tuple(renewed)
            self.plugin.count("renewed")

    async def _reserve(self, desk: Desk, order: Order, now_s: int, request: Request) -> Outcome | None:
        """Reserve for whoever may answer; when only the fallbacks are too much, for the choice alone."""
        while True:
            needed_nano_usd = order.largest_cost(self.config)
            allowances = allowances_for(self.config.limits, self._spender, order.models, now_s)
            try:
                result = await self.plugin.reserve(desk, allowances, needed_nano_usd, now_s)
            except BusyError:
                return self._invalid(_BUSY, [("retry-after", "1")])
            if isinstance(result, Outage):
                return self._invalid(_UNAVAILABLE, [("retry-after", "2")])
            if not isinstance(result, Overdrawn):
                break
            if not order.has_fallbacks:
                return self._refuse(result, desk, needed_nano_usd, now_s)
            order = order.without_fallbacks()
            del request.headers[signals.FALLBACKS]
            self.plugin.count("reduced")
        self._order, self._entries, self._reserved_nano_usd = order, result, needed_nano_usd
        self.plugin.watch(self, needed_nano_usd)
        # If this VM dies, it is what the access log says of the request.
        self.properties.set(_RECORD, _record_under_way(order.models[0], needed_nano_usd))
        self._note(desk, result, needed_nano_usd)
        return None

    def _note(self, desk: Desk, entries: tuple[Entry, ...], needed_nano_usd: int) -> None:
        """Keep what the caller is to be told, and count what is near or beyond a limit."""
        limits, config = desk.limits, self.config
        for entry in entries:
            limit = limits[entry.allowance.limit]
            if entry.is_over:
                self.plugin.count(f"shadow_refused.{limit.name}")
                needed = usd(needed_nano_usd)
                _log.info("a request would be refused: limit=%s needed_usd=%s", limit.name, needed)
            if limit.soft_nano_usd is not None and entry.counted_nano_usd >= limit.soft_nano_usd:
                self.plugin.count(f"warned.{limit.name}")
        self._warnings = warnings(entries, limits, config)
        self._remaining = remaining(
            entry.free_nano_usd
            for entry in entries
            if entry.allowance.is_enforced and may_tell(limits[entry.allowance.limit], config)
        )

    def _settle(self) -> None:
        """End the reservation of this request; whoever comes second finds nothing to do."""
        order, entries, self._entries = self._order, self._entries, ()
        if order is None or not entries:
            return
        self.plugin.forget(self, self._reserved_nano_usd)
        config, context = self.config, self.plugin
        model = who_answered(order.models, self._named, self.properties.cluster_name)
        answer = Answer(
            was_sent=self.properties.get_int("upstream", "request_attempt_count") != 0,
            status=self._status,
            is_local=self._is_local,
            reading=self._reading,
        )
        settlement = conclude(
            order,
            answer,
            model,
            reserved_nano_usd=self._reserved_nano_usd,
            on_missing_usage=config.on_missing_usage,
        )
        lost = lost_costs(order, decode_lost_answers(self.properties.get_str(LOST_ANSWERS)))
        costs = [*lost, (model, settlement.nano_usd)]
        charged_nano_usd = sum([nano_usd for _, nano_usd in costs])
        ledger = context.desk(config).ledger
        for entry, nano_usd in shares(entries, costs):
            context.settle(ledger, entry, nano_usd)
        self._reading = None
        self._record = _record(settlement, model, lost, self._reserved_nano_usd)
        context.count("spent_nano_usd", charged_nano_usd)
        context.count(f"settled.{settlement.basis}")
        if charged_nano_usd > self._reserved_nano_usd:
            context.count("underestimated")

    async def _announce(self, request: Request) -> Outcome:
        """Tell the plugins after this one what the caller can still spend."""
        desk, now_s = self.plugin.desk(self.config), int(self.now())
        if isinstance(desk.ledger, LeasedLedger):
            allowances = allowances_of_caller(self.config.limits, self._spender, now_s)
            await desk.ledger.inform(allowances, now_s)
        self._tightest = min(self._enforced(now_s), key=lambda found: found[0], default=None)
        if self._tightest is None:
            del request.headers[signals.BUDGET_REMAINING]
        else:
            request.headers[signals.BUDGET_REMAINING] = usd(self._tightest[0])
        return CONTINUE

    def _answer_for_router(self, response: Response) -> Outcome:
        """Say which budget it is, where the router knows only that there is too little left."""
        if self._tightest is None or response.code_details != _EXCEEDED:
            return CONTINUE
        if not _RETRIES.isdisjoint(response.headers):  # The guard's own, which says when to come again.
            return CONTINUE
        free_nano_usd, allowance = self._tightest
        limit = self.plugin.desk(self.config).limits[allowance.limit]
        self.plugin.count(f"refused.{limit.name}")
        refusal = refuse_all(allowance, limit, free_nano_usd, int(self.now()), self.config)
        return Reply.json(refusal.status, refusal.body, headers=refusal.headers, details=_EXCEEDED)

    def _enforced(self, now_s: int) -> list[tuple[int, Allowance]]:
        """Return what is free now under each limit that holds whoever is to answer, but for shadows."""
        ledger = self.plugin.desk(self.config).ledger
        return [
            (ledger.free_nano_usd(allowance, now_s), allowance)
            for allowance in allowances_of_caller(self.config.limits, self._spender, now_s)
            if allowance.is_enforced
        ]

    def _passed(self, given: Mapping[str, str]) -> Outcome:
        """Let what is no request to a model go on, unless that is not wanted."""
        if self.config.on_other_requests == "refuse" and given.get(":method") not in _FREE_METHODS:
            return self._invalid(_UNPRICED)
        self.plugin.count("passed")
        return CONTINUE

    def _refuse(self, overdrawn: Overdrawn, desk: Desk, needed_nano_usd: int, now_s: int) -> Outcome:
        limit = desk.limits[overdrawn.allowance.limit]
        self.plugin.count(f"refused.{limit.name}")
        refusal = refuse(overdrawn, limit, needed_nano_usd, now_s, self.config)
        return Reply.json(refusal.status, refusal.body, headers=refusal.headers, details=_EXCEEDED)

    def _invalid(self, refusal: Refusal, headers: list[tuple[str, str]] | None = None) -> Outcome:
        self.plugin.count(f"invalid.{refusal.code}")
        return Reply.json(
            refusal.status, refusal.to_json(), headers=headers or [], details=refusal.code or ""
        )


_FREE_METHODS: Final = ("GET", "HEAD", "OPTIONS", "DELETE")

_UNPRICED: Final = Refusal(
    status=403,
    message="Only requests for text are allowed here: what others cost is not known",
    type="permission_error",
    code="unpriced_request",
)

_UNAVAILABLE: Final = Refusal(
    status=503,
    message="The budget cannot be read at this moment, so nothing can be spent on it",
    type="server_error",
    code="budget_unavailable",
)

_BUSY: Final = Refusal(
    status=503,
    message="The budget could not be read for so many others who use it at this moment",
    type="server_error",
    code="budget_busy",
)


def _spender(given: Mapping[str, str], desk: Desk, config: Config) -> Spender:
    return Spender(
        consumer=given.get(config.consumer_header),
        headers={name: given[name] for name in desk.headers if name in given},
        domain=given.get(signals.DOMAIN) if config.trust_signals else None,
    )


def _is_event_stream(kind: str | None) -> bool:
    return kind is not None and kind.partition(";")[0].strip().lower() == "text/event-stream"


def _record_under_way(model: Model, reserved_nano_usd: int) -> str:
    """Write down what may be charged."""
    record = {"model": model.key, "basis": "under_way", "reserved_nano_usd": reserved_nano_usd}
    return _ENCODER.encode(record)


def _record(
    settlement: Settlement, model: Model, lost: Sequence[tuple[Model, int]], reserved_nano_usd: int
) -> str:
    """Write down what was charged, and why, for the access log."""
    record: dict[str, object] = {
        "model": model.key,
        "basis": str(settlement.basis),
        "charged_nano_usd": settlement.nano_usd + sum([nano_usd for _, nano_usd in lost]),
        "reserved_nano_usd": reserved_nano_usd,
    }
    if settlement.usage is not None:
        record |= {name: getattr(settlement.usage, name) for name in _COUNTS}
    if lost:
        record["lost"] = [{"model": model.key, "charged_nano_usd": nano_usd} for model, nano_usd in lost]
    return _ENCODER.encode(record)


_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_COUNTS: Final = ("input_tokens", "output_tokens", "cached_input_tokens", "cache_write_tokens")
