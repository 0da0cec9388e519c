"""What a request orders: who may answer it, how much goes in, how much may come out.

Providers do not agree on what a body says in which a key comes twice, or in another case. So all that an
order depends on is written back with the value it was read with, wherever it stands: `Order.members`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from aigateway import signals
from aigateway.catalog import Model
from aigateway.chat import Format
from aigateway.formats import read_request
from aigateway.intake import read_document
from aigateway.json_edit import JsonValue
from aigateway.refusals import InvalidRequestError, Refusal
from aigateway.tokens import estimate_prompt_tokens

from .bounds import largest_cost
from .config import Config

__all__ = ["Order", "read_order"]

_MAX_FALLBACKS: Final = 16
_LONGEST_LIST: Final = 8_192
_MOST_TOKENS: Final = 1_000_000_000
_MOST_CHOICES: Final = 10_000

_LIMITS: Final[Mapping[Format, tuple[str, ...]]] = {
    Format.CHAT: ("max_completion_tokens", "max_tokens"),
    Format.COMPLETION: ("max_tokens",),
    Format.RESPONSES: ("max_output_tokens",),
    Format.ANTHROPIC: ("max_tokens",),
}
"""How each API calls the limit of the output."""

_UNLIMITED: Final = -1
"""What several servers take for no limit."""

_COMPLETIONS: Final = frozenset({Format.CHAT, Format.COMPLETION})
"""The APIs that give several choices, and the usage of a stream only when asked."""

_CHOICES: Final = ("n", "best_of")
"""Answers that are made; all of them are paid for, `best_of` gives only some away."""

_ELSEWHERE: Final = ("previous_response_id", "conversation", "prompt")
"""In the Responses API: more input, which is kept by the provider."""

_READ: Final = frozenset(
    {
        "model",
        "stream",
        "stream_options",
        *_CHOICES,
        *_ELSEWHERE,
        *(name for names in _LIMITS.values() for name in names),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a request can cost depends on this, and on nothing else."""

    format: Format
    models: tuple[Model, ...]
    """Who may answer, the choice first."""
    has_fallbacks: bool = False
    """Whether the others are fallbacks, without which the request may be sent."""
    input_tokens: int
    """As estimated, or counted by an earlier plugin."""
    is_input_elsewhere: bool = False
    """Whether the provider adds input that it keeps, so that nobody here knows how much."""
    max_tokens: int | None = None
    """The limit of each choice that is in the body when it leaves."""
    choices: int = 1
    is_streamed: bool = False
    adds_usage: bool = False
    """Whether the stream is asked for its usage, and the client has not asked."""
    members: Mapping[str, JsonValue]
    """What the body must say when it leaves."""

    def without_fallbacks(self) -> "Order":
        """Return the order for the choice alone."""
        return replace(self, models=self.models[:1], has_fallbacks=False)

    def largest_cost(self, config: Config) -> int:
        """Return the most it can cost, in nano-USD, whoever answers."""
        return largest_cost(
            self.models,
            prompt_tokens=None if self.is_input_elsewhere else self.input_tokens,
            margin_percent=config.prompt_margin_percent,
            max_tokens=self.max_tokens,
            choices=self.choices,
            assumed_tokens=config.assumed_output_tokens,
        )


def read_order(headers: Mapping[str, str], body: bytes, config: Config) -> Order | None:
    """Read what a request orders; None if it turns out to be none to a model.

    *headers* are of lower-case names. A body that no model could answer, and a model that has no price,
    raise `InvalidRequestError`.
    """
    given = headers if config.trust_signals else {}
    found = read_document(headers.get(":path", ""), body)
    if found is None:
        return None
    format, document = found
    said = _Members(document)
    members: dict[str, JsonValue] = {}
    input_tokens = signals.decode_count(given.get(signals.PROMPT_TOKENS))
    if input_tokens is None:
        input_tokens = max(1, estimate_prompt_tokens(read_request(document, format)))
    is_streamed = said.flag("stream", members)
    options = said.options(members) if is_streamed and format in _COMPLETIONS else None
    asks = options is not None and options.get("include_usage") is not True and config.ask_for_usage
    if asks and options is not None:
        members["stream_options"] = {**options, "include_usage": True}
    models = _models(given, said, members, config)
    return Order(
        format=format,
        models=models,
        has_fallbacks=len(models) > 1 and signals.MODEL in given,
        input_tokens=input_tokens,
        is_input_elsewhere=format is Format.RESPONSES and any(said.has(name) for name in _ELSEWHERE),
        max_tokens=_limit(said, format, members, config),
        choices=_choices(said, format, document, members),
        is_streamed=is_streamed,
        adds_usage=asks,
        members=members,
    )


