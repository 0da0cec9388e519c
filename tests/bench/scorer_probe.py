"""A filter that scores prompts and times the tuner where it runs, in the proxy.

The body is `{"prompts": [...]}`; the configuration is an artifact of the linear scorer.
"""

import json
import time
from collections.abc import Callable

from ai_routellm_threshold_tuner import Config, Prompt, Tuner
from ai_routellm_threshold_tuner.names import Ask
from ai_routellm_threshold_tuner.scorers.linear import LinearScorer
from ai_routellm_threshold_tuner.tuner import request_for
from ai_routellm_threshold_tuner.verdicts import learn
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


@plugin("scorer-probe", config=LinearScorer.from_json)
class ScorerProbe(HttpFilter[LinearScorer]):
    """Answers `{"scores": [...], "nanoseconds": ...}`, the scores with all their digits.

    With the header `x-probe: score` scoring the first prompt is timed, with `x-probe: learn` what comes next.
    """

    async def on_request_headers(self, request: Request) -> Outcome:
        """Score every prompt of the body."""
        body = json.loads(await request.body.read())
        prompts, scorer = body["prompts"], self.config
        scores = [scorer.score(prompt) for prompt in prompts]
        fastest = 0.0
        match request.headers.get("x-probe"):
            case "score":
                fastest = _fastest(lambda: scorer.score(prompts[0]))
            case "learn":
                fastest = _fastest(_learning())
        answer = {"scores": [score.hex() for score in scores], "nanoseconds": fastest}
        return Reply(200, json.dumps(answer).encode(), headers={"content-type": "application/json"})
