"""Run a command that does not outlive the process that started it.

Used as ``python _leash.py PARENT COMMAND [ARGUMENT...]`` with the absolute path of the command. On Linux
the kernel kills the command as soon as the thread that started it is gone, even by SIGKILL, which no clean-up
code survives. It is a script and not a ``preexec_fn`` because code between fork and exec may deadlock where
there are threads. Elsewhere it only runs the command.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>; the setting survives execve(2).


def main() -> None:
    """Put the leash on and become the command."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)  # The parent was gone before the leash was on.
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
