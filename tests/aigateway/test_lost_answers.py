"""What is told of lost answers arrives, and nothing else."""

from aigateway.lost_answers import LostAnswer, decode_lost_answers, encode_lost_answers


def test_they_come_back_as_they_were_written() -> None:
    answers = [LostAnswer("openai/gpt-5.5", 0), LostAnswer("a b/c d", 65_536)]

    assert decode_lost_answers(encode_lost_answers(answers)) == answers


def test_what_is_none_is_left_out() -> None:
    assert decode_lost_answers(None) == []
    assert decode_lost_answers("\nopenai/gpt-5.5\n 7\nx -1\nx 1.5\nopenai/gpt-5.5 7") == [
        LostAnswer("openai/gpt-5.5", 7)
    ]
