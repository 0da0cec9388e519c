"""The tuner as an ordinary library: one process, no proxy."""

from .config import Config
from .names import Ask
from .prompt import Prompt
from .scopes import scope_name
from .verdicts import Request, Verdict, apply, fixed, learn, weigh

__all__ = ["Tuner", "request_for", "scope_for"]


def request_for(
    config: Config, ask: Ask, scorer: str, score: float, costs: tuple[int, ...] | None
) -> Request:
    """Put together what is decided about: a pair, its threshold, and a score of the scorer of that name."""
    return Request(
        pair=config.pairs[ask.pair],
        threshold=config.thresholds[ask.pair],
        scorer=scorer,
        fingerprint=config.scorers.fingerprints[scorer],
        score=score,
        costs=costs,
    )


def scope_for(config: Config, ask: Ask, *, route: str, domain: str, stand_in: str = "") -> str:
    """Name what a request is remembered with; *stand_in* is the scorer that stands in for another."""
    is_default = ask.pair == next(iter(config.pairs))
    scope = config.thresholds[ask.pair].scope
    return scope_name(
        scope, route=route, domain=domain, pair="" if is_default else ask.pair, stand_in=stand_in
    )


class Tuner:
    """Scores prompts and chooses tiers, and remembers what the thresholds need."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.known: dict[str, bytes] = {}
        """What is remembered, by scope."""
        self._applied = 0

    def decide(
        self,
        prompt: Prompt,
        *,
        model: str | None = None,
        route: str = "",
        domain: str = "general",
        prompt_tokens: int = 1,
    ) -> Verdict | None:
        """Decide about a prompt that asks for a *model*; None if that name asks for no routing.

        Raises `InvalidRequestError` for a name that begins with `router-` and goes wrong. A scorer that is a
        service is not asked: the one that stands in for it is.
        """
        config = self.config
        ask = config.vocabulary.parse(model)
        if ask is None:
            return None
        costs = config.pairs[ask.pair].costs(prompt_tokens, config.expected_output_tokens)
        worth = config.worth_for(ask)
        if worth is not None and costs is not None:
            return weigh(config.pairs[ask.pair], worth, config.thresholds[ask.pair], prompt.text or "", costs)
        name, scorer = config.scorers.local(ask.scorer or config.chosen[ask.pair])
        request = request_for(config, ask, name, scorer.score(prompt), costs)
        if ask.thresholds or request.threshold.mode == "fixed":
            return fixed(request, ask)
        scope = scope_for(config, ask, route=route, domain=domain)
        if request.threshold.mode == "frozen":
            self._applied += 1
            return apply(request, self.known.get(scope), self._applied)
        verdict, self.known[scope] = learn(request, self.known.get(scope))
        return verdict
