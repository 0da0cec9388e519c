"""The four request formats that the fake providers speak.

A dialect reads a request into an `Ask`, and writes an `Answer` whole or as server-sent events. It knows
nothing of connections, time or faults.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

from ._answers import Answer
from ._tokens import count_tokens

_LONGEST_MODEL_NAME = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a request asks for."""

    model: str
    prompt_tokens: int
    limit: int | None
    """The most tokens the answer may have."""
    stream: bool
    include_usage: bool
    """Whether a streamed chat or text completion ends with a chunk that holds the usage."""


class AskError(ValueError):
    """A request the provider refuses with 400; *param* is the key that is wrong."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event, as bytes, and how many tokens of the answer it carries."""

    data: bytes
    tokens: int = 0


class Dialect(Protocol):
    """One request format."""

    path: ClassVar[str]

    def read(self, document: Mapping[str, object]) -> Ask:
        """Read a request; raises AskError."""

    def whole(self, ask: Ask, answer: Answer, ident: str, created: int) -> dict[str, object]:
        """Return the answer as one JSON object."""

    def events(self, ask: Ask, answer: Answer, ident: str, created: int) -> Iterator[Event]:
        """Return the answer as server-sent events, one for each token and the format's own around them."""


class _OpenAICompletions(ABC):
    """What chat completions and text completions have in common: chunks, usage and ``[DONE]``."""

    path: ClassVar[str]
    _object: ClassVar[str]
    _chunk_object: ClassVar[str]
    _id_prefix: ClassVar[str]
    _opening: ClassVar[dict[str, object] | None]
    """What the first chunk of a stream holds before any text, if there is such a chunk."""

    @abstractmethod
    def _prompt_tokens(self, document: Mapping[str, object]) -> int: ...

    @abstractmethod
    def _choice(self, text: str) -> dict[str, object]: ...

    @abstractmethod
    def _delta(self, text: str) -> dict[str, object]: ...

    def read(self, document: Mapping[str, object]) -> Ask:
        options = document.get("stream_options")
        return Ask(
            model=_model(document),
            prompt_tokens=self._prompt_tokens(document),
            limit=_limit(document, "max_completion_tokens", "max_tokens"),
            stream=_flag(document, "stream"),
            include_usage=_flag(options, "include_usage") if isinstance(options, Mapping) else False,
        )

    def whole(self, ask: Ask, answer: Answer, ident: str, created: int) -> dict[str, object]:
        choice = self._choice(answer.text) | {"index": 0, "finish_reason": answer.finish_reason}
        return {
            "id": self._id_prefix + ident,
            "object": self._object,
            "created": created,
            "model": ask.model,
            "choices": [choice],
            "usage": _completion_usage(ask.prompt_tokens, len(answer.pieces)),
        }

    def events(self, ask: Ask, answer: Answer, ident: str, created: int) -> Iterator[Event]:
        head: dict[str, object] = {
            "id": self._id_prefix + ident,
            "object": self._chunk_object,
            "created": created,
            "model": ask.model,
        }
        # OpenAI sends "usage": null in every chunk but the last when it was asked for usage.
        tail: dict[str, object] = {"usage": None} if ask.include_usage else {}

        def chunk(choice: dict[str, object], finish_reason: str | None = None) -> bytes:
            choices = [choice | {"index": 0, "finish_reason": finish_reason}]
            return _event(head | {"choices": choices} | tail)

        if self._opening is not None:
            yield Event(chunk(self._opening))
        for piece in answer.pieces:
            yield Event(chunk(self._delta(piece)), tokens=1)
        yield Event(chunk(self._delta(""), answer.finish_reason))
        if ask.include_usage:
            usage = _completion_usage(ask.prompt_tokens, len(answer.pieces))
            yield Event(_event(head | {"choices": [], "usage": usage}))
        yield Event(b"data: [DONE]\n\n")


