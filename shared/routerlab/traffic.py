"""One's own traffic: prompts or logged scores, and how many tokens each request had.

Three kinds of files, by the ending of their names:

- `.csv` with a column `prompt`;
- `.txt` with a prompt in each line;
- any other: JSON lines. A line is what the gateway's access log writes of a request, or `{"prompt": "..."}`,
  or the body of a request to a model as clients send it.

The gateway never logs prompts. Of its log the scores are used that it gave the requests when they came.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ai_routellm_threshold_tuner.prompt import text_in_scope
from aigateway.formats import format_of_body, read_request
from aigateway.refusals import InvalidRequestError
from aigateway.tokens import estimate_tokens

from .files import Problems, csv_rows, describe, read_text
from .metrics import Floats

__all__ = ["Traffic", "read_log", "read_prompts"]

_ABSENT = (None, "", "-")
"""What a log has where there is no value."""


@dataclass(frozen=True, slots=True, eq=False)
class Traffic:
    """Requests, in the order of the file."""

    name: str
    prompts: Sequence[str]
    """Empty if the file has scores."""
    scores: Floats
    """Empty if the file has prompts."""
    prompt_tokens: Floats
    output_tokens: Floats
    """NaN where a request says nothing of it."""
    skipped: int
    """Lines that are of no request to a model."""

    def __len__(self) -> int:
        return self.prompt_tokens.size


@dataclass(slots=True)
class _Collected:
    prompts: list[str] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    prompt_tokens: list[float] = field(default_factory=list)
    output_tokens: list[float] = field(default_factory=list)
    skipped: int = 0

    def add_prompt(self, prompt: str) -> None:
        self.prompts.append(prompt)
        self.prompt_tokens.append(float(estimate_tokens(prompt)))
        self.output_tokens.append(math.nan)

    def traffic(self, name: str) -> Traffic:
        return Traffic(
            name,
            self.prompts,
            np.array(self.scores),
            np.array(self.prompt_tokens),
            np.array(self.output_tokens),
            self.skipped,
        )


def read_prompts(path: Path) -> Traffic:
    """Read a file of prompts, to be scored; raises FileError with everything that is wrong in it."""
    problems, found = Problems(path), _Collected()
    if path.suffix == ".csv":
        for number, row in csv_rows(path, ("prompt",), problems):
            if row["prompt"].strip():
                found.add_prompt(row["prompt"])
            else:
                problems.add(number, "prompt", "a text", describe(row["prompt"]))
    elif path.suffix == ".txt":
        for line in filter(str.strip, read_text(path).splitlines()):
            found.add_prompt(line)
    else:
        for number, value in _objects(read_text(path), problems):
            prompt = _prompt_of(value)
            if prompt is None:
                expected = "an object with 'prompt', or the body of a request to a model"
                problems.add(number, "", expected, f"an object with {_keys(value)}")
            else:
                found.add_prompt(prompt)
    if not found.prompts and not problems:
        problems.add(0, "", "at least one prompt", "none")
    problems.finish()
    return found.traffic(path.stem)


def read_log(path: Path, *, score: str = "score") -> Traffic:
    """Read the scores in a log of JSON lines.

    *score* is the name of their field, with dots between the names of nested ones. Fields `prompt_tokens` and
    `output_tokens`, or `completion_tokens`, are used if they are there. Lines without a score are of requests
    to something else than a model, and skipped; all of them without one is an error.
    """
    problems, found = Problems(path), _Collected()
    for number, value in _objects(read_text(path), problems):
        scored = _field(value, score)
        if scored in _ABSENT:
            found.skipped += 1
            continue
        read = _number(scored)
        if read is None or not 0 <= read <= 1:
            problems.add(number, score, "a number from 0 to 1", describe(scored))
            continue
        found.scores.append(read)
        for field_names, numbers in (
            (("prompt_tokens",), found.prompt_tokens),
            (("output_tokens", "completion_tokens"), found.output_tokens),
        ):
            logged = next((value[name] for name in field_names if value.get(name) not in _ABSENT), None)
            tokens = math.nan if logged is None else _number(logged)
            if tokens is None or tokens < 0:
                problems.add(number, field_names[0], "a number of tokens", describe(logged))
            numbers.append(math.nan if tokens is None else tokens)
    if not found.scores and not problems:
        problems.add(0, score, "scores in some lines", f"none in {found.skipped:,} lines")
    problems.finish()
    return found.traffic(path.stem)


def _objects(text: str, problems: Problems) -> Iterator[tuple[int, Mapping[str, object]]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            problems.add(number, f"column {error.colno}", "JSON", f"an error: {error.msg}")
            continue
        except RecursionError:
            problems.add(number, "", "JSON", "objects nested too deep")
            continue
        if isinstance(value, dict):
            yield number, value
        else:
            problems.add(number, "", "a JSON object", describe(value))


def _prompt_of(value: Mapping[str, object]) -> str | None:
    """Give what the tuner would score of a request, or None if there is none."""
    prompt = value.get("prompt")
    if isinstance(prompt, str) and prompt:
        return prompt
    format = format_of_body(value)
    if format is None:
        return None
    try:
        return text_in_scope(read_request(value, format).turns, "last_user") or None
    except InvalidRequestError:
        return None


def _field(value: Mapping[str, object], name: str) -> object:
    found: object = value
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _number(value: object) -> float | None:
    """Read a number, which a log may have as text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _keys(value: Mapping[str, object]) -> str:
    return ", ".join(map(describe, list(value)[:5])) or "no keys"
