"""A page that people open: what was measured, in tables and pictures, in one file without any other."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from matplotlib.figure import Figure

from .plots import svg

__all__ = ["Section", "page"]

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: 0.25rem 0.8rem; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; }
th { border-bottom: 2px solid #888; }
svg { width: 100%; height: auto; }
footer { margin-top: 3rem; color: #666; font-size: 0.9rem; }
"""


@dataclass(frozen=True, slots=True, eq=False)
class Section:
    """A part of the page: a heading, paragraphs, a table whose first row is its header, a picture."""

    heading: str
    paragraphs: Sequence[str] = ()
    table: Sequence[Sequence[str]] = ()
    picture: Figure | None = None


def page(title: str, sections: Iterable[Section], footer: str) -> str:
    """Write the page; all text is plain text."""
    parts = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{escape(title)}</h1>",
    ]
    for section in sections:
        parts.append(f"<h2>{escape(section.heading)}</h2>")
        parts += [f"<p>{escape(text)}</p>" for text in section.paragraphs]
        if section.table:
            parts.append(_table(section.table))
        if section.picture is not None:
            parts.append(svg(section.picture))
    parts.append(f"<footer>{escape(footer)}</footer>\n</body>\n</html>\n")
    return "\n".join(parts)


def _table(rows: Sequence[Sequence[str]]) -> str:
    header, *body = rows
    lines = ["<table>", _row(header, "th")]
    lines += [_row(row, "td") for row in body]
    return "\n".join([*lines, "</table>"])


def _row(cells: Sequence[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"
