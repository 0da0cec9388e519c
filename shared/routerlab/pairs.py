"""Labelled pairs: prompts, and how well a weak and a strong model answered each.

A file is CSV in UTF-8 with a header line. Columns, in any order, others being ignored:

- `prompt`;
- `weak_correct` and `strong_correct`: 1 or true for a right answer, 0 or false for a wrong one, or a quality
  from 0 to 1; other names can be given;
- `domain`, optional: what the prompt is about.
"""

import csv
import hashlib
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .files import Problems, csv_rows, describe, read_text, write_text
from .metrics import Floats

__all__ = ["Pairs", "Split", "import_routellm", "read_pairs", "split", "write_pairs"]

STRONG = "strong_correct"
WEAK = "weak_correct"

_QUALITY = "1, 0, true, false or a number from 0 to 1"
_WORDS_FOR_QUALITY = {"true": 1.0, "false": 0.0}


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Prompts with the quality, from 0 to 1, of both models' answers; entries correspond by position."""

    name: str
    prompts: Sequence[str]
    weak: Floats
    strong: Floats
    domains: Sequence[str] | None = None
    scores: Mapping[str, Floats] = field(default_factory=dict)
    """Scores that the file has, by the names of their columns."""

    def __len__(self) -> int:
        return len(self.prompts)

    def rows(self, numbers: NDArray[np.int64]) -> "Pairs":
        """Select rows by number."""
        return Pairs(
            self.name,
            [self.prompts[number] for number in numbers],
            self.weak[numbers],
            self.strong[numbers],
            None if self.domains is None else [self.domains[number] for number in numbers],
            {name: scores[numbers] for name, scores in self.scores.items()},
        )

    def half(self, parity: int) -> "Pairs":
        """Select the prompts whose SHA-256 begins with an even byte (0) or an odd one (1)."""
        digests = [hashlib.sha256(prompt.encode("utf-8", "replace")).digest()[0] for prompt in self.prompts]
        return self.rows(np.flatnonzero(np.array(digests) % 2 == parity))


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Rows to learn from, and rows that nothing may be learnt from."""

    training: Pairs
    held_out: Pairs
    repeated: int
    """Rows in neither: held out by lot, but with the prompt of a training row."""


def split(pairs: Pairs, labels: int, generator: np.random.Generator) -> Split:
    """Draw *labels* rows to learn from; all others are held out, but for prompts that are in both."""
    if not 0 < labels < len(pairs):
        raise ValueError(f"expected to learn from 1 to {len(pairs) - 1} rows, got {labels}")
    order = generator.permutation(len(pairs))
    training = pairs.rows(np.sort(order[:labels]))
    known = set(training.prompts)
    rest = np.array([number for number in np.sort(order[labels:]) if pairs.prompts[number] not in known])
    if not rest.size:
        raise ValueError("expected rows that can be held out, got only prompts that are repeated")
    return Split(training, pairs.rows(rest), len(pairs) - labels - rest.size)


def read_pairs(path: Path, *, weak: str = WEAK, strong: str = STRONG, scores: Sequence[str] = ()) -> Pairs:
    """Read a file of labelled pairs; *weak* and *strong* are the names of its columns, *scores* of others.

    Raises FileError with everything that is wrong in it.
    """
    problems = Problems(path)
    prompts: list[str] = []
    qualities: tuple[list[float], list[float]] = ([], [])
    domains: list[str] = []
    scored: dict[str, list[float]] = {name: [] for name in scores}
    for line, row in csv_rows(path, ("prompt", weak, strong, *scores), problems):
        if not row["prompt"].strip():
            problems.add(line, "prompt", "a text", describe(row["prompt"]))
        prompts.append(row["prompt"])
        for column, found in zip((weak, strong), qualities, strict=True):
            quality = _quality(row[column])
            if quality is None:
                problems.add(line, column, _QUALITY, describe(row[column]))
            found.append(quality or 0.0)
        for column, numbers in scored.items():
            score = _finite(row[column])
            if score is None:
                problems.add(line, column, "a number", describe(row[column]))
            numbers.append(score or 0.0)
        if "domain" in row:
            domains.append(row["domain"])
    if not prompts and not problems:
        problems.add(0, "", "at least one row", "none")
    problems.finish()
    return Pairs(
        path.stem,
        prompts,
        np.array(qualities[0]),
        np.array(qualities[1]),
        domains if len(set(domains)) > 1 else None,
        {name: np.array(numbers) for name, numbers in scored.items()},
    )


def write_pairs(pairs: Pairs, path: Path) -> None:
    """Write a file that `read_pairs` reads."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["domain", "prompt", WEAK, STRONG])
    domains = pairs.domains or [pairs.name] * len(pairs)
    for domain, prompt, weak, strong in zip(domains, pairs.prompts, pairs.weak, pairs.strong, strict=True):
        writer.writerow([domain, prompt, f"{weak:g}", f"{strong:g}"])
    write_text(path, text.getvalue())


def import_routellm(
    files: Iterable[Path], contaminated: Path, *, weak: str, strong: str, name: str
) -> tuple[Pairs, int]:
    """Make one set of pairs of RouteLLM's evaluation files, without the prompts it names as contaminated.

    *files* are `mmlu_<subject>.csv` or `gsm8k_responses.csv`; the domain is what their names say. The second
    result is how many rows were left out.
    """
    found = [read_pairs(path, weak=weak, strong=strong) for path in files]
    banned = _contaminated(contaminated)
    prompts = [prompt for pairs in found for prompt in pairs.prompts]
    domains = [
        pairs.name.removeprefix("mmlu_").removesuffix("_responses")
        for pairs in found
        for _ in range(len(pairs))
    ]
    together = Pairs(
        name,
        prompts,
        np.concatenate([pairs.weak for pairs in found]),
        np.concatenate([pairs.strong for pairs in found]),
        domains,
    )
    kept = together.rows(np.flatnonzero([prompt not in banned for prompt in prompts]))
    return kept, len(prompts) - len(kept)


def _contaminated(path: Path) -> set[str]:
    problems = Problems(path)
    found = set()
    for line, text in enumerate(read_text(path).rstrip("\n").split("\n"), 1):
        try:
            found.add(str(json.loads(text)["eval_prompt"]))
        except (ValueError, KeyError, TypeError):
            problems.add(line, "", "a JSON object with 'eval_prompt'", describe(text))
    problems.finish()
    return found


def _quality(text: str) -> float | None:
    value = _WORDS_FOR_QUALITY.get(text.strip().lower(), _finite(text))
    return value if value is not None and 0 <= value <= 1 else None


def _finite(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
