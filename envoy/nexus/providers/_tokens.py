"""The tokenisation of the fake providers: small, stated, and the same for prompts and answers.

A token is a run of ASCII letters, digits and underscores, or any other single character that is not
white space; white space belongs to the token after it. ``"Hi, 世界!"`` is five tokens: ``Hi``, ``,``,
``世``, ``界``, ``!``. No vocabulary of a real model is imitated: what matters to a test is that anyone can
count again and get the same number.
"""

import re

_TOKEN = re.compile(r"[A-Za-z0-9_]+|[^\sA-Za-z0-9_]")
_PIECE = re.compile(r"\s*(?:[A-Za-z0-9_]+|[^\sA-Za-z0-9_])")


def count_tokens(text: str) -> int:
    """Return how many tokens *text* has."""
    # subn() counts in C and builds no list: a prompt may be 20 MB.
    return _TOKEN.subn("", text)[1]


def split_tokens(text: str) -> tuple[str, ...]:
    """Return *text* cut into its tokens, each with the white space before it.

    Joined again they give *text*, but for white space at its end.
    """
    return tuple(_PIECE.findall(text))
