"""All fake providers in one process, one port each."""

import contextlib
from collections.abc import AsyncIterator, Sequence

from aiohttp import web

from ._provider import FakeProvider, ProviderApp

PROVIDERS = (
    FakeProvider("openai", ("gpt-5.5", "gpt-4.1-mini")),
    FakeProvider("anthropic", ("claude-sonnet", "claude-haiku")),
    FakeProvider("google", ("gemini-pro", "gemini-flash")),
    FakeProvider("moonshot", ("kimi",)),
)
"""The providers that are faked unless others are asked for, in the order of their ports."""

# A gateway forwards headers up to its own limit (60 KiB in all by default); a provider that is stricter
# would turn a test of the gateway into a test of itself.
_LARGEST_HEADER_BYTES = 128 * 1024


@contextlib.asynccontextmanager
async def serve(
    first_port: int, *, address: str = "127.0.0.1", providers: Sequence[FakeProvider] = PROVIDERS
) -> AsyncIterator[None]:
    """Serve *providers* on *first_port* and the ports after it for as long as the context lasts.

    Raises OSError when a port cannot be bound.
    """
    async with contextlib.AsyncExitStack() as stack:
        for port, provider in enumerate(providers, first_port):
            runner = web.AppRunner(
                ProviderApp(provider).application(),
                access_log=None,
                handler_cancellation=True,
                max_line_size=_LARGEST_HEADER_BYTES,
                max_field_size=_LARGEST_HEADER_BYTES,
                shutdown_timeout=0,
            )
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, address, port).start()
        yield
