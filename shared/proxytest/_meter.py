"""What callbacks cost, in WebAssembly instructions: equal in every run, however busy the machine is."""

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Meter:
    """Counts what a `WasmModule` that was given it executes, in all its VMs together.

    The instructions are wasmtime's fuel: one for each instruction of WebAssembly, also of those that serve
    the host (allocating what it hands over), none for the host itself.
    """

    instructions: Counter[str] = field(default_factory=Counter)
    """By callback, such as `on_request_headers`."""

    calls: Counter[str] = field(default_factory=Counter)
    """How often each callback ran."""

    def add(self, callback: str, instructions: int) -> None:
        """Count one call."""
        self.instructions[callback] += instructions
        self.calls[callback] += 1

    def clear(self) -> None:
        """Begin anew, for what is to be measured by itself."""
        self.instructions.clear()
        self.calls.clear()
