"""Say what is in a module, and what could go."""

from . import binary
from .binary import Reader, Section
from .snapshot import read_manifest

_LARGEST = 12


def _data_bytes(module: bytes) -> list[tuple[int, int]]:
    """Return the address and length of every data segment."""
    reader = Reader(binary.section(module, Section.DATA))
    segments = []
    for _ in range(reader.unsigned()):
        reader.take(2)
        address = reader.signed()
        reader.byte()
        length = reader.unsigned()
        reader.take(length)
        segments.append((address, length))
    return segments


def table(module: bytes) -> str:
    """Return a readable table of the sections, the memory image and the Python modules in *module*."""
    lines = [f"{len(module):>12,} bytes in all"]
    for number, content in binary.sections(module):
        if len(content) > 4096:
            lines.append(f"{len(content):>12,} {Section(number).name.lower()} section")
    segments = _data_bytes(module)
    lines.append(f"{sum(length for _, length in segments):>12,} of it memory, in {len(segments):,} segments")
    manifest = read_manifest(binary.section(module, Section.DATA))
    lines.append(f"CPython {manifest.python}; plugins: {', '.join(manifest.plugins)}")
    lines.append(f"{len(manifest.modules)} Python modules; the largest (bytes of source or bytecode):")
    largest = sorted(manifest.modules.values(), key=lambda one: -one.size)[:_LARGEST]
    lines += [f"{one.size:>12,} {one.name}" for one in largest]
    return "\n".join(lines)
