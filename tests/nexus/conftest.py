"""Fake providers for the tests of the host side."""

import sys
from collections.abc import Iterator

import pytest

from nexus.controls import ProviderControl
from nexus.testing import running_providers


@pytest.fixture(autouse=True)
def kept_modules() -> Iterator[None]:
    """Bring modules back that a test has forgotten: other tests hold what they had imported of them."""
    before = dict(sys.modules)
    yield
    sys.modules.update(before)


@pytest.fixture(scope="session")
def all_providers() -> Iterator[dict[str, ProviderControl]]:
    """The four fake providers, in a process of their own."""
    with running_providers() as providers:
        yield providers


@pytest.fixture
def provider(all_providers: dict[str, ProviderControl]) -> ProviderControl:
    """The fake openai, with an empty journal and no fault."""
    control = all_providers["openai"]
    control.set_fault()
    control.forget_requests()
    return control
