"""Real gateways for the tests: one with the plugins, one without, each started once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus.testing import RunningGateway, running_gateway
from wasmbuild.__main__ import main as wasmbuild

MODULE = Path(__file__).parents[2] / "build" / "ai-nexus.wasm"


@pytest.fixture(scope="session")
def module() -> Path:
    """The built module; a test that needs it fails without it."""
    if not MODULE.is_file():
        pytest.fail("build/ai-nexus.wasm is missing: build it with `make build`.")
    return MODULE


@pytest.fixture(scope="session")
def shared_gateway(module: Path) -> Iterator[RunningGateway]:
    with running_gateway({"ai-nexus-classifier": {}}, module=module) as running:
        yield running


@pytest.fixture(scope="session")
def shared_plain_gateway() -> Iterator[RunningGateway]:
    with running_gateway() as running:
        yield running


@pytest.fixture
def gateway(shared_gateway: RunningGateway) -> RunningGateway:
    """A gateway with the classifier, and providers without faults or memories."""
    shared_gateway.reset()
    return shared_gateway


@pytest.fixture
def plain_gateway(shared_plain_gateway: RunningGateway) -> RunningGateway:
    """A gateway without plugins, and providers without faults or memories."""
    shared_plain_gateway.reset()
    return shared_plain_gateway


@pytest.fixture(scope="session")
def probe_module(request: pytest.FixtureRequest) -> Path:
    """A module of filters that show which configuration holds for a request."""
    module = request.config.rootpath / "build" / "tests" / "probes.wasm"
    source = Path(__file__).parent / "filters" / "probes.py"
    cache = module.parents[1] / ".wasmbuild"
    assert wasmbuild([str(source), "-o", str(module), "--cache", str(cache)]) == 0
    return module


@pytest.fixture(scope="session")
def router_module(request: pytest.FixtureRequest) -> Path:
    """A module of the classifier, the router, and a filter that plays the plugins around them."""
    module = request.config.rootpath / "build" / "tests" / "router.wasm"
    player = Path(__file__).parent / "filters" / "knowledge_filter.py"
    plugins = ["ai_nexus_classifier", "ai_cost_optimal_router", str(player)]
    assert wasmbuild([*plugins, "-o", str(module), "--cache", str(module.parents[1] / ".wasmbuild")]) == 0
    return module


@pytest.fixture(scope="session")
def budget_module(request: pytest.FixtureRequest) -> Path:
    """A module of the guard, what stands around it, and a filter that shows the ledger."""
    module = request.config.rootpath / "build" / "tests" / "budget.wasm"
    plugins = ["ai_budget_guard", "ai_cost_optimal_router", "ai_provider_circuit_breaker"]
    plugins.append(str(Path(__file__).parent / "filters" / "ledger_filter.py"))
    assert wasmbuild([*plugins, "-o", str(module), "--cache", str(module.parents[1] / ".wasmbuild")]) == 0
    return module
