"""Answers that were begun and never reached the caller: what the filter of attempts tells who has to pay.

A provider that accepts a request and fails in the middle of its answer may have done the work, though the
answer is somebody else's in the end. It is a property of the stream: text, of each such answer a line with
the model as `provider/name` and the bytes that had come of it.
"""

from typing import Final, NamedTuple

__all__ = ["LOST_ANSWERS", "LostAnswer", "decode_lost_answers", "encode_lost_answers"]

LOST_ANSWERS: Final = "ai_nexus.lost_answers"
"""The property."""


class LostAnswer(NamedTuple):
    """An answer that broke off while all of it was held back."""

    model: str
    """As `provider/name`."""
    seen_bytes: int


def encode_lost_answers(answers: list[LostAnswer]) -> str:
    """Write *answers*."""
    return "".join([f"{answer.model} {answer.seen_bytes}\n" for answer in answers])


def decode_lost_answers(text: str | None) -> list[LostAnswer]:
    """Read what was written, and leave out what is no such line."""
    answers = []
    for line in (text or "").splitlines():
        model, _, figure = line.rpartition(" ")
        if model and figure.isdecimal():
            answers.append(LostAnswer(model, int(figure)))
    return answers
