import csv
import json
from pathlib import Path
from random import Random

import pytest
import yaml

from ai_cost_optimal_router import Config, Knowledge, Router, Situation
from ai_routellm_threshold_tuner import Config as TunerConfig
from ai_routellm_threshold_tuner import Prompt, Tuner
from routerlab.cli import main
from routerlab.commands import NOT_SHIPPED

EASY = ["river", "stone", "cloud", "table", "green", "seven", "market", "window", "letter", "garden"]
HARD = ["integral", "tensor", "eigenvalue", "manifold"]


def write_pairs(path: Path, rows: int, *, noise: float = 0.1) -> Path:
    """Write pairs of which those with a hard word are gained; length says nothing."""
    draw = Random(1)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["domain", "prompt", "weak_correct", "strong_correct"])
        for number in range(rows):
            is_hard = draw.random() < 0.4
            words = draw.choices(EASY, k=draw.randint(8, 14)) + (
                [draw.choice(HARD)] if is_hard else ["plain"]
            )
            is_gained = is_hard != (draw.random() < noise)
            writer.writerow(["x", f"{' '.join(words)} {number}", 1 - is_gained, 1])
    return path


def test_train_then_evaluate_then_calibrate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs, scorer = write_pairs(tmp_path / "pairs.csv", 500), tmp_path / "out" / "mine.json"

    assert main(["train", str(pairs), "-o", str(scorer), "--resamples", "40"]) == 0
    said = capsys.readouterr().out
    assert "350 rows to learn from, 150 held out" in said
    assert "the scorer beats the number of words on 100% of 40 resamples" in said
    artifact = json.loads(scorer.read_text())
    assert artifact["trained_on"] == {"file": "pairs.csv", "rows": 350, "seed": 0, "domains": 0}
    assert artifact["metrics"]["apgr"] > artifact["metrics"]["apgr_words"] + 0.1

    report, plot, figures = (tmp_path / name for name in ("report.html", "curve.svg", "figures.json"))
    arguments = [
        "evaluate",
        str(pairs),
        "--scorer",
        "words",
        "--scorer",
        f"linear={scorer}",
        "--resamples",
        "20",
    ]
    arguments += ["--report", str(report), "--plot", str(plot), "--json", str(figures)]
    assert main(arguments) == 0
    assert "mine" in capsys.readouterr().out
    assert "APGR" in report.read_text()
    assert "mine, APGR" in plot.read_text()
    routers = json.loads(figures.read_text())[0]["routers"]
    assert [router["name"] for router in routers] == ["random", "words", "mine", "oracle"]

    calibration = tmp_path / "calibration.yaml"
    arguments = ["calibrate", str(pairs), "--scorer", f"linear={scorer}", "--strong-fraction", "0.3"]
    assert main([*arguments, "-o", str(calibration)]) == 0
    said = capsys.readouterr().out
    assert "30.00% of 500 requests strong" in said
    assert "quality" in said, "pairs say what a threshold is worth"
    found = yaml.safe_load(calibration.read_text())["calibration"]
    assert found["scorer"] == "mine"
    assert {"strong_fraction", "threshold", "quality"} == set(found["points"][5])


def test_a_scorer_no_better_than_counting_words_is_not_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs, scorer = write_pairs(tmp_path / "pairs.csv", 200, noise=0.5), tmp_path / "mine.json"

    assert main(["train", str(pairs), "-o", str(scorer), "--resamples", "40"]) == NOT_SHIPPED

    said = capsys.readouterr().err
    assert said.startswith("not written: on rows held out the scorer has APGR ")
    assert "train on more labels" in said
    assert not scorer.exists()


def test_labels_that_leave_too_few_to_measure_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = write_pairs(tmp_path / "pairs.csv", 60)

    assert main(["train", str(pairs), "--labels", "50", "-o", str(tmp_path / "x")]) == 1
    assert capsys.readouterr().err == "pairs: expected at least 30 rows to hold out, got 10 of 60\n"


def test_scores_of_other_routers_are_evaluated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("prompt,cheap,dear,mf\na,0,1,0.9\nb,1,1,0.2\nc,0,1,0.7\nd,1,1,0.1\n")

    arguments = ["evaluate", str(path), "--weak", "cheap", "--strong", "dear", "--score-column", "mf"]
    assert main([*arguments, "--resamples", "10"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:] if line] == ["router", "random", "mf", "oracle"]


def test_pairs_without_a_gap_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("prompt,weak_correct,strong_correct\na,1,0\n")

    assert main(["evaluate", str(path)]) == 1
    assert "pairs: expected a strong model better than the weak one" in capsys.readouterr().err


