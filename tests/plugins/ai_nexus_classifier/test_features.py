"""Words, questions and hits are counted in any script."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_nexus_classifier.config import Config
from ai_nexus_classifier.features import UNSPACED_WINDOW_CHARACTERS, WINDOW_CHARACTERS, Features, measure

LEXICON = Config().lexicon


def features(text: str) -> Features:
    return measure(text, LEXICON)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 0),
        ("   \n\t ", 0),
        ("one", 1),
        ("  two   words\n", 2),
        ("don't re-use e.g. a/b", 4),
        ("Привет, как дела?", 3),
        ("déjà vu", 2),
        ("오늘 날씨가 좋네요", 3),
        ("नमस्ते आप कैसे हैं", 4),
        ("no\u00a0break", 2),
        ("“quoted” — words…", 2),
    ],
)
def test_words_between_spaces(text: str, words: float) -> None:
    assert features(text).words == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("今天天气很好我们去公园散步吧", 14 / 1.65),
        ("今天，天气很好。我们去公园！", 11 / 1.65),
        ("請說明這個問題", 7 / 1.65),
        ("我用Python写代码", 1 + 5 / 1.65),
        ("我用 Python 3 写代码", 2 + 5 / 1.65),
        ("これはひらがなです", 9 / 2.5),
        ("東京タワーに行きます", 3 / 1.65 + 7 / 2.5),
        ("ภาษาไทย", 7 / 4.5),
    ],
)
def test_words_of_scripts_that_do_not_mark_them(text: str, words: float) -> None:
    assert features(text).words == pytest.approx(words)


def test_chinese_and_english_of_the_same_content_have_about_as_many_words() -> None:
    chinese = features("请比较这两种方案的优缺点，并说明为什么第一种方案在数据量很大的时候会失败。")
    english = features(
        "Please compare the pros and cons of these two plans, and say why the first fails with a lot of data."
    )

    assert chinese.words == pytest.approx(english.words, rel=0.25)


@pytest.mark.parametrize(
    ("text", "questions"),
    [
        ("What? Why? Really?", 3),
        ('He asked "why?" (really?)', 2),
        ("What???", 1),
        ("为什么？怎么办？", 2),
        ("什么？？？", 2),
        ("真的吗?是的", 0),
        ("هل هذا صحيح؟", 1),
        ("a?b:c and http://x/?q=1&r=?", 1),
        ("x ?? y", 1),
        ("no question.", 0),
    ],
)
def test_questions(text: str, questions: int) -> None:
    assert features(text).questions == questions


@pytest.mark.parametrize(
    ("text", "hits"),
    [
        ("plaintiff", 1),
        ("Plaintiffs", 1),
        ("PLAINTIFF, plaintiff; (plaintiffs)", 1),
        ("plaintiff defendant", 2),
        ("due process", 1),
        ("due\nprocess", 1),
        ("Due-Process", 1),
        ("process due", 0),
        ("due process due process", 1),
        ("complaintiff", 0),
        ("原告", 1),
        ("原告、被告", 2),
        ("原告原告原告", 1),
        ("被告原告原", 2),
        ("知识产权", 1),
        ("知识", 0),
        ("plaintiff与被告", 2),
        ("ｐｌａｉｎｔｉｆｆ", 1),
    ],
)
def test_each_different_term_is_a_hit(text: str, hits: float) -> None:
    measured = features(text)

    assert measured.legal == max(0, hits - measured.words / 64)


def test_hints_are_half_a_hit() -> None:
    assert features("agreement").legal == pytest.approx(0.5 - 1 / 64)
    assert features("agreement witness").legal == pytest.approx(1.5 - 2 / 64)


def test_a_long_text_is_measured_at_its_ends() -> None:
    middle = "garden " * 50_000
    text = "plaintiff " + middle + "defendant?"

    measured = features(text)

    assert len(text) > 10 * WINDOW_CHARACTERS
    assert measured.characters == len(text)
    assert measured.words == pytest.approx(50_002, rel=0.01)
    assert features("plaintiff " + middle).legal == 0  # One term is no more than chance in 2,700 words.
    assert measure("plaintiff " + middle, LEXICON, 1e9).legal == pytest.approx(1, abs=0.01)
    assert measure(text, LEXICON, 1e9).legal == pytest.approx(2, abs=0.01)
    assert measure(middle + "plaintiff" + middle, LEXICON, 1e9).legal == 0


def test_long_chinese_is_searched_for_terms_at_its_ends() -> None:
    middle = "我们一起去公园里散步吧" * 500

    assert len(middle) > 4 * UNSPACED_WINDOW_CHARACTERS
    assert measure("原告" + middle + "被告", LEXICON, 1e9).legal == pytest.approx(2, abs=0.01)
    assert measure(middle + "原告" + middle, LEXICON, 1e9).legal == 0
    assert features(middle).words == pytest.approx(11 * 500 / 1.65)


def test_shares_of_features_add_up() -> None:
    total = Features(words=10, code=2).plus(Features(words=4, questions=2), 0.5)

    assert total == Features(words=12, questions=1, code=2)


@given(st.text(alphabet=st.characters(), max_size=400))
def test_any_text_can_be_measured(text: str) -> None:
    measured = features(text)

    assert measured.characters == len(text)
    assert 0 <= measured.words <= len(text)
    assert 0 <= measured.questions <= len(text)
    assert min(measured.code, measured.medical, measured.legal, measured.instruction) >= 0


@given(st.text(alphabet=st.characters(codec="ascii"), max_size=300))
def test_ascii_words_are_what_split_gives(text: str) -> None:
    assert features(text).words == len(text.split())


@pytest.mark.parametrize(
    "text",
    [
        "?" * 200_000,
        "？" * 200_000,
        "分" * 200_000,
        "分析" * 100_000,
        "plaintiff " * 20_000,
        "due " * 100_000,
        "\ud800" * 100_000,
        "\0" * 200_000,
        "a" * 5_000_000,
        "Ａ" * 100_000,
        "é" * 100_000,
    ],
)
def test_adversarial_texts_are_measured_too(text: str) -> None:
    assert features(text).characters == len(text)
