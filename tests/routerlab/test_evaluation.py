import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from routerlab import plots
from routerlab.evaluation import Evaluation, Router, aligned, evaluate, figures, headline, rows, text_table
from routerlab.files import LabError
from routerlab.pairs import Pairs
from routerlab.report import Section, page


class Elements(HTMLParser):
    """Notes the elements of a page, and those that are open."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def measured(resamples: int = 50) -> Evaluation:
    generator = np.random.default_rng(0)
    difficulty = generator.random(600)
    weak = (generator.random(600) > difficulty).astype(float)
    pairs = Pairs("some <prompts>", [str(number) for number in range(600)], weak, np.ones(600))
    good = Router("good", difficulty)
    poor = Router("poor", difficulty + 3 * generator.random(600))
    return evaluate(pairs, [good, poor], resamples=resamples, generator=generator)


def test_routers_stand_between_chance_and_oracle() -> None:
    found = measured()
    order = [result.name for result in sorted(found.results, key=lambda result: result.apgr)]

    assert order == ["random", "poor", "good", "oracle"]
    assert found.result("random").apgr == pytest.approx(0.5, abs=0.02)


def test_intervals_hold_the_figure_and_wins_tell_routers_apart() -> None:
    found = measured(100)
    good, poor = found.result("good"), found.result("poor")

    assert good.interval is not None
    assert good.interval[0] < good.apgr < good.interval[1]
    assert poor.interval is not None
    assert poor.interval[1] - poor.interval[0] < 0.2
    assert found.wins("good", "poor") > 0.95
    assert found.wins("good", "poor") + found.wins("poor", "good") == 1


def test_without_resamples_there_are_no_intervals() -> None:
    assert {result.interval for result in measured(0).results} == {None}


def test_routers_of_one_name_are_refused() -> None:
    pairs = Pairs("p", ["a", "b"], np.zeros(2), np.ones(2))

    with pytest.raises(LabError, match="different names, got words, words"):
        evaluate(
            pairs,
            [Router("words", np.array([1.0, 2])), Router("words", np.array([1.0, 2]))],
            resamples=0,
            generator=np.random.default_rng(0),
        )


def test_the_table_has_a_row_for_each_router() -> None:
    found = measured()
    lines = text_table(found).splitlines()

    assert lines[0] == f"some <prompts>: {headline(found)}"
    assert [line.split()[0] for line in lines[1:]] == ["router", "random", "good", "poor", "oracle"]
    assert f"{found.result('good').apgr:.3f}" in lines[3]


def test_columns_stand_below_each_other() -> None:
    assert aligned([("a", "bb"), ("ccc", "d")]) == "a    bb\nccc   d"


def test_figures_are_json_without_nan() -> None:
    found = measured()
    text = json.dumps(figures(found), allow_nan=False)

    routers = json.loads(text)["routers"]
    assert [router["name"] for router in routers] == ["random", "good", "poor", "oracle"]
    assert routers[1]["curve"][0]["strong_share"] == 0
    assert routers[1]["curve"][-1]["strong_share"] == 1


@pytest.mark.parametrize(("suffix", "begins"), [(".svg", b"<?xml"), (".png", b"\x89PNG")])
def test_curves_are_drawn(tmp_path: Path, suffix: str, begins: bytes) -> None:
    path = tmp_path / "deep" / f"curve{suffix}"

    plots.save(plots.draw_evaluations([measured(), measured()]), path)

    assert path.read_bytes().startswith(begins)


def test_a_picture_of_the_same_figures_is_the_same_file(tmp_path: Path) -> None:
    first, second = (plots.svg(plots.draw_evaluations([measured()])) for _ in range(2))

    assert first == second
    assert "good, APGR" in first


def test_other_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"curve\.gif: expected a name that ends with \.svg or \.png"):
        plots.save(plots.draw_evaluations([measured()]), tmp_path / "curve.gif")


def test_the_page_stands_alone_and_is_well_formed() -> None:
    found = measured()
    section = Section(found.pairs.name, ["a & b"], list(rows(found)), plots.draw_evaluations([found]))

    text = page("A <title>", [section], "made here")

    parser = Elements()
    parser.feed(text)
    parser.close()
    assert parser.open == []
    assert parser.names.count("svg") == 1
    assert parser.names.count("tr") == 5
    assert "a &amp; b" in text
    assert "<prompts>" not in text
    assert not {"link", "script", "img", "iframe"} & set(parser.names)
