"""A filter that scores prompts and times a scorer where it runs, in the proxy.

The body is `{"prompts": [...]}`; the configuration is an artifact of the linear scorer.
"""

import json
import time

from ai_routellm_threshold_tuner.scorers.linear import LinearScorer
from proxywasm import HttpFilter, Outcome, Reply, Request, plugin

_RUNS = 100
_CALLS = 10


def _timed(scorer: LinearScorer, prompt: str) -> float:
    """Return the nanoseconds that scoring takes, as the mean over a run of a millisecond or two."""
    start = time.perf_counter_ns()
    for _ in range(_CALLS):
        scorer.score(prompt)
    return (time.perf_counter_ns() - start) / _CALLS


@plugin("scorer-probe", config=LinearScorer.from_json)
class ScorerProbe(HttpFilter[LinearScorer]):
    """Answers `{"scores": [...], "nanoseconds": ...}`, the scores with all their digits.

    With the header `x-probe: time` the first prompt is timed: the fastest of many short runs counts,
    because other processes disturb the rest.
    """

    async def on_request_headers(self, request: Request) -> Outcome:
        """Score every prompt of the body."""
        body = json.loads(await request.body.read())
        prompts, scorer = body["prompts"], self.config
        scores = [scorer.score(prompt) for prompt in prompts]
        fastest = 0.0
        if request.headers.get("x-probe") == "time":
            fastest = min(_timed(scorer, prompts[0]) for _ in range(_RUNS))
        answer = {"scores": [score.hex() for score in scores], "nanoseconds": fastest}
        return Reply(200, json.dumps(answer).encode(), headers={"content-type": "application/json"})
