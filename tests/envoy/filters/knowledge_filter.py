"""A filter that stands in for the plugins whose word the router takes: breaker, tuner, budget guard.

``PUT /__shared/<key>`` stores the body in shared data, and ``GET`` gives it back. A request header
``x-set-ai-tier`` becomes ``x-ai-tier``, and so with every ``x-set-`` header.
"""

from proxywasm import CONTINUE, HttpFilter, Outcome, Reply, Request, plugin

_PATH = "/__shared/"
_SET = "x-set-"


@plugin("knowledge")
class KnowledgeFilter(HttpFilter[dict[str, object]]):
    """Stores values, and sets headers."""

    async def on_request_headers(self, request: Request) -> Outcome:
        """Do what path and headers say."""
        path = request.path
        if path.startswith(_PATH):
            key = path.removeprefix(_PATH)
            if request.method == "PUT":
                self.shared.set(key, await request.body.read())
                return Reply(204)
            stored = self.shared.get(key)
            return Reply(404) if stored is None else Reply(200, stored)
        for name, value in request.headers.items():
            if name.startswith(_SET):
                request.headers["x-" + name.removeprefix(_SET)] = value
        return CONTINUE
