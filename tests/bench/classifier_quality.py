"""Measure the classifier against RouteLLM's evaluation data, and fail when it falls short of its goals.

    python tests/bench/classifier_quality.py DATA

DATA is a folder with `routellm_mmlu_decontaminated.csv` and `routellm_gsm8k_decontaminated.csv`, which are
the files of `routellm/evals/mmlu` and `routellm/evals/gsm8k` in the repository lm-sys/RouteLLM (Apache-2.0).
Columns: domain, prompt, weak_correct, strong_correct.

Two questions are asked:

1. Does the domain of a prompt agree with the subject it was taken from? The subjects of law, medicine and
   computer science are those that MMLU itself files under "law", "health" and "computer science" (Hendrycks
   et al., 2021); all others are general. The measure is the mean F1 of the four classes. The word lists were
   checked against the half of the prompts whose hash is even, so the half that counts is the other one.
2. Does complexity tell when the strong model is worth its price? The measure is APGR as RouteLLM's evaluation
   defines it: thresholds at the deciles of the score, the area under accuracy by share of strong calls, as a
   share of the way from the weak model to the strong. 0.5 is chance. The goal is what the number of words
   alone reaches. All rows count, and the default caps were chosen with them in view.
"""

import csv
import hashlib
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from ai_nexus_classifier import Config, Verdict, classify_text

SUBJECTS = {
    "legal": {"international_law", "jurisprudence", "professional_law"},
    "medical": {
        "anatomy",
        "clinical_knowledge",
        "college_medicine",
        "human_aging",
        "medical_genetics",
        "nutrition",
        "professional_medicine",
        "virology",
    },
    "code": {
        "college_computer_science",
        "computer_security",
        "high_school_computer_science",
        "machine_learning",
    },
}
DOMAINS = ("code", "medical", "legal", "general")

DOMAIN_GOAL = 0.75
MMLU_GOAL = 0.585
GSM8K_GOAL = 0.592


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One question, who answered it right, and what the classifier makes of it."""

    domain: str
    held_out: bool
    weak: float
    strong: float
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure and what it has to reach."""

    name: str
    value: float
    least: float

    def __str__(self) -> str:
        met = "ok" if self.value >= self.least else "SHORT"
        return f"{self.name:<44}{self.value:>8.4f}   goal {self.least:.3f}   {met}"


def read(path: Path) -> list[Row]:
    """Read a file of questions and classify each."""
    config = Config()
    subject_domains = {subject: domain for domain, subjects in SUBJECTS.items() for subject in subjects}
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Row(
                domain=subject_domains.get(row["domain"], "general"),
                held_out=hashlib.sha256(row["prompt"].encode()).digest()[0] % 2 == 1,
                weak=float(row["weak_correct"]),
                strong=float(row["strong_correct"]),
                verdict=classify_text(row["prompt"], config),
            )
            for row in csv.DictReader(file)
        ]


def domain_scores(rows: Sequence[Row]) -> dict[str, tuple[float, float, float]]:
    """Give precision, recall and F1 of each domain."""
    pairs = Counter((row.domain, str(row.verdict.domain)) for row in rows)
    scores = {}
    for domain in DOMAINS:
        right = pairs[domain, domain]
        claimed = sum(count for (_, said), count in pairs.items() if said == domain)
        real = sum(count for (true, _), count in pairs.items() if true == domain)
        scores[domain] = (right / max(1, claimed), right / max(1, real), 2 * right / max(1, claimed + real))
    return scores


def macro_f1(rows: Sequence[Row]) -> float:
    """Give the mean F1 of the four domains."""
    return sum(f1 for _, _, f1 in domain_scores(rows).values()) / len(DOMAINS)


def apgr(scores: Sequence[float], rows: Sequence[Row]) -> float:
    """Give the average performance gap recovered when the strong model answers from a threshold upwards."""
    ordered = sorted(scores)
    thresholds = sorted({quantile(ordered, step / 10) for step in range(11)})
    points = []
    for threshold in thresholds:
        strong = [score >= threshold for score in scores]
        accuracy = sum(row.strong if use else row.weak for row, use in zip(rows, strong, strict=True))
        points.append((sum(strong) / len(rows), accuracy / len(rows)))
    points.sort()
    area = sum((right - left) * (low + high) / 2 for (left, low), (right, high) in pairwise(points))
    width = points[-1][0] - points[0][0]
    weakest = sum(row.weak for row in rows) / len(rows)
    strongest = sum(row.strong for row in rows) / len(rows)
    return (area - weakest * width) / ((strongest - weakest) * width)


def quantile(ordered: Sequence[float], share: float) -> float:
    """Give the value below which *share* of the sorted values lie, interpolated."""
    position = share * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def complexity(row: Row) -> float:
    """Score a prompt by its complexity."""
    return row.verdict.complexity


def word_count(row: Row) -> float:
    """Score a prompt by its length, which is what complexity must not be worse than."""
    return row.verdict.features.words


def main(arguments: Sequence[str]) -> int:
    """Print the tables and the goals; the exit status is the number of goals missed."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    folder = Path(arguments[0])
    mmlu = read(folder / "routellm_mmlu_decontaminated.csv")
    gsm8k = read(folder / "routellm_gsm8k_decontaminated.csv")
    held_out = [row for row in mmlu if row.held_out]
    development = [row for row in mmlu if not row.held_out]

    print(f"domain, MMLU, {len(held_out)} rows not looked at")
    print(f"{'':<12}{'precision':>10}{'recall':>10}{'F1':>10}")
    for domain, figures in domain_scores(held_out).items():
        print(f"{domain:<12}" + "".join(f"{figure:>10.3f}" for figure in figures))
    print(f"development half, {len(development)} rows: macro-F1 {macro_f1(development):.4f}")
    print()
    print(f"APGR{'':<20}{'MMLU':>10}{'GSM8K':>10}")
    for name, score in (("complexity", complexity), ("number of words", word_count)):
        areas = [apgr([score(row) for row in rows], rows) for rows in (mmlu, gsm8k)]
        print(f"{name:<24}" + "".join(f"{area:>10.4f}" for area in areas))
    print()
    goals = (
        Goal("domain macro-F1, rows not looked at", macro_f1(held_out), DOMAIN_GOAL),
        Goal("APGR of complexity, MMLU", apgr([complexity(row) for row in mmlu], mmlu), MMLU_GOAL),
        Goal("APGR of complexity, GSM8K", apgr([complexity(row) for row in gsm8k], gsm8k), GSM8K_GOAL),
    )
    for goal in goals:
        print(goal)
    return sum(goal.value < goal.least for goal in goals)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
