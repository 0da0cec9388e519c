"""The command line: ``python -m routerlab COMMAND``."""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from ai_cost_optimal_router.strategies import STRATEGIES

from . import commands
from .files import LabError
from .pairs import STRONG, WEAK
from .scoring import scorer_named

_HELD_OUT = 0.3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code; what goes wrong is said on standard error."""
    try:
        options = _parser().parse_args(arguments)
        code: int = options.command(options)
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m routerlab",
        description="Calibrate, train, evaluate and replay routing between models, offline.",
    )
    subcommands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_calibrate(subcommands)
    _add_train(subcommands)
    _add_evaluate(subcommands)
    _add_replay(subcommands)
    _add_compare_models(subcommands)
    _add_import(subcommands)
    return parser


def _add_calibrate(subcommands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subcommands.add_parser(
        "calibrate",
        help="find the threshold for a share or a cost, on your own traffic",
        description="Find the threshold that sends a share of your own traffic to the strong model, or keeps "
        "to a cost, and write a calibration for the tuner. Tied scores are handled: the share that is "
        "reported is the one that the threshold gives.",
        epilog="FILE is the access log of the gateway, JSON lines, of which the scores are used; or, with "
        "--scorer, a file of prompts: .csv with a column prompt, .txt with a prompt in each line, or JSON "
        'lines of {"prompt": ...} or of request bodies. Labelled pairs, .csv, add the estimated quality.',
    )
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--scorer", type=scorer_named, help="words, complexity, characters or linear=FILE")
    parser.add_argument("--score-field", default="score", metavar="NAME", help="in the log (%(default)s)")
    parser.add_argument("--scorer-name", metavar="NAME", help="what the tuner calls the scorer")
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--strong-fraction", type=_share, metavar="SHARE", help="0.2 is 20 %% of requests")
    target.add_argument("--cost", type=_amount, metavar="USD", help="the mean per request, at most")
    target.add_argument(
        "--saving", type=_share, metavar="SHARE", help="of sending everything to the strong model"
    )
    parser.add_argument("--strong-price", type=_price, metavar="IN/OUT", help="USD per million tokens")
    parser.add_argument("--weak-price", type=_price, metavar="IN/OUT", help="USD per million tokens")
    parser.add_argument(
        "--output-tokens", type=_amount, metavar="N", help="per answer, where the file has none"
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="the calibration (default: stdout)")
    parser.set_defaults(command=commands.run_calibrate)


def _add_train(subcommands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subcommands.add_parser(
        "train",
        help="train the tuner's linear scorer from labelled pairs",
        description="Train the tuner's linear scorer from labelled pairs, and measure it on rows that were "
        "held out before anything else was done. A scorer that does not beat the number of words there is "
        f"not written, and the exit code is {commands.NOT_SHIPPED}.",
    )
    _add_pairs(parser, nargs=None)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="the scorer, JSON")
    amount = parser.add_mutually_exclusive_group()
    amount.add_argument("--labels", type=_count, metavar="N", help="rows to learn from; the rest is held out")
    amount.add_argument(
        "--held-out", type=_share, default=_HELD_OUT, metavar="SHARE", help="of the rows (%(default)s)"
    )
    parser.add_argument(
        "--confidence",
        type=_share,
        default=0.9,
        metavar="SHARE",
        help="of bootstrap resamples in which the scorer must beat the number of words (%(default)s)",
    )
    _add_measuring(parser)
    parser.set_defaults(command=commands.run_train)


def _add_evaluate(subcommands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subcommands.add_parser(
        "evaluate",
        help="compare scorers on labelled pairs",
        description="Compare scorers on labelled pairs. " + commands.DEFINITIONS.replace("%", "%%"),
    )
    _add_pairs(parser, nargs="+")
    parser.add_argument(
        "--scorer",
        type=scorer_named,
        action="append",
        default=[],
        metavar="NAME",
        help="words, complexity, characters or linear=FILE; again for more (default: words and complexity)",
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="evaluate the scorers of this tuner configuration"
    )
    parser.add_argument(
        "--score-column",
        action="append",
        default=[],
        metavar="NAME",
        help="evaluate scores in a column of the file",
    )
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the curves, .svg or .png")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write a page with all of it, .html")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write all figures and points of the curves"
    )
    _add_measuring(parser)
    parser.set_defaults(command=commands.run_evaluate)


def _add_compare_models(subcommands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subcommands.add_parser(
        "compare-models",
        help="compare routing among many models with each of them alone",
        description="Compare routing among many models with each of them alone: quality against price.",
    )
    parser.add_argument(
        "scores",
        type=Path,
        metavar="SCORES",
        help='JSON list of {"question": ..., "scores": {model: 0 to 1}}, like data/train.json of LLMRouter',
    )
    parser.add_argument(
        "prices",
        type=Path,
        metavar="PRICES",
        help='JSON object of {"input_price": ..., "output_price": ...} by model, like its default_llm.json',
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE",
        help="write the tuner's configuration that costs no more than the best model, .yaml",
    )
    parser.add_argument("--splits", type=_count, default=3, metavar="N", help="to average over (%(default)s)")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the curves, .svg or .png")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write a page with all of it, .html")
    parser.add_argument("--seed", type=int, default=0, help="of the first split (%(default)s)")
    parser.set_defaults(command=commands.run_compare_models)


def _add_replay(subcommands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subcommands.add_parser(
        "replay",
        help="say what other strategies would have cost on a log",
        description="Say what other strategies of the router would have cost on a log: every request in it "
        "is decided again, and every strategy is charged the same tokens.",
        epilog="LOG is JSON lines with the router's audit record of each request, and its tokens "
        "(prompt_tokens, output_tokens or completion_tokens) if they were counted.",
    )
    parser.add_argument("log", type=Path, metavar="LOG")
    parser.add_argument("--field", default="audit", metavar="NAME", help="with the record (%(default)s)")
    parser.add_argument("--config", type=Path, metavar="FILE", help="the router's configuration")
    parser.add_argument(
        "--catalog", type=Path, metavar="FILE", help="the catalog, if it is in a file of its own"
    )
    parser.add_argument(
        "--strategy",
        action="append",
        choices=tuple(STRATEGIES),
        metavar="NAME",
        help="to try; again for more (default: all)",
    )
    parser.add_argument("--report", type=Path, metavar="FILE", help="write a page with all of it, .html")
    parser.add_argument("--seed", type=int, default=0, help="of strategies that draw (%(default)s)")
    parser.set_defaults(command=commands.run_replay)


def _add_import(subcommands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subcommands.add_parser(
        "import-routellm",
        help="make labelled pairs of a clone of RouteLLM's repository",
        description="Make labelled pairs of the evaluation data in a clone of github.com/lm-sys/RouteLLM: "
        "routellm_mmlu.csv and routellm_gsm8k.csv, without the prompts that it names as contaminated.",
    )
    parser.add_argument("repository", type=Path, metavar="CLONE")
    parser.add_argument("-o", "--output", type=Path, default=Path(), metavar="FOLDER", help="(default: here)")
    parser.add_argument(
        "--weak", default="mixtral-8x7b-instruct-v0.1", metavar="COLUMN", help="(%(default)s)"
    )
    parser.add_argument("--strong", default="gpt-4-1106-preview", metavar="COLUMN", help="(%(default)s)")
    parser.set_defaults(command=commands.run_import)


def _add_pairs(parser: argparse.ArgumentParser, nargs: str | None) -> None:
    parser.add_argument(
        "pairs",
        type=Path,
        nargs=nargs,
        metavar="PAIRS",
        help="CSV with the columns prompt, weak_correct, strong_correct, and domain if there are any",
    )
    parser.add_argument("--weak", default=WEAK, metavar="COLUMN", help="(%(default)s)")
    parser.add_argument("--strong", default=STRONG, metavar="COLUMN", help="(%(default)s)")


def _add_measuring(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--resamples", type=_count, default=200, metavar="N", help="for intervals (%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of everything that is drawn (%(default)s)")


def _share(text: str) -> float:
    return _number(text, 0, 1, "a number from 0 to 1")


def _amount(text: str) -> float:
    return _number(text, 0, math.inf, "a number of at least 0")


def _price(text: str) -> tuple[float, float]:
    inputs, slash, outputs = text.partition("/")
    if not slash:
        raise argparse.ArgumentTypeError(f"expected two prices like 2.50/10, got {text!r}")
    return _amount(inputs), _amount(outputs)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return int(text)


def _number(text: str, least: float, most: float, expected: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (least <= value <= most and math.isfinite(value)):
        raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")
    return value
