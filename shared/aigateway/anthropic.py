"""Parsing Anthropic's Messages API, the body of `POST /v1/messages`."""

from collections.abc import Mapping

from aigateway import _fields
from aigateway._gathering import Gathering, role_named
from aigateway.chat import ChatRequest, Format, Need, Role

__all__ = ["read_messages"]


def read_messages(body: Mapping[str, object]) -> ChatRequest:
    """Read a request; its system prompt stands beside the messages, and tool traffic inside them."""
    gathering = Gathering()
    system = body.get("system")
    if system is not None:
        gathering.message(Role.SYSTEM, system, "system")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise _fields.wrong("messages", "an array of messages", messages)
    for index, message in enumerate(messages):
        path = f"messages[{index}]"
        fields = _fields.mapping(message, path)
        role = fields.get("role")
        if not isinstance(role, str):
            raise _fields.wrong(f"{path}.role", "a string", role)
        gathering.message(role_named(role), fields.get("content"), f"{path}.content")
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
