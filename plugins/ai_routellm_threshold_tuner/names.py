"""Names of models that ask for routing: `router-<scorer>-<threshold>`, as RouteLLM has them, and `auto`.

    router-mf-0.11593          this scorer, this threshold, the pair called `default`
    router-coding-mf-0.11593   the same for the pair called `coding`
    router-mf-0.7,0.4          three tiers, two thresholds
    auto, auto-coding          the scorer and the threshold of the configuration

Any other name is a model's, and none of this plugin's business.
"""

import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from aigateway.refusals import InvalidRequestError, Refusal
from aigateway.signals import encode_text

__all__ = ["ROUTELLM_SCORERS", "Ask", "Vocabulary"]

ROUTELLM_SCORERS = frozenset({"mf", "bert", "sw_ranking", "causal_llm"})
"""The routers of RouteLLM that a name may mean; configuration says which scorer does their work."""

_PREFIX = "router-"
_OPEN_EXPONENT = re.compile(r".*[0-9.][eE]", re.DOTALL)
_NUMBER = re.compile(r"[0-9]{0,9}\.?[0-9]{0,40}(?:[eE][+-]?[0-9]{1,3})?")
_LONGEST = 256
"""Characters of a name; no more is looked at."""
_QUOTED_LENGTH = 60


@dataclass(frozen=True, slots=True)
class Ask:
    """What a name asks for."""

    pair: str
    scorer: str | None = None
    """None: that of the configuration."""
    thresholds: tuple[float, ...] = ()
    """Strongest first; none: as the configuration has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """The names that are known here."""

    pairs: Mapping[str, int]
    """The names of the pairs, and how many thresholds each has; the first is the default."""
    scorers: Collection[str]
    automatic: Collection[str] = ("auto",)
    """The names that ask for routing without saying how."""

    def parse(self, model: str | None) -> Ask | None:
        """Tell what a model's name asks for; None: nothing of this plugin.

        A request without a model asks for what `auto` does. Raises `InvalidRequestError` (400) for a name
        that begins with `router-` and goes wrong, saying what was expected.
        """
        default = next(iter(self.pairs))
        if not model or model in self.automatic:
            return Ask(default) if self.automatic else None
        for name in self.automatic:
            if model.startswith(f"{name}-") and model[len(name) + 1 :] in self.pairs:
                return Ask(model[len(name) + 1 :])
        return self._router(model, default) if model.startswith(_PREFIX) else None

    def _router(self, model: str, default: str) -> Ask:
        scorer, written = _split(model[:_LONGEST].removeprefix(_PREFIX))
        if not scorer or not written:
            raise _refused("expected router-<scorer>-<threshold>, such as router-mf-0.11593", model)
        pair = default
        if scorer not in self.scorers:
            head, _, tail = scorer.rpartition("-")
            if head in self.pairs or (head and tail in self.scorers):
                pair, scorer = head, tail
        if pair not in self.pairs:
            raise _refused(
                f"there is no pair of models called {_quoted(pair)}{_near(pair, self.pairs)}", model
            )
        if scorer not in self.scorers:
            raise _refused(self._unknown_scorer(scorer), model)
        thresholds = tuple([_threshold(text, model) for text in written.split(",")])
        needed = self.pairs[pair]
        if len(thresholds) != needed:
            wanted = "one threshold" if needed == 1 else f"{needed} thresholds with commas between"
            raise _refused(f"expected {wanted}, got {len(thresholds)}", model)
        if list(thresholds) != sorted(thresholds, reverse=True):
            raise _refused("expected thresholds that fall, strongest tier first", model)
        return Ask(pair, scorer, thresholds)

    def _unknown_scorer(self, scorer: str) -> str:
        if scorer in ROUTELLM_SCORERS:
            return f"the scorer {_quoted(scorer)} of RouteLLM is not configured here{_near('', self.scorers)}"
        return f"there is no scorer called {_quoted(scorer)}{_near(scorer, self.scorers)}"


def _split(rest: str) -> tuple[str, str]:
    """Split at the last hyphen that is not in an exponent such as 1e-3."""
    *parts, written = rest.split("-")
    while len(parts) > 1 and written[:1].isdigit() and _OPEN_EXPONENT.fullmatch(parts[-1]):
        written = f"{parts.pop()}-{written}"
    if parts and parts[-1] == "":  # The second of two hyphens is a sign.
        return "-".join(parts[:-1]), f"-{written}"
    return "-".join(parts), written


def _threshold(text: str, model: str) -> float:
    value = float(text) if text not in ("", ".") and _NUMBER.fullmatch(text) and text[0] not in "eE" else -1.0
    if not 0 <= value <= 1:
        raise _refused(f"expected a threshold from 0 to 1, got {_quoted(text)}", model)
    return value


def _near(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    listed = ", ".join(sorted(known)[:20])
    return f", did you mean {close[0]!r}?" if close else f"; there are {listed}"


def _quoted(text: str) -> str:
    return repr(encode_text(text)[:_QUOTED_LENGTH])


def _refused(why: str, model: str) -> InvalidRequestError:
    message = f"model {_quoted(model)}: {why}"
    return InvalidRequestError(Refusal(status=400, message=message, param="model", code="invalid_router"))
