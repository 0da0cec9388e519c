"""Estimating how many tokens a request costs, without a vocabulary."""

from aigateway.chat import ChatRequest

__all__ = ["estimate_prompt_tokens", "estimate_tokens"]

TOKENS_PER_TURN = 4
"""What a message costs beside its text: three for its frame and one for its role (OpenAI's counting rule)."""

TOKENS_PER_REPLY = 3
"""What the opening of the answer costs, by the same rule."""


def estimate_tokens(text: str) -> int:
    """Estimate the tokens of *text* under the cl100k_base vocabulary."""
    return (len(text.encode("utf-8", "replace")) + 3) // 4


def estimate_prompt_tokens(request: ChatRequest) -> int:
    """Estimate what the input of *request* costs, with its frame, its tools, images and audio."""
    texts = [turn.text for turn in request.turns]
    texts += request.payloads
    frame = len(request.turns) * TOKENS_PER_TURN + TOKENS_PER_REPLY
    return estimate_tokens("\n".join(texts)) + frame + request.media_tokens + request.token_ids
