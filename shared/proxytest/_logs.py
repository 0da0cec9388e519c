"""What guests logged."""

from dataclasses import dataclass

from ._abi import LogLevel


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRecord:
    """One line of the proxy's log that a guest wrote."""

    level: LogLevel
    message: str
    plugin: str
    """The root id of the plugin that spoke; empty for the VM itself."""


class Logs(list[LogRecord]):
    """Everything that was logged at or above the proxy's level, oldest first."""

    def messages(self, level: LogLevel | None = None) -> list[str]:
        """Return the messages alone, of one level or of all."""
        return [record.message for record in self if level is None or record.level is level]
