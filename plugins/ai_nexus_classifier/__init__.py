"""How hard a request is, what it is about and how urgent it is, from its prompt alone.

    >>> from ai_nexus_classifier import Config, classify_text
    >>> verdict = classify_text("Prove that every bounded sequence has a convergent subsequence.", Config())
    >>> verdict.domain, verdict.latency
    ('general', 'realtime')

Importing this package needs no proxy; `ai_nexus_classifier.filter` is the adapter that runs inside one.
"""

from .classifier import Domain, Latency, Verdict, classify, classify_text
from .config import Caps, Config, FollowUp, Weights
from .features import Features
from .intake import examine, wants_body

__all__ = [
    "Caps",
    "Config",
    "Domain",
    "Features",
    "FollowUp",
    "Latency",
    "Verdict",
    "Weights",
    "classify",
    "classify_text",
    "examine",
    "wants_body",
]
