"""``make prove-threshold``: how well scores tell when the strong model is worth its price.

On RouteLLM's evaluation data, with its definitions, beside its published figures; on nine models at once; and
in a real Envoy, where the threshold follows the traffic and scores are those of plain Python. One line per
point; the pictures and a page with all of it are written to ``build/prove-threshold``.

The protocol: labels to learn from are drawn first. Everything that is learnt or chosen (weights, how strongly
to regularise, what curve) is learnt and chosen on them by cross-validation. Figures are of all other rows,
except those that repeat a prompt to learn from; nothing was picked by looking at them. The method was worked
out on the prompts whose SHA-256 begins with an even byte, so figures for the odd ones are given too, and it
is said if they alone are below what all rows must reach.
"""

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from points import Points
from shown import show_command
from tqdm import tqdm

from routerlab import plots
from routerlab.calibration import calibrate
from routerlab.evaluation import Evaluation, Router, aligned, evaluate
from routerlab.files import write_text
from routerlab.metrics import Floats
from routerlab.models import Comparison, compare_models, mixing, model_rows, price_of, read_model_scores
from routerlab.pairs import Pairs, read_pairs, split
from routerlab.report import Section, page
from routerlab.scoring import TextScorer, score_all, scorer_named
from routerlab.training import see, train

Item = TypeVar("Item")

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "build" / "prove-threshold"
SEEDS = range(5)
SPLITS = 3

PUBLISHED: Mapping[str, Mapping[str, tuple[float, float, float]]] = {
    "MMLU": {
        "RouteLLM bert (110 M)": (0.4130, 0.7220, 0.572),
        "RouteLLM mf": (0.3546, 0.7140, 0.597),
        "RouteLLM causal_llm (8 B)": (0.3549, 0.7031, 0.600),
        "RouteLLM sw_ranking": (0.3540, 0.7155, 0.603),
    },
    "GSM8K": {
        "RouteLLM bert (110 M)": (0.4476, 0.7909, 0.531),
        "RouteLLM mf": (0.3882, 0.7262, 0.565),
        "RouteLLM sw_ranking": (0.4121, 0.7220, 0.568),
        "RouteLLM causal_llm (8 B)": (0.3364, 0.6326, 0.622),
    },
}
"""CPT(50), CPT(80), APGR: arXiv 2406.18665v4, tables 2 and 3, with the best training data of each router.

They are of all rows of the benchmarks, and need embeddings or a language model for each request.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """A file of RouteLLM's evaluation, how many labels are learnt from, and what must be reached."""

    name: str
    file: str
    labels: int
    goal: float

    def read(self, data: Path) -> Pairs:
        """Read the file."""
        return read_pairs(data / "routellm" / self.file)


BENCHMARKS = (
    Benchmark(name="MMLU", file="routellm_mmlu_decontaminated.csv", labels=1_500, goal=0.63),
    Benchmark(name="GSM8K", file="routellm_gsm8k_decontaminated.csv", labels=300, goal=0.62),
)


@dataclass(frozen=True, slots=True)
class Run:
    """One seed: all routers on the rows held out, and the linear one on those with an odd hash."""

    evaluation: Evaluation
    odd_apgr: float


def run_seeds(benchmark: Benchmark, data: Path) -> list[Run]:
    """Train on a few labels and measure on the rest, once for each seed."""
    pairs = benchmark.read(data)
    rows = {prompt: number for number, prompt in enumerate(pairs.prompts)}
    seen = see(pairs.prompts)
    fixed = {
        name: dict(zip(pairs.prompts, _scores(name, pairs), strict=True)) for name in ("words", "complexity")
    }
    runs = []
    for seed in _shown(SEEDS, benchmark.name):
        generator = np.random.default_rng(seed)
        parts = split(pairs, benchmark.labels, generator)
        numbers = np.array([rows[prompt] for prompt in parts.training.prompts])
        trained = train(parts.training, seen.rows(numbers), generator)
        held_out = parts.held_out
        routers = [
            Router(name, np.array([scores[prompt] for prompt in held_out.prompts]))
            for name, scores in fixed.items()
        ]
        routers.append(
            Router("linear", score_all(TextScorer("linear", trained.scorer.score), held_out.prompts))
        )
        odd = held_out.half(1)
        odd_scores = Router("linear", score_all(TextScorer("linear", trained.scorer.score), odd.prompts))
        runs.append(
            Run(
                evaluate(held_out, routers, resamples=0, generator=generator),
                evaluate(odd, [odd_scores], resamples=0, generator=generator).result("linear").apgr,
            )
        )
    return runs


