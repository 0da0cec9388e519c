"""Reading and writing files, and telling people when one is not what it should be."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "FileError",
    "LabError",
    "Problem",
    "Problems",
    "describe",
    "read_text",
    "write_bytes",
    "write_text",
]

_MOST_SHOWN = 10
_LONGEST_SHOWN = 24
_LONGEST_FIELD = 2**31 - 1
"""Characters of a prompt; the csv module's own limit is 128 KB, and there are longer ones."""


class LabError(Exception):
    """Something that its message explains completely; the command line prints that and no traceback."""


class FileError(LabError):
    """A file that cannot be read or does not hold what it should; the message names every place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong in a file. *line* counts from 1, 0 is the file as a whole."""

    line: int = 0
    column: str = ""
    expected: str
    got: str


class Problems:
    """What is wrong with a file: all of it is collected, the first few are told."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: list[Problem] = []

    def add(self, line: int, column: str, expected: str, got: str) -> None:
        """Note that the value in a *column*, or the line as a whole if that is empty, is not as expected."""
        self._found.append(Problem(line=line, column=column, expected=expected, got=got))

    def __bool__(self) -> bool:
        """Say whether anything was noted."""
        return bool(self._found)

    def finish(self) -> None:
        """Raise `FileError` if anything was noted."""
        if not self._found:
            return
        lines = []
        for problem in self._found[:_MOST_SHOWN]:
            place = f"{self._path}:{problem.line}" if problem.line else str(self._path)
            column = f"{problem.column}: " if problem.column else ""
            lines.append(f"{place}: {column}expected {problem.expected}, got {problem.got}")
        more = len(self._found) - _MOST_SHOWN
        if more > 0:
            lines.append(f"{self._path}: {more:,} more like these")
        raise FileError("\n".join(lines))


def describe(value: object) -> str:
    """Name what was got: short words as they are, of longer text only its length, which may be a prompt."""
    if value is None:
        return "nothing"
    if isinstance(value, bool | int | float):
        return str(value).lower()
    if isinstance(value, str):
        if not value.strip():
            return "an empty text"
        if len(value) <= _LONGEST_SHOWN and len(value.split()) == 1 and value.isprintable():
            return repr(value)
        return f"text of {len(value):,} characters"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    return f"a {type(value).__name__}"


def read_text(path: Path) -> str:
    """Read a file of UTF-8, with or without a byte order mark; line ends stay as they are."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FileError(f"{path}: expected a file that can be read, got {error.strerror}") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problems = Problems(path)
        line = data.count(b"\n", 0, error.start) + 1
        problems.add(line, "", "UTF-8", f"the byte 0x{data[error.start]:02x}")
        problems.finish()
        raise


def write_text(path: Path, text: str) -> None:
    """Write a file of UTF-8, and the folder that it belongs to."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file, and the folder that it belongs to."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise FileError(f"{path}: expected a file that can be written, got {error.strerror}") from error


def csv_rows(path: Path, columns: Sequence[str], problems: Problems) -> Iterator[tuple[int, dict[str, str]]]:
    """Give the rows of a CSV file with the numbers of the lines on which they begin.

    Rows without the *columns*, or of another length than the header, are noted as *problems*.
    """
    csv.field_size_limit(_LONGEST_FIELD)
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    begins = 1
    try:
        header = next(reader, [])
        missing = [column for column in columns if column not in header]
        if missing:
            named = ", ".join(map(describe, header)) or "an empty file"
            problems.add(1, "", f"a header with {', '.join(map(repr, missing))}", named)
            problems.finish()
        begins = reader.line_num + 1
        for fields in reader:
            if len(fields) == len(header):
                yield begins, dict(zip(header, fields, strict=True))
            elif fields:
                problems.add(begins, "", f"{len(header)} columns, like the header", f"{len(fields)}")
            begins = reader.line_num + 1
    except csv.Error as error:
        problems.add(begins, "", "a row of CSV", str(error))
        problems.finish()


def csv_header(path: Path) -> list[str]:
    """Give the names of the columns of a CSV file; none if it is empty or no CSV."""
    try:
        return next(csv.reader(io.StringIO(read_text(path), newline="")), [])
    except csv.Error:
        return []
