"""What the commands do: read files, compute, print, write files."""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TypeVar

import numpy as np
import yaml
from tqdm import tqdm

from ai_cost_optimal_router import Config
from ai_cost_optimal_router.strategies import STRATEGIES

from . import evaluation, plots
from .calibration import Costs, calibrate, write_calibration
from .configs import parsed, read_plugin_config
from .evaluation import Evaluation, Router, evaluate
from .files import LabError, csv_header, write_text
from .metrics import Floats
from .models import Comparison, compare_models, model_rows, read_model_scores
from .pairs import STRONG, WEAK, Pairs, Split, import_routellm, read_pairs, split, write_pairs
from .replay import outcome_rows, read_records, replay
from .report import Section, page
from .scoring import TextScorer, read_scorer_file, score_all, scorer_named
from .traffic import Traffic, read_log, read_prompts
from .training import Trained, see, train

__all__ = [
    "DEFINITIONS",
    "NOT_SHIPPED",
    "run_calibrate",
    "run_compare_models",
    "run_evaluate",
    "run_import",
    "run_train",
]

Item = TypeVar("Item")

NOT_SHIPPED = 3
"""The exit code of `train` when the scorer is no better than counting words."""

DEFINITIONS = (
    "CPT(50) and CPT(80) are the least shares of calls to the strong model that recover 50 % and 80 % of the "
    "gap in quality between the two models; less is better. APGR is the mean share of the gap that is "
    "recovered, over all shares of calls; 0.5 is chance. The definitions are those of RouteLLM's evaluation."
)

_LEAST_HELD_OUT = 30
_FOOTER = "Made by python -m routerlab, the routing laboratory of AI Nexus."


def run_calibrate(options: argparse.Namespace) -> int:
    """Find a threshold and write a calibration."""
    qualities = None
    if options.scorer is None:
        traffic = read_log(options.file, score=options.score_field)
        scores, name = traffic.scores, options.scorer_name or "linear"
    else:
        traffic = read_prompts(options.file)
        scores, name = _scored(options.scorer, traffic.prompts), options.scorer_name or options.scorer.name
        if {WEAK, STRONG} <= set(csv_header(options.file) if options.file.suffix == ".csv" else ()):
            pairs = read_pairs(options.file)
            qualities = pairs.weak, pairs.strong
    found = calibrate(
        name,
        scores,
        strong_fraction=options.strong_fraction,
        cost_usd=options.cost,
        saving=options.saving,
        costs=_costs(options, traffic),
        qualities=qualities,
    )
    chosen = found.chosen
    about = [
        f"threshold {chosen.threshold:g}: {chosen.strong_fraction:.2%} of {found.requests:,} requests strong"
    ]
    if chosen.mean_cost_usd is not None and chosen.saving is not None:
        about.append(f"{chosen.mean_cost_usd:.6f} USD per request, saving {chosen.saving:.1%}")
    if chosen.quality is not None:
        about.append(f"quality {chosen.quality:.2%}")
    if found.largest_tie > 0.01:
        about.append(
            f"{found.largest_tie:.1%} of the requests have the same score, and no threshold divides them"
        )
    if traffic.skipped:
        about.append(f"{traffic.skipped:,} lines of {options.file} had no score")
    text = write_calibration(
        found, [f"Made by python -m routerlab calibrate from {options.file.name}.", *about]
    )
    if options.output is None:
        sys.stdout.write(text)
    else:
        write_text(options.output, text)
        print("\n".join([*about, f"written to {options.output}"]))
    return 0


def _costs(options: argparse.Namespace, traffic: Traffic) -> Costs | None:
    if options.strong_price is None and options.weak_price is None:
        return None
    if options.strong_price is None or options.weak_price is None:
        raise LabError("expected --strong-price and --weak-price together, got only one of them")
    outputs = traffic.output_tokens
    if options.output_tokens is not None:
        outputs = np.where(np.isfinite(outputs), outputs, options.output_tokens)
    elif not np.isfinite(outputs).any():
        raise LabError(f"{options.file} has no output tokens: expected their mean as --output-tokens")
    return Costs.of_tokens(
        traffic.prompt_tokens, outputs, strong=options.strong_price, weak=options.weak_price
    )


