"""The models that a gateway knows when its configuration names none.

Seven models of four providers, under plain names that stand for a family rather than a version, with prices
and qualities for trying things out. Who pays real bills imports a catalog (`python -m nexus catalog`).

Cached input costs the tenth of input that OpenAI, Anthropic and Google take for their present models (a
quarter for `gpt-4.1-mini` and `kimi`), and writing into Anthropic's cache a quarter more than input.
"""

from typing import Final

from .chat import Format, Need
from .models import Catalog, Model, Prices

__all__ = ["DEFAULT_CATALOG"]

_SEEING: Final = frozenset({Need.VISION, Need.TOOLS, Need.JSON, Need.STREAM})
_HEARING: Final = _SEEING | {Need.AUDIO}
_READING: Final = frozenset({Need.TOOLS, Need.JSON, Need.STREAM})

# Medicine and law are left to models that are good enough for them.
_EVERYTHING: Final = frozenset({"code", "medical", "legal", "general"})
_HARMLESS: Final = frozenset({"code", "general"})

_OPENAI: Final = frozenset({Format.CHAT, Format.COMPLETION, Format.RESPONSES})
_ANTHROPIC: Final = frozenset({Format.CHAT, Format.ANTHROPIC})
_CHAT: Final = frozenset({Format.CHAT})

DEFAULT_CATALOG: Final = Catalog(
    [
        Model(
            name="gpt-5.5",
            provider="openai",
            cluster="openai",
            upstream_name="gpt-5.5",
            prices=Prices(input=6_000, output=18_000, cached_input=600, cache_write=6_000),
            quality=0.97,
            domains=_EVERYTHING,
            context_window_tokens=1_000_000,
            max_output_tokens=128_000,
            needs=_SEEING,
            tier="strong",
            regions=frozenset({"us", "eu"}),
            formats=_OPENAI,
        ),
        Model(
            name="gpt-4.1-mini",
            provider="openai",
            cluster="openai",
            upstream_name="gpt-4.1-mini",
            prices=Prices(input=200, output=800, cached_input=50, cache_write=200),
            quality=0.84,
            domains=_HARMLESS,
            context_window_tokens=1_047_576,
            max_output_tokens=32_768,
            needs=_SEEING,
            tier="weak",
            regions=frozenset({"us", "eu"}),
            formats=_OPENAI,
        ),
        Model(
            name="claude-sonnet",
            provider="anthropic",
            cluster="anthropic",
            upstream_name="claude-sonnet",
            prices=Prices(input=3_000, output=15_000, cached_input=300, cache_write=3_750),
            quality=0.98,
            domains=_EVERYTHING,
            context_window_tokens=200_000,
            max_output_tokens=64_000,
            needs=_SEEING,
            tier="strong",
            regions=frozenset({"us", "eu"}),
            formats=_ANTHROPIC,
        ),
        Model(
            name="claude-haiku",
            provider="anthropic",
            cluster="anthropic",
            upstream_name="claude-haiku",
            prices=Prices(input=800, output=4_000, cached_input=80, cache_write=1_000),
            quality=0.82,
            domains=_HARMLESS,
            context_window_tokens=200_000,
            max_output_tokens=64_000,
            needs=_SEEING,
            tier="weak",
            regions=frozenset({"us", "eu"}),
            formats=_ANTHROPIC,
        ),
        Model(
            name="gemini-pro",
            provider="google",
            cluster="google",
            upstream_name="gemini-pro",
            prices=Prices(input=3_500, output=10_500, cached_input=350, cache_write=3_500),
            quality=0.95,
            domains=_EVERYTHING,
            context_window_tokens=1_048_576,
            max_output_tokens=65_536,
            needs=_HEARING,
            is_realtime=False,
            tier="strong",
            regions=frozenset({"us", "eu", "asia"}),
            formats=_CHAT,
        ),
        Model(
            name="gemini-flash",
            provider="google",
            cluster="google",
            upstream_name="gemini-flash",
            prices=Prices(input=1_500, output=9_000, cached_input=150, cache_write=1_500),
            quality=0.81,
            domains=_HARMLESS,
            context_window_tokens=1_048_576,
            max_output_tokens=65_536,
            needs=_HEARING,
            tier="weak",
            regions=frozenset({"us", "eu", "asia"}),
            formats=_CHAT,
        ),
        Model(
            name="kimi",
            provider="moonshot",
            cluster="moonshot",
            upstream_name="kimi",
            prices=Prices(input=500, output=2_000, cached_input=125, cache_write=500),
            quality=0.76,
            domains=_HARMLESS,
            context_window_tokens=262_144,
            max_output_tokens=32_768,
            needs=_READING,
            tier="weak",
            regions=frozenset({"asia"}),
            formats=_CHAT,
        ),
    ]
)
