"""A child process that is always cleaned up: watched, read, and never left behind."""

import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

_LEASH = Path(__file__).with_name("_leash.py")
_LINES_KEPT = 20_000
_GRACE_S = 5.0


class Child:
    """A running command.

    It has a session of its own, so that Ctrl-C in the terminal reaches the parent alone, which then stops
    its children in order. *on_line* is called, from another thread, for each line it writes to standard
    error, and *on_exit* once it has ended and all of that was read. Standard output goes where *stdout* says,
    or where the parent's goes.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        on_exit: Callable[["Child"], None],
        on_line: Callable[[str], None],
        stdout: IO[bytes] | None = None,
    ) -> None:
        self.name = name
        self._lines: deque[str] = deque(maxlen=_LINES_KEPT)
        self._lines_seen = 0
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_LEASH), str(os.getpid()), *command],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            start_new_session=True,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        self._on_exit = on_exit
        self._on_line = on_line
        self._reader = threading.Thread(target=self._read, name=f"reader of {name}", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal, or None while it runs."""
        return self._process.poll()

    @property
    def lines(self) -> list[str]:
        """What it has written to standard error: the last 20,000 lines."""
        return list(self._lines)

    @property
    def lines_seen(self) -> int:
        """How many lines it has written to standard error."""
        return self._lines_seen

    def lines_since(self, seen: int) -> list[str]:
        """Return what it has written since it had written *seen* lines, as far as that is kept."""
        lines, new = self.lines, self._lines_seen - seen
        return lines[-new:] if new > 0 else []

    def stop(self) -> None:
        """End the process, politely at first, and wait until it is gone."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_GRACE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._reader.join(_GRACE_S)

    def kill(self) -> None:
        """End the process as a crash would, by SIGKILL, and wait until it is gone."""
        self._process.kill()
        self._process.wait()
        self._reader.join(_GRACE_S)

    def _read(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as output:
            for line in output:
                self._lines.append(line.rstrip("\n"))
                self._lines_seen += 1
                self._on_line(line.rstrip("\n"))
        self._process.wait()
        self._on_exit(self)
