"""The guide to the first filter does what it says, in an empty folder, from the built wheel."""

import os
import pathlib
import re
import site
import subprocess
import sys
import venv

ROOT = pathlib.Path(__file__).parent.parent.parent
GUIDE = ROOT / "examples" / "first-filter.md"

_FILE = re.compile(r"`([\w.]+)`:\n\n```python\n(.*?)```", re.DOTALL)
_COMMANDS = re.compile(r"```console\n(.*?)```", re.DOTALL)


def _run(command: list[str], cwd: pathlib.Path, environment: dict[str, str] | None = None) -> str:
    result = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    assert result.returncode == 0, f"{command}\n{result.stdout}{result.stderr}"
    return result.stdout


def _installed_wheel(folder: pathlib.Path) -> pathlib.Path:
    """Make an environment with the wheel; what it depends on comes from the one that runs the tests."""
    pip = [sys.executable, "-m", "pip"]
    _run(
        [*pip, "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(folder), str(ROOT)], folder
    )
    (wheel,) = folder.glob("*.whl")
    home = folder / "venv"
    venv.create(home, with_pip=False)
    (packages,) = home.glob("lib/python*/site-packages")
    _run([*pip, "install", "--quiet", "--no-deps", "--target", str(packages), str(wheel)], folder)
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()))
    return home / "bin"


def test_the_guide_works_from_beginning_to_end(tmp_path: pathlib.Path) -> None:
    guide = GUIDE.read_text()
    folder = tmp_path / "empty"
    folder.mkdir()
    binaries = _installed_wheel(tmp_path)
    (binaries / "pytest").write_text(f"#!{binaries}/python\nimport pytest, sys\nsys.exit(pytest.main())\n")
    (binaries / "pytest").chmod(0o755)
    environment = {**os.environ, "PATH": f"{binaries}:{os.environ['PATH']}"}
    environment.pop("PYTHONPATH", None)

    for name, content in _FILE.findall(guide):
        (folder / name).write_text(content)
    outputs = [
        _run(["sh", "-c", line.removeprefix("$ ")], folder, environment)
        for block in _COMMANDS.findall(guide)
        for line in block.strip().splitlines()
    ]

    assert "2 passed" in outputs[0]
    assert "6 passed" in outputs[-1]
