"""Logging: the `logging` module writes to the log of the proxy, and errors of filters are reported there.

`logging.getLogger(__name__)` is all a filter needs. One record is one line, with the name of the plugin in
front, even if the message has line breaks. The level is the proxy's: it is asked for at certain times (see
`VmLog.refresh_level`) and not per record, so a record below it costs no host call.
"""

import logging
import weakref
from typing import TYPE_CHECKING, Final, TextIO

from ._abi import LogLevel
from ._host import Host
from ._tracebacks import describe_exception, one_line, short_path

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

__all__ = ["PluginLog", "VmLog", "current", "show_unraisable", "show_warning"]

_LONGEST_LINE: Final = 16_384
"""Characters; a message beyond that was no message."""

_THRESHOLDS: Final = (5, logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)
_OFF: Final = logging.CRITICAL + 10


class VmLog:
    """The log of one VM: where lines go, and from which level on."""

    __slots__ = ("__weakref__", "host", "threshold")

    def __init__(self, host: Host) -> None:
        self.host = host
        self.threshold = logging.INFO
        _handler.attach(self)

    def refresh_level(self) -> None:
        """Ask the proxy for its level, which an operator may change while it runs.

        The dispatcher does so whenever a plugin is configured, at every tick, and with every 256th stream.
        """
        status, level = self.host.get_log_level()
        if status:
            return
        threshold = _THRESHOLDS[level] if level < len(_THRESHOLDS) else _OFF
        if threshold != self.threshold:
            self.threshold = threshold
            _handler.adapt_root_level()


class PluginLog:
    """The log of one plugin in one VM: lines with its name in front."""

    __slots__ = ("_prefix", "vm_log")

    def __init__(self, vm_log: VmLog, name: str) -> None:
        self.vm_log = vm_log
        self._prefix = f"[{name}] " if name else ""

    def write(self, level: LogLevel, message: str) -> None:
        """Write one line, whatever the level of the proxy is."""
        line = self._prefix + one_line(message[:_LONGEST_LINE])
        self.vm_log.host.log(level, line.encode("utf-8", "backslashreplace"))

    def report(self, where: str, error: BaseException, level: LogLevel = LogLevel.ERROR) -> None:
        """Write an exception as one line; never raises, whatever state Python is in."""
        try:
            self.write(level, f"{where} raised {describe_exception(error)}")
        except BaseException:  # E.g. out of memory again: a line that needs no work is better than none.
            self.vm_log.host.log(level, _UNREPORTABLE)


_UNREPORTABLE: Final = b"a callback of a filter raised an exception that could not be described"


class Current:
    """What is running now; there is one thread. A context variable would be slower to set and reset."""

    __slots__ = ("log",)

    def __init__(self) -> None:
        self.log: PluginLog | None = None
        """The log of the plugin whose callback is running."""


current: Final = Current()


def show_warning(  # noqa: PLR0917 - the signature of warnings.showwarning
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Stand in for `warnings.showwarning`, which writes messages and source lines to stderr.

    Of the messages only that of a forgotten `await` is shown: others may quote what was parsed.
    """
    log = current.log
    if log is None:
        return
    text = str(message)
    what = f": {text}" if category is RuntimeWarning and text.startswith("coroutine '") else ""
    log.write(LogLevel.WARN, f"{category.__name__} at {short_path(filename)}:{lineno}{what}")


def show_unraisable(unraisable: "UnraisableHookArgs") -> None:
    """Stand in for `sys.unraisablehook`, which writes the messages of exceptions in finalizers to stderr."""
    log = current.log
    if log is not None and unraisable.exc_value is not None:
        log.report("a finalizer", unraisable.exc_value)


class _HostHandler(logging.Handler):
    """Hands records to the log of the plugin whose callback is running; others are dropped."""

    def __init__(self) -> None:
        super().__init__()
        self._vm_logs: weakref.WeakSet[VmLog] = weakref.WeakSet()

    def attach(self, vm_log: VmLog) -> None:
        """Serve one more VM. There is only one in a proxy, but tests have several in one process."""
        self._vm_logs.add(vm_log)
        root = logging.getLogger()
        if self not in root.handlers:
            root.addHandler(self)
        self.adapt_root_level()

    def adapt_root_level(self) -> None:
        """Let through what any VM wants to see, so that all else is stopped before a record is even made."""
        logging.getLogger().setLevel(min(vm_log.threshold for vm_log in self._vm_logs))

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record as one line."""
        log = current.log
        if log is None or record.levelno < log.vm_log.threshold:
            return
        try:
            message = record.getMessage()
        except Exception as error:
            log.report(f"a log call at {record.filename}:{record.lineno}", error)
            return
        if record.exc_info and record.exc_info[1] is not None:
            message = f"{message}: {describe_exception(record.exc_info[1])}"
        log.write(_host_level(record.levelno), message)


def _host_level(level: int) -> LogLevel:
    if level >= logging.CRITICAL:
        return LogLevel.CRITICAL
    return LogLevel(max(0, level) // 10)


_handler: Final = _HostHandler()
