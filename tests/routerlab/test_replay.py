import json
from pathlib import Path
from random import Random

import pytest

from ai_cost_optimal_router import Config, Knowledge, Router, Situation
from ai_cost_optimal_router.strategies import STRATEGIES
from aigateway.health import LatencyStats
from aigateway.usage import Usage
from routerlab.files import FileError
from routerlab.replay import outcome_rows, read_records, replay

CONFIG = Config()
SLOW = LatencyStats(
    p50_ms=9_000,
    p95_ms=9_000,
    ewma_ms=9_000,
    ttft_p95_ms=None,
    tokens_per_s=None,
    samples=1e6,
    updated_s=1_000,
)


def situations(count: int = 60) -> list[Situation]:
    draw = Random(1)
    return [
        Situation(
            prompt_tokens=draw.randint(10, 4_000),
            max_tokens=draw.choice([None, 300]),
            domain=draw.choice(["general", "code", "legal", "medical"]),
            complexity=draw.random(),
            request_id=f"request {number}",
            now_s=1_000.0 + number,
        )
        for number in range(count)
    ]


def write_log(path: Path, strategy: str, *, knowledge: Knowledge | None = None) -> list[tuple[str, int]]:
    """Let the router decide, log as Envoy does, and return models and costs."""
    router, draw, paid = Router(CONFIG), Random(2), []
    with path.open("w") as file:
        for number, situation in enumerate(situations()):
            asked = Situation(
                **{name: getattr(situation, name) for name in Situation.__slots__} | {"strategy": strategy}
            )
            choice = router.choose(asked, knowledge or Knowledge(), draw.random)
            record = choice.make_record()
            tokens = 10 * number
            entry = {
                "status": 200,
                "audit": json.dumps(record) if number % 2 else record,
                "output_tokens": tokens,
            }
            file.write(json.dumps(entry) + "\n")
            usage = Usage(situation.prompt_tokens, tokens)
            paid.append((choice.model.key, choice.model.prices.cost(usage)))
        file.write('{"path": "/healthz", "audit": "-"}\n\n')
    return paid


def test_what_was_paid_is_what_the_log_says(tmp_path: Path) -> None:
    paid = write_log(tmp_path / "log", "cost_optimal")

    logged, skipped = read_records(tmp_path / "log")
    outcomes = replay(logged, CONFIG, ["cost_optimal"], seed=0)

    assert (len(logged), skipped) == (60, 1)
    assert outcomes[0].cost_nano_usd == sum(cost for _, cost in paid)
    assert all(request.is_reproduced and request.is_usage_measured for request in logged)


@pytest.mark.parametrize("strategy", ["cost_optimal", "quality_first", "balanced", "rule_based", "tiered"])
def test_replaying_the_strategy_that_decided_gives_what_was_paid(tmp_path: Path, strategy: str) -> None:
    paid = write_log(tmp_path / "log", "cost_optimal")
    then = write_log(tmp_path / "then", strategy)

    outcomes = replay(read_records(tmp_path / "log")[0], CONFIG, [strategy], seed=0)

    assert outcomes[1].name == strategy
    assert outcomes[1].cost_nano_usd == sum(cost for _, cost in then)
    assert (outcomes[1].cost_nano_usd == sum(cost for _, cost in paid)) == (paid == then)


def test_latencies_are_as_they_were(tmp_path: Path) -> None:
    slow = Knowledge(latency={"openai": SLOW, "google": SLOW, "moonshot": SLOW})
    then = write_log(tmp_path / "log", "latency_aware", knowledge=slow)

    (_, outcome, *_) = replay(read_records(tmp_path / "log")[0], CONFIG, ["latency_aware"], seed=0)

    assert set(outcome.models) == {"anthropic/claude-sonnet", "anthropic/claude-haiku"} & set(outcome.models)
    assert outcome.cost_nano_usd == sum(cost for _, cost in then)


