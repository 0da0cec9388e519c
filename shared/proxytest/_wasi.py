"""The WASI functions that Proxy-Wasm hosts register, with the answers they give.

There are no files, no arguments and no sleep. Which functions exist depends on the host's age, and three
signatures are wrong in real hosts; modules that need those do not load there, so they do not load here
(proxy-wasm-cpp-host, exports.cc).
"""

import os
import struct
from collections.abc import Callable, Mapping

from ._abi import LogLevel
from ._hostcalls import HostCalls
from ._profile import Wasi
from ._wasm_memory import GuestMemory, OutOfBoundsError

SUCCESS = 0
EBADF = 8
EFAULT = 21
EINVAL = 28
ENOENT = 44
ENOSYS = 52
ENOTDIR_LIKE = 20
ENOTSUP = 58

_UNTIL_2024: dict[str, str] = {
    "fd_write": "iiii",
    "fd_read": "iiii",
    "fd_seek": "iIii",
    "fd_close": "i",
    "fd_fdstat_get": "ii",
    "environ_get": "ii",
    "environ_sizes_get": "ii",
    "args_get": "ii",
    "args_sizes_get": "ii",
    "clock_time_get": "iIi",
    "random_get": "ii",
    "proc_exit": "i",
    "path_open": "iiiiiIIii",
    "fd_prestat_get": "ii",
    "fd_prestat_dir_name": "iii",
}
_UNTIL_2026: dict[str, str] = {
    **_UNTIL_2024,
    "fd_fdstat_set_flags": "ii",
    "sched_yield": "",
    "poll_oneoff": "iiii",
}
_GO_RUNTIME: dict[str, str] = {
    **_UNTIL_2026,
    "clock_res_get": "ii",
    "fd_advise": "iIIi",
    "fd_allocate": "iII",
    "fd_datasync": "i",
    "fd_fdstat_set_rights": "iII",
    "fd_filestat_get": "ii",
    "fd_filestat_set_size": "iI",
    "fd_filestat_set_times": "iIIi",
    "fd_pread": "iiiIi",
    "fd_pwrite": "iiiIi",
    "fd_readdir": "iiiIi",
    "fd_renumber": "ii",
    "fd_sync": "i",
    "fd_tell": "ii",
    "path_create_directory": "iii",
    "path_filestat_get": "iiiii",
    "path_filestat_set_times": "iiiiIIi",
    "path_link": "iiiiii",
    "path_readlink": "iiiiii",
    "path_remove_directory": "iii",
    "path_rename": "iiiiii",
    "path_symlink": "iiii",
    "path_unlink_file": "iii",
    "sock_accept": "iii",
    "sock_recv": "iiiiii",
    "sock_send": "iiiii",
    "sock_shutdown": "ii",
}
SIGNATURES = {Wasi.UNTIL_2024: _UNTIL_2024, Wasi.UNTIL_2026: _UNTIL_2026, Wasi.GO_RUNTIME: _GO_RUNTIME}
"""Parameter types by function and generation: `i` is i32, `I` is i64. All but proc_exit return i32."""

_CONSTANTS: dict[str, int] = {
    "fd_read": ENOSYS,
    "fd_pread": ENOSYS,
    "fd_seek": SUCCESS,
    "fd_close": SUCCESS,
    "fd_advise": SUCCESS,
    "fd_filestat_get": EBADF,
    "fd_fdstat_set_flags": ENOSYS,
    "fd_prestat_get": EBADF,
    "fd_prestat_dir_name": ENOSYS,
    "path_open": ENOENT,
    "args_get": SUCCESS,
    "sched_yield": SUCCESS,
    **dict.fromkeys(
        [
            "path_create_directory",
            "path_filestat_get",
            "path_filestat_set_times",
            "path_link",
            "path_remove_directory",
            "path_rename",
            "path_symlink",
            "path_unlink_file",
            "sock_accept",
            "sock_recv",
            "sock_send",
            "sock_shutdown",
        ],
        ENOTSUP,
    ),
}
_STANDARD_STREAM_ONLY = frozenset(
    [
        "fd_allocate",
        "fd_datasync",
        "fd_fdstat_set_rights",
        "fd_filestat_set_size",
        "fd_filestat_set_times",
        "fd_sync",
    ]
)
_RANDOM_LIMIT = 64 * 1024
_RIGHT_FD_WRITE = 64
_LOG_LEVELS = {1: LogLevel.INFO, 2: LogLevel.ERROR}


