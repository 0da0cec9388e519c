"""Complexity, domain and latency follow the formula; short turns inherit."""

import math
from collections.abc import Iterable

import pytest

from ai_nexus_classifier import Config, Domain, Latency, Verdict, classify, classify_text
from aigateway.chat import ChatRequest, Format, Role, Turn

CONFIG = Config()

HARD = (
    "Design a distributed database with consensus in Python, analyze its algorithm step by step, compare the "
    "trade-offs with a relational database and implement the data structure. How does it avoid a deadlock?"
)


def conversation(*turns: tuple[Role, str]) -> ChatRequest:
    return ChatRequest(format=Format.CHAT, turns=tuple(Turn(role, text) for role, text in turns))


def users(texts: Iterable[str]) -> ChatRequest:
    return conversation(*[(Role.USER, text) for text in texts])


def judged(text: str, **settings: object) -> Verdict:
    return classify_text(text, Config.from_json(settings))


def test_complexity_is_the_formula() -> None:
    features = classify_text(HARD, CONFIG).features
    log_odds = (
        -1.55
        + 0.008 * min(features.words, 600)
        + 0.18 * features.questions
        + 0.32 * min(features.code, 3)
        + 0.26 * min(features.medical, 1)
        + 0.24 * min(features.legal, 1)
        + 0.34 * min(features.instruction, 3)
    )

    assert features.code > 2
    assert features.instruction > 2
    assert classify_text(HARD, CONFIG).complexity == pytest.approx(1 / (1 + math.exp(-log_odds)))


def test_nothing_said_is_as_easy_as_it_gets() -> None:
    assert classify_text("", CONFIG).complexity == pytest.approx(1 / (1 + math.exp(1.55)))


@pytest.mark.parametrize(
    ("easier", "harder"),
    [
        ("tree " * 10, "tree " * 100),
        ("tell me", "tell me? what? when?"),
        ("give me the thing", "give me the algorithm"),
        ("give me the thing", "give me the diagnosis"),
        ("give me the thing", "give me the lawsuit"),
        ("give me the thing", "analyze the thing step by step"),
        ("你好", "请分析并优化这段代码"),
        ("hi", HARD),
    ],
)
def test_more_of_a_feature_is_harder(easier: str, harder: str) -> None:
    assert classify_text(easier, CONFIG).complexity < classify_text(harder, CONFIG).complexity


@pytest.mark.parametrize(
    ("capped", "more"),
    [
        ("garden " * 600, "garden " * 1100),
        ("why? " * 12, "why? " * 12 + "?"),
        ("algorithm compiler python", "algorithm compiler python " + "algorithm " * 3),
    ],
)
def test_stuffing_a_prompt_buys_nothing(capped: str, more: str) -> None:
    assert classify_text(more, CONFIG).complexity <= classify_text(capped, CONFIG).complexity + 0.01


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("What is the weather like?", Domain.GENERAL),
        ("今天天气怎么样？", Domain.GENERAL),
        ("", Domain.GENERAL),
        ("Write a Python function that sorts a linked list", Domain.CODE),
        ("Why does my C++ program crash?", Domain.CODE),
        ("这段代码为什么报错？请帮我调试", Domain.CODE),
        ("```\nx\n```\nwhat does it do", Domain.CODE),
        ("Ｐｙｔｈｏｎ 的 ＪＳＯＮ 模块", Domain.CODE),
        ("What are the symptoms of diabetes?", Domain.MEDICAL),
        ("患者男，45岁，胸痛三小时，如何诊断？", Domain.MEDICAL),
        ("Can my landlord break the lease?", Domain.LEGAL),
        ("合同违约应当怎样赔偿？", Domain.LEGAL),
        ("用Python写一个函数, 返回list of users", Domain.CODE),
    ],
)
def test_domains_of_short_prompts(text: str, domain: Domain) -> None:
    assert classify_text(text, CONFIG).domain is domain


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("surgery lawsuit algorithm", Domain.MEDICAL),
        ("lawsuit algorithm", Domain.LEGAL),
        ("algorithm", Domain.CODE),
        ("surgery lawsuit algorithm compiler", Domain.CODE),
        ("surgery lawsuit plaintiff", Domain.LEGAL),
    ],
)
def test_most_hits_win_and_ties_go_to_medicine_then_law_then_code(text: str, domain: Domain) -> None:
    assert classify_text(text, CONFIG).domain is domain


def test_a_stray_term_in_a_long_text_is_no_domain() -> None:
    assert classify_text("algorithm", CONFIG).domain is Domain.CODE
    assert classify_text("algorithm " + "garden " * 60, CONFIG).domain is Domain.GENERAL