def test_every_strategy_can_be_tried_and_every_model_stands_beside_them(tmp_path: Path) -> None:
    write_log(tmp_path / "log", "cost_optimal")

    outcomes = replay(read_records(tmp_path / "log")[0], CONFIG, list(STRATEGIES), seed=0)

    names = [outcome.name for outcome in outcomes]
    assert names == ["as logged", *STRATEGIES, *(f"always {model.key}" for model in CONFIG.catalog)]
    assert all(sum(outcome.models.values()) + outcome.refused == 60 for outcome in outcomes)
    by_name = {outcome.name: outcome for outcome in outcomes}
    assert by_name["quality_first"].quality > by_name["cost_optimal"].quality
    assert by_name["quality_first"].cost_nano_usd > by_name["cost_optimal"].cost_nano_usd


def test_tokens_that_were_not_counted_are_those_that_were_expected(tmp_path: Path) -> None:
    choice = Router(CONFIG).choose(Situation(prompt_tokens=100, max_tokens=7), Knowledge(), Random(0).random)
    (tmp_path / "log").write_text(json.dumps({"audit": choice.make_record()}))

    ((request,), _) = read_records(tmp_path / "log")

    assert (request.usage, request.is_usage_measured) == (Usage(100, 7), False)


def test_who_asks_may_use_what_his_policy_allows(tmp_path: Path) -> None:
    choice = Router(CONFIG).choose(Situation(prompt_tokens=100), Knowledge(), Random(0).random)
    entries = [{"audit": choice.make_record(), "consumer": who} for who in ("anna", "-", "bert")]
    (tmp_path / "log").write_text("\n".join(map(json.dumps, entries)))
    config = Config.from_json({"consumers": {"anna": {"allow": ["kimi"]}, "bert": {"deny": ["*"]}}})

    (_, outcome, *_) = replay(read_records(tmp_path / "log")[0], config, ["cost_optimal"], seed=0)

    assert outcome.models == {"moonshot/kimi": 1, choice.model.key: 1}
    assert outcome.refused == 1


def test_models_that_the_catalog_has_no_more_are_counted_apart(tmp_path: Path) -> None:
    write_log(tmp_path / "log", "cost_optimal")
    config = Config.from_json(
        {
            "catalog": [
                {
                    "name": "other",
                    "provider": "p",
                    "prices_nano_usd_per_token": {"input": 1, "output": 1},
                    "quality": 0.9,
                    "context_window_tokens": 100_000,
                }
            ]
        }
    )

    logged, same, alone = replay(read_records(tmp_path / "log")[0], config, ["cost_optimal"], seed=0)

    assert (logged.unknown, logged.cost_nano_usd) == (60, 0)
    assert same.cost_nano_usd == alone.cost_nano_usd > 0


def test_the_table(tmp_path: Path) -> None:
    write_log(tmp_path / "log", "cost_optimal")
    outcomes = replay(read_records(tmp_path / "log")[0], CONFIG, ["cost_optimal"], seed=0)

    table = list(outcome_rows(outcomes))

    assert table[1][:3] == ("as logged", f"{outcomes[0].cost_nano_usd / 1e9:,.4f}", "100%")
    assert table[2][1:] == table[1][1:]
    assert table[3][-1] == f"{next(iter(CONFIG.catalog)).key} 100%"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("[]", "expected a JSON object, got a list"),
        (
            '{"audit": {"model": "a/b"}}',
            "audit: expected an audit record of the router, got one without 'request'",
        ),
        (
            '{"audit": "no record at all"}',
            "audit: expected an audit record of the router, got text of 16 characters",
        ),
        ("{", "column 2: expected JSON, got an error: Expecting property name enclosed in double quotes"),
    ],
)
def test_what_is_wrong_in_a_log(tmp_path: Path, line: str, expected: str) -> None:
    path = tmp_path / "log"
    path.write_text(f"\n{line}\n")

    with pytest.raises(FileError) as caught:
        read_records(path)

    assert str(caught.value) == f"{path}:2: {expected}"


def test_a_log_without_records(tmp_path: Path) -> None:
    (tmp_path / "log").write_text('{"status": 200}\n')

    with pytest.raises(FileError, match="audit records in some lines, got none in 1 lines"):
        read_records(tmp_path / "log")
