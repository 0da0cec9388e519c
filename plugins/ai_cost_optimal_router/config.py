"""The configuration of the router."""

from dataclasses import dataclass

__all__ = ["Config"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The configuration of the plugin `ai-cost-optimal-router`."""

    @classmethod
    def from_json(cls, value: object) -> "Config":
        """Read a configuration, or raise `ConfigError` with everything that is wrong with it."""
        raise NotImplementedError
