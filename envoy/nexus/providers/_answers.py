"""What a fake provider says: the same request always gets the same answer."""

import hashlib
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from ._tokens import split_tokens

# Neutral words that no plugin counts as code, medicine, law or an instruction.
_WORDS = (
    *("amber", "birch", "cloud", "delta", "ember", "field", "grain", "harbor"),
    *("island", "jade", "kettle", "lantern", "meadow", "north", "orchid", "pebble"),
)
_FEWEST_TOKENS = 24
_TOKEN_SPREAD = 32


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, token by token, and why it ended."""

    pieces: tuple[str, ...]
    finish_reason: Literal["stop", "length"]

    @property
    def text(self) -> str:
        """The whole answer."""
        return "".join(self.pieces)


def compose(
    provider: str, model: str, body: bytes, *, limit: int | None, tokens: int | None = None
) -> Answer:
    """Return the answer of *provider* as *model* to the request with this *body*.

    It names the provider, the model and the first 16 digits of the body's SHA-256, and nothing of the prompt.
    It has 24 to 55 tokens, by that digest, or as many as *tokens* says; *limit* cuts it off, as
    ``max_tokens`` does.
    """
    digest = hashlib.sha256(body).digest()
    opening = f"{provider} answers as {model} to request {digest.hex()[:16]}:"
    wanted = tokens if tokens is not None else _FEWEST_TOKENS + digest[0] % _TOKEN_SPREAD
    pieces = list(split_tokens(opening))
    if tokens is None:
        wanted = max(wanted, len(pieces))
    filler = (" " + _WORDS[digest[index % len(digest)] % len(_WORDS)] for index in range(wanted))
    pieces.extend(islice(filler, max(wanted - len(pieces), 0)))
    allowed = wanted if limit is None else min(wanted, limit)
    return Answer(tuple(pieces[:allowed]), "length" if allowed < wanted else "stop")
