"""Noticing that one of the files has changed from which a gateway is made.

The files are looked at twice a second, for that works with every editor, in containers and through the
symbolic links with which Kubernetes swaps whole directories. A change counts once the files have been still
for one look: editors and builds write in steps.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from .description import Gateway
from .gateway_file import read_gateway
from .reading import DescriptionError

__all__ = ["LOOK_INTERVAL_S", "Watcher"]

LOOK_INTERVAL_S = 0.5

_State = tuple[int, int, int] | None
"""Inode, time of the last writing, and size of a file, or None when it is not there."""
_Look = dict[Path, _State]


class Watcher:
    """Looks at the description *path* and at all it points to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._gateway: Gateway | None = None
        self._read: _State = None
        self._taken = self._before = self._look()

    def has_changed(self) -> bool:
        """Return, once for each change, whether the files differ from those of the last change."""
        now = self._look()
        is_still, self._before = now == self._before, now
        if not is_still or now == self._taken:
            return False
        self._taken = now
        return True

    def _look(self) -> _Look:
        return {file: _state(file) for file in self._files()}

    def _files(self) -> Iterator[Path]:
        yield self._path
        gateway = self._latest_gateway()
        if gateway is None:
            return
        yield gateway.module
        yield from sorted(gateway.plugins.glob("*.yaml"))
        if gateway.catalog:
            yield gateway.catalog
        for provider in gateway.providers:
            if provider.key and provider.key.file:
                yield provider.key.file

    def _latest_gateway(self) -> Gateway | None:
        """Return what the description says, or said before it was spoilt: what it pointed to still counts."""
        state = _state(self._path)
        if state != self._read:
            self._read = state
            # Whoever reads it next says what is wrong.
            with contextlib.suppress(DescriptionError):
                self._gateway = read_gateway(self._path)
        return self._gateway


def _state(file: Path) -> _State:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
