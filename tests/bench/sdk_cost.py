"""What the SDK costs in the module, in WebAssembly instructions: the same in every run, on every machine.

Run it as ``python tests/bench/sdk_cost.py``. It exits with 1 when something costs more than it may: the
limits are a fifth above what was seen when they were set. As a rule of thumb a thousand instructions take
Envoy 0.2 µs.
"""

import sys
from pathlib import Path

from proxytest import Gateway, Meter, WasmModule
from wasmbuild.__main__ import main as wasmbuild

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[1]
_HEADERS = {
    "content-type": "application/json",
    "authorization": f"Bearer sk-{'x' * 40}",
    "user-agent": "openai-python/1.99",
    **{f"x-stainless-{name}": name for name in ("lang", "os", "arch", "runtime", "async")},
}
_TIMES = (10, 50)
_PIECES = (50, 150)

OPERATIONS = {
    "read a header": 16_000,
    "look for a header that is not there": 15_000,
    "look for names that begin with x-ai-": 28_000,
    "take all headers apart": 75_000,
    "set a header": 18_000,
    "set seven headers": 115_000,
    "remove a header": 12_000,
    "read a property": 22_000,
    "set a property": 16_000,
    "read shared data": 15_000,
    "update shared data": 40_000,
    "count": 15_000,
    "ask for the time": 10_000,
}
PIECES = {
    "sdk-idle": 10_500,
    "sdk-response-headers": 14_000,
    "sdk-response-body": 30_000,
    "sdk-reads-response": 48_000,
}
"""What one piece of a response may cost a filter."""


class Cost:
    """Measures filters in one module."""

    def __init__(self) -> None:
        path = _ROOT / "build" / "tests" / "sdk-probe.wasm"
        arguments = [
            str(_HERE / "sdk_probe.py"),
            "-o",
            str(path),
            "--cache",
            str(_ROOT / "build" / ".wasmbuild"),
        ]
        if wasmbuild(arguments):
            raise RuntimeError("the module with the probe could not be built")
        self._meter = Meter()
        self._module = WasmModule.from_file(path, meter=self._meter)

    def of_operation(self, operation: str) -> float:
        """Return the instructions of one *operation*."""
        few, many = (
            self._run("sdk-operation", {"operation": operation, "times": times})["on_request_headers"]
            for times in _TIMES
        )
        return (many - few) / (_TIMES[1] - _TIMES[0])

    def of_piece(self, plugin_name: str) -> float:
        """Return the instructions that one more piece of a response costs a filter."""
        few, many = (self._run(plugin_name, {}, pieces)["on_response_body"] for pieces in _PIECES)
        return (many - few) / (_PIECES[1] - _PIECES[0])

    def of_stream(self, plugin_name: str) -> int:
        """Return the instructions of all callbacks of a request and its response."""
        return sum(self._run(plugin_name, {}).values())

    def _run(self, plugin_name: str, config: dict[str, object], pieces: int = 1) -> dict[str, int]:
        gateway = Gateway(host="wasm", module=self._module)
        try:
            gateway.load(plugin_name, config)
            gateway.cluster("upstream").respond(chunks=tuple(b"data: %d\n\n" % n for n in range(pieces)))
            gateway.post("/", headers=_HEADERS, body=b"{}")  # Python is faster the second time.
            self._meter.clear()
            gateway.post("/", headers=_HEADERS, body=b"{}")
            return dict(self._meter.instructions)
        finally:
            gateway.close()


def main() -> int:
    """Print the table; return the exit code."""
    cost = Cost()
    nothing = cost.of_operation("nothing")
    rows = [(name, cost.of_operation(name) - nothing, limit) for name, limit in OPERATIONS.items()]
    rows += [(f"a piece of a response, {name}", cost.of_piece(name), limit) for name, limit in PIECES.items()]
    for name, instructions, limit in rows:
        verdict = "ok  " if instructions <= limit else "FAIL"
        print(f"{verdict}  {name:<48} {instructions:>8,.0f} of at most {limit:>7,}")
    print(f"      {'a stream, sdk-idle':<48} {cost.of_stream('sdk-idle'):>8,}")
    return 0 if all(instructions <= limit for _, instructions, limit in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