def run_train(options: argparse.Namespace) -> int:
    """Train a scorer, measure it on rows held out, and write it if it is any good."""
    generator = np.random.default_rng(options.seed)
    pairs = read_pairs(options.pairs, weak=options.weak, strong=options.strong)
    parts = _split(pairs, options.labels or round(len(pairs) * (1 - options.held_out)), generator)
    print(
        f"{options.pairs}: {len(parts.training):,} rows to learn from, {len(parts.held_out):,} held out"
        + (
            f", {parts.repeated:,} left out because they repeat a prompt to learn from"
            if parts.repeated
            else ""
        )
    )
    try:
        trained = train(
            parts.training,
            see(parts.training.prompts, lambda prompts: iter(_shown(prompts, "reading prompts"))),
            generator,
            lambda recipes: iter(_shown(recipes, "cross-validation")),
        )
    except ValueError as error:
        raise LabError(f"{options.pairs}: {error}") from error
    measured, confidence = _measured(trained, parts, options.resamples, generator)
    print(evaluation.text_table(measured))
    linear, words = measured.results[1], measured.results[2]
    beaten = f"the scorer beats the number of words on {confidence:.0%} of {options.resamples} resamples"
    if linear.apgr <= words.apgr or confidence < options.confidence:
        print(
            f"not written: on rows held out the scorer has APGR {linear.apgr:.3f} and the number of words "
            f"{words.apgr:.3f}, and {beaten} of them (at least {options.confidence:.0%} are needed). "
            "Use the scorer `words`, or train on more labels.",
            file=sys.stderr,
        )
        return NOT_SHIPPED
    artifact = trained.artifact(
        trained_on={
            "file": options.pairs.name,
            "rows": len(parts.training),
            "seed": options.seed,
            "domains": len(set(parts.training.domains or ())),
        },
        metrics={
            "held_out_rows": len(parts.held_out),
            "apgr": round(linear.apgr, 4),
            "apgr_words": round(words.apgr, 4),
            "cpt50": round(linear.cpt50, 4),
            "cpt80": round(linear.cpt80, 4),
        },
    )
    write_text(options.output, json.dumps(artifact, indent=1) + "\n")
    print(f"{beaten}; written to {options.output}")
    return 0


def _split(pairs: Pairs, labels: int, generator: np.random.Generator) -> Split:
    if labels > len(pairs) - _LEAST_HELD_OUT:
        left = f"{max(0, len(pairs) - labels):,} of {len(pairs):,}"
        raise LabError(f"{pairs.name}: expected at least {_LEAST_HELD_OUT} rows to hold out, got {left}")
    return split(pairs, labels, generator)


def _measured(
    trained: Trained, parts: Split, resamples: int, generator: np.random.Generator
) -> tuple[Evaluation, float]:
    """Measure the scorer beside the number of words, and say how often it beats them on resampled rows."""
    scorers = (TextScorer("linear", trained.scorer.score), scorer_named("words"))
    routers = [Router(scorer.name, _scored(scorer, parts.held_out.prompts)) for scorer in scorers]
    measured = _compared(parts.held_out, routers, resamples, generator)
    return measured, measured.wins("linear", "words")


def run_evaluate(options: argparse.Namespace) -> int:
    """Compare scorers on each file of pairs; print the tables, and draw and write what is asked for."""
    scorers = (
        options.scorer or [] if options.config is None else options.scorer + read_scorer_file(options.config)
    )
    if not scorers and not options.score_column:
        scorers = [scorer_named("words"), scorer_named("complexity")]
    measured = []
    for path in options.pairs:
        pairs = read_pairs(path, weak=options.weak, strong=options.strong, scores=options.score_column)
        routers = [Router(scorer.name, _scored(scorer, pairs.prompts)) for scorer in scorers]
        routers += [Router(name, scores) for name, scores in pairs.scores.items()]
        generator = np.random.default_rng(options.seed)
        measured.append(_compared(pairs, routers, options.resamples, generator))
        print(evaluation.text_table(measured[-1]), end="\n\n")
    if options.plot is not None:
        plots.save(plots.draw_evaluations(measured), options.plot)
    if options.report is not None:
        write_text(options.report, _page(measured))
    if options.json is not None:
        write_text(options.json, json.dumps([evaluation.figures(each) for each in measured], indent=1) + "\n")
    return 0


