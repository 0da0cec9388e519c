"""Talking to what runs: the control paths of a fake provider, and Envoy's administration page."""

import base64
import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_TIMEOUT_S = 10.0


class ControlError(RuntimeError):
    """The other side has answered something else than 200."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenRequest:
    """A request as a fake provider has seen it, and what became of the response so far."""

    time_s: float
    """When it came, in epoch seconds."""
    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    """Every value of every header; bytes that are not UTF-8 are lone surrogates."""
    body: bytes | None
    """None when it was not read to its end, or had to make room."""
    body_bytes: int
    status: int | None
    usage: dict[str, int] | None
    bytes_sent: int
    """Of the response's body."""
    ended: str | None
    """``complete``, ``client_aborted``, ``cut``, ``reset`` or ``released``; None while it goes on."""

    def header(self, name: str) -> str | None:
        """Return the first value of a header, or None."""
        return next(iter(self.header_values(name)), None)

    def header_values(self, name: str) -> list[str]:
        """Return every value of a header."""
        return [value for found, value in self.headers if found.lower() == name.lower()]

    @classmethod
    def _from_json(cls, entry: Mapping[str, Any]) -> "SeenRequest":
        response = entry["response"]
        body = None if entry["body"] is None else entry["body"].encode()
        return cls(
            time_s=entry["time"],
            method=entry["method"],
            path=entry["path"],
            headers=tuple((name, value) for name, value in entry["headers"]),
            body=body if entry["body_base64"] is None else base64.b64decode(entry["body_base64"]),
            body_bytes=entry["body_bytes"],
            status=response["status"],
            usage=response["usage"],
            bytes_sent=response["bytes_sent"],
            ended=response["ended"],
        )


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

    def requests(self, last: int = 1000) -> list[SeenRequest]:
        """Return the *last* requests it has seen, oldest first."""
        requests = self._call("GET", f"/__requests?last={last}")["requests"]
        return [SeenRequest._from_json(entry) for entry in requests]

    def requests_in_all(self) -> int:
        """Return how many requests it has seen since the journal was last cleared."""
        return int(self._call("GET", "/__requests?last=0")["total"])

    def forget_requests(self) -> None:
        """Clear the journal."""
        self._call("DELETE", "/__requests")

    def set_fault(self, **keys: object) -> None:
        """Put a fault in force, for example ``status=503, count=5``; none at all clears it."""
        self._call("POST", "/__faults", keys)

    def fault(self) -> dict[str, Any]:
        """Return what is in force, as ``GET /__faults`` shows it."""
        return self._call("GET", "/__faults")

    def _call(self, method: str, path: str, document: Mapping[str, object] | None = None) -> dict[str, Any]:
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