@pytest.mark.parametrize(
    ("text", "latency"),
    [
        ("garden " * 200, Latency.REALTIME),
        ("garden " * 1201, Latency.BATCH),
        ("我们一起去公园里散步吧" * 200, Latency.BATCH),
        (HARD, Latency.REALTIME),
        (HARD + " garden" * 400, Latency.BATCH),
    ],
)
def test_latency_by_words_or_complexity(text: str, latency: Latency) -> None:
    assert classify_text(text, CONFIG).latency is latency


def test_each_threshold_of_latency_counts_by_itself() -> None:
    text = "garden " * 100

    assert judged(text).latency is Latency.REALTIME
    assert judged(text, batch_words=99).latency is Latency.BATCH
    assert judged(text, batch_words=100).latency is Latency.REALTIME
    assert judged(text, batch_complexity=0.3).latency is Latency.BATCH


def test_scope_selects_what_is_measured() -> None:
    request = conversation(
        (Role.SYSTEM, "You are a lawyer. " + "Know the statute and the court. " * 5),
        (
            Role.USER,
            "Explain the diagnosis of this patient to me, with all the symptoms of the disease, please now.",
        ),
        (Role.ASSISTANT, "The algorithm in Python uses a compiler and a hash table."),
        (
            Role.USER,
            "And now tell me a nice long story about a little garden with roses and a bench under a tree.",
        ),
    )

    def domain(scope: str) -> Domain:
        return classify(request, Config.from_json({"prompt_scope": scope})).domain

    def words(scope: str) -> float:
        return classify(request, Config.from_json({"prompt_scope": scope})).features.words

    assert domain("last_user") is Domain.GENERAL
    assert domain("all_user") is Domain.MEDICAL
    assert words("last_user") < words("all_user") < words("conversation")


@pytest.mark.parametrize("follow_up", ["and in Rust?", "继续", "why?", "请用Go再写一遍", "go on"])
def test_a_short_turn_is_about_as_hard_as_what_it_follows(follow_up: str) -> None:
    hard = classify_text(HARD, CONFIG).complexity
    alone = classify_text(follow_up, CONFIG).complexity

    verdict = classify(users([HARD, follow_up]), CONFIG)

    assert alone < 0.4
    assert hard > 0.6
    assert verdict.complexity > (alone + hard) / 2
    assert verdict.domain is Domain.CODE


def test_a_turn_that_says_enough_stands_for_itself() -> None:
    text = "Please tell me a short story about a cat that lives in a garden with roses and trees."

    assert classify(users([HARD, text]), CONFIG) == classify_text(text, CONFIG)


def test_inheritance_fades_word_by_word_and_turn_by_turn() -> None:
    by_words = [classify(users([HARD, "word " * count]), CONFIG).features.code for count in range(1, 20)]
    by_turns = [classify(users([HARD, *["ok"] * count]), CONFIG).features.code for count in range(1, 30)]

    assert by_words == sorted(by_words, reverse=True)
    assert by_words[0] > 1
    assert by_words[15:] == [0, 0, 0, 0]
    assert by_turns == sorted(by_turns, reverse=True)
    assert by_turns[-1] == 0


def test_what_lies_between_user_turns_does_not_matter() -> None:
    between = conversation(
        (Role.USER, HARD), (Role.ASSISTANT, "garden " * 50), (Role.TOOL, "x"), (Role.USER, "and in Rust?")
    )

    assert classify(between, CONFIG) == classify(users([HARD, "and in Rust?"]), CONFIG)


def test_inheritance_can_be_switched_off() -> None:
    config = Config.from_json({"follow_up": {"words": 0}})

    assert classify(users([HARD, "and in Rust?"]), config) == classify_text("and in Rust?", config)


def test_a_conversation_without_a_user_is_easy_and_general() -> None:
    verdict = classify(conversation((Role.SYSTEM, HARD)), CONFIG)

    assert verdict == classify_text("", CONFIG)


def test_ten_thousand_turns_are_judged_by_the_last_few() -> None:
    assert classify(users([HARD] + ["ok"] * 10_000), CONFIG).features.code == 0


def test_weights_caps_and_lists_are_configuration() -> None:
    assert judged("x", weights={"bias": 2}).complexity == pytest.approx(1 / (1 + math.exp(-2.008)))
    assert judged("a? b? c?", caps={"questions": 0, "words": 0}).complexity == judged("", caps={}).complexity
    assert judged("My zorgon broke", extra_terms={"medical": ["zorgon"]}).domain is Domain.MEDICAL
    assert judged("我要存储过程", extra_terms={"code": ["存储过程"]}).domain is Domain.CODE
    assert judged("The algorithm", terms={"code": []}, hints={"code": []}).domain is Domain.GENERAL
    assert judged("The algorithm", domain_hits=1.5).domain is Domain.GENERAL


def test_extreme_weights_do_not_overflow() -> None:
    extreme = {"words": 1000, "bias": -1000}

    assert judged("garden " * 1000, weights=extreme).complexity == 1
    assert judged("", weights=extreme).complexity == pytest.approx(0)
