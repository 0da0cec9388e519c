"""Parsing Anthropic's Messages API, the body of `POST /v1/messages`."""

from collections.abc import Mapping

from . import _fields
from ._gathering import Gathering
from .chat import ChatRequest, Format, Need, Role

__all__ = ["read_messages"]


def read_messages(body: Mapping[str, object]) -> ChatRequest:
    """Read a request; its system prompt stands beside the messages, and tool traffic inside them."""
    gathering = Gathering()
    system = body.get("system")
    if system is not None:
        gathering.turn(Role.SYSTEM, system, "system")
    gathering.conversation(body.get("messages"))
    gathering.tools(_fields.array(body, "tools"))
    wanted = body.get("output_format")
    if isinstance(wanted, dict) and wanted.get("type") == "json_schema":
        gathering.needs.add(Need.JSON)
        gathering.payload(wanted)
    if _fields.flag(body, "stream"):
        gathering.needs.add(Need.STREAM)
    return gathering.request(
        Format.ANTHROPIC, _fields.string(body, "model"), _fields.token_limit(body, "max_tokens")
    )
