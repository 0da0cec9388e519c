"""A filter that fails in every way a filter can: one log line, the stream as declared, the VM alive."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from nexus.testing import RunningGateway, running_gateway
from wasmbuild.__main__ import main as wasmbuild

FILTER = Path(__file__).parent / "filters" / "hostile_filter.py"
SECRET = "the prompt nobody may see"

DEEDS = {
    "raise": "ValueError",
    "divide": "ZeroDivisionError",
    "exit": "SystemExit",
    "recurse": "RecursionError",
    "recurse-c": "RecursionError",
    "recurse-sort": "RecursionError",
    "recurse-getattr": "RecursionError",
    "recurse-eq": "RecursionError",
    "memory-bytes": "MemoryError",
    "memory-list": "MemoryError",
    "import": "ModuleNotFoundError",
    "open": "FileNotFoundError",
}


@pytest.fixture(scope="session")
def hostile_module(request: pytest.FixtureRequest) -> Path:
    """A module of this one filter, built as somebody outside this repository would."""
    module = request.config.rootpath / "build" / "tests" / "hostile.wasm"
    assert wasmbuild([str(FILTER), "-o", str(module), "--cache", str(module.parents[1] / ".wasmbuild")]) == 0
    return module


@pytest.fixture(scope="session")
def open_gateway(hostile_module: Path) -> Iterator[RunningGateway]:
    with running_gateway({"hostile-open": {}}, module=hostile_module) as running:
        yield running


@pytest.fixture(scope="session")
def closed_gateway(hostile_module: Path) -> Iterator[RunningGateway]:
    with running_gateway({"hostile-closed": {}}, module=hostile_module) as running:
        yield running


def post(gateway: RunningGateway, headers: dict[str, str]) -> requests.Response:
    body = {"model": "auto", "messages": [{"role": "user", "content": SECRET}]}
    return requests.post(f"{gateway.base_url}/v1/chat/completions", json=body, headers=headers, timeout=30)


def reports(gateway: RunningGateway) -> list[str]:
    return [line for line in gateway.logs if "hostile_filter.py" in line]


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)


@pytest.mark.parametrize("header", ["x-do", "x-do-later"])
@pytest.mark.parametrize("deed", DEEDS)
def test_a_failing_filter_that_is_open_leaves_the_stream(
    open_gateway: RunningGateway, deed: str, header: str
) -> None:
    before = len(reports(open_gateway))

    response = post(open_gateway, {header: deed})

    assert response.status_code == 200
    # Envoy's log comes through a pipe of its own, so the line may be behind the response.
    eventually(lambda: len(reports(open_gateway)) > before)
    lines = reports(open_gateway)[before:]
    assert len(lines) == 1
    assert DEEDS[deed] in lines[0]
    assert not open_gateway.vm_crashes()


@pytest.mark.parametrize("deed", DEEDS)
def test_a_failing_filter_that_is_closed_refuses_the_stream(
    closed_gateway: RunningGateway, deed: str
) -> None:
    response = post(closed_gateway, {"x-do": deed})

    assert response.status_code == 500
    assert response.json()["error"]["type"] == "server_error"
    assert post(closed_gateway, {}).status_code == 200
    assert not closed_gateway.vm_crashes()


def test_no_prompt_reaches_the_log(open_gateway: RunningGateway, closed_gateway: RunningGateway) -> None:
    for gateway in (open_gateway, closed_gateway):
        post(gateway, {"x-do": "raise"})

        assert gateway.logs
        assert not any(SECRET in line for line in gateway.logs)
