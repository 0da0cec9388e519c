"""What another strategy would have cost: deciding again, for every request in a log.

A line of the gateway's access log is a JSON object with the record that the router left of the request
(`audit`, or another name; as an object or as text), who asked (`consumer`), and the tokens it really took, if
they are there: `prompt_tokens`, `output_tokens` or `completion_tokens`. Lines without a record are of
requests that the router did not see.

Every strategy gets the same requests, with what was known of latencies and answers when they came, and is
charged the same tokens, whichever model it chooses. A record does not say what was left of a budget or which
providers were closed: replaying, there is always money, and all providers are up.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from ai_cost_optimal_router import Config, Knowledge, RefusedError, Router, Situation
from ai_cost_optimal_router.audit import replay as decide_by_record
from ai_cost_optimal_router.situation import LatencyClass
from aigateway.chat import Format, Need
from aigateway.health import LatencyStats
from aigateway.models import Catalog
from aigateway.usage import Usage

from .files import Problems, describe, read_text

__all__ = ["Logged", "Outcome", "outcome_rows", "read_records", "replay"]

_MANY_SAMPLES = 1e9
"""What makes the router take a recorded latency as it is."""

_SHOWN_MODELS = 3

_ABSENT = (None, "", "-")
"""What a log has where there is no value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """A request in the log."""

    situation: Situation
    knowledge: Knowledge
    model: str
    """What it was sent to, as `provider/name`."""
    usage: Usage
    is_usage_measured: bool
    """Whether the tokens are those that were used, or those that the router expected."""
    is_reproduced: bool
    """Whether the numbers in the record lead to the choice that was made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a strategy does with all requests of a log."""

    name: str
    cost_nano_usd: int
    quality: float
    """Mean of the catalog's qualities of the chosen models."""
    models: Mapping[str, int]
    """How many requests went where."""
    refused: int
    """Requests that no model could answer; they cost nothing."""
    unknown: int = 0
    """Requests that went to models which the catalog does not have; they are not in the cost."""


def read_records(path: Path, *, field: str = "audit") -> tuple[list[Logged], int]:
    """Read a log of JSON lines; the second result is the number of lines without a record.

    Raises FileError with everything that is wrong in it.
    """
    problems = Problems(path)
    found: list[Logged] = []
    skipped = 0
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except json.JSONDecodeError as error:
            problems.add(number, f"column {error.colno}", "JSON", f"an error: {error.msg}")
            continue
        if not isinstance(entry, dict):
            problems.add(number, "", "a JSON object", describe(entry))
            continue
        written = entry.get(field)
        if written in _ABSENT:
            skipped += 1
            continue
        try:
            found.append(_logged(_object(written), entry))
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            got = f"one without {error}" if isinstance(error, KeyError) else describe(written)
            problems.add(number, field, "an audit record of the router", got)
    if not found and not problems:
        problems.add(0, field, "audit records in some lines", f"none in {skipped:,} lines")
    problems.finish()
    return found, skipped


def replay(
    logged: Sequence[Logged],
    config: Config,
    strategies: Sequence[str],
    *,
    seed: int,
    progress: Callable[[Sequence[Logged], str], Iterable[Logged]] = lambda requests, _: requests,
) -> list[Outcome]:
    """Say what was paid, what each of the *strategies* would have cost, and what each model alone would."""
    catalog = config.catalog
    found = [_as_logged(logged, catalog)]
    # What a client may ask for is of no concern here: every strategy is tried.
    tried = replace(config, allowed_strategies=tuple(strategies))
    for strategy in strategies:
        found.append(_by_strategy(progress(logged, strategy), tried, strategy, Random(seed)))
    for model in catalog:
        cost = sum(model.prices.cost(request.usage) for request in logged)
        found.append(
            Outcome(
                name=f"always {model.key}",
                cost_nano_usd=cost,
                quality=model.quality,
                models={model.key: len(logged)},
                refused=0,
            )
        )
    return found


def outcome_rows(outcomes: Sequence[Outcome]) -> Iterator[tuple[str, ...]]:
    """Give a table: a header, and a row of text for each outcome."""
    yield ("strategy", "USD", "of the log", "USD/1,000", "quality", "refused", "models")
    base = outcomes[0].cost_nano_usd
    for outcome in outcomes:
        answered = sum(outcome.models.values())
        shown = sorted(outcome.models.items(), key=lambda item: (-item[1], item[0]))[:_SHOWN_MODELS]
        shares = ", ".join(f"{name} {count / answered:.0%}" for name, count in shown)
        others = len(outcome.models) - len(shown)
        yield (
            outcome.name,
            f"{outcome.cost_nano_usd / 1e9:,.4f}",
            f"{outcome.cost_nano_usd / base:.0%}" if base else "",
            f"{outcome.cost_nano_usd / 1e6 / answered:,.4f}" if answered else "",
            f"{outcome.quality:.3f}" if answered else "",
            f"{outcome.refused + outcome.unknown:,}",
            shares + (f" and {others} more" if others else ""),
        )


