"""A private directory for one run, gone with it; and the removal of those whose run was killed.

A process that gets SIGKILL cannot clean up. So each run holds a lock on its directory, which the kernel drops
with the process, and each new run removes the directories that nobody holds any more.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_PREFIX = "ai-nexus-run-"
# Between making a directory and locking it there is a moment in which it looks abandoned.
_YOUNGEST_ABANDONED_S = 60


@contextlib.contextmanager
def private_directory() -> Iterator[Path]:
    """Make a directory that only this user can read, for as long as the context lasts."""
    _remove_abandoned()
    directory = Path(tempfile.mkdtemp(prefix=_PREFIX))
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(descriptor)


def _remove_abandoned() -> None:
    for directory in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        # Another user's, or another run has just removed it too.
        with contextlib.suppress(OSError):
            if time.time() - directory.stat().st_mtime > _YOUNGEST_ABANDONED_S:
                _remove_if_unlocked(directory)


def _remove_if_unlocked(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(directory)
    finally:
        os.close(descriptor)
