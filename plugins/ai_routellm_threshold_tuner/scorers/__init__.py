"""The scorers: each gives a prompt a number from 0 to 1, how likely the strong model is to do better.

One class each, made by configuration:

    scorers:
      - {name: linear, type: linear, model: {...}}
      - {name: mf, type: alias, of: linear}
      - {name: both, type: ensemble, parts: [{scorer: linear, weight: 2}, {scorer: words}]}

`complexity` and `words` are there without it.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from aigateway.config import Reader

from .elo import SimilarBattles
from .ensemble import Ensemble
from .knn import NearestPrompts
from .linear import LinearScorer
from .scorer import OfText, Scorer
from .service import ScoringService
from .signals import Complexity, HeaderScore
from .tree import Forest
from .words import WordCount

__all__ = ["FINGERPRINT_BYTES", "Scorer", "Scorers", "ScoringService", "read_scorers"]

FINGERPRINT_BYTES: Final = 8

_NAME: Final = re.compile(r"[a-z0-9_]{1,40}")
_HEADER: Final = re.compile(r"[a-z0-9_-]{1,100}")
_WORD: Final = re.compile(r"[!-~]{1,200}")
_PATH: Final = re.compile(r"/[!-~]{0,1000}")
_TYPES: Final = (
    "linear",
    "words",
    "complexity",
    "knn",
    "elo",
    "tree",
    "header",
    "ensemble",
    "service",
    "alias",
)


@dataclass(frozen=True, slots=True)
class Scorers:
    """All scorers by name, with eight bytes each that change when what they say may change."""

    by_name: Mapping[str, Scorer | ScoringService]
    fingerprints: Mapping[str, bytes]
    headers: tuple[str, ...] = ()
    """The request headers that they read."""

    def local(self, name: str) -> tuple[str, Scorer]:
        """Give the scorer of that name, or the one that stands in for a service, with its own name."""
        scorer = self.by_name[name]
        if isinstance(scorer, ScoringService):
            return scorer.fallback, scorer.local
        return name, scorer

    @classmethod
    def built_in(cls) -> "Scorers":
        """Give those that need no configuration."""
        return cls(
            {"complexity": Complexity(), "words": OfText(WordCount())},
            {name: _fingerprint(name) for name in ("complexity", "words")},
        )


def read_scorers(reader: Reader) -> Scorers:
    """Read the list `scorers`."""
    built_in = Scorers.built_in()
    by_name, fingerprints = dict(built_in.by_name), dict(built_in.fingerprints)
    listed = reader.value("scorers")
    headers: list[str] = []
    taken: set[str] = set()
    for index, entry in enumerate(reader.tables("scorers")):
        name = entry.text("name", _NAME, "at most 40 lower-case letters, digits and underscores")
        if name in taken:
            entry.refuse("name", "a name of its own", name)
        taken.add(name)
        kind = entry.choice("type", "", among=("", *_TYPES))
        if not kind:
            entry.refuse("type", f"one of {', '.join(_TYPES)}", None)
            continue
        references: list[str] = []
        scorer = _read(entry, kind, by_name, references)
        if isinstance(scorer, HeaderScore):
            headers.append(scorer.header)
        if scorer is not None:
            by_name[name] = scorer
            definition = listed[index] if isinstance(listed, list | tuple) else None
            fingerprints[name] = _fingerprint(
                json.dumps(definition, sort_keys=True, default=repr),
                *[fingerprints[each] for each in references],
            )
    return Scorers(by_name, fingerprints, tuple(headers))


def _fingerprint(definition: str, *parts: bytes) -> bytes:
    return hashlib.sha256(b"".join([definition.encode(), *parts])).digest()[:FINGERPRINT_BYTES]


def _read(
    entry: Reader, kind: str, known: Mapping[str, Scorer | ScoringService], references: list[str]
) -> Scorer | ScoringService | None:
    """Read one scorer of a type, and note the names of those that it is made of."""

    def reference(key: str, owner: Reader) -> Scorer | ScoringService | None:
        name = owner.string(key, "")
        if name not in known:
            owner.refuse(key, "the name of a scorer that is listed before, complexity or words", name or None)
            return None
        references.append(name)
        return known[name]

    def pure(key: str, owner: Reader) -> Scorer | None:
        scorer = reference(key, owner)
        if isinstance(scorer, ScoringService):
            owner.refuse(key, "a scorer that is no service", owner.string(key, ""))
            return None
        return scorer

    readers: Mapping[str, Callable[[], Scorer | ScoringService | None]] = {
        "linear": lambda: OfText(LinearScorer.read(entry.table("model"))),
        "words": lambda: OfText(WordCount(half_words=entry.number("half_words", 100.0, above=0))),
        "complexity": Complexity,
        "knn": lambda: _prepared(NearestPrompts.read(entry)),
        "elo": lambda: _prepared(SimilarBattles.read(entry)),
        "tree": lambda: OfText(Forest.read(entry)),
        "header": lambda: _header(entry),
        "ensemble": lambda: _ensemble(entry, pure),
        "service": lambda: _service(entry, pure),
        "alias": lambda: reference("of", entry),
    }
    return readers[kind]()


def _prepared(model: NearestPrompts | SimilarBattles) -> Scorer:
    """Build the index while the configuration is read; what is wrong with it is noted already."""
    try:
        model.prepare()
    except (KeyError, ValueError):
        return OfText(WordCount())
    return OfText(model)


def _header(entry: Reader) -> Scorer:
    header = entry.text("header", _HEADER, "the name of a request header, in lower case")
    return HeaderScore(header=header, missing=entry.number("missing", 0.5, at_least=0, at_most=1))


def _ensemble(entry: Reader, pure: Callable[[str, Reader], Scorer | None]) -> Scorer | None:
    parts = []
    entries = entry.tables("parts")
    if not entries:
        entry.refuse("parts", "a list of objects with a scorer and a weight", None)
    for part in entries:
        scorer = pure("scorer", part)
        weight = part.number("weight", 1.0, above=0)
        if scorer is not None:
            parts.append((scorer, weight))
    return Ensemble(tuple(parts)) if parts else None


def _service(entry: Reader, pure: Callable[[str, Reader], Scorer | None]) -> ScoringService | None:
    fallback = pure("fallback", entry)
    cluster = entry.text("cluster", _WORD, "the name of a cluster")
    path = entry.text("path", _PATH, "a path that begins with /", "/score")
    service = ScoringService(
        cluster=cluster,
        fallback=entry.string("fallback", ""),
        local=fallback or Complexity(),
        path=path,
        authority=entry.text("authority", _WORD, "a host name", cluster),
        timeout_s=entry.integer("timeout_ms", 100, at_least=1, at_most=60_000) / 1000,
        field=entry.string("field", "score"),
        pause_s=entry.integer("pause_ms", 1000, at_least=0, at_most=3_600_000) / 1000,
    )
    return service if fallback is not None and cluster else None
