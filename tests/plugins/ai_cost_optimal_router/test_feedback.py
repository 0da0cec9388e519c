"""A model is judged by what it did and not by what others did; a judgement is read or refused."""

import json

import pytest

from ai_cost_optimal_router.feedback import (
    Feedback,
    is_feedback,
    judge_outcome,
    may_judge,
    read_feedback,
    read_judgement,
    read_score,
)
from aigateway.catalog import DEFAULT_CATALOG
from aigateway.config import ConfigError, Reader
from aigateway.refusals import InvalidRequestError

RULES = Feedback(target_ms=1_000)


@pytest.mark.parametrize(
    ("status", "details", "latency_ms", "reward"),
    [
        (200, "via_upstream", 10, 1.0),
        (200, None, 1_000, 1.0),
        (200, None, 2_000, 0.5),
        (201, None, 4_000, 0.25),
        (500, "via_upstream", 10, 0.0),
        (503, None, 10, 0.0),
        (429, "via_upstream", 10, 0.0),
        (401, "via_upstream", 10, 0.0),
        (400, "via_upstream", 10, None),
        (404, None, 10, None),
        (413, None, 10, None),
        (301, None, 10, None),
        # Envoy answers for an upstream that did not.
        (503, "upstream_reset_before_response_started{connection_termination}", 10, 0.0),
        (504, "upstream_response_timeout", 10, 0.0),
        (503, "no_healthy_upstream", 10, 0.0),
        # A plugin or Envoy answers for itself.
        (429, "budget_exceeded", 10, None),
        (500, "filter_error", 10, None),
        (503, "overload", 10, None),
    ],
)
def test_outcomes(status: int, details: str | None, latency_ms: float, reward: float | None) -> None:
    assert judge_outcome(status, details, latency_ms, RULES) == reward


def test_time_may_be_no_matter() -> None:
    assert judge_outcome(200, None, 10**9, Feedback(target_ms=0)) == 1


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("0", 0),
        ("1", 1),
        ("0.25", 0.25),
        (" 1.00 ", 1),
        ("0.", None),
        ("1.1", None),
        ("-0", None),
        ("2", None),
    ]
    + [(text, None) for text in ("", "nan", "1e-3", "0.5, 0.5", "٠", None)],
)
def test_scores_in_a_header(text: str | None, score: float | None) -> None:
    assert read_score(text) == score


def test_a_judgement_is_read() -> None:
    body = json.dumps({"model": "openai/gpt-5.5", "domain": "code", "score": 1}).encode()

    judgement = read_judgement(body, DEFAULT_CATALOG)

    assert (judgement.model.name, judgement.domain, judgement.score) == ("gpt-5.5", "code", 1.0)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "empty body"),
        (b"[]", "expected an object, got an empty array"),
        (b'{"score": 1}', "model: expected a model of the catalog"),
        (b'{"model": "gpt-6", "score": 1}', "model: expected a model of the catalog"),
        (b'{"model": ["gpt-5.5"], "score": 1}', "model: expected a model of the catalog"),
        (b'{"model": "gpt-5.5", "domain": "cooking", "score": 1}', "domain: expected one of code, medical"),
        (b'{"model": "gpt-5.5", "domain": ["code"], "score": 1}', "domain: expected one of code, medical"),
        (b'{"model": "gpt-5.5"}', "score: expected a number from 0 to 1"),
        (b'{"model": "gpt-5.5", "score": true}', "score: expected a number from 0 to 1"),
        (b'{"model": "gpt-5.5", "score": 1.5}', "score: expected a number from 0 to 1"),
        (b'{"model": "gpt-5.5", "score": NaN}', "NaN is not a JSON value"),
    ],
)
def test_a_judgement_that_cannot_be_used_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message):
        read_judgement(body, DEFAULT_CATALOG)


def test_only_who_is_named_may_judge() -> None:
    rules = Feedback(path="/v1/feedback", consumers=("evaluator",))

    assert may_judge("evaluator", rules) is None
    for consumer in ("somebody", "", None):
        refusal = may_judge(consumer, rules)
        assert refusal is not None
        assert refusal.status == 403


def test_judgements_are_posted_to_the_path() -> None:
    rules = Feedback(path="/v1/feedback", consumers=("evaluator",))

    assert is_feedback("POST", "/v1/feedback?x=1", rules)
    assert not is_feedback("GET", "/v1/feedback", rules)
    assert not is_feedback("POST", "/v1/feedback/more", rules)
    assert not is_feedback("POST", "", Feedback())


def test_the_configuration_is_read_and_checked() -> None:
    reader = Reader({"feedback": {"header": "X-Score", "path": "/f", "consumers": ["a"], "weight": 2}})
    assert read_feedback(reader) == Feedback(header="x-score", path="/f", consumers=("a",), weight=2)
    reader.finish()

    wrong = Reader({"feedback": {"header": "x score", "path": "f", "target_ms": -1}})
    read_feedback(wrong)
    with pytest.raises(ConfigError) as raised:
        wrong.finish()
    assert [problem.path for problem in raised.value.problems] == [
        "feedback.target_ms",
        "feedback.header",
        "feedback.path",
        "feedback.consumers",
    ]
