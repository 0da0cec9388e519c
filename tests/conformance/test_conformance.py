"""Every scenario looks the same natively, in wasm, and on a real Envoy."""

from collections.abc import Iterator

import pytest

from .hosts import SCENARIOS, Hosts
from .scenario import Scenario


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    made = Hosts()
    yield made
    made.stop()


def test_there_are_scenarios_enough_and_none_twice() -> None:
    names = [scenario.name for scenario in SCENARIOS]

    assert len(set(names)) == len(names)
    assert len(names) >= 120


BY_SETUP: list[Scenario] = sorted(SCENARIOS, key=lambda scenario: scenario.setup)


def _id(scenario: Scenario) -> str:
    return scenario.name.replace(" ", "-")


@pytest.mark.parametrize("scenario", BY_SETUP, ids=_id)
def test_a_scenario_looks_the_same_on_every_host(scenario: Scenario, hosts: Hosts) -> None:
    real = hosts.observe(scenario, "envoy")

    assert hosts.observe(scenario, "wasm").differences(real) == []
    assert hosts.observe(scenario, "native").differences(real) == []
