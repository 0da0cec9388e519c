"""The decision: which tier a scored request goes to, and what is learnt from it.

Fixed thresholds decide by themselves. Thresholds that follow the traffic are decided by `learn`, which takes
what all workers know as bytes and gives back what they know now, so that whoever keeps the bytes can make
both one step, by comparing and swapping.
"""

from dataclasses import dataclass

from aigateway import signals

from .names import Ask
from .thresholds import Threshold
from .tiers import Pair, Tier
from .tuning import Decision, State, tie_of
from .window import level_of, score_of
from .worth import Worth

__all__ = ["Request", "Verdict", "apply", "fixed", "learn", "weigh"]

_WORTH = "worth"
"""What stands in metrics where otherwise the name of a scorer does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A scored request, for which a tier is to be found."""

    pair: Pair
    threshold: Threshold
    scorer: str
    fingerprint: bytes
    """Of the scorer."""
    score: float
    """Where worth decides, the quality that is predicted of the tier."""
    costs: tuple[int, ...] | None = None
    """What it may cost in each tier, in nano-USD."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What becomes of a request."""

    request: Request
    tier: Tier
    thresholds: tuple[float, ...]
    """None where worth has decided."""
    learnt: Decision | None = None
    """What the thresholds that follow the traffic say; None if nobody asked them."""
    shadow: Tier | None = None
    """The tier they would have chosen, in the mode `shadow`."""

    @property
    def signals(self) -> dict[str, str]:
        """Write it as request headers."""
        told = {signals.SCORE: _decimal(self.request.score), signals.TIER: self.tier.name}
        if self.thresholds:
            told[signals.THRESHOLD] = ",".join(map(_decimal, self.thresholds))
        return told

    @property
    def quality(self) -> float | None:
        """Estimate the quality of the answer, 0 to 1; None if nobody knows that of the tiers.

        A calibration says how good all answers together are at a share of strong ones. Without one it is the
        quality of the tier, as if scores said nothing: the least that routing can be worth. Where worth has
        decided, the score is a prediction of the quality.
        """
        if not self.thresholds:
            return self.request.score
        calibration = self.request.threshold.calibration
        if calibration is not None and self.learnt is not None and self.shadow is None:
            quality = calibration.quality(self.learnt.shares[0])
            if quality is not None:
                return quality
        return self.tier.quality


def fixed(request: Request, ask: Ask) -> Verdict:
    """Decide by the thresholds that the caller has named, or else by those that are configured."""
    thresholds = ask.thresholds or request.threshold.given
    tier = request.pair.tiers[request.pair.tier_of(request.score, thresholds)]
    return Verdict(request=request, tier=tier, thresholds=thresholds)


def weigh(pair: Pair, worth: Worth, threshold: Threshold, text: str, costs: tuple[int, ...]) -> Verdict:
    """Decide by what the answers of the tiers to a prompt are worth beyond their *costs*, in nano-USD."""
    qualities = worth.models.of(text)
    index = worth.choose(qualities, costs)
    request = Request(
        pair=pair, threshold=threshold, scorer=_WORTH, fingerprint=b"", score=qualities[index], costs=costs
    )
    return Verdict(request=request, tier=pair.tiers[index], thresholds=())


def learn(request: Request, known: bytes | None) -> tuple[Verdict, bytes]:
    """Decide by what is *known* of recent traffic, and say what is known after this request."""
    threshold, level = request.threshold, level_of(request.score)
    state = _state(request, known)
    if request.costs is not None:
        state.note_costs(request.costs[0], request.costs[-1])
    goals = threshold.target.goals(request.costs, state.mean_costs)
    # In the shadow, the given thresholds are what the others are compared with.
    initial = [level_of(value) for value in threshold.given if threshold.mode != "shadow"]
    decision = state.decide(level, goals, threshold.limits, initial)
    return _verdict(request, decision), state.to_bytes()


def apply(request: Request, known: bytes | None, count: int) -> Verdict:
    """Decide by what is *known* and learn nothing; the *count* of such requests divides equal scores.

    As long as too little is known the configured thresholds decide, or the target share of all requests.
    """
    threshold, tie = request.threshold, tie_of(count)
    state = _state(request, known)
    if len(state.window) < threshold.limits.min_samples and threshold.given:
        return fixed(request, Ask(request.pair.name))
    goals = threshold.target.goals(request.costs, state.mean_costs)
    if len(state.window) < threshold.limits.min_samples:
        share = next((index for index, goal in enumerate(goals) if tie < goal.share), len(goals))
        return Verdict(
            request=request, tier=request.pair.tiers[share], thresholds=(request.score,) * len(goals)
        )
    return _verdict(request, state.apply(level_of(request.score), goals, tie))


def _state(request: Request, known: bytes | None) -> State:
    return State.from_bytes(
        known,
        request.fingerprint,
        request.threshold.fingerprint,
        request.pair.boundaries,
        request.threshold.limits.window_requests,
    )


def _verdict(request: Request, decision: Decision) -> Verdict:
    learnt = request.pair.tiers[decision.tier]
    if request.threshold.mode == "shadow":
        given = request.threshold.given
        tier = request.pair.tiers[request.pair.tier_of(request.score, given)]
        return Verdict(request=request, tier=tier, thresholds=given, learnt=decision, shadow=learnt)
    thresholds = tuple([score_of(level) for level in decision.thresholds])
    return Verdict(request=request, tier=learnt, thresholds=thresholds, learnt=decision)


def _decimal(value: float) -> str:
    """Write a score with the five decimals that RouteLLM's thresholds have."""
    return f"{value:.5f}"