def table_of(benchmark: Benchmark, runs: Sequence[Run]) -> list[tuple[str, ...]]:
    """Give the table of one benchmark: ours with mean and deviation, and what was published."""
    rows: list[tuple[str, ...]] = [(benchmark.name, "CPT(50)", "CPT(80)", "APGR", "deviation")]
    for name in ("random", "words", "complexity", "linear"):
        found = [run.evaluation.result(name) for run in runs]
        means = [np.mean([getattr(each, figure) for each in found]) for figure in ("cpt50", "cpt80", "apgr")]
        deviation = np.std([each.apgr for each in found], ddof=1)
        label = f"linear, {benchmark.labels:,} labels" if name == "linear" else name
        rows.append((label, f"{means[0]:.1%}", f"{means[1]:.1%}", f"{means[2]:.3f}", f"{deviation:.3f}"))
    for name, (cpt50, cpt80, apgr) in PUBLISHED[benchmark.name].items():
        rows.append((name, f"{cpt50:.1%}", f"{cpt80:.1%}", f"{apgr:.3f}", ""))
    return rows


def show_quality(points: Points, data: Path) -> list[Section]:
    """Show point 1: with a few labels and no model call, better than RouteLLM's routers."""
    sections = []
    for benchmark in BENCHMARKS:
        with points.point(
            f"{benchmark.name}: linear, {benchmark.labels:,} labels, {len(SEEDS)} seeds"
        ) as point:
            runs = run_seeds(benchmark, data)
            table = table_of(benchmark, runs)
            _print(aligned(table))
            apgr = [run.evaluation.result("linear").apgr for run in runs]
            odd = [run.odd_apgr for run in runs]
            mean, below = float(np.mean(apgr)), sum(each < benchmark.goal for each in apgr)
            point.seen(
                f"APGR {mean:.4f} +- {np.std(apgr, ddof=1):.4f}, at least {benchmark.goal};"
                f" {below} of {len(apgr)} seeds below; on odd rows alone {np.mean(odd):.4f}"
                f"{' (below)' if np.mean(odd) < benchmark.goal else ''}",
                holds=mean >= benchmark.goal,
            )
        with points.point(f"{benchmark.name}: better than counting words, every seed") as point:
            gains = [
                run.evaluation.result("linear").apgr - run.evaluation.result("words").apgr for run in runs
            ]
            point.seen(f"by {min(gains):.4f} to {max(gains):.4f}", holds=min(gains) > 0)
        picture = plots.draw_evaluations([runs[0].evaluation])
        plots.save(picture, RESULTS / f"{benchmark.name.lower()}.svg")
        about = f"Means of {len(SEEDS)} seeds on rows held out; the picture is of the first seed."
        sections.append(Section(benchmark.name, [about], table, picture))
    return sections


def show_transfer(points: Points, data: Path) -> None:
    """Show point 2, offline: a threshold that is right for one traffic is wrong for another."""
    mmlu, gsm8k = (benchmark.read(data) for benchmark in BENCHMARKS)
    for name in ("complexity", "words"):
        with points.point(f"a fixed threshold of {name} does not transfer") as point:
            found = calibrate(name, _scores(name, mmlu), strong_fraction=0.2)
            share = float(np.mean(_scores(name, gsm8k) >= found.chosen.threshold))
            there = calibrate(name, _scores(name, gsm8k), strong_fraction=0.2)
            point.seen(
                f"{found.chosen.strong_fraction:.1%} strong on MMLU is {share:.1%} on GSM8K;"
                f" calibrated there, {there.chosen.strong_fraction:.1%}",
                holds=abs(share - 0.2) > 0.02 and abs(there.chosen.strong_fraction - 0.2) <= 0.02,
            )


