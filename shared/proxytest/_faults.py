"""Making host calls fail on purpose."""

from collections import defaultdict, deque
from dataclasses import dataclass, field

from ._abi import Status


@dataclass(slots=True)
class Faults:
    """Host calls that will not do what they are asked to, by the name of the call without `proxy_`."""

    _planned: defaultdict[str, deque[Status]] = field(default_factory=lambda: defaultdict(deque))
    _always: dict[str, Status] = field(default_factory=dict)

    def fail(self, call: str, status: Status, *, times: int | None = 1) -> None:
        """Answer the next *times* calls with *status* and do nothing else; None means every call."""
        if status is Status.OK:
            raise ValueError("a fault cannot have the status OK: the call would have to do its work")
        if times is None:
            self._always[call] = status
        else:
            self._planned[call].extend([status] * times)

    def clear(self) -> None:
        """Let every call work again."""
        self._planned.clear()
        self._always.clear()

    def take(self, call: str) -> Status | None:
        """Return the status this call must answer with, or None to let it work."""
        planned = self._planned.get(call)
        return planned.popleft() if planned else self._always.get(call)
