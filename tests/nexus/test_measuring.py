import json
import os
import time

import pytest

from nexus._procfs import cpu_s, resident_bytes
from nexus.load import LoadResult
from nexus.measuring import Soak, prompt_bodies

MB = 1_000_000


def soak_with(sizes: list[int], *, every: int = 1000) -> Soak:
    memory = [(number * every, size) for number, size in enumerate(sizes, 1)]
    return Soak(load=LoadResult(), answered=0, memory=memory, crashes=[])


def test_what_grows_before_it_has_settled_is_no_growth() -> None:
    soak = soak_with([100 * MB] * 9 + [300 * MB] * 91)

    assert soak.settled == [300 * MB] * 91
    assert soak.growth == 0
    assert soak.is_flat


def test_a_leak_is_growth() -> None:
    soak = soak_with([300 * MB + number * 200_000 for number in range(100)])

    assert soak.growth == pytest.approx(0.054, abs=0.01)
    assert not soak.is_flat


def test_of_a_short_run_the_second_half_counts() -> None:
    soak = soak_with([100, 200, 300, 300], every=500)

    assert soak.settled == [200, 300, 300]


def test_nothing_measured_is_not_flat() -> None:
    assert not soak_with([]).is_flat


@pytest.mark.parametrize("length", [1, 200, 2048, 8000])
def test_prompts_have_the_length_asked_for(length: int) -> None:
    for body in prompt_bodies(length):
        content = json.loads(body)["messages"][0]["content"]
        # A character of Chinese is never cut in the middle.
        assert length - 3 < len(content.encode()) <= length


def test_prompts_are_in_several_languages() -> None:
    assert any(b"def merge" in body for body in prompt_bodies(200))
    assert any("合同".encode() in body for body in prompt_bodies(200))


def test_memory_that_is_used_is_seen() -> None:
    before = resident_bytes(os.getpid())
    held = bytearray(os.urandom(1 << 20) * 64)

    assert resident_bytes(os.getpid()) - before > len(held) // 2


def test_cpu_time_is_that_of_the_process_and_not_the_clock() -> None:
    used, clock = cpu_s(os.getpid()), time.process_time()
    while time.process_time() - clock < 0.3:
        sum(range(10_000))

    assert cpu_s(os.getpid()) - used == pytest.approx(time.process_time() - clock, abs=0.05)
