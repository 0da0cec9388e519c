"""What a model is asked to do, whichever API it was asked through.

`ChatRequest` is what the parsers of the OpenAI and Anthropic formats produce and what decisions are made
from. Its values are plain, so a decision can be tried in a REPL:

    ChatRequest(format=Format.CHAT, model="auto", turns=(Turn(Role.USER, "Why is the sky blue?"),))
"""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["ChatRequest", "Format", "Need", "Role", "Turn"]


class Format(StrEnum):
    """The API that a request is written for."""

    CHAT = "chat_completions"
    COMPLETION = "completions"
    RESPONSES = "responses"
    ANTHROPIC = "anthropic_messages"


class Role(StrEnum):
    """Who wrote a turn."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class Need(StrEnum):
    """What a model must be able to do to answer, in the order in which signals list it."""

    VISION = "vision"
    AUDIO = "audio"
    TOOLS = "tools"
    JSON = "json"
    STREAM = "stream"


@dataclass(frozen=True, slots=True)
class Turn:
    """One message: who wrote it, and its text without images, audio and tool calls."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """One request to a model."""

    format: Format
    model: str | None = None
    turns: tuple[Turn, ...] = ()
    """The conversation, oldest turn first; instructions and system prompts lead it."""
    payloads: tuple[str, ...] = ()
    """Text that costs tokens though it is no prompt: tool definitions, tool calls, JSON schemas."""
    media_tokens: int = 0
    """What images, documents and audio are estimated to cost."""
    token_ids: int = 0
    """Tokens that came as numbers instead of text (completions only)."""
    max_tokens: int | None = None
    """The limit of the output in tokens that the request sets."""
    needs: frozenset[Need] = frozenset()
