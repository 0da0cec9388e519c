"""Which messages are shown, and how places are: nothing a client has sent may get into a log."""

import importlib
import json
from collections.abc import Callable, Mapping

import pytest

from proxywasm import ProxyWasmError, UsageError
from proxywasm._tracebacks import describe_exception, one_line

PROMPT = "tell me a secret"


def described(action: Callable[[], object]) -> str:
    try:
        action()
    except BaseException as error:
        return describe_exception(error)
    raise AssertionError("nothing was raised")


def fail(error: BaseException) -> Callable[[], object]:
    def action() -> object:
        raise error

    return action


class SafeError(Exception):
    message_is_safe = True


class SubclassOfKeyError(KeyError):
    pass


def read_model(body: Mapping[str, object]) -> object:
    return body["model"]


def read(body: Mapping[str, object], key: str) -> object:
    return body[key]


SHOWN: dict[str, tuple[Callable[[], object], str]] = {
    "of the SDK": (fail(UsageError("do it so")), "proxywasm.errors.UsageError: do it so"),
    "declared safe": (fail(SafeError("all good")), "SafeError: all good"),
    "division": (lambda: 1 // 0, "ZeroDivisionError: division by zero"),
    "key in the source": (lambda: read_model({}), "KeyError: 'model'"),
    "attribute in the source": (lambda: object().nope, "AttributeError: no attribute 'nope'"),  # type: ignore[attr-defined]  # The mistake.
    "name in the source": (lambda: nope, "NameError: no name 'nope'"),  # type: ignore[name-defined]  # noqa: F821  # The mistake.
    "json": (lambda: json.loads('{"a": ?'), "JSONDecodeError: Expecting value at line 1, column 7"),
    "unicode": (
        b"a\xff".decode,
        "UnicodeDecodeError: utf-8 cannot decode byte 1: invalid start byte",
    ),
    "late import": (
        lambda: importlib.import_module("no_such_module"),
        "ModuleNotFoundError: no module 'no_such_module'; nothing can be imported at run time: "
        "import at the top of a module",
    ),
    "not implemented": (fail(NotImplementedError(PROMPT)), "NotImplementedError: not implemented"),
}


@pytest.mark.parametrize("case", SHOWN)
def test_messages_of_the_programs_own_words_are_shown(case: str) -> None:
    action, expected = SHOWN[case]

    assert expected in described(action)


HIDDEN: dict[str, Callable[[], object]] = {
    "value": fail(ValueError(PROMPT)),
    "type": fail(TypeError(PROMPT)),
    "number": lambda: int(PROMPT),
    "key from a client": lambda: read({}, PROMPT),
    "attribute from a client": lambda: getattr(object(), PROMPT),
    "module from a client": lambda: importlib.import_module(PROMPT),
    "key error by hand": fail(KeyError(PROMPT, PROMPT)),
    "own key error": fail(SubclassOfKeyError(PROMPT)),
    "fixed text replaced": fail(ZeroDivisionError(PROMPT)),
    "memory": fail(MemoryError(PROMPT)),
    "group": fail(ExceptionGroup(PROMPT, [ValueError(PROMPT)])),
    "oserror": fail(FileNotFoundError(2, PROMPT, PROMPT)),
    "note": fail(ValueError()),
}


@pytest.mark.parametrize("case", HIDDEN)
def test_messages_that_may_quote_a_prompt_are_not(case: str) -> None:
    def action() -> object:
        try:
            return HIDDEN[case]()
        except BaseException as error:
            error.add_note(PROMPT)
            raise

    assert PROMPT not in described(action)


def test_an_instance_cannot_declare_itself_safe() -> None:
    error = ValueError(PROMPT)
    error.message_is_safe = True  # type: ignore[attr-defined]  # That is the attempt.

    assert PROMPT not in described(fail(error))


def test_what_the_sdk_raises_is_safe() -> None:
    assert ProxyWasmError.message_is_safe


def test_places_are_file_line_and_function_outermost_first() -> None:
    def inner() -> None:
        raise ValueError

    def outer() -> None:
        inner()

    shown = described(outer)

    assert shown.startswith("ValueError [proxywasm/test_tracebacks.py:")
    assert shown.index("<locals>.outer >") < shown.index("<locals>.inner]")


def test_a_deep_traceback_shows_both_ends() -> None:
    def down(depth: int) -> None:
        if depth == 0:
            raise ValueError
        down(depth - 1)

    shown = described(lambda: down(500))

    assert shown.count("down >") + shown.count("down]") < 20
    assert " more > " in shown


def test_causes_and_contexts_follow() -> None:
    def action() -> None:
        try:
            raise ValueError(PROMPT)
        except ValueError as error:
            raise UsageError("outer") from error

    def in_handler() -> None:
        try:
            raise ValueError(PROMPT)
        except ValueError:
            raise UsageError("outer") from None

    assert ", caused by ValueError [" in described(action)
    assert "caused by" not in described(in_handler)


def test_a_circle_of_causes_ends() -> None:
    one, two = ValueError(), TypeError()
    one.__cause__, two.__cause__ = two, one

    assert (
        describe_exception(one)
        == "ValueError, caused by TypeError, caused by ValueError, caused by TypeError"
    )


def test_a_message_that_fails_itself_does_not_hide_the_exception() -> None:
    class BrokenError(ProxyWasmError):
        def __str__(self) -> str:
            raise RuntimeError

    assert "BrokenError" in described(fail(BrokenError()))


def test_one_line_leaves_ordinary_text_alone() -> None:
    assert one_line("tab\t, é, 请求") == "tab\t, é, 请求"