class ChatCompletions(_OpenAICompletions):
    """OpenAI chat completions."""

    path = "/v1/chat/completions"
    _object = "chat.completion"
    _chunk_object = "chat.completion.chunk"
    _id_prefix = "chatcmpl-"
    _opening: ClassVar[dict[str, object] | None] = {"delta": {"role": "assistant", "content": ""}}

    def _prompt_tokens(self, document: Mapping[str, object]) -> int:
        return _count(_messages(document), document.get("tools"))

    def _choice(self, text: str) -> dict[str, object]:
        return {"message": {"role": "assistant", "content": text}}

    def _delta(self, text: str) -> dict[str, object]:
        return {"delta": {"content": text} if text else {}}


class TextCompletions(_OpenAICompletions):
    """OpenAI's older completions of a bare prompt."""

    path = "/v1/completions"
    _object = "text_completion"
    _chunk_object = "text_completion"
    _id_prefix = "cmpl-"
    _opening = None

    def _prompt_tokens(self, document: Mapping[str, object]) -> int:
        prompt = document.get("prompt")
        if not isinstance(prompt, str | list):
            raise AskError("prompt: expected a string or an array", "prompt")
        return _count(prompt)

    def _choice(self, text: str) -> dict[str, object]:
        return {"text": text, "logprobs": None}

    def _delta(self, text: str) -> dict[str, object]:
        return {"text": text, "logprobs": None}


class Responses:
    """OpenAI's Responses API, as far as one text answer needs it."""

    path: ClassVar[str] = "/v1/responses"

    def read(self, document: Mapping[str, object]) -> Ask:
        given = document.get("input")
        if not isinstance(given, str | list):
            raise AskError("input: expected a string or an array", "input")
        return Ask(
            model=_model(document),
            prompt_tokens=_count(document.get("instructions"), given, document.get("tools")),
            limit=_limit(document, "max_output_tokens"),
            stream=_flag(document, "stream"),
            include_usage=True,
        )

    def whole(self, ask: Ask, answer: Answer, ident: str, created: int) -> dict[str, object]:
        complete = answer.finish_reason == "stop"
        return self._response(ask, ident, created, "completed" if complete else "incomplete") | {
            "incomplete_details": None if complete else {"reason": "max_output_tokens"},
            "output": [self._item(ident, "completed", [_output_text(answer.text)])],
            "usage": _io_usage(ask.prompt_tokens, len(answer.pieces)),
        }

    def events(self, ask: Ask, answer: Answer, ident: str, created: int) -> Iterator[Event]:
        numbers = iter(range(2**31))
        place = {"item_id": f"msg_{ident}", "output_index": 0, "content_index": 0}

        def event(kind: str, values: dict[str, object], tokens: int = 0) -> Event:
            return Event(_named_event({"type": kind, "sequence_number": next(numbers)} | values), tokens)

        yield event("response.created", {"response": self._response(ask, ident, created, "in_progress")})
        started = self._item(ident, "in_progress", [])
        yield event("response.output_item.added", {"output_index": 0, "item": started})
        yield event("response.content_part.added", place | {"part": _output_text("")})
        for piece in answer.pieces:
            yield event("response.output_text.delta", place | {"delta": piece, "logprobs": []}, tokens=1)
        yield event("response.output_text.done", place | {"text": answer.text, "logprobs": []})
        yield event("response.content_part.done", place | {"part": _output_text(answer.text)})
        finished = self._item(ident, "completed", [_output_text(answer.text)])
        yield event("response.output_item.done", {"output_index": 0, "item": finished})
        response = self.whole(ask, answer, ident, created)
        yield event(f"response.{response['status']}", {"response": response})

    def _response(self, ask: Ask, ident: str, created: int, status: str) -> dict[str, object]:
        return {
            "id": f"resp_{ident}",
            "object": "response",
            "created_at": created,
            "model": ask.model,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "output": [],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": None,
        }

    def _item(self, ident: str, status: str, content: list[dict[str, object]]) -> dict[str, object]:
        return {
            "id": f"msg_{ident}",
            "type": "message",
            "role": "assistant",
            "status": status,
            "content": content,
        }


