"""The access log says what filters have found out and decided, and nothing that is nobody's business."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests

from nexus.testing import RunningGateway, describe_gateway, running_gateway

PROMPT = "the prompt nobody may see"


@pytest.fixture(scope="module")
def logging_gateway(probe_module: Path) -> Iterator[RunningGateway]:
    described = replace(describe_gateway(module=probe_module), access_log="stdout")
    with running_gateway({"chooser": {}}, gateway=described) as gateway:
        yield gateway


def entry(gateway: RunningGateway, path: str) -> dict[str, Any]:
    """Return the line of the one request to *path*; Envoy writes them twice a second."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for found in map(json.loads, gateway.access_log):
            if found["path"] == path:
                assert isinstance(found, dict)
                return found
        time.sleep(0.1)
    raise AssertionError("there is no such line")


def test_it_has_what_was_chosen_and_the_record_of_it(logging_gateway: RunningGateway) -> None:
    headers = {
        "x-want": "google",
        "x-mse-consumer": "team-a",
        "x-ai-model": "gemini",
        "x-ai-strategy": "cost_optimal",
        "x-ai-reason": "cheapest of 3",
        "x-ai-estimated-cost": "0.00425",
        "x-ai-fallbacks": "openai/gpt,anthropic/claude",
        "authorization": "Bearer the key nobody may see",
    }
    url = f"{logging_gateway.base_url}/v1/responses"
    requests.post(url, json={"model": "auto", "input": PROMPT}, headers=headers, timeout=10)
    line = entry(logging_gateway, "/v1/responses")

    expected = {
        "status": 200,
        "route": "default",
        "cluster": "google",
        "attempts": 1,
        "consumer": "team-a",
        "model": "gemini",
        "provider": "google",
        "strategy": "cost_optimal",
        "reason": "cheapest of 3",
        "estimated_cost_usd": "0.00425",
        "fallbacks": "openai/gpt,anthropic/claude",
        "audit": '{"chosen": "google"}',
    }
    assert {key: line[key] for key in expected} == expected
    written = "".join(logging_gateway.access_log)
    assert PROMPT not in written
    assert "the key nobody may see" not in written


def test_what_nobody_has_found_out_is_null(logging_gateway: RunningGateway) -> None:
    requests.get(f"{logging_gateway.base_url}/v1/models", timeout=10)

    line = entry(logging_gateway, "/v1/models")

    assert [line[key] for key in ("provider", "strategy", "reason", "audit", "tier")] == [None] * 5
