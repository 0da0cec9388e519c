"""TCP ports: are they free, who has them, which are."""

import contextlib
import errno
import os
import random
import socket
from pathlib import Path

# Below the range that Linux takes the ports of outgoing connections from (32768 and up).
_LOWEST_TRIED, _HIGHEST_TRIED = 20_000, 32_000
_LISTEN = "0A"
"""The state of a listening socket in /proc/net/tcp."""


def is_free(port: int, address: str = "127.0.0.1") -> bool:
    """Return whether a server could listen on *port* of *address* now."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # Connections that have only just ended do not make a port taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
    return True


def free_ports(count: int) -> int:
    """Return the first of *count* ports in a row that are free on loopback.

    Raises OSError when there is no such row to be found.
    """
    for _ in range(200):
        first = random.randrange(_LOWEST_TRIED, _HIGHEST_TRIED - count)
        if all(is_free(port) for port in range(first, first + count)):
            return first
    raise OSError(errno.EADDRINUSE, f"no {count} free ports in a row")


def port_owner(port: int) -> str | None:
    """Return who listens on *port*, for example ``envoy (process 4711)``, as far as one may see it.

    It reads /proc, so it knows nothing where that is missing, nor of processes of other users.
    """
    inodes = _listening_inodes(port)
    if not inodes:
        return None
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal():
            continue
        # The process may be gone meanwhile, or not ours to look at.
        with contextlib.suppress(OSError):
            if any(_link(descriptor) in inodes for descriptor in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text().strip()} (process {process.name})"
    return None


def _link(descriptor: Path) -> str | None:
    """Return what a file descriptor in /proc is open on, or None when it has been closed meanwhile."""
    try:
        return os.readlink(descriptor)
    except OSError:
        return None


def _listening_inodes(port: int) -> set[str]:
    """Return the sockets that listen on *port*, as /proc/<pid>/fd shows them."""
    inodes = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        try:
            rows = table.read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            # sl, local_address, rem_address, st, tx:rx, tr:when, retrnsmt, uid, timeout, inode (proc(5))
            fields = row.split()
            if fields[3] == _LISTEN and int(fields[1].rsplit(":", 1)[1], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    return inodes
