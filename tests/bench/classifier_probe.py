"""A filter that times the classifier where it runs, in the proxy.

A request with the header ``x-probe`` is answered with the nanoseconds that examining its body takes.
"""

import json
import time

from ai_nexus_classifier.config import Config
from ai_nexus_classifier.intake import examine
from proxywasm import CONTINUE, HttpFilter, Outcome, Reply, Request, plugin

_SHORTEST_RUN_NS = 200_000_000


@plugin("classifier-probe", config=Config.from_json)
class ClassifierProbe(HttpFilter[Config]):
    """Answers `{"nanoseconds": ..., "signals": ...}`; the time is the mean over at least 0.2 s."""

    async def on_request_headers(self, request: Request) -> Outcome:
        """Time `examine` on the body."""
        if "x-probe" not in request.headers:
            return CONTINUE
        body, path, config = await request.body.read(), request.path, self.config
        signals = examine(path, body, config)
        repeats, elapsed = 0, 0
        while elapsed < _SHORTEST_RUN_NS:
            start = time.perf_counter_ns()
            for _ in range(10):
                examine(path, body, config)
            elapsed += time.perf_counter_ns() - start
            repeats += 10
        answer = {"nanoseconds": elapsed / repeats, "signals": dict(signals)}
        return Reply(200, json.dumps(answer).encode(), headers={"content-type": "application/json"})