def show_online(points: Points, data: Path) -> None:
    """Show point 2, online: in Envoy, the threshold follows the traffic."""
    show_command(
        points,
        "in Envoy, 2 workers: back within 2 points in 500 requests",
        "tests/bench/scorer_online.py",
        str(data / "routellm"),
    )


def show_wasm(points: Points, data: Path) -> None:
    """Show point 3: the same scores in WebAssembly, in time."""
    show_command(
        points,
        "scores in WebAssembly: identical, and in time",
        "tests/bench/scorer_wasm.py",
        str(data / "routellm"),
    )


def show_models(points: Points, data: Path) -> Section:
    """Show point 4: nine models instead of two."""
    folder = data / "llmrouter"
    scores = read_model_scores(folder / "train.json", folder / "default_llm.json")
    seen = see(scores.prompts)
    generators = [np.random.default_rng(seed) for seed in range(SPLITS)]
    found = Comparison.mean(
        [compare_models(scores, generator, seen=seen) for generator in _shown(generators, "nine models")]
    )
    table = list(model_rows(found))
    _print(aligned(table))
    singles = found.singles
    best = found.best_single()
    with points.point("nine models, the tuner by worth: no single is better") as point:
        worse = [
            name
            for name, single in singles.items()
            if found.chosen_score_each[name].quality < single.quality - 1e-9
            or found.chosen_score_each[name].price > single.price * 1.01
        ]
        there = found.chosen_score_each[best]
        price = price_of(found.score_each, singles[best].quality)
        point.seen(
            f"{there.quality:.2%} for {there.price:.2f} USD/M, the best alone {singles[best].quality:.2%} for"
            f" {singles[best].price:.2f}; its quality for {price / singles[best].price:.0%} of its price",
            holds=not worse and there.quality > singles[best].quality,
        )
    for what, routed in (("a score each", found.score_each), ("tiers by one score", found.one_score)):
        with points.point(f"nine models, {what}: above mixing by lot") as point:
            above = [each.quality - mixing(singles.values(), each.price) for each in routed]
            point.seen(
                f"by {min(above):+.2%} to {max(above):+.2%}, {np.mean(above):+.2%} on average",
                holds=float(np.mean(above)) > 0 and min(above) > -0.005,
            )
    picture = plots.draw_models(found)
    plots.save(picture, RESULTS / "models.svg")
    about = (
        f"Means of {SPLITS} splits. Learnt on 60 %, thresholds and lambdas chosen on 20 %, measured on the "
        f"rest. The oracle has {found.oracle[0].quality:.1%}. `A score each` is predicted and decided by "
        "the tuner, with `answer_worth_usd`; `one score` is thresholds."
    )
    return Section("Nine models", [about], table, picture)


def _scores(name: str, pairs: Pairs) -> Floats:
    return score_all(scorer_named(name), pairs.prompts)


def _shown(items: Iterable[Item], what: str) -> Iterable[Item]:
    shown: Iterable[Item] = tqdm(items, desc=what, leave=False, disable=None)
    return shown


def _print(text: str) -> None:
    print("\n".join(f"      {line}" for line in text.splitlines()), flush=True)


def main() -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        help="folder with routellm/*.csv and llmrouter/*.json (see shared/routerlab)",
    )
    data = parser.parse_args().data.resolve()
    points = Points()
    sections = show_quality(points, data)
    show_transfer(points, data)
    show_online(points, data)
    show_wasm(points, data)
    sections.append(show_models(points, data))
    assert __doc__ is not None
    protocol = Section("Protocol", __doc__.split("\n\n")[1:])
    write_text(
        RESULTS / "report.html",
        page("Routing by scores", [protocol, *sections], "Made by make prove-threshold."),
    )
    print(f"pictures and tables: {RESULTS / 'report.html'}", flush=True)
    return points.exit_code()


if __name__ == "__main__":
    sys.exit(main())
