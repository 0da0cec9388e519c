"""Who owns reservations, and which of the owners are gone: all workers keep one roll of them.

Every owner signs in before its first reservation, and from then on adds one to its beats, again and again.
One that stays silent while another listens `SILENT_BEATS` times is given up: its reservations count no more.
Both are changes of one value by compare-and-swap, so nobody is given up who was heard of in between.

No clock is compared: a clock that steps gives nobody up, and neither does a process that stands still. An
owner that was given up all the same, because its thread hung, finds out at its next beat. It signs in under
another name, and makes its reservations again.

The value is lines of ASCII: first those on the roll with beats and what they have reserved, in nano-USD; then
those that were given up, with the time until when that must be known, in seconds since the epoch.

    f3a91c0000000000|17|168000
    -0b5d7a0000000000|1795265405
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

__all__ = [
    "EMPTY",
    "SILENT_BEATS",
    "Heard",
    "Roll",
    "beat",
    "decode_roll",
    "encode_roll",
    "listen",
    "sign_out",
]

SILENT_BEATS: Final = 10
"""With a beat a second. An event loop that hangs for so long has other troubles."""

_MOST_LOST: Final = 256
"""Of more, the reservations of the first wait until they expire."""

_REMEMBERED_S: Final = 86_460
"""No reservation lasts longer."""


class Sign(NamedTuple):
    """What an owner says of itself."""

    beats: int
    reserved_nano_usd: int


@dataclass(frozen=True, slots=True)
class Roll:
    """All owners."""

    present: Mapping[str, Sign] = field(default_factory=dict)
    lost: Mapping[str, int] = field(default_factory=dict)
    """Those that were given up, and until when that must be known, in epoch seconds."""

    @property
    def reserved_nano_usd(self) -> int:
        """What all have reserved together, as of their last beats."""
        return sum([sign.reserved_nano_usd for sign in self.present.values()])


EMPTY: Final = Roll()


class Heard(NamedTuple):
    """What one owner has heard of another."""

    beats: int
    silent_for: int
    """How often the one has listened since."""


def listen(roll: Roll, heard: Mapping[str, Heard]) -> dict[str, Heard]:
    """Say how long each owner has been silent for one that listens once a tick."""
    now = {}
    for owner, sign in roll.present.items():
        before = heard.get(owner)
        if before is not None and before.beats == sign.beats:
            now[owner] = Heard(sign.beats, before.silent_for + 1)
        else:
            now[owner] = Heard(sign.beats, 0)
    return now


def beat(
    roll: Roll, owner: str | None, reserved_nano_usd: int, heard: Mapping[str, Heard], now_s: int
) -> Roll:
    """Give *owner* another beat, unless it is lost, and give up those that it has *heard* nothing of.

    `None` is somebody who has no reservations, and only listens.
    """
    present = dict(roll.present)
    lost = {name: until_s for name, until_s in roll.lost.items() if until_s > now_s}
    for name, (beats, silent_for) in heard.items():
        if name != owner and silent_for >= SILENT_BEATS and name in present and present[name].beats == beats:
            del present[name]
            lost[name] = now_s + _REMEMBERED_S
    if owner is not None and owner not in lost:
        beats = present[owner].beats + 1 if owner in present else 0
        present[owner] = Sign(beats, reserved_nano_usd)
    return Roll(present, dict(list(lost.items())[-_MOST_LOST:]))


def sign_out(roll: Roll, owner: str) -> Roll:
    """Take *owner* off the roll: it has no reservations."""
    return replace(roll, present={name: sign for name, sign in roll.present.items() if name != owner})


def encode_roll(roll: Roll) -> bytes:
    """Write a roll."""
    present = [f"{name}|{sign.beats}|{sign.reserved_nano_usd}\n" for name, sign in roll.present.items()]
    lost = [f"-{name}|{until_s}\n" for name, until_s in roll.lost.items()]
    return "".join(present + lost).encode("ascii")


def decode_roll(value: bytes | None) -> Roll:
    """Read a roll; an empty one if the value is none of ours: every owner then signs in again."""
    if not value:
        return EMPTY
    present: dict[str, Sign] = {}
    lost: dict[str, int] = {}
    try:
        for line in value.decode("ascii").splitlines():
            name, *figures = line.split("|")
            if name.startswith("-"):
                lost[name[1:]] = int(figures[0])
            else:
                present[name] = Sign(int(figures[0]), int(figures[1]))
    except (ValueError, IndexError):
        return EMPTY
    return Roll(present, lost)
