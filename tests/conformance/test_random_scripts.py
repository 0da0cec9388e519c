"""Random legal scripts look the same natively and in wasm, and on Envoy in the longer run."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings

from .hosts import Hosts
from .scenario import Scenario
from .scripts import scenarios

QUICK = 60
LONG = int(os.environ.get("CONFORMANCE_SCRIPTS", "100"))
"""How many scripts Envoy runs; the proof asks for 1,000."""

settings.register_profile(
    "conformance",
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
_PROFILE = settings.get_profile("conformance")


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    made = Hosts()
    yield made
    made.stop()


def test_random_scripts_look_the_same_natively_and_in_wasm(hosts: Hosts) -> None:
    @settings(_PROFILE, max_examples=QUICK)
    @given(scenario=scenarios())
    def compare(scenario: Scenario) -> None:
        native = hosts.observe(scenario, "native")

        assert hosts.observe(scenario, "wasm").differences(native) == []

    compare()


def test_random_scripts_look_the_same_on_envoy(hosts: Hosts) -> None:
    @settings(_PROFILE, max_examples=LONG)
    @given(scenario=scenarios())
    def compare(scenario: Scenario) -> None:
        emulated = hosts.observe(scenario, "wasm")
        differences = emulated.differences(hosts.observe(scenario, "envoy"))
        # A look at a real proxy ends when nothing has come for a while, which on a busy machine may be too
        # soon. A difference is one that is there when one looks again.
        if differences:
            differences = emulated.differences(hosts.observe(scenario, "envoy"))

        assert differences == []

    compare()
