"""What /proc says of a process: its memory and its CPU time. Linux only."""

import os
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process (the second field of statm, proc(5))."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES


def cpu_s(pid: int) -> float:
    """Return the CPU time that all threads of a process have used, in user and in kernel mode.

    It counts in ticks of 10 ms, so measure over a second or more.
    """
    # Fields 14 and 15 of stat (proc(5)). The name, field 2, may hold anything; it ends with the last bracket.
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / _TICKS_PER_S
