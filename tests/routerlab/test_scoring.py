import json
from pathlib import Path

import pytest

from ai_nexus_classifier import Config, classify_text
from ai_routellm_threshold_tuner.scorers.linear import LinearScorer
from ai_routellm_threshold_tuner.scorers.words import WordCount
from routerlab.files import FileError, LabError
from routerlab.scoring import read_scorer_file, score_all, scorer_named

PROMPT = "Prove that every bounded sequence has a convergent subsequence. Why?"

CONFIG = """
apiVersion: extensions.higress.io/v1alpha1
kind: WasmPlugin
spec:
  defaultConfig:
    scorers:
    - {name: short, type: words, half_words: 5}
    - {name: far, type: service, cluster: scores, fallback: short}
    - {name: given, type: header, header: x-score}
    - {name: both, type: ensemble, parts: [{scorer: short}, {scorer: complexity, weight: 3}]}
"""


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    content = LinearScorer(scale=0.1, bias=0.2, weights=bytes(range(64)), dense=(0.5,) * 17).to_json()
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(content | {"trained_on": {"rows": 3}, "metrics": {"apgr": 0.6}}))
    return path


def test_scorers_are_those_of_the_gateway(artifact: Path) -> None:
    assert scorer_named("words").score(PROMPT) == WordCount().score(PROMPT)
    assert scorer_named("complexity").score(PROMPT) == classify_text(PROMPT, Config()).complexity
    trained = scorer_named(f"linear={artifact}")
    assert trained.name == "mine"
    assert trained.score(PROMPT) == LinearScorer(
        scale=0.1, bias=0.2, weights=bytes(range(64)), dense=(0.5,) * 17
    ).score(PROMPT)


def test_characters_rise_with_length() -> None:
    scores = score_all(scorer_named("characters"), ["", "a" * 500, "a" * 100_000])

    assert scores[0] == 0
    assert scores[1] == 0.5
    assert 0.99 < scores[2] < 1


@pytest.mark.parametrize("name", ["word", "words=file", "linear", "linear=", ""])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(
        LabError, match="expected the name of a scorer: words, complexity, characters, linear=FILE"
    ):
        scorer_named(name)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"version": 1,\n', "mine.json:2: column 1: expected JSON"),
        ("[]", "expected a scorer that `train` has written"),
        ('{"version": 1, "weights": "?"}', "weights: expected base64"),
    ],
)
def test_files_that_hold_no_scorer(tmp_path: Path, content: str, expected: str) -> None:
    path = tmp_path / "mine.json"
    path.write_text(content)

    with pytest.raises(FileError) as caught:
        scorer_named(f"linear={path}")

    assert expected in str(caught.value)


def test_the_scorers_of_a_configuration_that_need_nothing_but_text(tmp_path: Path) -> None:
    path = tmp_path / "tuner.yaml"
    path.write_text(CONFIG)

    found = {scorer.name: scorer for scorer in read_scorer_file(path)}

    assert list(found) == ["short", "both"]
    words, complexity = WordCount(half_words=5).score(PROMPT), classify_text(PROMPT, Config()).complexity
    assert found["short"].score(PROMPT) == words
    assert found["both"].score(PROMPT) == pytest.approx((words + 3 * complexity) / 4)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("scorers: [{name: x, type: word}]", "scorers[0].type: expected"),
        ("a: [", "expected YAML or JSON, got an error"),
        ("- 1", "expected the configuration of a plugin, got no object"),
    ],
)
def test_configurations_that_are_wrong(tmp_path: Path, content: str, expected: str) -> None:
    path = tmp_path / "tuner.yaml"
    path.write_text(content)

    with pytest.raises(FileError) as caught:
        read_scorer_file(path)

    assert str(caught.value).startswith(f"{path}: ")
    assert expected in str(caught.value)
