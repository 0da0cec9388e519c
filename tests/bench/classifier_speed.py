"""Time the classifier in plain Python, piece by piece.

    python tests/bench/classifier_speed.py

Each figure is the fastest of several runs, in microseconds of CPU time per call. What counts in a gateway is
the time as WebAssembly, which `classifier_wasm.py` measures and which is about 1.2 to 2 times as long.
"""

import json
import sys
import time
import timeit
from collections.abc import Callable
from functools import partial
from pathlib import Path

from ai_nexus_classifier import Config, examine
from ai_nexus_classifier.features import measure
from aigateway.json_body import decode_json
from aigateway.tokens import estimate_tokens

PATH = "/v1/chat/completions"
TEXTS = Path(__file__).parents[1] / "testdata" / "tokens"
KINDS = ("english", "code", "json", "chinese")
BYTES = (2_000, 100_000)

_RUNS = 7
_RUN_S = 0.02


def prompt_of(kind: str, size: int) -> str:
    """Make a prompt of *size* bytes of the texts of a kind."""
    text = "\n".join(path.read_text("utf-8") for path in sorted((TEXTS / kind).glob("*.txt")))
    repeated = text.encode() * (size // len(text.encode()) + 1)
    return repeated[:size].decode("utf-8", "ignore")


def microseconds(call: Callable[[], object]) -> float:
    """Time a call, in CPU time of this process, which other processes disturb least."""
    timer = timeit.Timer(call, timer=time.process_time)
    once = max(1e-6, timer.timeit(3) / 3)
    number = max(1, round(_RUN_S / once))
    return min(timer.repeat(_RUNS, number)) / number * 1e6


def main() -> int:
    """Print the table."""
    config = Config()
    names = ("bytes", "examine", "decode", "measure", "tokens")
    print(f"{'':<10}" + "".join(f"{name:>10}" for name in names) + "   microseconds")
    for kind in KINDS:
        for size in BYTES:
            text = prompt_of(kind, size)
            request = {"model": "auto", "messages": [{"role": "user", "content": text}]}
            body = json.dumps(request, ensure_ascii=False).encode()
            pieces: tuple[Callable[[], object], ...] = (
                partial(examine, PATH, body, config),
                partial(decode_json, body),
                partial(measure, text, config.lexicon),
                partial(estimate_tokens, text),
            )
            times = [microseconds(piece) for piece in pieces]
            print(f"{kind:<10}{size:>10,}" + "".join(f"{took:>10.1f}" for took in times))
    return 0


if __name__ == "__main__":
    sys.exit(main())
