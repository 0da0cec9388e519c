"""What Envoy has made of the files it watches, as its counters say it."""

import contextlib
import re
import time
from collections.abc import Iterable

from .controls import AdminPage
from .render import ATTEMPTS, CLUSTERS, LISTENERS, PLUGINS, ROUTES_FILE

# Envoy answers nobody while it compiles a new module: 5 s on two idle cores.
_TIMEOUT_S = 120.0
_POLL_INTERVAL_S = 0.05

_SUBSCRIPTIONS = {
    LISTENERS: re.compile(r"listener_manager\.lds"),
    CLUSTERS: re.compile(r"cluster_manager\.cds"),
    PLUGINS: re.compile(r"extension_config_discovery\.http_filter\.plugins"),
    ATTEMPTS: re.compile(r"extension_config_discovery\.upstream_http_filter\.ai-provider-attempt"),
    ROUTES_FILE: re.compile(r"http\.[^.]+\.rds\.gateway"),
}

_Counters = dict[str, tuple[int, int]]
"""For each file, how often it was taken over and how often it was refused."""


class Updates:
    """Counts what Envoy does with its files from now on."""

    def __init__(self, admin: AdminPage) -> None:
        self._admin = admin
        self._before = self._count()

    def wait(self, files: Iterable[str]) -> list[str]:
        """Wait until Envoy has read each of *files*, as far as it counts them, and return those it refuses.

        Raises TimeoutError when it has not in two minutes.
        """
        waiting = [file for file in files if file in _SUBSCRIPTIONS]
        deadline = time.monotonic() + _TIMEOUT_S
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                now = self._count()
                if all(now[file] != self._before[file] for file in waiting):
                    return [file for file in waiting if now[file][1] != self._before[file][1]]
            time.sleep(_POLL_INTERVAL_S)
        raise TimeoutError(f"Envoy has not read {', '.join(waiting)} in {_TIMEOUT_S:.0f} s.")

    def _count(self) -> _Counters:
        counters = dict.fromkeys(_SUBSCRIPTIONS, (0, 0))
        for name, value in self._admin.stats().items():
            subscription, _, outcome = name.rpartition(".update_")
            if outcome not in ("success", "rejected", "failure"):
                continue
            for file, pattern in _SUBSCRIPTIONS.items():
                if pattern.fullmatch(subscription):
                    taken, refused = counters[file]
                    is_taken = outcome == "success"
                    counters[file] = (taken + value * is_taken, refused + value * (not is_taken))
        return counters
