"""Talking to what runs: the control paths of a fake provider, and Envoy's administration page."""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass

_TIMEOUT_S = 10.0


class ControlError(RuntimeError):
    """The other side has answered something else than 200."""


@dataclass(frozen=True, slots=True)
class ProviderControl:
    """The control paths of the fake provider at a port."""

    name: str
    port: int
    address: str = "127.0.0.1"

    @property
    def base_url(self) -> str:
        """The provider's URL, without a path."""
        return f"http://{self.address}:{self.port}"

    def is_up(self) -> bool:
        """Return whether it answers."""
        try:
            self._call("GET", "/health")
        except OSError:
            return False
        return True

    def requests(self, last: int = 1000) -> list[dict[str, object]]:
        """Return the *last* requests it has seen, oldest first, as ``GET /__requests`` shows them."""
        requests = self._call("GET", f"/__requests?last={last}")["requests"]
        assert isinstance(requests, list)
        return requests

    def requests_in_all(self) -> int:
        """Return how many requests it has seen since the journal was last cleared."""
        total = self._call("GET", "/__requests?last=0")["total"]
        assert isinstance(total, int)
        return total

    def forget_requests(self) -> None:
        """Clear the journal."""
        self._call("DELETE", "/__requests")

    def set_fault(self, **keys: object) -> None:
        """Put a fault in force, for example ``status=503, count=5``; none at all clears it."""
        self._call("POST", "/__faults", keys)

    def fault(self) -> dict[str, object]:
        """Return what is in force, as ``GET /__faults`` shows it."""
        return self._call("GET", "/__faults")

    def _call(
        self, method: str, path: str, document: Mapping[str, object] | None = None
    ) -> dict[str, object]:
        body = None if document is None else json.dumps(document).encode()
        value = json.loads(_fetch(self.address, self.port, method, path, body))
        assert isinstance(value, dict)
        return value


@dataclass(frozen=True, slots=True)
class AdminPage:
    """Envoy's administration page."""

    port: int
    address: str = "127.0.0.1"

    def get(self, path: str) -> str:
        """Return what the page shows at *path*, for example ``/clusters``."""
        return _fetch(self.address, self.port, "GET", path, None).decode("utf-8", "replace")

    def stats(self, prefix: str = "") -> dict[str, int]:
        """Return the counters and gauges whose names start with *prefix*."""
        found = {}
        for line in self.get("/stats").splitlines():
            name, _, value = line.partition(": ")
            if name.startswith(prefix) and value.lstrip("-").isdecimal():
                found[name] = int(value)
        return found


def _fetch(address: str, port: int, method: str, path: str, body: bytes | None) -> bytes:
    connection = http.client.HTTPConnection(address, port, timeout=_TIMEOUT_S)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        content = response.read()
    finally:
        connection.close()
    if response.status != http.client.OK:
        text = content.decode("utf-8", "replace")
        raise ControlError(f"{method} {path} on port {port}: {response.status} {text[:500]}")
    return content
