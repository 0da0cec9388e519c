"""The measurements work; what they measure is for the benchmarks to say."""

from pathlib import Path

from nexus.measuring import compare, soak


def test_a_comparison_measures_both_and_finds_the_plugins_dearer(module: Path) -> None:
    found = compare({"ai-nexus-classifier": {}}, module=module, rounds=1, requests=300)

    for subject in (found.without, found.with_plugins):
        assert subject.requests == 300
        assert 0 < subject.p50_ms <= subject.p99_ms
        assert subject.memory_bytes > 20_000_000
    assert found.with_plugins.p50_ms > found.without.p50_ms
    assert found.with_plugins.cpu_ms_per_request > found.without.cpu_ms_per_request
    assert found.with_plugins.memory_bytes > found.without.memory_bytes
    assert found.module_bytes == module.stat().st_size


def test_a_soak_sends_every_request_and_watches_memory(module: Path) -> None:
    found = soak({"ai-nexus-classifier": {}}, module=module, requests=2000, stream=True)

    assert (found.load.completed, dict(found.load.errors)) == (2000, {})
    assert found.answered == 2000
    assert [requests for requests, _ in found.memory] == [500, 1000, 1500, 2000]
    assert found.crashes == []