def run_compare_models(options: argparse.Namespace) -> int:
    """Compare routing among many models with every single one; print the table, and draw it if asked to."""
    data = read_model_scores(options.scores, options.prices)
    seen = see(data.prompts, lambda prompts: iter(_shown(prompts, "reading prompts")))
    splits = []
    for number in range(options.splits):
        what = f"split {number + 1} of {options.splits}"
        generator = np.random.default_rng(options.seed + number)
        splits.append(compare_models(data, generator, partial(_shown, what=what), seen))
    found = Comparison.mean(splits)
    about = (
        f"{len(data.prompts):,} prompts, {len(data.models)} models, means of {options.splits} splits. In a "
        "row: a model alone, and routing that costs no more. Learnt, chosen, measured on different prompts."
    )
    table = list(model_rows(found))
    print(about, evaluation.aligned(table), sep="\n")
    if options.output is not None:
        best = found.best_single()
        lines = [
            f"Made by python -m routerlab compare-models from {options.scores.name}; no dearer than {best}.",
            "Prices are the means of input and output; models that the catalog has need none.",
        ]
        comments = "".join(f"# {line}\n" for line in lines)
        write_text(options.output, comments + yaml.safe_dump(dict(found.configs[best]), sort_keys=False))
        print(f"the tuner's configuration is written to {options.output}")
    if options.plot is not None:
        plots.save(plots.draw_models(found), options.plot)
    if options.report is not None:
        section = Section("Quality against price", [about], table, plots.draw_models(found))
        write_text(options.report, page("Routing among many models", [section], _FOOTER))
    return 0


def run_replay(options: argparse.Namespace) -> int:
    """Decide again for every request in a log, by other strategies; print what each would have cost."""
    given: dict[str, object] = {} if options.config is None else read_plugin_config(options.config)
    if options.catalog is not None:
        given = given | {"catalog": read_plugin_config(options.catalog).get("catalog")}
    source = options.config or options.catalog or options.log
    config = parsed(source, lambda: Config.from_json(given))
    logged, skipped = read_records(options.log, field=options.field)
    outcomes = replay(
        logged, config, options.strategy or list(STRATEGIES), seed=options.seed, progress=_shown
    )
    about = [
        f"{len(logged):,} requests, {sum(each.is_usage_measured for each in logged):,} of them with the "
        f"tokens that they took; {skipped:,} lines without a record.",
        f"{sum(each.is_reproduced for each in logged):,} of the records lead to the choice that was made.",
    ]
    if outcomes[0].unknown:
        about.append(f"{outcomes[0].unknown:,} requests went to models that the catalog does not have.")
    table = list(outcome_rows(outcomes))
    print(*about, evaluation.aligned(table), sep="\n")
    if options.report is not None:
        write_text(
            options.report,
            page("What it would have cost", [Section(options.log.name, about, table)], _FOOTER),
        )
    return 0


def _page(measured: Sequence[Evaluation]) -> str:
    sections = [
        Section(
            each.pairs.name,
            [evaluation.headline(each)],
            list(evaluation.rows(each)),
            plots.draw_evaluations([each]),
        )
        for each in measured
    ]
    return page("How well routing works", [Section("What is measured", [DEFINITIONS]), *sections], _FOOTER)


def _compared(
    pairs: Pairs, routers: Sequence[Router], resamples: int, generator: np.random.Generator
) -> Evaluation:
    try:
        return evaluate(
            pairs,
            routers,
            resamples=resamples,
            generator=generator,
            progress=lambda numbers: _shown(numbers, f"{pairs.name}: resampling"),
        )
    except ValueError as error:
        raise LabError(f"{pairs.name}: {error}") from error


def run_import(options: argparse.Namespace) -> int:
    """Make labelled pairs of RouteLLM's evaluation data."""
    folder = options.repository / "routellm" / "evals"
    for name, pattern in (("mmlu", "mmlu/responses/mmlu_*.csv"), ("gsm8k", "gsm8k/gsm8k_responses.csv")):
        files = sorted(folder.glob(pattern))
        if not files:
            raise LabError(f"{folder / pattern}: expected files of RouteLLM's evaluation, got none")
        pairs, left_out = import_routellm(
            _shown(files, name),
            folder / name / "contaminated_prompts.jsonl",
            weak=options.weak,
            strong=options.strong,
            name=name,
        )
        path = options.output / f"routellm_{name}.csv"
        write_pairs(pairs, path)
        print(f"{path}: {len(pairs):,} rows; {left_out:,} contaminated ones left out")
    return 0


def _scored(scorer: TextScorer, prompts: Sequence[str]) -> Floats:
    return score_all(scorer, prompts, lambda all_of_them: _shown(all_of_them, scorer.name))


def _shown(items: Iterable[Item], what: str) -> Iterable[Item]:
    """Show on a terminal how far it is."""
    shown: Iterable[Item] = tqdm(items, desc=what, leave=False, disable=None)
    return shown
