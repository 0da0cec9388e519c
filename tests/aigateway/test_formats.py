"""The API of a request is told by its path, or else by its shape."""

import pytest

from aigateway.chat import Format
from aigateway.formats import format_of_body, format_of_path, is_other_api


@pytest.mark.parametrize(
    ("path", "format"),
    [
        ("/v1/chat/completions", Format.CHAT),
        ("/chat/completions", Format.CHAT),
        ("/v1/chat/completions/", Format.CHAT),
        ("/v1/chat/completions?timeout=3", Format.CHAT),
        ("/openai/deployments/gpt-4/chat/completions?api-version=2024-06-01", Format.CHAT),
        ("/models/some/model/v1/chat/completions", Format.CHAT),
        ("/compatible-mode/v1/chat/completions", Format.CHAT),
        ("/v1/completions", Format.COMPLETION),
        ("/v1/responses", Format.RESPONSES),
        ("/v1/messages", Format.ANTHROPIC),
        ("/anthropic/v1/messages", Format.ANTHROPIC),
        ("/v1/threads/thread_1/messages", None),
        ("/v1/messages/count_tokens", None),
        ("/v1/responses/resp_1/cancel", None),
        ("/v1/models", None),
        ("/v1/chat/completions-of-mine", None),
        ("/?x=/v1/chat/completions", None),
        ("/", None),
        ("", None),
    ],
)
def test_the_end_of_a_path_tells_the_api(path: str, format: Format | None) -> None:
    assert format_of_path(path) is format


@pytest.mark.parametrize(
    "path",
    ["/v1/embeddings", "/v1/images/generations", "/v1/audio/speech", "/v1/messages/count_tokens?beta=true"],
)
def test_apis_that_ask_for_no_text_are_known(path: str) -> None:
    assert is_other_api(path)


@pytest.mark.parametrize("path", ["/api/llm", "/v1/image", "/"])
def test_a_path_that_says_nothing_is_no_other_api(path: str) -> None:
    assert not is_other_api(path)


@pytest.mark.parametrize(
    ("body", "format"),
    [
        ({"messages": []}, Format.CHAT),
        ({"messages": [], "max_tokens": 5}, Format.CHAT),
        ({"messages": [], "system": "Be brief."}, Format.ANTHROPIC),
        ({"messages": [], "anthropic_version": "bedrock-2023-05-31"}, Format.ANTHROPIC),
        ({"prompt": "Once"}, Format.COMPLETION),
        ({"prompt": ["Once"]}, Format.COMPLETION),
        ({"input": [{"role": "user", "content": "Hi"}]}, Format.RESPONSES),
        ({"input": "Hi", "instructions": "Be brief."}, Format.RESPONSES),
        ({"input": "to embed", "model": "text-embedding-3-small"}, None),
        ({"input": ["to embed", "this too"]}, None),
        ({"input": []}, None),
        ({"messages": "not a list"}, None),
        ({"prompt": 5}, None),
        ({}, None),
    ],
)
def test_the_keys_of_a_body_tell_the_api(body: dict[str, object], format: Format | None) -> None:
    assert format_of_body(body) is format
