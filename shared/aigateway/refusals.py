"""Errors to callers: always the OpenAI error object, which every client library knows how to show."""

from dataclasses import dataclass

from ._wording import kind_of

__all__ = ["InvalidRequestError", "Refusal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A request that is answered by the gateway instead of a model."""

    status: int
    message: str
    type: str = "invalid_request_error"
    param: str | None = None
    """The part of the request that is at fault, as a path such as `messages[3].content`."""
    code: str | None = None

    def to_json(self) -> dict[str, dict[str, str | None]]:
        """Give the OpenAI error object, ready for `json.dumps`."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}


class InvalidRequestError(ValueError):
    """A request that no model could answer; *refusal* is what its sender should be told."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal

    @classmethod
    def at(cls, path: str, expected: str, got: str) -> "InvalidRequestError":
        """Refuse a value: *path* is where it is, *got* its kind and never its content."""
        message = f"{path}: expected {expected}, got {got}"
        return cls(Refusal(status=400, message=message, param=path, code="invalid_value"))

    @classmethod
    def not_an_object(cls, value: object) -> "InvalidRequestError":
        """Refuse a body that is JSON, but not the object that every API expects."""
        message = f"The request body: expected an object, got {kind_of(value)}"
        return cls(Refusal(status=400, message=message, code="invalid_json"))
