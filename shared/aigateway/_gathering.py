"""Collecting the parts of a request while a parser walks through it.

All four formats put text, images, audio, files and tool traffic into typed content parts, with type names
that do not clash. One table of part types therefore serves all of them, also for clients that mix dialects.
"""

import json
from collections.abc import Mapping

from . import _fields
from .chat import ChatRequest, Format, Need, Role, Turn

IMAGE_TOKENS = 765
"""A 1,024 x 1,024 image in high detail: 85 + 4 tiles x 170 (OpenAI's rule for the GPT-4 family)."""

LOW_DETAIL_IMAGE_TOKENS = 85
"""Any image in low detail, by the same rule."""

DOCUMENT_TOKENS = 1_500
"""A file whose length cannot be told from the request; one page of a PDF costs 1,500 to 3,000 (Anthropic)."""

AUDIO_TOKENS_PER_S = 10
_BASE64_PER_S = {"wav": 64_000, "pcm16": 64_000}
_BASE64_PER_S_COMPRESSED = 21_333
"""Base64 characters per second of audio: 24 kHz of 16 bits, and 128 kbit/s for what is compressed."""

_TEXT_PARTS = frozenset({"text", "input_text", "output_text", "summary_text", "refusal", "thinking"})
_IMAGE_PARTS = frozenset({"image_url", "input_image", "image", "computer_screenshot"})
_FILE_PARTS = frozenset({"file", "input_file", "document"})
_TOOL_CALLS = frozenset({"tool_use", "server_tool_use", "function_call", "custom_tool_call", "mcp_tool_use"})

_ROLES = {
    "system": Role.SYSTEM,
    "developer": Role.SYSTEM,
    "user": Role.USER,
    "assistant": Role.ASSISTANT,
    "model": Role.ASSISTANT,
    "tool": Role.TOOL,
    "function": Role.TOOL,
}
"""The roles of all dialects; an unknown one counts as the user's, so that its text is looked at."""


class Gathering:
    """The request so far."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self.payloads: list[str] = []
        self.needs: set[Need] = set()
        self.media_tokens = 0
        self.token_ids = 0

    def request(self, format: Format, model: str | None, max_tokens: int | None) -> ChatRequest:
        """Finish."""
        return ChatRequest(
            format=format,
            model=model or None,
            turns=tuple(self.turns),
            payloads=tuple(self.payloads),
            media_tokens=self.media_tokens,
            token_ids=self.token_ids,
            max_tokens=max_tokens,
            needs=frozenset(self.needs),
        )

    def conversation(self, messages: object) -> None:
        """Add all messages of a chat, with the tool calls that OpenAI keeps beside the content."""
        if not isinstance(messages, list) or not messages:
            raise _fields.wrong("messages", "an array of messages", messages)
        for index, item in enumerate(messages):
            path = f"messages[{index}]"
            message = _fields.mapping(item, path)
            self.message(message, path)
            for at, call in enumerate(_fields.array(message, "tool_calls", f"{path}.")):
                self.tool_call(_fields.mapping(call, f"{path}.tool_calls[{at}]"))
            earlier = message.get("function_call")
            if isinstance(earlier, dict):
                self.tool_call(earlier)

    def message(self, message: Mapping[str, object], path: str) -> None:
        """Add a message with a role and content."""
        role = message.get("role")
        if not isinstance(role, str):
            raise _fields.wrong(f"{path}.role", "a string", role)
        self.turn(_ROLES.get(role, Role.USER), message.get("content"), f"{path}.content")

    def turn(self, role: Role, content: object, path: str) -> None:
        """Add a turn with *content*: a string, a list of parts, or null."""
        if content is None:
            text = ""
        elif isinstance(content, str):
            text = content
        elif isinstance(content, list):
            text = "\n".join([part for part in self._parts(content, path) if part])
            if not text and role is Role.USER and self.turns and self.turns[-1].role is Role.TOOL:
                # Anthropic carries tool results in a message of the user, here one without words of its own.
                return
        else:
            raise _fields.wrong(path, "a string or an array of content parts", content)
        self.turns.append(Turn(role, text))

    def tools(self, tools: list[object]) -> None:
        """Add tool definitions."""
        if tools:
            self.needs.add(Need.TOOLS)
            self.payload(tools)

    def payload(self, value: object) -> None:
        """Add what costs tokens as the JSON it is."""
        text = (
            value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        )
        self.payloads.append(text)

    def tool_call(self, call: Mapping[str, object]) -> None:
        """Add an earlier call of the model; its arguments are JSON text (OpenAI) or an object (Anthropic)."""
        self.needs.add(Need.TOOLS)
        nested = call.get("function")
        source = nested if isinstance(nested, dict) else call
        for key in ("name", "arguments", "input"):
            value = source.get(key)
            if value is not None:
                self.payload(value)

    def _parts(self, parts: list[object], path: str) -> list[str]:
        texts = []
        for index, part in enumerate(parts):
            if isinstance(part, str):  # Some clients send plain strings among the parts.
                texts.append(part)
                continue
            where = f"{path}[{index}]"
            fields = _fields.mapping(part, where)
            kind = _fields.string(fields, "type", f"{where}.")
            if kind is None or kind in _TEXT_PARTS:
                key = kind if kind in ("refusal", "thinking") else "text"
                texts.append(_fields.string(fields, key, f"{where}.") or "")
            elif kind in _IMAGE_PARTS:
                self._image(fields)
            elif kind == "input_audio":
                self._audio(fields)
            elif kind in _FILE_PARTS:
                texts.append(self._file(fields))
            elif kind in _TOOL_CALLS:
                self.tool_call(fields)
            elif kind == "tool_result":
                self.needs.add(Need.TOOLS)
                self._tool_result(fields.get("content"), f"{where}.content")
        return texts

    def _tool_result(self, content: object, path: str) -> None:
        # A result holds text and media but no further results, so parts of parts are where reading ends.
        if isinstance(content, list):
            content = [
                part for part in content if not (isinstance(part, dict) and part.get("type") == "tool_result")
            ]
        self.turn(Role.TOOL, content, path)

    def _image(self, fields: Mapping[str, object]) -> None:
        self.needs.add(Need.VISION)
        image = fields.get("image_url")
        detail = image.get("detail") if isinstance(image, dict) else fields.get("detail")
        self.media_tokens += LOW_DETAIL_IMAGE_TOKENS if detail == "low" else IMAGE_TOKENS

    def _audio(self, fields: Mapping[str, object]) -> None:
        self.needs.add(Need.AUDIO)
        audio = fields.get("input_audio")
        if isinstance(audio, dict):
            data = audio.get("data")
            kind = audio.get("format")
            per_s = _BASE64_PER_S.get(kind, _BASE64_PER_S_COMPRESSED) if isinstance(kind, str) else 64_000
            if isinstance(data, str):
                self.media_tokens += len(data) * AUDIO_TOKENS_PER_S // per_s

    def _file(self, fields: Mapping[str, object]) -> str:
        """Add a document: its text if it is text, an estimate if it is a PDF that only vision can read."""
        source = fields.get("source")
        if isinstance(source, dict) and source.get("type") == "text":
            text = source.get("data")
            return text if isinstance(text, str) else ""
        self.needs.add(Need.VISION)
        self.media_tokens += DOCUMENT_TOKENS
        return ""
