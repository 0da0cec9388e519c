"""The pipeline: snapshot, link, put together, check.

What did not change since the last build is not done again.
"""

import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import adapter, check, late_imports, link, snapshot, wit
from .errors import BuildError
from .plugins import Plugin
from .toolchain import Toolchain

Progress = Callable[[str], None]
"""Called with text to show as it comes: a step's title when it starts, its time and details when it ends."""


@dataclass(frozen=True, slots=True)
class Built:
    """A finished build: where it is, whether anything had to be done, and what the check found."""

    path: Path
    fresh: bool
    findings: tuple[check.Finding, ...]


@contextmanager
def _step(progress: Progress, title: str) -> Iterator[list[str]]:
    """Time a step; what is appended to the yielded list is printed behind its title."""
    details: list[str] = []
    start = time.monotonic()
    progress(f"  {title:<12}")
    try:
        yield details
    except BaseException:
        progress("  failed\n")
        raise
    progress(f"{time.monotonic() - start:6.1f} s  {'; '.join(details)}\n")


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()


def own_sources() -> bytes:
    """Return the build tool's own sources, as part of what a result depends on."""
    return b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))


class Builder:
    """Builds modules with one toolchain, keeping what can be kept in *cache*."""

    def __init__(self, wit_path: Path, world: str, cache: Path, progress: Progress) -> None:
        self._wit_path = wit_path
        self._world = wit.read(wit_path, world)
        self._cache = cache.resolve()
        self._progress = progress
        self.toolchain = Toolchain(cache)

    def build(
        self, plugins: Sequence[Plugin], python_path: Sequence[Path], output: Path, *, force: bool
    ) -> Built:
        """Make *output* out of *plugins*, unless it is there and nothing it was made from has changed."""
        paths = [*python_path, *(plugin.root for plugin in plugins)]
        paths = list(dict.fromkeys(path.resolve() for path in paths))
        request = _digest(
            own_sources(),
            self._wit_path.read_bytes(),
            self._world.name.encode(),
            json.dumps(self.toolchain.versions, sort_keys=True).encode(),
            *(plugin.module.encode() for plugin in plugins),
            *(str(path).encode() for path in paths),
        )
        record = self._cache / f"{output.name}.json"
        if not force and _is_current(output, record, request):
            return Built(output, fresh=False, findings=())
        self._cache.mkdir(parents=True, exist_ok=True)
        output.parent.mkdir(parents=True, exist_ok=True)
        if not self.toolchain.ready:
            with _step(self._progress, "toolchain") as details:
                self.toolchain.install()
                details.append("Binaryen from npm")
        with tempfile.TemporaryDirectory(dir=self._cache, prefix="work-") as work:
            module, sources = self._make([plugin.module for plugin in plugins], paths, Path(work))
        findings = self._checked(module, plugins)
        _write(output, module)
        hashes = {str(path): _digest(path.read_bytes()) for path in sources}
        record.write_text(
            json.dumps({"request": request, "module": _digest(module), "sources": hashes}, indent=1)
        )
        return Built(output, fresh=True, findings=findings)

    def _make(self, modules: Sequence[str], paths: Sequence[Path], work: Path) -> tuple[bytes, list[Path]]:
        """Return the finished module and the source files that went into it."""
        with _step(self._progress, "snapshot") as details:
            component = snapshot.take(
                modules,
                paths,
                wit_path=self._wit_path,
                world=self._world,
                toolchain=self.toolchain,
                work=work,
            )
            parts, image = link.split(component, self._world)
            manifest = snapshot.read_manifest(image.data)
            details.append(f"CPython {manifest.python}, {len(manifest.modules)} Python modules imported")
        sources = _sources(manifest, paths)
        _refuse_late_imports(sources, manifest)
        skeleton = self._skeleton(parts, work)
        with _step(self._progress, "assemble") as details:
            module = link.assemble(skeleton, image)
            code, memory = len(skeleton) / 1_048_576, len(image.data) / 1_048_576
            details.append(f"code {code:.2f} MiB and memory {memory:.2f} MiB")
        return module, list(sources.values())

    def _skeleton(self, parts: list[tuple[str, bytes]], work: Path) -> bytes:
        """Return the merged and optimised code, from the cache if the same was merged before."""
        key = _digest(
            Path(link.__file__).read_bytes(),
            json.dumps(self.toolchain.versions, sort_keys=True).encode(),
            *(part for name, module in parts for part in (name.encode(), module)),
        )
        kept = self._cache / f"code-{self._world.name}-{key[:16]}.wasm"
        if kept.exists():
            self._progress(f"  {'code':<12}    kept  merged and optimised by an earlier build\n")
            return kept.read_bytes()
        with _step(self._progress, "code") as details:
            skeleton = link.merge(parts, adapter.exports(self._world), self.toolchain, work)
            details.append(f"{len(parts)} modules merged and optimised")
        with _step(self._progress, "features") as details:
            finding = check.features(work / "skeleton.wasm", self.toolchain)
            _refuse([finding])
            details.append(finding.detail)
        for old in self._cache.glob(f"code-{self._world.name}-*.wasm"):
            old.unlink()
        _write(kept, skeleton)
        return skeleton

    def _checked(self, module: bytes, plugins: Sequence[Plugin]) -> tuple[check.Finding, ...]:
        with _step(self._progress, "check") as details:
            findings = check.surface(module, self._world, [plugin.module for plugin in plugins])
            details += [finding.detail for finding in findings]
        _refuse(findings)
        return tuple(findings)


def _refuse(findings: Sequence[check.Finding]) -> None:
    wrong = [f"{finding.subject}: {finding.detail}" for finding in findings if not finding.ok]
    if wrong:
        raise BuildError("the module would not load:\n" + "\n".join(wrong))


def _sources(manifest: snapshot.Manifest, paths: Sequence[Path]) -> dict[str, Path]:
    """Return the files, by Python module, that did not come from the interpreter or from this tool."""
    mounts = {f"/{number}/": path for number, path in enumerate(paths, start=1)}
    found = {}
    for module in manifest.modules.values():
        for mount, path in mounts.items():
            if module.file.startswith(mount):
                found[module.name] = path / module.file.removeprefix(mount)
    return found


def _refuse_late_imports(sources: dict[str, Path], manifest: snapshot.Manifest) -> None:
    messages = []
    for module, path in sources.items():
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        messages += late_imports.find(path, package, manifest.modules)
    if messages:
        raise BuildError("\n".join(messages))


def _is_current(output: Path, record: Path, request: str) -> bool:
    """Whether *output* was made for *request* from sources that are still the same."""
    try:
        made = json.loads(record.read_text(encoding="utf-8"))
        return (
            made["request"] == request
            and made["module"] == _digest(output.read_bytes())
            and all(_digest(Path(path).read_bytes()) == known for path, known in made["sources"].items())
        )
    except (OSError, ValueError, KeyError):
        return False


def _write(path: Path, content: bytes) -> None:
    """Replace *path* in one step, so that nobody loads half a module."""
    partial = path.with_suffix(path.suffix + ".partial")
    partial.write_bytes(content)
    partial.replace(path)
