"""The tuner in a real Envoy with two workers: one threshold for all, through shifts and reloads."""

import http.client
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from ai_routellm_threshold_tuner import Config, Prompt, State, Tuner
from ai_routellm_threshold_tuner.scorers.linear import MEASURES
from aigateway.catalog import DEFAULT_CATALOG
from nexus.testing import RunningGateway, describe_plugin, running_gateway
from nexus.wasmplugin import WasmPlugin
from wasmbuild.__main__ import main as wasmbuild

CHAT = "/v1/chat/completions"
FILTERS = Path(__file__).parent / "filters"
TUNER = "ai-routellm-threshold-tuner"
METRICS = "wasmcustom.ai_routellm_threshold_tuner"
TARGET = 0.2

CONFIG = {
    "scorer": "given",
    "scorers": [
        {"name": "given", "type": "header", "header": "x-given-score"},
        {"name": "mf", "type": "service", "cluster": "google", "path": "/v1/models", "fallback": "words"},
        {
            "name": "linear",
            "type": "linear",
            "model": {
                "buckets": 4,
                "weights": "AAAAAA==",
                "dense": dict.fromkeys(MEASURES, 0.1),
                "trained_on": {"rows": 0},
                "metrics": {},
            },
        },
    ],
    "threshold": {"target_strong_fraction": TARGET, "scope": "everything"},
}


def chain(config: object = None) -> list[WasmPlugin]:
    """Give classifier, tuner and router, and a filter that shows shared data."""
    tuner = CONFIG if config is None else config
    assert isinstance(tuner, dict)
    named = [("ai-nexus-classifier", {}), ("knowledge", {}), (TUNER, tuner), ("ai-cost-optimal-router", {})]
    return [
        describe_plugin(name, settings, priority=len(named) - place)
        for place, (name, settings) in enumerate(named)
    ]


@pytest.fixture(scope="module")
def started(request: pytest.FixtureRequest) -> Iterator[RunningGateway]:
    module = request.config.rootpath / "build" / "tests" / "tuner.wasm"
    plugins = ["ai_nexus_classifier", TUNER.replace("-", "_"), "ai_cost_optimal_router"]
    arguments = [*plugins, str(FILTERS / "knowledge_filter.py"), "-o", str(module)]
    assert wasmbuild([*arguments, "--cache", str(module.parents[1] / ".wasmbuild")]) == 0
    with running_gateway(chain(), module=module, workers=2) as gateway:
        yield gateway


@pytest.fixture
def gateway(started: RunningGateway) -> RunningGateway:
    """The gateway, with nothing learnt."""
    started.reset()
    requests.put(f"{started.base_url}/__shared/tuner/everything", data=b"", timeout=10).raise_for_status()
    return started


def known(gateway: RunningGateway) -> State:
    """Read what all workers know."""
    data = requests.get(f"{gateway.base_url}/__shared/tuner/everything", timeout=10).content
    config = Config.from_json(CONFIG)
    threshold = config.thresholds["default"]
    return State.from_bytes(data, config.scorers.fingerprints["given"], threshold.fingerprint, 1, 512)


def tiers(gateway: RunningGateway, scores: Sequence[float], connections: int = 8) -> list[str]:
    """Send a request with each score over several connections, so that both workers get some."""
    local = threading.local()
    opened: list[http.client.HTTPConnection] = []
    body = json.dumps({"model": "auto", "messages": [{"role": "user", "content": "Why?"}]})

    def send(score: float) -> str:
        if not hasattr(local, "connection"):
            local.connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
            opened.append(local.connection)
        headers = {
            "content-type": "application/json",
            "x-given-score": f"{score:.6f}",
            "x-ai-debug": "true",
        }
        local.connection.request("POST", CHAT, body, headers)
        response = local.connection.getresponse()
        response.read()
        assert response.status == 200
        return str(response.headers["x-ai-tier"])

    with ThreadPoolExecutor(connections) as pool:
        found = list(pool.map(send, scores))
    for connection in opened:
        connection.close()
    return found


def metric(gateway: RunningGateway, name: str) -> int:
    return gateway.admin.stats(METRICS).get(f"{METRICS}.{name}", 0)


def sent(gateway: RunningGateway, model: str, text: str = "Why?", **headers: str) -> requests.Response:
    document = {"model": model, "messages": [{"role": "user", "content": text}]}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.post(
        gateway.base_url + CHAT, json=document, headers={"x-ai-debug": "true"} | named, timeout=30
    )


def test_after_a_shift_the_share_is_back_within_500_requests(gateway: RunningGateway) -> None:
    draw = random.Random(1)
    easy = [draw.betavariate(2, 8) for _ in range(600)]
    hard = [draw.betavariate(6, 4) for _ in range(1000)]

    before, after = tiers(gateway, easy), tiers(gateway, hard)

    assert before.count("strong") / 600 == pytest.approx(TARGET, abs=0.02)
    assert after[:500].count("strong") / 500 == pytest.approx(TARGET, abs=0.02)
    assert after[500:].count("strong") / 500 == pytest.approx(TARGET, abs=0.02)
    state = known(gateway)
    assert state.count == 1600
    assert state.drifts >= 1
    assert gateway.vm_crashes() == []


