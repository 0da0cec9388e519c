"""Compiling sources without what nobody looks at in a proxy.

Runs inside the interpreter that is about to become a snapshot. Docstrings and assertions go, as with
`python -OO`, and of the positions in the source only the lines stay, which tracebacks show: the columns take
as much room as the lines. Nothing is read from or written to `__pycache__`.
"""

from importlib.machinery import SourceFileLoader
from types import CodeType

# The format of co_linetable is that of CPython's InternalDocs/code_objects.md: entries of up to 8 code units,
# of which these two kinds say the line and nothing more, and that there is none.
_LINE_ONLY = 0x80 | 13 << 3
_NO_LINE = 0x80 | 15 << 3
_MOST_UNITS = 8


def get_code(loader: SourceFileLoader, name: str) -> CodeType:
    """Return the code of a module; stands in for `SourceFileLoader.get_code`."""
    path = loader.get_filename(name)
    return _lean(compile(loader.get_data(path), path, "exec", dont_inherit=True, optimize=2))


def _lean(code: CodeType) -> CodeType:
    constants = tuple(_lean(item) if isinstance(item, CodeType) else item for item in code.co_consts)
    return code.replace(co_consts=constants, co_linetable=_lines_only(code))


def _lines_only(code: CodeType) -> bytes:
    table = bytearray()
    line_before = code.co_firstlineno
    for start, end, line in code.co_lines():
        units = (end - start) // 2
        while units > 0:
            count = min(units, _MOST_UNITS)
            units -= count
            if line is None:
                table.append(_NO_LINE | count - 1)
            else:
                table.append(_LINE_ONLY | count - 1)
                _put_signed(table, line - line_before)
                line_before = line
    return bytes(table)


def _put_signed(table: bytearray, value: int) -> None:
    """Append a number in groups of six bits, the lowest first, its sign in the lowest bit."""
    rest = -value << 1 | 1 if value < 0 else value << 1
    while rest >= 64:
        table.append(64 | rest & 63)
        rest >>= 6
    table.append(rest)
