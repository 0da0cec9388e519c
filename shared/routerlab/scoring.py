"""What can be evaluated and calibrated: the tuner's own scorers, by name, just as they run in the gateway."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ai_nexus_classifier import Config as ClassifierConfig
from ai_nexus_classifier import classify_text
from ai_routellm_threshold_tuner.prompt import Prompt
from ai_routellm_threshold_tuner.scorers import Scorers, ScoringService, read_scorers
from ai_routellm_threshold_tuner.scorers.linear import LinearScorer
from ai_routellm_threshold_tuner.scorers.signals import HeaderScore
from aigateway.config import ConfigError, Reader

from .configs import parsed, read_plugin_config
from .files import FileError, LabError, read_text
from .metrics import Floats

__all__ = ["BUILT_IN", "Progress", "TextScorer", "read_scorer_file", "score_all", "scorer_named"]

BUILT_IN = ("words", "complexity", "characters")

Progress = Callable[[Sequence[str]], Iterable[str]]


@dataclass(frozen=True, slots=True)
class TextScorer:
    """Scores prompts, 0 to 1, under a name."""

    name: str
    score: Callable[[str], float]


def scorer_named(text: str) -> TextScorer:
    """Give the scorer that a command line names: one of `BUILT_IN`, or `linear=FILE` for a trained one."""
    name, _, file = text.partition("=")
    if file and name == "linear":
        return TextScorer(Path(file).stem, _linear(Path(file)).score)
    if file or name not in BUILT_IN:
        expected = ", ".join((*BUILT_IN, "linear=FILE"))
        raise LabError(f"{text!r}: expected the name of a scorer: {expected}")
    if name == "characters":
        return TextScorer(name, lambda prompt: len(prompt) / (len(prompt) + 500))
    return TextScorer(name, _in_gateway(name, Scorers.built_in()))


def read_scorer_file(path: Path) -> list[TextScorer]:
    """Read the scorers of a tuner's configuration.

    Scorers that ask a service, or read a header, are not for offline use and left out.
    """
    reader = Reader({"scorers": read_plugin_config(path).get("scorers")})

    def read() -> Scorers:
        found = read_scorers(reader)
        reader.finish()
        return found

    scorers = parsed(path, read)
    return [
        TextScorer(name, _in_gateway(name, scorers))
        for name, scorer in scorers.by_name.items()
        if not isinstance(scorer, ScoringService | HeaderScore) and name not in BUILT_IN
    ]


def score_all(scorer: TextScorer, prompts: Sequence[str], progress: Progress = iter) -> Floats:
    """Score all prompts."""
    return np.array([scorer.score(prompt) for prompt in progress(prompts)], dtype=np.float64)


def _in_gateway(name: str, scorers: Scorers) -> Callable[[str], float]:
    """Give what the gateway would do with a prompt: the classifier first, then the scorer."""
    scorer = scorers.by_name[name]
    config = ClassifierConfig()

    def score(text: str) -> float:
        assert not isinstance(scorer, ScoringService)
        return scorer.score(Prompt(text=text, complexity=classify_text(text, config).complexity))

    return score


def _linear(path: Path) -> LinearScorer:
    text = read_text(path)
    try:
        return LinearScorer.from_json(json.loads(text))
    except json.JSONDecodeError as error:
        place = f"{path}:{error.lineno}"
        raise FileError(f"{place}: column {error.colno}: expected JSON, got {error.msg}") from error
    except (ConfigError, TypeError, AttributeError) as error:
        raise FileError(f"{path}: expected a scorer that `train` has written, got\n{error}") from error
