import json
import math
from pathlib import Path

import pytest

from aigateway.tokens import estimate_tokens
from routerlab.files import FileError
from routerlab.traffic import read_log, read_prompts

CHAT = {
    "model": "auto",
    "messages": [{"role": "user", "content": "first"}, {"role": "user", "content": "last"}],
}


def write(path: Path, *lines: object) -> Path:
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    return path


def test_prompts_of_json_lines_and_of_request_bodies(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", {"prompt": "plain"}, "", CHAT)

    traffic = read_prompts(path)

    assert list(traffic.prompts) == ["plain", "last"]
    assert traffic.prompt_tokens.tolist() == [estimate_tokens(prompt) for prompt in traffic.prompts]


def test_prompts_of_text_and_csv(tmp_path: Path) -> None:
    text, table = (
        write(tmp_path / "p.txt", "one", " ", "two words"),
        write(tmp_path / "p.csv", "id,prompt", '1,"a, b"'),
    )

    assert list(read_prompts(text).prompts) == ["one", "two words"]
    assert list(read_prompts(table).prompts) == ["a, b"]


def test_scores_and_tokens_of_a_log(tmp_path: Path) -> None:
    path = write(
        tmp_path / "access.log",
        {"score": "0.25", "prompt_tokens": "10", "output_tokens": 7},
        {"path": "/healthz", "score": "-"},
        {"score": 1, "completion_tokens": 3, "prompt_tokens": "-"},
        {"status": 404},
    )

    traffic = read_log(path)

    assert (traffic.scores.tolist(), traffic.skipped, len(traffic)) == ([0.25, 1], 2, 2)
    assert traffic.output_tokens.tolist() == [7, 3]
    assert traffic.prompt_tokens[0] == 10
    assert math.isnan(traffic.prompt_tokens[1])


def test_scores_may_be_nested(tmp_path: Path) -> None:
    path = write(tmp_path / "access.log", {"tuner": {"score": 0.5}}, {"tuner": None})

    assert read_log(path, score="tuner.score").scores.tolist() == [0.5]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("{", "column 2: expected JSON, got an error: Expecting property name enclosed in double quotes"),
        ("[1]", "expected a JSON object, got a list"),
        ('{"score": true}', "score: expected a number from 0 to 1, got true"),
        ('{"score": 1.5}', "score: expected a number from 0 to 1, got 1.5"),
        ('{"score": "a secret prompt"}', "score: expected a number from 0 to 1, got text of 15 characters"),
        ('{"score": NaN}', "score: expected a number from 0 to 1, got nan"),
        ('{"score": 1, "prompt_tokens": -1}', "prompt_tokens: expected a number of tokens, got -1"),
        ("[" * 100_000, "expected JSON, got objects nested too deep"),
    ],
)
def test_what_is_wrong_in_a_log(tmp_path: Path, line: str, expected: str) -> None:
    path = write(tmp_path / "access.log", {"score": 0.5}, line)

    with pytest.raises(FileError) as caught:
        read_log(path)

    assert str(caught.value) == f"{path}:2: {expected}"


def test_a_log_without_any_score(tmp_path: Path) -> None:
    path = write(tmp_path / "access.log", {"status": 200}, {"status": 200})

    with pytest.raises(FileError, match=r"score: expected scores in some lines, got none in 2 lines"):
        read_log(path)


def test_lines_that_are_no_prompts_are_told_without_their_content(tmp_path: Path) -> None:
    path = write(tmp_path / "p.jsonl", {"prompt": ""}, {"question": "a secret"}, {"messages": "a secret"})

    with pytest.raises(FileError) as caught:
        read_prompts(path)

    assert "secret" not in str(caught.value)
    assert str(caught.value).splitlines()[1] == (
        f"{path}:2: expected an object with 'prompt', or the body of a request to a model, "
        "got an object with 'question'"
    )


def test_a_file_without_prompts(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="at least one prompt, got none"):
        read_prompts(write(tmp_path / "p.txt", ""))
