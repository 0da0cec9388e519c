"""Fake LLM providers for trials and tests: they answer, keep what they were asked, and fail on demand.

Each provider is one HTTP server on loopback that speaks OpenAI chat completions, completions and responses,
and Anthropic messages, streamed and not. ``GET /__requests`` shows the last 1,000 requests with headers and
body and how each ended, ``DELETE /__requests`` forgets them; ``POST /__faults`` makes the provider fail in a
chosen way (see `Fault`), ``GET /__faults`` shows how. Token counts are true of the tokenisation stated in
`count_tokens`.
"""

from ._faults import Fault, FaultError, parse_fault
from ._provider import FakeProvider
from ._server import PROVIDERS, serve
from ._tokens import count_tokens, split_tokens

__all__ = [
    "PROVIDERS",
    "FakeProvider",
    "Fault",
    "FaultError",
    "count_tokens",
    "parse_fault",
    "serve",
    "split_tokens",
]
