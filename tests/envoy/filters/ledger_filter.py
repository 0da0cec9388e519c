"""A filter that shows what the budget guard has in its ledger, what it charged, and that can end the VM.

``GET /__ledger/<limit>`` gives all slots of a limit, ``GET /__owners`` who has reserved something, and
``x-do: abort`` ends the VM. When a stream is over, what the guard has left in its property goes to the log,
with the request's ``x-test-id``.
"""

import logging
import os

from proxywasm import CONTINUE, HttpFilter, Outcome, Reply, Request, plugin

_log = logging.getLogger(__name__)
_PATH = "/__ledger/"
_OWNERS_PATH = "/__owners"


@plugin("ledger")
class LedgerFilter(HttpFilter[dict[str, int]]):
    """Shows what there is."""

    def __init__(self) -> None:
        self._test_id: str | None = None

    def on_request_headers(self, request: Request) -> Outcome:
        """Show a limit, or end everything, or note whose request this is."""
        if request.path.startswith(_PATH):
            limit = request.path.removeprefix(_PATH)
            keys = (f"budget/{limit}/{slot}" for slot in range(self.config["slots"]))
            slots = (self.shared.get(key) for key in keys)
            return Reply(200, b"\0".join(slot for slot in slots if slot))
        if request.path == _OWNERS_PATH:
            return Reply(200, self.shared.get("budget/owners") or b"")
        if request.headers.get("x-do") == "abort":
            os.abort()
        self._test_id = request.headers.get("x-test-id")
        return CONTINUE

    def on_done(self) -> None:
        """Put what was charged into the log."""
        if self._test_id is not None:
            record = self.properties.get_str("ai_nexus.budget")
            _log.warning("charged test_id=%s record=%s", self._test_id, record)
