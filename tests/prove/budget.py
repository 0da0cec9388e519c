"""``make prove-budget``: the budget guard's ledger, shown for real.

A cap that 64 clients spend to the nano-dollar, in one real Envoy and in three, with the embedded ledger and
with Redis; a ledger that equals what the providers' own logs say whatever happens; windows that end under
load; a Redis that is killed; 100,000 consumers; and what all that costs; one line per point.
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from points import Points
from redis import Redis
from shown import ROOT, show_tests

from ai_budget_guard.ledger import Allowance, Ledger, Overdrawn
from ai_budget_guard.slots import every_account
from aigateway.windows import TOTAL
from nexus.description import Service
from nexus.load import Expectation, http_request, run_load
from nexus.measuring import Subject, prompt_bodies, running_subject, running_upstream
from nexus.servers import RunningRedis, running_redis, running_webdis
from wasmbuild.__main__ import main as wasmbuild

_UNITS = "tests/plugins/ai_budget_guard"
_CHAT = "/v1/chat/completions"
_MOST_BYTES = 64 * 2**20
_MOST_ADDED_MS = 2.0
"""At one connection; with more, what is measured is how many requests one worker can take."""
_ROUNDS = 3
_REQUESTS = 1_500


@dataclass(slots=True)
class _Value:
    value: bytes
    version: int


@dataclass(slots=True)
class _Store:
    """Shared data of one worker, and how many bytes a host keeps of them."""

    values: dict[str, _Value] = field(default_factory=dict)

    def get_versioned(self, key: str) -> _Value | None:
        return self.values.get(key)

    def create(self, key: str, value: bytes) -> bool:
        return self.values.setdefault(key, _Value(value, 1)).value is value

    def compare_and_set(self, key: str, value: bytes, version: int) -> bool:
        self.values[key] = _Value(value, version + 1)
        return True

    @property
    def size(self) -> int:
        """Keys, values, and a string, a version and a node of the host's map beside each."""
        return sum(len(key) + len(value.value) + 128 for key, value in self.values.items())


def show_consumers(points: Points, count: int = 100_000) -> None:
    """Show how much memory many accounts take, each with money spent and more reserved."""
    with points.point(f"{count:,} consumers within 64 MB") as point:
        store = _Store()
        ledger = Ledger(store, owner="0123456789abcdef", slot_count=16_384, lasts_s=900)
        for number in range(count):
            subject = f"consumer-{number:06}@example.com"
            allowance = Allowance(limit="consumer-total", subject=subject, nano_usd=25 * 10**9, window=TOTAL)
            for is_settled in (True, False):
                entries = ledger.reserve([allowance], 1_234_567_890, 1_790_000_000)
                assert not isinstance(entries, Overdrawn)
                if is_settled:
                    ledger.settle(entries[0], 654_321_987)
        kept = sum(len(every_account(value.value)) for value in store.values.values())
        point.seen(
            f"{store.size / 2**20:.1f} MiB, {len(store.values):,} keys, {kept:,} accounts",
            holds=kept == count and store.size <= _MOST_BYTES and len(store.values) <= 16_384,
        )


def show_cost(points: Points, module: Path) -> None:
    """Show what the guard adds to a request with each ledger, beside an Envoy without it in the same run."""
    headers = [("x-ai-prompt-tokens", "500"), ("x-ai-model", "kimi"), ("x-ai-provider", "moonshot")]
    requests = [
        http_request("gateway", _CHAT, body, headers=[*headers, ("x-mse-consumer", f"consumer-{number}")])
        for number, body in enumerate(prompt_bodies(2_048) * 16)
    ]
    local = {"limits": [{"name": "each", "limit_usd": 1_000_000}], "clamp_output_tokens": 1_000}
    leased = local | {"ledger": {"kind": "redis", "cluster": "webdis"}}

    def p50_ms(subject: Subject, connections: int) -> float:
        expect = Expectation(shortest_body_bytes=100)
        result = run_load(subject.port, requests, count=_REQUESTS, connections=connections, expect=expect)
        if result.errors:
            raise RuntimeError(f"Envoy {subject.name}: {dict(result.errors)}")
        return result.percentile_ms(50)

    with (
        running_redis() as redis,
        running_webdis(redis) as webdis,
        running_upstream() as upstream,
        running_subject("without the guard", upstream, {}, module) as without,
        running_subject("with the local ledger", upstream, {"ai-budget-guard": local}, module) as in_envoy,
        running_subject(
            "with leases",
            upstream,
            {"ai-budget-guard": leased},
            module,
            services=[Service(name="webdis", host=webdis.host, port=webdis.port)],
        ) as in_redis,
    ):
        subjects = (without, in_envoy, in_redis)
        for connections in (1, 8, 64):
            rounds = [[p50_ms(subject, connections) for subject in subjects] for _ in range(_ROUNDS)]
            bare, *guarded = (median(values) for values in zip(*rounds, strict=True))
            for subject, full in zip(subjects[1:], guarded, strict=True):
                with points.point(f"{subject.name}, {connections} connections: time added") as point:
                    point.seen(
                        f"p50 {bare:.2f} ms without, {full:.2f} ms with: {full - bare:+.2f} ms, one worker",
                        holds=connections > 1 or full - bare <= _MOST_ADDED_MS,
                    )
        with points.point("calls to Redis, reports included") as point:
            asked = webdis_calls(redis)
            sent = _REQUESTS * _ROUNDS * 3
            point.seen(f"{asked} calls for {sent} requests", holds=0 < asked < sent / 10)


def webdis_calls(redis: RunningRedis) -> int:
    """Return how often a script was called."""
    with Redis.from_url(redis.url) as client:
        stats = client.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("eval", "evalsha"))


def main() -> int:
    """Run the command line; return the exit code."""
    points = Points()
    module = ROOT / "build" / "tests" / "budget_cost.wasm"
    built = wasmbuild(["ai_budget_guard", "-o", str(module), "--cache", str(ROOT / "build" / ".wasmbuild")])
    show_tests(points, "tests/envoy/test_budget.py", "in Envoy, 2 workers, local ledger")
    show_tests(points, "tests/envoy/test_budget_mix.py", "in Envoy, 2 workers, both ledgers")
    show_tests(points, "tests/envoy/test_leases.py", "in Envoy, 2 workers, Redis")
    show_tests(points, "tests/envoy/test_guard_failover.py", "in Envoy, with failover")
    show_tests(points, "tests/envoy/test_guard_router.py", "in Envoy, with the router")
    show_tests(points, "tests/envoy/test_budget_command.py", "operators")
    show_tests(points, "tests/proxytest/test_guard_on_higress.py", "Redis asked by Higress, emulated")
    show_tests(points, f"{_UNITS}/test_accounts.py", "the law of accounts")
    show_tests(points, f"{_UNITS}/test_ledger.py", "the ledger")
    for name, what in (
        ("leasing", "the law of leases"),
        ("script", "the script in Redis"),
        ("owners", "owners"),
    ):
        show_tests(points, f"{_UNITS}/test_{name}.py", what)
    show_tests(points, f"{_UNITS}/test_orders.py", "bounds")
    show_consumers(points)
    if built == 0:
        show_cost(points, module)
    else:
        with points.point("the module is built") as point:
            point.seen(f"exit code {built}", holds=False)
    return points.exit_code()


if __name__ == "__main__":
    sys.exit(main())
