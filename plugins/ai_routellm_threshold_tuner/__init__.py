"""Strong or weak model, by the score of a prompt and a threshold that follows the traffic.

    >>> from ai_routellm_threshold_tuner import Config, Prompt, Tuner
    >>> tuner = Tuner(Config.from_json({"scorer": "words", "threshold": {"target_strong_fraction": 0.2}}))
    >>> verdicts = [tuner.decide(Prompt(text="word " * (7 * n % 100))) for n in range(500)]
    >>> sum(verdict.tier.name == "strong" for verdict in verdicts)
    102

Importing this package needs no proxy; `ai_routellm_threshold_tuner.filter` is the adapter that runs inside
one.
"""

from .config import Config
from .estimates import saving
from .names import Ask
from .prompt import Prompt
from .tiers import Pair, Tier
from .tuner import Tuner
from .tuning import Decision, Goal, State, TuningLimits
from .verdicts import Verdict

__all__ = [
    "Ask",
    "Config",
    "Decision",
    "Goal",
    "Pair",
    "Prompt",
    "State",
    "Tier",
    "Tuner",
    "TuningLimits",
    "Verdict",
    "saving",
]
