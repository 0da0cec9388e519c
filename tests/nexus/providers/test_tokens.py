from hypothesis import given
from hypothesis import strategies as st

from nexus.providers import count_tokens, split_tokens


def test_the_stated_example_counts_as_stated() -> None:
    assert split_tokens("Hi, 世界!") == ("Hi", ",", " 世", "界", "!")
    assert count_tokens("Hi, 世界!") == 5


@given(st.text())
def test_counting_and_splitting_agree_on_any_text(text: str) -> None:
    assert count_tokens(text) == len(split_tokens(text))


@given(st.text())
def test_the_pieces_are_the_text_but_for_white_space_at_its_end(text: str) -> None:
    joined = "".join(split_tokens(text))

    assert text.startswith(joined)
    assert not text[len(joined) :].strip()