def test_no_request_of_any_worker_is_forgotten(gateway: RunningGateway) -> None:
    """Equal scores: one count decides whose turn it is, and no two workers may take the same number."""
    found = Counter(tiers(gateway, [0.5] * 1000, connections=16))

    assert found["strong"] == pytest.approx(200, abs=2)
    assert known(gateway).count == 1000
    time.sleep(1.5)  # The gauges are set once a second.
    assert metric(gateway, "samples.everything") == 512
    assert metric(gateway, "threshold_ppm.everything") == pytest.approx(500_000, abs=10)
    assert metric(gateway, "strong_share_ppm.everything") == pytest.approx(200_000, abs=20_000)
    assert metric(gateway, "saving_ppm.default") > 500_000


def test_a_reload_keeps_what_was_learnt(gateway: RunningGateway) -> None:
    draw = random.Random(2)
    tiers(gateway, [draw.random() for _ in range(200)])
    before = known(gateway)

    changed = gateway.stack.change(gateway.stack.gateway, chain(CONFIG | {"expected_output_tokens": 100}))
    found = tiers(gateway, [draw.random() for _ in range(200)])

    assert changed.refusal is None
    assert (before.count, known(gateway).count) == (200, 400)
    assert found.count("strong") / 200 == pytest.approx(TARGET, abs=0.03)
    assert gateway.stack.change(gateway.stack.gateway, chain()).refusal is None


def test_a_bad_configuration_is_refused_and_the_old_one_stays(gateway: RunningGateway) -> None:
    changed = gateway.stack.change(gateway.stack.gateway, chain(CONFIG | {"scorer": "nobody"}))

    assert changed.refusal is not None
    assert "expected one of complexity, words, given, mf, linear, got the string 'nobody'" in changed.refusal
    assert len(tiers(gateway, [0.5])) == 1


def test_the_router_chooses_within_the_tier(gateway: RunningGateway) -> None:
    strong, weak = sent(gateway, "router-complexity-0"), sent(gateway, "router-complexity-1")

    for answer, tier in ((strong, "strong"), (weak, "weak")):
        model = DEFAULT_CATALOG.find(answer.headers["x-ai-model"])
        assert model is not None
        assert answer.headers["x-ai-tier"] == model.tier == tier
    assert weak.headers["x-ai-threshold"] == "1.00000"


def test_a_wrong_name_is_answered_with_400(gateway: RunningGateway) -> None:
    answer = sent(gateway, "router-complexty-0.5")

    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["param"] == "model"
    assert error["message"].endswith("no scorer called 'complexty', did you mean 'complexity'?")


def test_the_same_score_inside_and_outside(gateway: RunningGateway) -> None:
    text = "Prove that every bounded sequence converges. 证明每个有界序列都收敛。" * 5
    scorer = Config.from_json(CONFIG).scorers.local("linear")[1]

    answer = sent(gateway, "router-linear-0.5", text)

    assert answer.headers["x-ai-score"] == f"{scorer.score(Prompt(text=text)):.5f}"


def test_the_tier_of_most_worth(gateway: RunningGateway) -> None:
    """The strong tier is predicted to be better at long prompts only, and costs more."""
    curve = [{"raw": 0, "score": 0}, {"raw": 1, "score": 1}]
    models = [
        {"buckets": 1, "weights": "AA==", "bias": bias, "dense": {"length": slope}, "curve": curve}
        for bias, slope in ((0.5, 0.5), (0.75, -0.5))
    ]
    tiers = [
        {"name": name, "quality_model": model} for name, model in zip(("strong", "weak"), models, strict=True)
    ]
    config = {"answer_worth_usd": 1, "tiers": tiers}
    tuner = Tuner(Config.from_json(config))

    assert gateway.stack.change(gateway.stack.gateway, chain(config)).refusal is None
    try:
        for text, tier in (("Why?", "weak"), ("word " * 800, "strong")):
            answer, verdict = sent(gateway, "auto", text), tuner.decide(Prompt(text=text))
            assert verdict is not None
            assert answer.headers["x-ai-tier"] == verdict.tier.name == tier
            assert answer.headers["x-ai-score"] == verdict.signals["x-ai-score"]
            assert "x-ai-threshold" not in answer.headers
            model = DEFAULT_CATALOG.find(answer.headers["x-ai-model"])
            assert model is not None
            assert model.tier == tier
    finally:
        assert gateway.stack.change(gateway.stack.gateway, chain()).refusal is None


def test_a_service_that_answers_something_else_is_stood_in_for(gateway: RunningGateway) -> None:
    before = metric(gateway, "service_failed")

    answer = sent(gateway, "router-mf-0.5", "word " * 150)

    assert answer.headers["x-ai-score"] == "0.60000"
    assert metric(gateway, "service_failed") == before + 1
