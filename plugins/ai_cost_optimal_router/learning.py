"""What is learnt from answers: how long those of a model get, and how well it does, each by domain.

Shared data has one value per provider, `learning/<provider>`, with a line per model and domain:

    gpt-4.1-mini general 312.500 41 12.500 0.500 1790000000

That is the mean length of an answer in tokens and how many answers are in it, then successes and failures,
which may count in parts, and when the last of these came in seconds since the epoch. A worker changes its
line by compare-and-swap, so that none is lost; models that went from the catalog leave when there is no room.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from aigateway.config import Reader

__all__ = ["Learning", "Learnt", "Lesson", "learn", "learning_key", "lessons_of", "read_learning"]

LARGEST_VALUE_BYTES = 256 * 1024
"""Of the lines of one provider: some 4,000."""

_LARGEST = 1e12
"""No number here is larger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Learning:
    """How much is learnt, and how fast it is forgotten."""

    share: float = 0.1
    """Of the answers, how many are looked at; 0 learns nothing."""
    prior_answers: int = 10
    """As many answers as the configured expectation counts for at first."""
    memory_answers: int = 200
    """From so many answers on a mean follows the newer ones, as an exponential mean does."""
    evidence_half_life_s: float = 3_600.0
    """After this time a success or a failure counts half: a model that was bad is tried again."""
    evidence_limit: float = 100.0
    """Successes and failures count no more than this together: a model that turns bad is soon left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What one answer teaches."""

    model: str
    """Its name, without the provider."""
    domain: str
    output_tokens: int | None = None
    """How long it was, if that is known."""
    was_limited: bool = False
    """Whether it ended because the request allowed no more: then it would have been longer."""
    reward: float | None = None
    """How well the model did, from 0 to 1, if that is known."""
    weight: float = 1.0
    """For how many answers the reward stands."""


class Learnt(NamedTuple):
    """What is known of one model in one domain."""

    mean_tokens: float
    answers: int
    successes: float
    failures: float
    updated_s: float

    def evidence_at(self, now_s: float, half_life_s: float) -> tuple[float, float]:
        """Return successes and failures as far as they are not forgotten."""
        kept = 0.5 ** (max(0.0, now_s - self.updated_s) / half_life_s)
        return self.successes * kept, self.failures * kept


def read_learning(reader: Reader) -> Learning:
    """Read the table `learning`."""
    table, default = reader.table("learning"), Learning()
    return Learning(
        share=table.number("share", default.share, at_least=0, at_most=1),
        prior_answers=table.integer("prior_answers", default.prior_answers, at_least=1),
        memory_answers=table.integer("memory_answers", default.memory_answers, at_least=1),
        evidence_half_life_s=table.number("evidence_half_life_s", default.evidence_half_life_s, above=0),
        evidence_limit=table.number("evidence_limit", default.evidence_limit, above=0),
    )


def learning_key(provider: str) -> str:
    """Name the key of what was learnt of a provider's models."""
    return f"learning/{provider}"


def learn(
    value: bytes | None, lesson: Lesson, *, expected_tokens: int, now_s: float, rules: Learning
) -> bytes:
    """Return the value of a provider with one lesson more; *expected_tokens* is the mean before any.

    The line goes to the end, so that when there is no room the one that was left alone longest gives way.
    """
    value = value or b""
    if not value.endswith(b"\n"):
        value = value[: value.rfind(b"\n") + 1]
    name = f"{lesson.model} {lesson.domain} ".encode()
    known = None
    begin = 0 if value.startswith(name) else value.find(b"\n" + name) + 1
    if value.startswith(name, begin):
        end = value.index(b"\n", begin) + 1
        known = _read_line(value[begin:end])
        value = value[:begin] + value[end:]
    before = known or Learnt(float(expected_tokens), 0, 0.0, 0.0, 0.0)
    mean, answers, successes, failures, updated_s = _after(before, lesson, now_s, rules)
    value += name + b"%.3f %d %.3f %.3f %d\n" % (mean, answers, successes, failures, updated_s)
    while len(value) > LARGEST_VALUE_BYTES:
        value = value.partition(b"\n")[2]
    return value


def lessons_of(value: bytes | None) -> Iterator[tuple[str, str, Learnt]]:
    """Give what was learnt, by model and domain; lines that are none are passed over."""
    for line in (value or b"").split(b"\n"):
        learnt = _read_line(line)
        if learnt is not None:
            model, domain = line.decode("ascii", "replace").split(" ", 2)[:2]
            yield model, domain, learnt


def _after(before: Learnt, lesson: Lesson, now_s: float, rules: Learning) -> Learnt:
    mean, answers = before.mean_tokens, before.answers
    tokens = lesson.output_tokens
    # Where an answer was cut off its length is a lower bound, which says nothing while it is below the mean.
    if tokens is not None and 0 <= tokens <= _LARGEST and not (lesson.was_limited and tokens <= mean):
        answers += 1
        mean += (tokens - mean) / min(rules.prior_answers + answers, rules.memory_answers)
        answers = min(answers, rules.memory_answers)
    successes, failures, updated_s = before.successes, before.failures, before.updated_s
    if lesson.reward is not None:
        successes, failures = before.evidence_at(now_s, rules.evidence_half_life_s)
        updated_s = max(updated_s, now_s)
        successes += lesson.weight * lesson.reward
        failures += lesson.weight * (1 - lesson.reward)
        surplus = (successes + failures) / rules.evidence_limit
        if surplus > 1:
            successes, failures = successes / surplus, failures / surplus
    return Learnt(mean, answers, successes, failures, updated_s)


def _read_line(line: bytes) -> Learnt | None:
    words = line.split()
    if len(words) != 7:
        return None
    try:
        mean, answers, successes, failures, updated_s = (float(word) for word in words[2:])
    except ValueError:
        return None
    if not all(0 <= number <= _LARGEST for number in (mean, answers, successes, failures, updated_s)):
        return None
    return Learnt(mean, int(answers), successes, failures, updated_s)
