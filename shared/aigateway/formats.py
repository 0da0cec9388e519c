"""Telling which API a request is written for, by its path or by its shape."""

from collections.abc import Callable, Mapping

from .anthropic import read_messages
from .chat import ChatRequest, Format
from .openai import read_chat, read_completion, read_responses

__all__ = ["format_of_body", "format_of_path", "is_other_api", "read_request"]

_PATHS = (
    ("/chat/completions", Format.CHAT),
    ("/completions", Format.COMPLETION),
    ("/responses", Format.RESPONSES),
    # `/messages` alone would also match the threads of the Assistants API.
    ("/v1/messages", Format.ANTHROPIC),
)

_OTHER_APIS = frozenset(
    {
        "assistants",
        "audio",
        "batches",
        "containers",
        "conversations",
        "count_tokens",
        "embeddings",
        "evals",
        "files",
        "fine_tuning",
        "images",
        "input_tokens",
        "models",
        "moderations",
        "realtime",
        "rerank",
        "threads",
        "uploads",
        "vector_stores",
        "videos",
    }
)
"""Path segments of the APIs beside these, some with a `prompt` or `input` that is no conversation."""

_RESPONSES_ONLY = frozenset(
    {"instructions", "max_output_tokens", "previous_response_id", "conversation", "reasoning", "include"}
)
_ANTHROPIC_ONLY = frozenset({"system", "anthropic_version", "anthropic_beta", "stop_sequences", "thinking"})

_READERS: dict[Format, Callable[[Mapping[str, object]], ChatRequest]] = {
    Format.CHAT: read_chat,
    Format.COMPLETION: read_completion,
    Format.RESPONSES: read_responses,
    Format.ANTHROPIC: read_messages,
}


def format_of_path(path: str) -> Format | None:
    """Tell the API from the end of *path*, whatever prefix a deployment puts before it."""
    bare = path.partition("?")[0].rstrip("/")
    for suffix, format in _PATHS:
        if bare.endswith(suffix):
            return format
    return None


def is_other_api(path: str) -> bool:
    """Tell whether a *path* that `format_of_path` does not know belongs to an API that asks for no text."""
    return not _OTHER_APIS.isdisjoint(path.partition("?")[0].split("/"))


def format_of_body(body: Mapping[str, object]) -> Format | None:
    """Tell the API from the keys of *body*, for requests on paths that say nothing."""
    if isinstance(body.get("messages"), list):
        return Format.CHAT if _ANTHROPIC_ONLY.isdisjoint(body) else Format.ANTHROPIC
    items = body.get("input")
    if isinstance(items, str | list):
        # An embedding request has an input too, but never one made of objects, and none of these keys.
        of_objects = isinstance(items, list) and bool(items) and isinstance(items[0], dict)
        return Format.RESPONSES if of_objects or not _RESPONSES_ONLY.isdisjoint(body) else None
    if isinstance(body.get("prompt"), str | list):
        return Format.COMPLETION
    return None


def read_request(body: Mapping[str, object], format: Format) -> ChatRequest:
    """Parse *body* as *format*, or raise `InvalidRequestError` naming what is wrong and where."""
    return _READERS[format](body)
