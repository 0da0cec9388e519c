from pathlib import Path

import numpy as np
import pytest

from routerlab.files import FileError
from routerlab.pairs import Pairs, import_routellm, read_pairs, split, write_pairs

HEADER = "domain,prompt,weak_correct,strong_correct\n"


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def problems_of(path: Path) -> list[str]:
    with pytest.raises(FileError) as caught:
        read_pairs(path)
    return str(caught.value).splitlines()


def test_reads_prompts_labels_and_domains(tmp_path: Path) -> None:
    path = write(tmp_path / "p.csv", "\ufeff" + HEADER + 'law,"a, b\nc",1,True\nmath,d,0.5,1\n')

    pairs = read_pairs(path)

    assert (pairs.prompts, pairs.domains, pairs.name) == (["a, b\nc", "d"], ["law", "math"], "p")
    assert (pairs.weak.tolist(), pairs.strong.tolist()) == ([1, 0.5], [1, 1])


def test_a_single_domain_is_none(tmp_path: Path) -> None:
    assert read_pairs(write(tmp_path / "p.csv", HEADER + "gsm8k,a,1,1\ngsm8k,b,0,1\n")).domains is None


def test_columns_may_have_other_names_and_scores(tmp_path: Path) -> None:
    path = write(tmp_path / "p.csv", "gpt,prompt,mixtral,mf\nTrue,a,False,0.25\n")

    pairs = read_pairs(path, weak="mixtral", strong="gpt", scores=["mf"])

    assert (pairs.weak.tolist(), pairs.strong.tolist(), pairs.scores["mf"].tolist()) == ([0], [1], [0.25])


def test_a_prompt_may_be_longer_than_csv_allows_by_default(tmp_path: Path) -> None:
    path = write(tmp_path / "p.csv", HEADER + f"x,{'a' * 200_000},1,1\n")

    assert len(read_pairs(path).prompts[0]) == 200_000


def test_everything_wrong_is_said_with_line_and_column(tmp_path: Path) -> None:
    path = write(
        tmp_path / "p.csv", HEADER + 'x,"a\nb",1,yes\nx,c,2\nx,,nan,0\nx,e,1,this is a whole prompt\n'
    )

    assert problems_of(path) == [
        f"{path}:2: strong_correct: expected 1, 0, true, false or a number from 0 to 1, got 'yes'",
        f"{path}:4: expected 4 columns, like the header, got 3",
        f"{path}:5: prompt: expected a text, got an empty text",
        f"{path}:5: weak_correct: expected 1, 0, true, false or a number from 0 to 1, got 'nan'",
        f"{path}:6: strong_correct: expected 1, 0, true, false or a number from 0 to 1, "
        "got text of 22 characters",
    ]


def test_of_many_problems_the_first_are_told(tmp_path: Path) -> None:
    found = problems_of(write(tmp_path / "p.csv", HEADER + "x,a,?,1\n" * 1_234))

    assert len(found) == 11
    assert found[-1].endswith("1,224 more like these")


def test_columns_that_are_missing(tmp_path: Path) -> None:
    path = write(tmp_path / "p.csv", "prompt,weak_correct\na,1\n")

    assert problems_of(path) == [
        f"{path}:1: expected a header with 'strong_correct', got 'prompt', 'weak_correct'"
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", ":1: expected a header with 'prompt', 'weak_correct', 'strong_correct', got an empty file"),
        (HEADER.encode(), ": expected at least one row, got none"),
        (HEADER.encode() + b"x,ok,1,1\nx,\xff,1,1\n", ":3: expected UTF-8, got the byte 0xff"),
        (HEADER.encode() + b'x,"a,1,1\n', ":2: expected a row of CSV, got unexpected end of data"),
    ],
)
def test_files_that_are_no_pairs(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "p.csv"
    path.write_bytes(content)

    assert problems_of(path) == [f"{path}{expected}"]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"

    assert problems_of(path) == [f"{path}: expected a file that can be read, got No such file or directory"]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    pairs = Pairs(
        "p", ["a\r\nb", 'c"d', " "], np.array([0, 1, 0.125]), np.array([1.0, 1, 0]), ["x", "y", "x"]
    )
    path = tmp_path / "deep" / "p.csv"
    write_pairs(pairs.rows(np.array([0, 1])), path)

    again = read_pairs(path)

    assert (again.prompts, again.domains) == (["a\r\nb", 'c"d'], ["x", "y"])
    assert (again.weak.tolist(), again.strong.tolist()) == ([0, 1], [1, 1])


def numbered(prompts: list[str]) -> Pairs:
    count = len(prompts)
    return Pairs("p", prompts, np.zeros(count), np.ones(count), [str(number) for number in range(count)])


def test_rows_held_out_share_no_prompt_with_those_to_learn_from() -> None:
    pairs = numbered([f"prompt {number % 70}" for number in range(100)])

    parts = split(pairs, 40, np.random.default_rng(0))

    assert len(parts.training) == 40
    assert not set(parts.training.prompts) & set(parts.held_out.prompts)
    assert parts.repeated > 0
    assert len(parts.training) + len(parts.held_out) + parts.repeated == 100


def test_a_split_is_drawn_by_its_generator_alone() -> None:
    pairs = numbered([f"prompt {number}" for number in range(100)])
    first, again, other = (
        split(pairs, 40, np.random.default_rng(seed)).training.domains for seed in (1, 1, 2)
    )

    assert first == again != other


@pytest.mark.parametrize("labels", [0, 3, 9])
def test_a_split_needs_rows_on_both_sides(labels: int) -> None:
    with pytest.raises(ValueError, match=f"from 1 to 2 rows, got {labels}"):
        split(numbered(["a", "b", "c"]), labels, np.random.default_rng(0))


def test_halves_by_hash_are_all_of_it_and_do_not_overlap() -> None:
    pairs = numbered([f"prompt {number}" for number in range(200)])
    even, odd = pairs.half(0), pairs.half(1)

    assert set(even.prompts) | set(odd.prompts) == set(pairs.prompts)
    assert len(even) + len(odd) == 200
    assert 70 < len(even) < 130


def test_routellms_files_are_joined_without_what_is_contaminated(tmp_path: Path) -> None:
    header = "prompt,mixtral,gpt-4\n"
    files = [
        write(tmp_path / "mmlu_law.csv", header + "a,True,True\nb,False,True\n"),
        write(tmp_path / "mmlu_anatomy.csv", header + "c,False,False\n"),
    ]
    banned = write(tmp_path / "c.jsonl", '{"eval_prompt": "b", "train_prompt": "B"}\n')

    pairs, left_out = import_routellm(files, banned, weak="mixtral", strong="gpt-4", name="mmlu")

    assert (pairs.prompts, pairs.domains, left_out) == (["a", "c"], ["law", "anatomy"], 1)
    assert pairs.strong.tolist() == [1, 0]
