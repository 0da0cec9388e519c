"""A filter that scores prompts and times the tuner where it runs, in the proxy.

The body is `{"prompts": [...]}`; the configuration is a list of artifacts, `models`. The first is a linear
scorer, and all of them predict qualities.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

from ai_routellm_threshold_tuner import Config, Prompt, Tuner
from ai_routellm_threshold_tuner.names import Ask
from ai_routellm_threshold_tuner.scorers.linear import LinearScorer
from ai_routellm_threshold_tuner.scorers.qualities import QualityModels
from ai_routellm_threshold_tuner.tuner import request_for
from ai_routellm_threshold_tuner.verdicts import learn
from aigateway.config import Reader
from proxywasm import HttpFilter, Outcome, Reply, Request, plugin

_RUNS = 100
_CALLS = 10


def _fastest(call: Callable[[], object]) -> float:
    """Return the nanoseconds that a call takes: the fastest of many short runs, the least disturbed one."""
    fastest = float("inf")
    for _ in range(_RUNS):
        start = time.perf_counter_ns()
        for _ in range(_CALLS):
            call()
        fastest = min(fastest, (time.perf_counter_ns() - start) / _CALLS)
    return fastest


def _learning() -> Callable[[], object]:
    """Return what decides one more request by a threshold that follows the traffic, from a full window."""
    config = Config.from_json({"scorer": "words", "threshold": {"scope": "everything"}})
    ask, tuner = Ask("default"), Tuner(config)
    for number in range(600):
        tuner.decide(Prompt(text="word " * (number * 7 % 100)))
    request, known = request_for(config, ask, "words", 0.4, (2, 1)), tuner.known["everything"]
    return lambda: learn(request, known)


@dataclass(frozen=True, slots=True)
class Models:
    """What scores prompts."""

    scorer: LinearScorer
    qualities: QualityModels

    @classmethod
    def from_json(cls, value: object) -> "Models":
        """Read the configuration."""
        reader = Reader(value)
        models = [LinearScorer.read(entry) for entry in reader.tables("models")]
        reader.finish()
        return cls(models[0], QualityModels(models))


@plugin("scorer-probe", config=Models.from_json)
class ScorerProbe(HttpFilter[Models]):
    """Answers `{"scores": [...], "qualities": [[...], ...], "nanoseconds": ...}`, with all digits.

    With the header `x-probe: score` scoring the first prompt is timed, with `x-probe: qualities` predicting
    all qualities of it, with `x-probe: learn` what comes after scoring.
    """

    async def on_request_headers(self, request: Request) -> Outcome:
        """Score every prompt of the body."""
        body = json.loads(await request.body.read())
        prompts, scorer, qualities = body["prompts"], self.config.scorer, self.config.qualities
        scores = [scorer.score(prompt) for prompt in prompts]
        fastest = 0.0
        match request.headers.get("x-probe"):
            case "score":
                fastest = _fastest(lambda: scorer.score(prompts[0]))
            case "qualities":
                fastest = _fastest(lambda: qualities.of(prompts[0]))
            case "learn":
                fastest = _fastest(_learning())
        answer = {
            "scores": [score.hex() for score in scores],
            "qualities": [[each.hex() for each in qualities.of(prompt)] for prompt in prompts],
            "nanoseconds": fastest,
        }
        return Reply(200, json.dumps(answer).encode(), headers={"content-type": "application/json"})
