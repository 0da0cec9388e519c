"""``python -m nexus render``: one file, a directory that Envoy watches, or plugins for Higress."""

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from .deployment import Deployment, Host, key_notices, read_deployment
from .description import Gateway, faked
from .higress import higress_documents
from .live_directory import RETIREMENT_S, LiveDirectory
from .plugin_packages import forget_packages
from .reading import DescriptionError
from .render import edition_of, render, render_files, to_yaml
from .watching import LOOK_INTERVAL_S, Watcher

__all__ = ["Rendering", "WriteError"]


class WriteError(RuntimeError):
    """What was rendered cannot be written; the message is a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendering:
    """What to render, and how it differs from what the description says."""

    description: Path
    host: Host = "envoy"
    listen: str | None = None
    """The IP address for all listeners and the administration page."""
    module: Path | None = None
    """Where Envoy will find the module."""
    fake_providers: tuple[str, int] | None = None
    """The host of fake providers, and the port of the first."""
    url: str | None = None
    """Where Higress will find the module."""

    def to_file(self, output: Path | None) -> None:
        """Write everything into one file, or to standard output."""
        deployment = self._read()
        if self.host == "higress":
            documents = higress_documents(deployment.plugins, self.url)
            text = "---\n".join(to_yaml(document, [file]) for file, document in documents.items())
        else:
            gateway = self._adjusted(deployment.gateway)
            text = to_yaml(render(gateway, deployment.plugins), deployment.files)
        if output is None:
            sys.stdout.write(text)
            return
        with _writing(output):
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_text(text, encoding="utf-8")

    def to_directory(self, directory: Path) -> None:
        """Write one file for each thing that can change by itself; for Higress, one for each plugin."""
        if self.host == "higress":
            self._write_plugins(directory)
            return
        live = self._live(directory)
        self._publish(live)
        while not live.settle():
            time.sleep(LOOK_INTERVAL_S)

    def keep_directory(self, directory: Path) -> None:
        """Write the files of *directory*, and again whenever what they are made from has changed."""
        watcher = Watcher(self.description)
        live = self._live(directory)
        self._publish(live)
        while True:
            time.sleep(LOOK_INTERVAL_S)
            live.settle()
            if watcher.has_changed():
                forget_packages()
                try:
                    self._publish(live)
                except DescriptionError as error:
                    _say(f"The change is refused, and the files stay as they were:\n{error}")

    def _read(self) -> Deployment:
        deployment = read_deployment(self.description, host=self.host)
        notices = list(deployment.notices)
        if self.host == "envoy" and self.fake_providers is None:
            file = self.description.name
            notices.extend(f"{file}: {notice}" for notice in key_notices(deployment.gateway))
        for notice in notices:
            _say(f"note: {notice}")
        return deployment

    def _adjusted(self, gateway: Gateway) -> Gateway:
        if self.listen is not None:
            listeners = tuple(replace(listener, address=self.listen) for listener in gateway.listeners)
            admin = replace(gateway.admin, address=self.listen)
            gateway = replace(gateway, listeners=listeners, admin=admin)
        if self.module is not None:
            gateway = replace(gateway, module=self.module)
        return gateway if self.fake_providers is None else faked(gateway, *self.fake_providers)

    def _live(self, directory: Path) -> LiveDirectory:
        return LiveDirectory(Path(os.path.abspath(directory)), self.description.name)

    def _publish(self, live: LiveDirectory) -> None:
        deployment = self._read()
        gateway = self._adjusted(deployment.gateway)
        # The module is read where it is built; Envoy may see it elsewhere.
        edition = edition_of(deployment.gateway.module, deployment.plugins)
        with _writing(live.path):
            published = live.publish(render_files(gateway, deployment.plugins, live.path, edition=edition))
        if published.replaced:
            print(f"written: {', '.join(published.replaced)}", flush=True)
        if published.retiring:
            names = ", ".join(published.retiring)
            _say(f"note: {names}: gone, and kept for {RETIREMENT_S:.0f} s for requests on their way there")
        if published.needs_restart:
            _say("note: admin and limits.connections count from the next start of Envoy on")

    def _write_plugins(self, directory: Path) -> None:
        documents = higress_documents(self._read().plugins, self.url)
        with _writing(directory):
            directory.mkdir(parents=True, exist_ok=True)
            for file, document in documents.items():
                (directory / file).write_text(to_yaml(document, [file]), encoding="utf-8")


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WriteError(f"{path} cannot be written: {error.strerror}.") from error


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
