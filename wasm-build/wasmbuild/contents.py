"""Say what is in a module, and what could go."""

from . import binary
from .binary import Section
from .snapshot import Manifest, read_manifest

_LARGEST = 8

_WHY_DIFFERENT = """\
Equal sources and tools give equal code. The data section holds the interpreter as it was after the imports.
CPython picks a random seed for string hashes when it starts, which orders every set and dict of strings, so
that section differs from build to build. The seed cannot be changed at run time, and a seed that nobody
knows in advance is what makes colliding keys hard to find: it is kept random on purpose."""


def table(module: bytes) -> str:
    """Return a readable table of the sections, the memory image and the Python modules in *module*."""
    lines = [f"{len(module):>12,} bytes in all"]
    for number, content in binary.sections(module):
        if len(content) > 4096:
            lines.append(f"{len(content):>12,} {Section(number).name.lower()} section")
    segments = binary.data_segments(binary.section(module, Section.DATA))
    lines.append(f"{sum(len(data) for _, data in segments):>12,} of it memory, in {len(segments):,} segments")
    manifest = read_manifest(binary.section(module, Section.DATA))
    lines.append(f"CPython {manifest.python}; plugins: {', '.join(manifest.plugins)}")
    lines += _modules(manifest, "sdk", "Interpreter and SDK")
    lines += _modules(manifest, "plugins", "Only because a plugin imports it, so this could go")
    return "\n".join(lines)


def _modules(manifest: Manifest, wanted_by: str, title: str) -> list[str]:
    """List the largest Python modules of one origin."""
    modules = sorted(
        (one for one in manifest.modules.values() if one.wanted_by == wanted_by), key=lambda one: -one.size
    )
    total = sum(one.size for one in modules)
    lines = [f"{title}: {len(modules)} modules, {total:,} bytes of source or bytecode; the largest:"]
    return lines + [f"{one.size:>12,} {one.name}" for one in modules[:_LARGEST]]


def difference(one: bytes, other: bytes) -> str:
    """Return which sections of two modules differ, in how many bytes, and why that is expected."""
    lines = []
    pairs = zip(binary.sections(one), binary.sections(other), strict=False)
    for (number, content), (_, counterpart) in pairs:
        title = Section(number).name.lower()
        if content == counterpart:
            lines.append(f"same       {title} section, {len(content):,} bytes")
        else:
            lines.append(f"different  {title} section, {len(content):,} and {len(counterpart):,} bytes")
    lines.append(_WHY_DIFFERENT)
    return "\n".join(lines)
