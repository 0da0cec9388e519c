"""The configuration of the tuner: pairs of models, scorers, and what the thresholds are to hold."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from aigateway.catalog import read_catalog
from aigateway.config import Reader

from .names import Ask, Vocabulary
from .prompt import PromptScope
from .scorers import Scorers, read_scorers
from .thresholds import Threshold, ThresholdBlock
from .tiers import ConfiguredPair, Pair
from .worth import Worth

__all__ = ["Config", "HandOver"]

HandOver = Literal["tier", "model"]

_NAME: Final = re.compile(r"[A-Za-z0-9_]{1,40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The configuration of the plugin `ai-routellm-threshold-tuner`."""

    pairs: Mapping[str, Pair]
    """The first is the default."""
    thresholds: Mapping[str, Threshold]
    """By pair."""
    chosen: Mapping[str, str]
    """The name of the scorer of each pair."""
    scorers: Scorers = field(repr=False)
    vocabulary: Vocabulary
    """The names of all this, as clients may use them."""
    prompt_scope: PromptScope
    """What is scored: the last turn of the user, all of the user's turns, or every turn."""
    hand_over: HandOver
    """What a decision becomes: the header `x-ai-tier` for the router, or the model itself."""
    trust_signals: bool
    """Whether an earlier plugin has removed the signals that clients forge; otherwise this one does."""
    expected_output_tokens: int
    """How long an answer is taken to be, for estimates of costs."""
    max_body_bytes: int
    """Larger bodies are not read, and go to the strongest tier."""
    max_scopes: int
    """So many routes and domains have thresholds of their own; all beyond share one."""

    def worth_for(self, ask: Ask) -> Worth | None:
        """Give what decides about a request that names no threshold, if it is not one."""
        return None if ask.thresholds else self.pairs[ask.pair].worth

    @classmethod
    def from_json(cls, value: object) -> "Config":
        """Read a configuration, or raise `ConfigError` with everything that is wrong with it."""
        reader = Reader(value)
        scorers = read_scorers(reader)
        catalog = read_catalog(reader)
        block = ThresholdBlock.read(reader.table("threshold"))
        scorer = _scorer(reader, scorers, "complexity")
        pairs: dict[str, Pair] = {}
        thresholds: dict[str, Threshold] = {}
        chosen: dict[str, str] = {}
        # Without a list of pairs the tiers of one stand at the top.
        for entry in reader.tables("pairs") or [reader]:
            name = "default" if entry is reader else entry.string("name", "default")
            if not _NAME.fullmatch(name) or name in pairs:
                entry.refuse("name", "a name of its own, of at most 40 letters, digits and underscores", name)
            tiers = ConfiguredPair.read(entry, name, catalog)
            has_own = entry is not reader and "threshold" in entry
            own = ThresholdBlock.read(entry.table("threshold")) if has_own else block
            pairs[name] = tiers.pair
            chosen[name] = scorer if entry is reader else _scorer(entry, scorers, scorer)
            thresholds[name] = own.threshold_of(tiers, chosen[name])
        hand_over: HandOver = reader.choice("hand_over", "tier", among=("tier", "model"))
        for pair in pairs.values() if hand_over == "model" else ():
            for tier in pair.tiers:
                if tier.model is None:
                    reader.refuse("hand_over", f"'tier', for the tier {tier.name!r} has no model", hand_over)
        automatic = reader.strings("auto_models", ("auto",))
        config = cls(
            pairs=pairs,
            thresholds=thresholds,
            chosen=chosen,
            scorers=scorers,
            vocabulary=Vocabulary(
                pairs={name: pair.boundaries for name, pair in pairs.items()},
                scorers=tuple(scorers.by_name),
                automatic=automatic,
            ),
            prompt_scope=reader.choice(
                "prompt_scope", "last_user", among=("last_user", "all_user", "conversation")
            ),
            hand_over=hand_over,
            trust_signals=reader.boolean("trust_signals", True),
            expected_output_tokens=reader.integer("expected_output_tokens", 300, at_least=0, at_most=10**6),
            max_body_bytes=reader.integer("max_body_bytes", 16 * 1024 * 1024, at_least=1),
            max_scopes=reader.integer("max_scopes", 64, at_least=1, at_most=10_000),
        )
        reader.finish()
        return config


def _scorer(reader: Reader, scorers: Scorers, default: str) -> str:
    """Read the name of a scorer."""
    name = reader.string("scorer", default)
    if name not in scorers.by_name:
        reader.refuse("scorer", f"one of {', '.join(scorers.by_name)}", name)
        return "complexity"
    return name
