"""Parsing OpenAI requests: chat completions, completions and the Responses API.

Only what a decision needs is read and checked; everything else is left to the provider, which knows its own
fields.
"""

from collections.abc import Mapping

from . import _fields
from ._gathering import Gathering
from .chat import ChatRequest, Format, Need, Role, Turn

__all__ = ["read_chat", "read_completion", "read_responses"]

_JSON_FORMATS = ("json_object", "json_schema")


def read_chat(body: Mapping[str, object]) -> ChatRequest:
    """Read the body of `POST /v1/chat/completions`."""
    gathering = Gathering()
    gathering.conversation(body.get("messages"))
    gathering.tools(_fields.array(body, "tools") + _fields.array(body, "functions"))
    _output_format(gathering, body.get("response_format"))
    if "audio" in _fields.array(body, "modalities"):
        gathering.needs.add(Need.AUDIO)
    return _finished(gathering, Format.CHAT, body, "max_completion_tokens", "max_tokens")


def read_completion(body: Mapping[str, object]) -> ChatRequest:
    """Read the body of `POST /v1/completions`, whose prompt is text, token ids, or a list of either."""
    gathering = Gathering()
    prompt = body.get("prompt")
    if isinstance(prompt, str):
        prompt = [prompt]
    elif prompt is None:
        prompt = []
    elif not isinstance(prompt, list):
        raise _fields.wrong("prompt", "a string, an array of strings or token ids", prompt)
    texts = []
    for index, item in enumerate(prompt):
        if isinstance(item, str):
            texts.append(item)
        elif isinstance(item, list):
            gathering.token_ids += len(item)
        elif isinstance(item, int) and not isinstance(item, bool):
            gathering.token_ids += 1
        else:
            raise _fields.wrong(f"prompt[{index}]", "a string, a token id or an array of token ids", item)
    if texts:
        # Prompts in one request follow each other no more than they follow those of another request.
        gathering.turns.append(Turn(Role.USER, "\n".join(texts)))
    return _finished(gathering, Format.COMPLETION, body, "max_tokens")


def read_responses(body: Mapping[str, object]) -> ChatRequest:
    """Read the body of `POST /v1/responses`.

    The input may be absent, when the conversation is kept by the provider or comes from a stored prompt.
    """
    gathering = Gathering()
    instructions = _fields.string(body, "instructions")
    if instructions:
        gathering.turns.append(Turn(Role.SYSTEM, instructions))
    items = body.get("input")
    if isinstance(items, str):
        gathering.turns.append(Turn(Role.USER, items))
    elif isinstance(items, list):
        for index, item in enumerate(items):
            path = f"input[{index}]"
            _responses_item(gathering, _fields.mapping(item, path), path)
    elif items is not None:
        raise _fields.wrong("input", "a string or an array of items", items)
    gathering.tools(_fields.array(body, "tools"))
    text = body.get("text")
    if isinstance(text, dict):
        _output_format(gathering, text.get("format"))
    return _finished(gathering, Format.RESPONSES, body, "max_output_tokens")


def _responses_item(gathering: Gathering, item: Mapping[str, object], path: str) -> None:
    kind = _fields.string(item, "type", f"{path}.") or "message"
    if kind == "message":
        gathering.message(item, path)
    elif kind.endswith("_output"):
        gathering.needs.add(Need.TOOLS)
        output = item.get("output")
        # Computer use answers with one screenshot object instead of a list of parts.
        gathering.turn(Role.TOOL, [output] if isinstance(output, dict) else output, f"{path}.output")
    elif kind.endswith("_call"):
        gathering.tool_call(item)


def _output_format(gathering: Gathering, wanted: object) -> None:
    if isinstance(wanted, dict) and wanted.get("type") in _JSON_FORMATS:
        gathering.needs.add(Need.JSON)
        schema = wanted.get("json_schema", wanted.get("schema"))
        if schema is not None:
            gathering.payload(schema)


def _finished(gathering: Gathering, format: Format, body: Mapping[str, object], *limits: str) -> ChatRequest:
    if _fields.flag(body, "stream"):
        gathering.needs.add(Need.STREAM)
    return gathering.request(format, _fields.string(body, "model"), _fields.token_limit(body, *limits))