def _as_logged(logged: Sequence[Logged], catalog: Catalog) -> Outcome:
    cost, quality, models, unknown = 0, 0.0, Counter[str](), 0
    for request in logged:
        model = catalog.find(request.model)
        if model is None:
            unknown += 1
            continue
        cost += model.prices.cost(request.usage)
        quality += model.quality
        models[model.key] += 1
    return Outcome(
        name="as logged",
        cost_nano_usd=cost,
        quality=quality / max(1, models.total()),
        models=models,
        refused=0,
        unknown=unknown,
    )


def _by_strategy(logged: Iterable[Logged], config: Config, strategy: str, random: Random) -> Outcome:
    router = Router(config)
    cost, quality, models, refused = 0, 0.0, Counter[str](), 0
    for request in logged:
        situation = replace(request.situation, strategy=strategy)
        try:
            model = router.choose(situation, request.knowledge, random.random).model
        except RefusedError:
            refused += 1
            continue
        cost += model.prices.cost(request.usage)
        quality += model.quality
        models[model.key] += 1
    return Outcome(
        name=strategy,
        cost_nano_usd=cost,
        quality=quality / max(1, models.total()),
        models=models,
        refused=refused,
    )


def _object(written: object) -> Mapping[str, object]:
    """Give a record that is an object, or text with one."""
    found = json.loads(written) if isinstance(written, str) else written
    if not isinstance(found, dict):
        raise TypeError("no object")
    return found


def _logged(record: Mapping[str, object], entry: Mapping[str, object]) -> Logged:
    request = record["request"]
    assert isinstance(request, dict)
    chosen = record["model"]
    if not isinstance(chosen, str):
        raise TypeError("no model")
    latency: LatencyClass = "batch" if request["latency"] == "batch" else "realtime"
    situation = Situation(
        prompt_tokens=int(request["prompt_tokens"]),
        max_tokens=None if request["max_tokens"] is None else int(request["max_tokens"]),
        needs=frozenset(map(Need, request["needs"])),
        format=None if request["format"] is None else Format(request["format"]),
        domain=str(request["domain"]),
        latency=latency,
        complexity=float(request["complexity"]),
        tier=request["tier"],
        requested_model=request["requested_model"],
        consumer=_text(entry, "consumer"),
        request_id=str(request["id"]),
        now_s=float(request["time_s"]),
    )
    candidates = _candidates(record)
    outputs = {
        name: float(str(candidate["expected_output_tokens"])) for name, candidate in candidates.items()
    }
    expected = round(outputs[chosen])
    limited = expected if situation.max_tokens is None else min(expected, situation.max_tokens)
    inputs = _tokens(entry, "prompt_tokens")
    answered = _tokens(entry, "output_tokens", "completion_tokens")
    again = decide_by_record(record)
    return Logged(
        situation=situation,
        knowledge=Knowledge(
            latency={
                name: _latency(float(str(candidate["latency_ms"])), situation.now_s)
                for name, candidate in candidates.items()
            },
            expected_output={situation.domain: outputs},
        ),
        model=chosen,
        usage=Usage(
            situation.prompt_tokens if inputs is None else inputs, limited if answered is None else answered
        ),
        is_usage_measured=answered is not None,
        is_reproduced=again.model == chosen and list(again.fallbacks) == record["fallbacks"],
    )


def _candidates(record: Mapping[str, object]) -> dict[str, Mapping[str, object]]:
    stages = record["stages"]
    assert isinstance(stages, list)
    return {candidate["model"]: candidate for stage in stages for candidate in stage["candidates"]}


def _latency(milliseconds: float, now_s: float) -> LatencyStats:
    return LatencyStats(
        p50_ms=milliseconds,
        p95_ms=milliseconds,
        ewma_ms=milliseconds,
        ttft_p95_ms=None,
        tokens_per_s=None,
        samples=_MANY_SAMPLES,
        updated_s=now_s,
    )


def _text(entry: Mapping[str, object], name: str) -> str | None:
    value = entry.get(name)
    return value if isinstance(value, str) and value not in _ABSENT else None


def _tokens(entry: Mapping[str, object], *names: str) -> int | None:
    for name in names:
        value = entry.get(name)
        if value not in _ABSENT:
            return int(str(value))
    return None
