"""Whose requests share a threshold."""

import pytest

from ai_routellm_threshold_tuner.scopes import Scopes, scope_name


@pytest.mark.parametrize(
    ("scope", "more", "name"),
    [
        ("route", {}, "chat"),
        ("route", {"route": ""}, "unnamed"),
        ("route", {"pair": "coding", "stand_in": "words"}, "chat/coding/words"),
        ("route_and_domain", {}, "chat/legal"),
        ("route_and_domain", {"domain": "../../x"}, "chat/general"),
        ("everything", {}, "everything"),
        ("everything", {"pair": "coding"}, "everything/coding"),
        ("route", {"route": "r" * 900}, "r" * 200),
    ],
)
def test_names(scope: str, more: dict[str, str], name: str) -> None:
    assert scope_name(scope, **({"route": "chat", "domain": "legal"} | more)) == name  # type: ignore[arg-type]


def test_there_are_not_more_than_allowed() -> None:
    scopes = Scopes(2)

    assert [scopes.known(name) for name in ("a", "b", "a", "c", "d")] == ["a", "b", "a", "others", "others"]


def test_metrics_have_plain_names() -> None:
    scopes = Scopes(9)
    name = scopes.known("my route.v1/legal")

    assert scopes.metric_name(name) == "my_route_v1_legal"
