"""The classifier's time per request where it runs: as WebAssembly in Envoy.

Run it as ``python tests/bench/classifier_wasm.py``. It exits with 1 when a size takes longer than it may.
Machines are shared, so each size is measured several times and the fastest run counts.
"""

import argparse
import json
import sys
from pathlib import Path

import requests

from nexus.testing import running_gateway
from wasmbuild.__main__ import main as wasmbuild

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[1]
LIMITS_MS = {2_048: 0.15, 102_400: 5.0}
"""Prompt sizes in bytes of UTF-8, and the milliseconds each may take."""

_KINDS = ("english", "code", "json", "chinese")


def prompt(kind: str, size: int) -> str:
    """Return *size* bytes of real texts of one kind, one after the other."""
    folder = _ROOT / "tests" / "testdata" / "tokens" / kind
    text = "\n\n".join(path.read_text(encoding="utf-8") for path in sorted(folder.iterdir()))
    return (text * size).encode()[:size].decode(errors="ignore")


def measure(rounds: int) -> dict[tuple[str, int], float]:
    """Return the fastest milliseconds per request, by kind of text and prompt size."""
    module = _ROOT / "build" / "tests" / "classifier-probe.wasm"
    arguments = ["ai_nexus_classifier", str(_HERE / "classifier_probe.py"), "-o", str(module)]
    if wasmbuild([*arguments, "--cache", str(_ROOT / "build" / ".wasmbuild")]):
        raise RuntimeError("the module with the probe could not be built")
    best: dict[tuple[str, int], float] = {}
    with running_gateway({"classifier-probe": {}}, module=module) as gateway:
        url = f"{gateway.base_url}/v1/chat/completions"
        for _ in range(rounds):
            for kind in _KINDS:
                for size in LIMITS_MS:
                    message = {"role": "user", "content": prompt(kind, size)}
                    body = json.dumps({"model": "auto", "messages": [message]}, ensure_ascii=False).encode()
                    headers = {"x-probe": "1", "content-type": "application/json"}
                    answer = requests.post(url, data=body, headers=headers, timeout=60).json()
                    took = answer["nanoseconds"] / 1e6
                    best[kind, size] = min(took, best.get((kind, size), took))
    return best


def main() -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="(default: %(default)s)")
    best = measure(parser.parse_args().rounds)
    for (kind, size), took in best.items():
        verdict = "ok  " if took <= LIMITS_MS[size] else "FAIL"
        print(f"{verdict}  {kind:<8} {size:>7,} bytes  {took:7.3f} ms of at most {LIMITS_MS[size]} ms")
    return 0 if all(took <= LIMITS_MS[size] for (_, size), took in best.items()) else 1


if __name__ == "__main__":
    sys.exit(main())