def test_a_log_is_calibrated_to_a_saving(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "access.log"
    lines = [{"score": number / 100, "prompt_tokens": 1_000, "output_tokens": 100} for number in range(100)]
    log.write_text("\n".join(map(json.dumps, [*lines, {"path": "/healthz"}])))

    prices = ["--strong-price", "10/30", "--weak-price", "0.5/1.5"]
    assert main(["calibrate", str(log), "--saving", "0.5", *prices, "--scorer-name", "mf"]) == 0

    said = capsys.readouterr().out
    found = yaml.safe_load(said)["calibration"]
    assert found["scorer"] == "mf"
    # With a weak model that costs a twentieth, half of the cost is saved at 47.4 % strong.
    assert "# threshold 0.53: 47.00% of 100 requests strong" in said
    assert "# 1 lines of" in said


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--saving", "0.5"], "a target of money needs the prices of both models"),
        (["--saving", "0.5", "--strong-price", "1/2"], "--strong-price and --weak-price together"),
        (
            ["--saving", "0.5", "--strong-price", "1/2", "--weak-price", "1/2"],
            "has no output tokens: expected their mean as --output-tokens",
        ),
    ],
)
def test_money_that_cannot_be_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], expected: str
) -> None:
    log = tmp_path / "access.log"
    log.write_text('{"score": 0.5, "prompt_tokens": 10}\n')

    assert main(["calibrate", str(log), *arguments]) == 1
    assert expected in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--strong-fraction", "1.5"], "expected a number from 0 to 1, got '1.5'"),
        (["--cost", "nan"], "expected a number of at least 0, got 'nan'"),
        (["--cost", "1", "--weak-price", "3"], "expected two prices like 2.50/10, got '3'"),
        ([], "one of the arguments --strong-fraction --cost --saving is required"),
    ],
)
def test_arguments_that_are_wrong(
    capsys: pytest.CaptureFixture[str], arguments: list[str], expected: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["calibrate", "log", *arguments])

    assert caught.value.code == 2
    assert expected in capsys.readouterr().err


def test_a_scorer_that_does_not_exist(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "pairs.csv", "--scorer", "bert"]) == 1
    assert capsys.readouterr().err.startswith("'bert': expected the name of a scorer")


def test_replay_prints_a_table_and_writes_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log, report = tmp_path / "access.log", tmp_path / "report.html"
    router, draw = Router(Config()), Random(0)
    records = [
        dict(router.choose(Situation(prompt_tokens=10 * number), Knowledge(), draw.random).make_record())
        for number in range(1, 20)
    ]
    log.write_text("\n".join(json.dumps({"audit": record}) for record in records))

    assert main(["replay", str(log), "--strategy", "quality_first", "--report", str(report)]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("19 requests, 0 of them with the tokens that they took")
    assert lines[1] == "19 of the records lead to the choice that was made."
    assert lines[4].startswith("quality_first ")
    assert "quality_first" in report.read_text()


def test_models_are_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scores, prices, plot = tmp_path / "scores.json", tmp_path / "prices.json", tmp_path / "plot.svg"
    draw = Random(0)
    questions = [
        {"question": " ".join(draw.choices(EASY, k=8)), "scores": {"dear": 1, "cheap": draw.randint(0, 1)}}
        for _ in range(60)
    ]
    scores.write_text(json.dumps(questions))
    prices.write_text(json.dumps({name: {"input_price": 1, "output_price": 2} for name in ("dear", "cheap")}))

    written = tmp_path / "tuner.yaml"
    options = ["--splits", "1", "--plot", str(plot), "-o", str(written)]
    assert main(["compare-models", str(scores), str(prices), *options]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("60 prompts, 2 models, means of 1 splits")
    assert lines[2].startswith("dear ")
    assert "a score for each model" in plot.read_text()
    tuner = Tuner(TunerConfig.from_json(yaml.safe_load(written.read_text())))
    verdict = tuner.decide(Prompt(text="Why?"))
    assert verdict is not None
    assert verdict.tier.model in ("dear", "cheap")


def test_a_clone_of_routellm_becomes_pairs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evals = tmp_path / "RouteLLM" / "routellm" / "evals"
    header = "prompt,mixtral-8x7b-instruct-v0.1,gpt-4-1106-preview"
    for folder, file in (("mmlu/responses", "mmlu_law.csv"), ("gsm8k", "gsm8k_responses.csv")):
        (evals / folder).mkdir(parents=True)
        (evals / folder / file).write_text(f"{header}\na,True,True\nb,False,True\n")
    for name in ("mmlu", "gsm8k"):
        (evals / name / "contaminated_prompts.jsonl").write_text('{"eval_prompt": "a"}\n')

    assert main(["import-routellm", str(tmp_path / "RouteLLM"), "-o", str(tmp_path / "data")]) == 0

    assert "1 rows; 1 contaminated ones left out" in capsys.readouterr().out
    assert (tmp_path / "data" / "routellm_mmlu.csv").read_text().splitlines()[1] == "law,b,0,1"
    assert (tmp_path / "data" / "routellm_gsm8k.csv").read_text().splitlines()[1] == "gsm8k,b,0,1"


def test_a_folder_that_is_no_clone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import-routellm", str(tmp_path)]) == 1
    assert "expected files of RouteLLM's evaluation, got none" in capsys.readouterr().err
