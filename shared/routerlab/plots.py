"""Drawing curves, as SVG or PNG."""

import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from .evaluation import Evaluation
from .files import LabError, write_bytes
from .models import Comparison, mixing

__all__ = ["FORMATS", "draw_evaluations", "draw_models", "save", "svg"]

FORMATS = (".svg", ".png")

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Okabe and Ito's colours, which people with any kind of colour vision can tell apart."""


def draw_evaluations(evaluations: Sequence[Evaluation]) -> Figure:
    """Draw quality by share of strong calls, one picture for each set of pairs."""
    figure = Figure(figsize=(6.4 * len(evaluations), 4.8), layout="constrained")
    for place, evaluation in enumerate(evaluations, 1):
        _draw(figure.add_subplot(1, len(evaluations), place), evaluation)
    return figure


def _draw(axes: Axes, evaluation: Evaluation) -> None:
    weak, strong = evaluation.weak_quality, evaluation.strong_quality
    axes.plot([0, 1], [weak, strong], linestyle="--", color="grey", label="random")
    colours = iter(_COLOURS * len(evaluation.results))
    for result in evaluation.results:
        if not result.is_bound:
            axes.plot(
                result.curve.strong_shares,
                result.curve.qualities,
                marker=".",
                color=next(colours),
                label=f"{result.name}, APGR {result.apgr:.3f}",
            )
    gap = strong - weak
    axes.set_ylim(weak - 0.1 * gap, strong + 0.15 * gap)
    axes.axhline(strong, color="grey", linewidth=0.8, linestyle=":")
    axes.set_title(f"{evaluation.pairs.name}, {len(evaluation.pairs):,} prompts")
    axes.set_xlabel("share of calls to the strong model")
    axes.set_ylabel("quality")
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize="small")


def draw_models(found: Comparison) -> Figure:
    """Draw quality against price: single models, routing among them, mixing, and the oracle."""
    figure = Figure(figsize=(8, 5.5), layout="constrained")
    axes = figure.add_subplot()
    for name, single in found.singles.items():
        axes.plot(single.price, single.quality, marker="o", color="black", linestyle="")
        axes.annotate(
            name, (single.price, single.quality), xytext=(5, -3), textcoords="offset points", fontsize=7
        )
    dearest = max(single.price for single in found.singles.values())
    cheapest = min(single.price for single in found.singles.values())
    prices = np.linspace(cheapest, dearest, 50)
    mixed = [mixing(found.singles.values(), price) for price in prices]
    axes.plot(prices, mixed, linestyle="--", color="grey", label="mixing single models by lot")
    for points, label, colour in (
        (found.one_score, "one score and thresholds", _COLOURS[0]),
        (found.score_each, "a score for each model", _COLOURS[1]),
        (found.oracle, "oracle", _COLOURS[2]),
    ):
        ordered = sorted(points, key=lambda point: point.price)
        axes.plot(
            [point.price for point in ordered],
            [point.quality for point in ordered],
            marker=".",
            color=colour,
            label=label,
        )
    axes.set_xlabel("USD per million tokens, mean of all requests")
    axes.set_ylabel("quality")
    axes.set_xlim(0, 1.45 * dearest)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.grid(alpha=0.3)
    axes.legend(loc="center right", fontsize="small")
    return figure


def svg(figure: Figure) -> str:
    """Write a figure as an SVG element, to stand in a page."""
    found = _drawn(figure, ".svg").decode()
    return found[found.index("<svg") :]


def save(figure: Figure, path: Path) -> None:
    """Save a figure in the format that the ending of *path* names."""
    if path.suffix not in FORMATS:
        raise LabError(f"{path}: expected a name that ends with {' or '.join(FORMATS)}")
    write_bytes(path, _drawn(figure, path.suffix))


def _drawn(figure: Figure, suffix: str) -> bytes:
    """Draw so that the same picture gives the same bytes: no random identifiers, no date; text stays text."""
    drawn = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "routerlab", "svg.fonttype": "none"}):
        if suffix == ".svg":
            FigureCanvasSVG(figure).print_figure(drawn, metadata={"Date": None})
        else:
            FigureCanvasAgg(figure).print_figure(drawn, dpi=150)
    return drawn.getvalue()