class Messages:
    """Anthropic messages."""

    path: ClassVar[str] = "/v1/messages"

    def read(self, document: Mapping[str, object]) -> Ask:
        limit = _limit(document, "max_tokens")
        if limit is None:
            raise AskError("max_tokens: expected an integer above 0, got nothing", "max_tokens")
        return Ask(
            model=_model(document),
            prompt_tokens=_count(document.get("system"), _messages(document), document.get("tools")),
            limit=limit,
            stream=_flag(document, "stream"),
            include_usage=True,
        )

    def whole(self, ask: Ask, answer: Answer, ident: str, created: int) -> dict[str, object]:
        return self._message(ask, ident) | {
            "content": [{"type": "text", "text": answer.text}],
            "stop_reason": self._stop_reason(answer),
            "usage": {"input_tokens": ask.prompt_tokens, "output_tokens": len(answer.pieces)},
        }

    def events(self, ask: Ask, answer: Answer, ident: str, created: int) -> Iterator[Event]:
        def event(kind: str, values: dict[str, object], tokens: int = 0) -> Event:
            return Event(_named_event({"type": kind} | values), tokens)

        usage = {"input_tokens": ask.prompt_tokens, "output_tokens": 0}
        yield event("message_start", {"message": self._message(ask, ident) | {"usage": usage}})
        yield event("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}})
        for piece in answer.pieces:
            delta = {"type": "text_delta", "text": piece}
            yield event("content_block_delta", {"index": 0, "delta": delta}, tokens=1)
        yield event("content_block_stop", {"index": 0})
        ending = {"stop_reason": self._stop_reason(answer), "stop_sequence": None}
        yield event("message_delta", {"delta": ending, "usage": {"output_tokens": len(answer.pieces)}})
        yield event("message_stop", {})

    def _message(self, ask: Ask, ident: str) -> dict[str, object]:
        return {
            "id": f"msg_{ident}",
            "type": "message",
            "role": "assistant",
            "model": ask.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
        }

    def _stop_reason(self, answer: Answer) -> str:
        return "end_turn" if answer.finish_reason == "stop" else "max_tokens"


DIALECTS: tuple[Dialect, ...] = (ChatCompletions(), TextCompletions(), Responses(), Messages())


def _event(document: dict[str, object]) -> bytes:
    return b"data: " + json.dumps(document, separators=(",", ":")).encode("ascii") + b"\n\n"


def _named_event(document: dict[str, object]) -> bytes:
    return f"event: {document['type']}\n".encode("ascii") + _event(document)


def _completion_usage(prompt: int, completion: int) -> dict[str, int]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _io_usage(prompt: int, completion: int) -> dict[str, object]:
    return {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": completion,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": prompt + completion,
    }


def _output_text(text: str) -> dict[str, object]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _model(document: Mapping[str, object]) -> str:
    model = document.get("model")
    if not isinstance(model, str) or not 0 < len(model) <= _LONGEST_MODEL_NAME:
        raise AskError(f"model: expected a name of 1 to {_LONGEST_MODEL_NAME} characters", "model")
    return model


def _messages(document: Mapping[str, object]) -> list[object]:
    messages = document.get("messages")
    if not isinstance(messages, list) or not messages:
        raise AskError("messages: expected an array with at least one message", "messages")
    return messages


def _limit(document: Mapping[str, object], *names: str) -> int | None:
    for name in names:
        value = document.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise AskError(f"{name}: expected an integer above 0", name)
        return value
    return None


def _flag(document: Mapping[str, object], name: str) -> bool:
    value = document.get(name)
    if value is not None and not isinstance(value, bool):
        raise AskError(f"{name}: expected true or false", name)
    return bool(value)


def _count(*parts: object) -> int:
    """Count the tokens of everything in *parts* that a model reads as text.

    Strings count; of objects, what is under ``text``, ``content`` or ``input``, and tool definitions as the
    JSON they are. Images, sounds and files count nothing.
    """
    tokens = 0
    pending = list(parts)
    while pending:
        part = pending.pop()
        if isinstance(part, str):
            tokens += count_tokens(part)
        elif isinstance(part, list):
            pending.extend(part)
        elif isinstance(part, Mapping):
            if "function" in part or "input_schema" in part or "parameters" in part:
                tokens += count_tokens(json.dumps(part, ensure_ascii=False))
            else:
                pending.extend(part[key] for key in ("text", "content", "input") if key in part)
    return tokens
