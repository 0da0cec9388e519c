"""Redis as a gateway sees it: commands go there, and answers come, or do not."""

from collections.abc import Sequence
from typing import Final, Protocol

from .lease import Answer, Call, encode_call
from .script import DIGEST, SCRIPT, read_answers

__all__ = ["Central", "CentralError", "execute"]

_UNKNOWN_SCRIPT: Final = "NOSCRIPT"


class CentralError(Exception):
    """There is no answer, and whether the command was executed is not known; or the answer is an error."""

    message_is_safe = True

    def __init__(self, reason: str, code: str = "") -> None:
        super().__init__(reason)
        self.code = code
        """The first word of Redis' own error; empty if it is not Redis that says so."""


class Central(Protocol):
    """A way to Redis."""

    async def command(self, parts: Sequence[str]) -> object:
        """Have a command executed and return the answer, or raise `CentralError`."""


async def execute(
    central: Central,
    calls: Sequence[tuple[str, Call]],
    *,
    index: str,
    gateway: str,
    lease_s: int,
    on_lost_lease: str,
) -> list[Answer]:
    """Make calls, each with the key of its account, all at once; raises `CentralError`.

    *index* is the key of the set that has all accounts.
    """
    keys = [index, *(key for key, _ in calls)]
    arguments = [gateway, str(lease_s), on_lost_lease, *(encode_call(call) for _, call in calls)]
    rest = [str(len(keys)), *keys, *arguments]
    try:
        reply = await central.command(["EVALSHA", DIGEST, *rest])
    except CentralError as error:
        if error.code != _UNKNOWN_SCRIPT:
            raise
        reply = await central.command(["EVAL", SCRIPT, *rest])
    try:
        return read_answers(reply, len(calls))
    except ValueError as error:
        raise CentralError("the script has another answer than it should") from error
