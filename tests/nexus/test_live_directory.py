import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from nexus.description import Gateway, Key
from nexus.live_directory import RETIREMENT_S, LiveDirectory
from nexus.render import BOOTSTRAP, CLUSTERS, LISTENERS, PLUGINS, ROUTES_FILE, Node, render_files
from nexus.testing import describe_gateway, describe_plugin

GATEWAY = describe_gateway()


def files(directory: Path, gateway: Gateway = GATEWAY, mark: int = 1) -> dict[str, Node]:
    plugins = [describe_plugin("a", {"mark": mark})]
    return render_files(gateway, plugins, directory, edition="none")


def clusters(directory: Path) -> list[str]:
    document = yaml.safe_load((directory / CLUSTERS).read_text())
    return [cluster["name"] for cluster in document["resources"]]


@pytest.fixture
def live(tmp_path: Path) -> LiveDirectory:
    directory = LiveDirectory(tmp_path / "envoy", "gateway.yaml")
    directory.publish(files(directory.path), now_s=0)
    return directory


def test_what_a_file_points_to_is_written_before_it(tmp_path: Path) -> None:
    first, *others = GATEWAY.providers
    gateway = replace(GATEWAY, providers=(replace(first, key=Key(variable="KEY")), *others))
    live = LiveDirectory(tmp_path / "envoy")

    published = live.publish(files(live.path, gateway))

    assert published.replaced == ("key-openai.yaml", CLUSTERS, PLUGINS, ROUTES_FILE, LISTENERS)
    assert not published.needs_restart
    assert sorted(os.listdir(live.path)) == sorted([BOOTSTRAP, *published.replaced])


def test_only_what_says_something_new_is_replaced(live: LiveDirectory) -> None:
    before = {file: file.stat().st_ino for file in live.path.iterdir()}

    assert live.publish(files(live.path)).replaced == ()
    assert live.publish(files(live.path, mark=2)).replaced == (PLUGINS,)

    changed = [file.name for file, inode in before.items() if file.stat().st_ino != inode]
    assert changed == [PLUGINS], "a file is replaced by another one: Envoy takes no notice of writing"


def test_a_version_is_new_when_the_content_is(live: LiveDirectory) -> None:
    def version(documents: Mapping[str, Node]) -> object:
        return documents[PLUGINS]["version_info"]

    assert version(files(live.path)) == version(files(live.path))
    assert version(files(live.path)) != version(files(live.path, mark=2))


def test_what_envoy_reads_once_is_said(live: LiveDirectory) -> None:
    gateway = replace(GATEWAY, admin=replace(GATEWAY.admin, port=7))

    published = live.publish(files(live.path, gateway))

    assert (published.replaced, published.needs_restart) == ((), True)


def test_a_provider_that_is_gone_stays_a_while(live: LiveDirectory) -> None:
    fewer = replace(GATEWAY, providers=GATEWAY.providers[:2])

    published = live.publish(files(live.path, fewer), now_s=100)

    assert published.retiring == ("google", "moonshot")
    assert clusters(live.path) == ["openai", "anthropic", "google", "moonshot"]
    assert not live.settle(now_s=99 + RETIREMENT_S)
    assert clusters(live.path) == ["openai", "anthropic", "google", "moonshot"]
    assert live.settle(now_s=100 + RETIREMENT_S)
    assert clusters(live.path) == ["openai", "anthropic"]


def test_so_does_its_key(tmp_path: Path) -> None:
    first, *others = GATEWAY.providers
    gateway = replace(GATEWAY, providers=(replace(first, key=Key(variable="KEY")), *others))
    live = LiveDirectory(tmp_path)
    live.publish(files(live.path, gateway), now_s=0)

    live.publish(
        files(live.path, replace(GATEWAY, providers=tuple(others), default_provider="google")), now_s=0
    )

    assert (live.path / "key-openai.yaml").exists()
    live.settle(now_s=RETIREMENT_S)
    assert not (live.path / "key-openai.yaml").exists()


def test_a_provider_that_comes_back_is_there_once(live: LiveDirectory) -> None:
    live.publish(files(live.path, replace(GATEWAY, providers=GATEWAY.providers[:2])), now_s=0)

    published = live.publish(files(live.path), now_s=1)

    assert published.retiring == ()
    assert live.settle(now_s=1)
    assert clusters(live.path) == ["openai", "anthropic", "google", "moonshot"]


def test_another_process_lets_providers_retire_too(live: LiveDirectory) -> None:
    other = LiveDirectory(live.path, "gateway.yaml")

    published = other.publish(files(live.path, replace(GATEWAY, providers=GATEWAY.providers[:3])), now_s=0)

    assert published.retiring == ("moonshot",)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "]",
        "resources: 7",
        "resources: [{name: foreign}]",
        "version_info: x\nresources: [{name: foreign}]",
    ],
)
def test_what_somebody_else_wrote_is_not_kept(live: LiveDirectory, content: str) -> None:
    (live.path / CLUSTERS).write_text(content)

    live.publish(files(live.path))

    assert clusters(live.path) == ["openai", "anthropic", "google", "moonshot"]


def test_a_file_that_was_spoilt_is_written_again(live: LiveDirectory) -> None:
    (live.path / PLUGINS).write_bytes(b"\xff")

    assert live.publish(files(live.path)).replaced == (PLUGINS,)
