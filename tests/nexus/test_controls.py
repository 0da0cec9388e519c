import pytest

from nexus.controls import AdminPage, ControlError, ProviderControl
from nexus.ports import free_ports
from nexus.testing import running_providers


def test_a_provider_can_be_controlled(provider: ProviderControl) -> None:
    provider.set_fault(status=503, count=5)

    assert provider.fault()["fault"] == {"status": 503, "count": 5}
    assert provider.is_up()
    assert provider.requests() == []


def test_what_is_refused_is_said(provider: ProviderControl) -> None:
    with pytest.raises(ControlError, match=r"POST /__faults on port \d+: 400 .*count: expected an integer"):
        provider.set_fault(count=0)


def test_a_provider_that_is_not_there_is_not_up() -> None:
    assert not ProviderControl("nobody", free_ports(1)).is_up()


def test_an_admin_page_that_is_not_there_is_an_error() -> None:
    with pytest.raises(OSError, match="refused"):
        AdminPage(free_ports(1)).stats()


def test_providers_of_other_names_can_be_faked() -> None:
    with running_providers("mistral", "openai") as providers:
        assert list(providers) == ["mistral", "openai"]
        assert all(control.is_up() for control in providers.values())

    assert not any(control.is_up() for control in providers.values())