class WasiCalls:
    """The WASI functions of one guest."""

    def __init__(self, host: HostCalls, memory: GuestMemory, environment: Mapping[str, str]) -> None:
        self._host = host
        self._memory = memory
        self._environment = [f"{name}={value}".encode() + b"\0" for name, value in environment.items()]

    def function(self, name: str) -> Callable[..., int | None]:
        """Return a WASI function as the linker wants it: plain integers in, errno out."""
        special: Callable[..., int] | None = getattr(self, f"_{name}", None)

        def call(*arguments: int) -> int | None:
            self._host.check_restriction(name)
            if name == "proc_exit":
                return None
            try:
                if special is not None:
                    return special(*arguments)
                if name in _STANDARD_STREAM_ONLY:
                    return SUCCESS if arguments[0] in _LOG_LEVELS else EBADF
                return _CONSTANTS[name]
            except OutOfBoundsError:
                return EFAULT

        return call

    def _fd_write(self, fd: int, vectors: int, count: int, written: int) -> int:
        """Everything written in one call is one line of the log, less one newline at its end."""
        level = _LOG_LEVELS.get(fd)
        if level is None:
            return EBADF
        text = b"".join(
            self._memory.read(self._memory.read_u32(vector), self._memory.read_u32(vector + 4))
            for vector in range(vectors, vectors + count * 8, 8)
        )
        if text:
            self._host.write_log(level, text.removesuffix(b"\n"))
        self._memory.write_u32(written, len(text))
        return SUCCESS

    def _fd_pwrite(self, fd: int, vectors: int, count: int, offset: int, written: int) -> int:
        return self._fd_write(fd, vectors, count, written)

    def _fd_fdstat_get(self, fd: int, result: int) -> int:
        if fd not in _LOG_LEVELS:
            return EBADF
        self._memory.write(result, struct.pack("<QQQ", 0, _RIGHT_FD_WRITE, 0))
        return SUCCESS

    def _fd_tell(self, fd: int, result: int) -> int:
        if fd not in _LOG_LEVELS:
            return EBADF
        self._memory.write_u64(result, 0)
        return SUCCESS

    def _fd_readdir(self, fd: int, buffer: int, size: int, cookie: int, result: int) -> int:
        self._memory.write_u32(result, 0)
        return ENOTDIR_LIKE

    def _fd_renumber(self, fd: int, to: int) -> int:
        return ENOTSUP if fd in _LOG_LEVELS else EBADF

    def _path_readlink(self, *arguments: int) -> int:
        self._memory.write_u32(arguments[-1], 0)
        return ENOTSUP

    def _environ_sizes_get(self, count: int, size: int) -> int:
        self._memory.write_u32(count, len(self._environment))
        self._memory.write_u32(size, sum(map(len, self._environment)))
        return SUCCESS

    def _environ_get(self, pointers: int, buffer: int) -> int:
        for variable in self._environment:
            self._memory.write_u32(pointers, buffer)
            self._memory.write(buffer, variable)
            pointers += 4
            buffer += len(variable)
        return SUCCESS

    def _args_sizes_get(self, count: int, size: int) -> int:
        self._memory.write_u32(count, 0)
        self._memory.write_u32(size, 0)
        return SUCCESS

    def _clock_time_get(self, clock: int, precision: int, result: int) -> int:
        """Clocks 0 and 1 are the host's clock; CPU-time clocks do not exist."""
        if clock not in (0, 1):
            return ENOTSUP
        self._memory.write_u64(result, self._host.clock_ns())
        return SUCCESS

    def _clock_res_get(self, clock: int, result: int) -> int:
        if clock not in (0, 1):
            return ENOTSUP
        self._memory.write_u64(result, 1)
        return SUCCESS

    def _random_get(self, buffer: int, size: int) -> int:
        if size & 0xFFFFFFFF > _RANDOM_LIMIT:
            return EINVAL
        self._memory.write(buffer, os.urandom(size))
        return SUCCESS

    def _poll_oneoff(self, subscriptions: int, events: int, count: int, result: int) -> int:
        """Nothing ever happens, at once: sleeping does not sleep."""
        self._memory.write_u32(result, 0)
        return SUCCESS
