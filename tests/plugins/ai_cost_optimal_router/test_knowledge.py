"""What is known follows shared data within its period, and is the same object while nothing changes."""

from collections import Counter

import pytest

from ai_cost_optimal_router import Evidence
from ai_cost_optimal_router.knowledge import Newsreader, Refresh, read_refresh
from ai_cost_optimal_router.learning import Learning, Lesson, learn, learning_key
from ai_cost_optimal_router.situation import ANY_MODEL
from aigateway.catalog import DEFAULT_CATALOG
from aigateway.config import Reader
from aigateway.health import (
    BreakerState,
    LatencyStats,
    ProviderHealth,
    breaker_key,
    encode_health,
    encode_latency,
    latency_key,
)

PROVIDERS = 4
LEARNING = Learning(prior_answers=1, evidence_half_life_s=800)
STATS = LatencyStats(
    p50_ms=100,
    p95_ms=200,
    ewma_ms=120,
    ttft_p95_ms=None,
    tokens_per_s=None,
    samples=5,
    updated_s=1_000,
)


class Shared:
    """Shared data that count what they are asked for."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.asked: Counter[str] = Counter()

    def get(self, key: str) -> bytes | None:
        self.asked[key.partition("/")[0]] += 1
        return self.values.get(key)

    def teach(
        self, model: str, *, domain: str = "code", tokens: int | None = None, reward: float | None = None
    ) -> None:
        provider, _, name = model.partition("/")
        key = learning_key(provider)
        lesson = Lesson(model=name, domain=domain, output_tokens=tokens, reward=reward)
        self.values[key] = learn(
            self.values.get(key), lesson, expected_tokens=400, now_s=1_000, rules=LEARNING
        )


@pytest.fixture
def shared() -> Shared:
    return Shared()


def newsreader(**refresh: float | bool) -> Newsreader:
    return Newsreader(DEFAULT_CATALOG, Refresh(**refresh), LEARNING)  # type: ignore[arg-type]


def test_nothing_in_shared_data_is_nothing_known(shared: Shared) -> None:
    known = newsreader().read(1_000, shared.get)

    assert (known.closed, known.latency, known.expected_output, known.evidence) == ({}, {}, {}, {})


@pytest.mark.parametrize("state", [state for state in BreakerState if state is not BreakerState.CLOSED])
def test_breakers_that_are_not_closed_are_known_with_their_time(shared: Shared, state: BreakerState) -> None:
    shared.values[breaker_key("openai")] = encode_health(ProviderHealth(state, 1_060.5)) + b"\nmore"
    shared.values[breaker_key("google")] = encode_health(ProviderHealth(BreakerState.CLOSED))

    assert newsreader().read(1_000, shared.get).closed == {"openai": 1_060.5}


def test_latencies_are_known(shared: Shared) -> None:
    shared.values[latency_key("google")] = encode_latency(STATS)

    assert newsreader().read(1_000, shared.get).latency == {"google": STATS}


def test_models_have_breakers_and_latencies_of_their_own_if_so_configured(shared: Shared) -> None:
    closed = ProviderHealth(BreakerState.OPEN, 1_060)
    shared.values[breaker_key("openai", "gpt-5.5")] = encode_health(closed)
    shared.values[latency_key("openai", "gpt-5.5")] = encode_latency(STATS)

    assert not newsreader().read(1_000, shared.get).closed
    known = newsreader(per_model=True).read(1_000, shared.get)
    assert (known.closed, known.latency) == ({"openai/gpt-5.5": 1_060}, {"openai/gpt-5.5": STATS})


def test_what_was_learnt_is_known_by_domain_and_model(shared: Shared) -> None:
    shared.teach("openai/gpt-5.5", tokens=1_000)
    shared.teach("openai/gpt-5.5", tokens=1_000, domain="legal")
    for _ in range(3):
        shared.teach("google/gemini-pro", tokens=100)
    shared.teach("google/gemini-pro", reward=0.75)
    shared.teach("google/gone-from-the-catalog", tokens=9_999, reward=1)

    known = newsreader().read(1_000, shared.get)

    assert {domain: set(models) for domain, models in known.expected_output.items()} == {
        "code": {"openai/gpt-5.5", "google/gemini-pro", ANY_MODEL},
        "legal": {"openai/gpt-5.5", ANY_MODEL},
    }
    code = known.expected_output["code"]
    assert code["openai/gpt-5.5"] == 700
    assert code["google/gemini-pro"] == 175
    assert code[ANY_MODEL] == pytest.approx((700 + 3 * 175) / 4)
    assert known.evidence == {"code": {"google/gemini-pro": Evidence(0.75, 0.25)}}


def test_breakers_are_asked_for_often_and_the_rest_seldom(shared: Shared) -> None:
    reader = newsreader(breaker_s=0.1, latency_s=1)

    for tick in range(100):
        reader.read(1_000 + tick / 50, shared.get)

    assert 18 * PROVIDERS <= shared.asked["breaker"] <= 20 * PROVIDERS
    assert shared.asked["latency"] == shared.asked["learning"] == 2 * PROVIDERS


def test_news_come_after_their_period_and_not_before(shared: Shared) -> None:
    reader = newsreader(breaker_s=0.1)
    reader.read(1_000, shared.get)
    shared.values[breaker_key("openai")] = encode_health(ProviderHealth(BreakerState.OPEN, 1_060))

    assert not reader.read(1_000.09, shared.get).closed
    assert reader.read(1_000.11, shared.get).closed


def test_a_clock_that_steps_back_does_not_stop_the_news(shared: Shared) -> None:
    reader = newsreader()
    reader.read(1_000, shared.get)
    shared.values[breaker_key("openai")] = encode_health(ProviderHealth(BreakerState.OPEN, 1_060))

    assert reader.read(500, shared.get).closed


def test_the_same_news_are_the_same_objects(shared: Shared) -> None:
    reader = newsreader(breaker_s=0, latency_s=0)
    shared.values[breaker_key("openai")] = encode_health(ProviderHealth(BreakerState.OPEN, 1_060))
    shared.values[latency_key("google")] = encode_latency(STATS)
    shared.teach("openai/gpt-5.5", tokens=1_000, reward=1)
    before = reader.read(1_000, shared.get)

    assert reader.read(1_001, shared.get) is before
    shared.values[breaker_key("openai")] += b"\nwhat the breaker keeps for itself"
    assert reader.read(1_002, shared.get) is before

    shared.values[breaker_key("openai")] = encode_health(ProviderHealth(BreakerState.OPEN, 1_061))
    after = reader.read(1_003, shared.get)
    assert after.closed == {"openai": 1_061}
    assert after.latency is before.latency
    assert after.expected_output is before.expected_output
    assert after.evidence is before.evidence
    assert before.closed == {"openai": 1_060}


def test_evidence_fades_though_nothing_happens(shared: Shared) -> None:
    reader = newsreader()
    shared.teach("openai/gpt-5.5", reward=1)
    fresh = reader.read(1_000, shared.get)
    expected = fresh.expected_output

    assert reader.read(1_050, shared.get).evidence is fresh.evidence
    later = reader.read(1_800, shared.get)
    assert later.evidence["code"]["openai/gpt-5.5"].successes == pytest.approx(0.5, rel=0.1)
    assert later.expected_output is expected


@pytest.mark.parametrize(
    "garbage", [b"", b"\xff\xfe", b"{", b"[]", b'{"state": "asleep", "until_s": 1}', b"[" * 9_999]
)
def test_garbage_in_shared_data_is_nothing_known(shared: Shared, garbage: bytes) -> None:
    for key in (breaker_key("openai"), latency_key("openai"), learning_key("openai")):
        shared.values[key] = garbage

    known = newsreader().read(1_000, shared.get)

    assert (known.closed, known.latency, known.expected_output, known.evidence) == ({}, {}, {}, {})


def test_the_configuration_is_read() -> None:
    reader = Reader({"knowledge": {"breaker_refresh_s": 0.5, "latency_refresh_s": 2, "per_model": True}})

    assert read_refresh(reader) == Refresh(breaker_s=0.5, latency_s=2, per_model=True)
    reader.finish()