class _Members:
    """The top-level members of a body that matter, by their names in lower case."""

    def __init__(self, document: Mapping[str, object]) -> None:
        self._values: dict[str, list[object]] = {}
        for key, value in document.items():
            # Long s and the Kelvin sign are letters of ours, too, once their case is folded.
            name = key if key in _READ else key.casefold()
            if name in _READ:
                self._values.setdefault(name, []).append(value)

    def has(self, name: str) -> bool:
        """Tell whether it is there and not null."""
        return any(value is not None for value in self._values.get(name, ()))

    def is_written(self, name: str) -> bool:
        """Tell whether it is there, null or not."""
        return name in self._values

    def strings(self, name: str) -> list[str]:
        """Return its values; several when it is spelled in several ways."""
        values = [value for value in self._values.get(name, ()) if value is not None]
        for value in values:
            if not isinstance(value, str):
                raise _wrong(name, "a string", value)
        return [value for value in values if isinstance(value, str)]

    def flag(self, name: str, members: dict[str, JsonValue]) -> bool:
        """Take true or false; of several true."""
        values = [value for value in self._values.get(name, ()) if value is not None]
        for value in values:
            if not isinstance(value, bool):
                raise _wrong(name, "true or false", value)
        if values:
            members[name] = any(values)
        return any(values)

    def largest(
        self, name: str, at_most: int, members: dict[str, JsonValue], none: int | None = None
    ) -> int | None:
        """Take a whole number; of several the largest, and *none* stands for infinity."""
        found: list[int] = []
        for value in self._values.get(name, ()):
            if value is None:
                continue
            number = int(value) if isinstance(value, float) and value.is_integer() else value
            if isinstance(number, bool) or not isinstance(number, int):
                raise _wrong(name, "a whole number", value)
            if number != none and not 0 <= number <= at_most:
                raise InvalidRequestError.at(name, f"a whole number from 0 to {at_most}", "one out of range")
            found.append(number)
        if not found:
            return None
        largest = none if none in found else max(found)
        members[name] = largest
        return largest

    def options(self, members: dict[str, JsonValue]) -> dict[str, JsonValue]:
        """Take the options of a stream; empty ones if there are none."""
        merged: dict[str, JsonValue] = {}
        for value in self._values.get("stream_options", ()):
            if isinstance(value, dict):
                merged |= value
            elif value is not None:
                raise _wrong("stream_options", "an object", value)
        return merged


def _wrong(name: str, expected: str, got: object) -> InvalidRequestError:
    kinds = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "an array"}
    return InvalidRequestError.at(name, expected, kinds.get(type(got), "an object"))


def _limit(said: _Members, format: Format, members: dict[str, JsonValue], config: Config) -> int | None:
    """Read the limit of the output, clamp it, and see that the body says the same under each of its names."""
    clamp = config.clamp_output_tokens
    written = [name for name in _LIMITS[format] if said.is_written(name)]
    limits: list[int] = []
    for name in written:
        limit = said.largest(name, _MOST_TOKENS, members, none=_UNLIMITED)
        if (
            limit is None
        ):  # As if it were not there; so it must be null to whoever reads the first of two, too.
            members[name] = None
            continue
        if clamp is not None and (limit == _UNLIMITED or limit > clamp):
            members[name] = limit = clamp
        limits.append(limit)
    if not limits and clamp is not None:
        usual = config.chat_limit_member if format is Format.CHAT else _LIMITS[format][0]
        members[written[0] if written else usual] = clamp
        return clamp
    return max(limits) if limits and _UNLIMITED not in limits else None


def _choices(
    said: _Members, format: Format, document: Mapping[str, object], members: dict[str, JsonValue]
) -> int:
    """Count the answers that are made, each of which may be as long as the limit."""
    if format not in _COMPLETIONS:
        return 1
    each = max([1, *(said.largest(name, _MOST_CHOICES, members) or 1 for name in _CHOICES)])
    prompt = document.get("prompt") if format is Format.COMPLETION else None
    # A list is one prompt if it is of token ids, else as many as it has items.
    prompts = (
        len(prompt) if isinstance(prompt, list) and not all(isinstance(item, int) for item in prompt) else 1
    )
    return each * prompts


def _models(
    given: Mapping[str, str], said: _Members, members: dict[str, JsonValue], config: Config
) -> tuple[Model, ...]:
    """Find who may answer: the router's choice and its fallbacks, or who has what the body names."""
    catalog = config.catalog
    chosen = given.get(signals.MODEL)
    if chosen is not None:
        provider = given.get(signals.PROVIDER, "")
        model = (
            catalog.find(f"{provider}/{chosen}") or catalog.find(chosen) or _unknown(chosen, provider, config)
        )
        names = given.get(signals.FALLBACKS, "")[:_LONGEST_LIST].split(",")[:_MAX_FALLBACKS]
        others = (catalog.find(name.strip()) for name in names)
        return tuple(dict.fromkeys([model, *(other for other in others if other is not None)]))
    names = said.strings("model")
    if len(names) == 1:
        members["model"] = names[0]
    models: list[Model] = []
    for name in names or [""]:
        named = catalog.find(name)
        models += (named,) if named else config.by_upstream_name.get(name) or (_unknown(name, "", config),)
    return tuple(dict.fromkeys(models))


def _unknown(name: str, provider: str, config: Config) -> Model:
    """Make up a model that is not in the catalog, at the prices for such, or refuse it."""
    prices = config.unknown_model_prices
    if prices is None:
        message = "The model has no price here, so nothing can be spent on it"
        raise InvalidRequestError(
            Refusal(status=400, message=message, param="model", code="model_without_price")
        )
    return Model(
        name=name,
        provider=provider,
        cluster=provider,
        upstream_name=name,
        prices=prices,
        quality=0.0,
        context_window_tokens=_MOST_TOKENS,
    )
