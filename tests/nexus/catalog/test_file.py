"""The catalog file is read as plugins read it, and written in one way only."""

from dataclasses import asdict
from pathlib import Path

import pytest

from aigateway.catalog import DEFAULT_CATALOG, read_catalog
from aigateway.config import ConfigError, Reader
from nexus.catalog.file import KEYS, Listing, load_catalog, to_text, write_text
from nexus.reading import DescriptionError

CATALOG = Path(__file__).resolve().parents[3] / "envoy" / "catalog.yaml"

ENTRY: dict[str, object] = {
    "quality": 0.9,
    "provider": "acme",
    "context_window_tokens": 1000,
    "prices_nano_usd_per_token": {"input": 1, "output": 2},
    "name": "small",
    "regions": ["eu", "no"],
    "realtime": False,
    "tier": None,
}


def test_our_own_catalog_is_the_default_one() -> None:
    listing = load_catalog(CATALOG)

    reader = Reader({"catalog": list(listing.entries)})
    assert read_catalog(reader).models == DEFAULT_CATALOG.models
    reader.finish()


def test_our_own_catalog_is_as_an_import_would_write_it() -> None:
    assert CATALOG.read_text() == to_text(load_catalog(CATALOG))


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "catalog.yaml"
    listing = Listing((ENTRY, ENTRY | {"name": "yes"}), {"input": 3, "output": 4})

    write_text(path, to_text(listing))

    without_nothing = {key: value for key, value in ENTRY.items() if value is not None}
    assert load_catalog(path) == Listing(
        (without_nothing, without_nothing | {"name": "yes"}), {"input": 3, "output": 4}
    )
    assert to_text(load_catalog(path)) == path.read_text()


def test_keys_have_one_order_and_a_model_is_easy_to_read() -> None:
    text = to_text(Listing((ENTRY,)))

    assert text.partition("\n\n")[2] == (
        "catalog:\n"
        "- name: small\n"
        "  provider: acme\n"
        "  prices_nano_usd_per_token: {input: 1, output: 2}\n"
        "  quality: 0.9\n"
        "  context_window_tokens: 1000\n"
        "  realtime: false\n"
        "  regions: [eu, 'no']\n"
    )


def test_keys_that_a_plugin_does_not_read_cannot_be_written_and_all_others_can() -> None:
    reader = Reader({"catalog": [dict.fromkeys(KEYS, 1)]})
    read_catalog(reader)
    with pytest.raises(ConfigError) as raised:
        reader.finish()
    assert "unknown key" not in str(raised.value)

    properties = asdict(DEFAULT_CATALOG.models[0])
    assert len(KEYS) == len(properties) + len({"source"})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("unpriced: refuse", "catalog.yaml: catalog: expected a list with at least one model, got nothing"),
        ("catalog: []", "catalog.yaml: catalog: expected a list with at least one model, got an empty array"),
        ("catalog: [{}]\nmodels: 3", "catalog.yaml: models: unknown key"),
        ("catalog: [", "catalog.yaml: line 1, column 11: not valid YAML"),
    ],
)
def test_what_no_plugin_would_read_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "catalog.yaml"
    path.write_text(text)

    with pytest.raises(DescriptionError) as raised:
        load_catalog(path)

    assert problem in str(raised.value)


def test_writing_keeps_who_may_read_the_file_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "catalog.yaml"

    write_text(path, "a")
    assert path.stat().st_mode & 0o777 == 0o644
    path.chmod(0o640)
    write_text(path, "b")

    assert path.read_text() == "b"
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path: Path) -> None:
    with pytest.raises(DescriptionError, match=r"catalog\.yaml cannot be written: No such file or directory"):
        write_text(tmp_path / "missing" / "catalog.yaml", "a")
    (tmp_path / "catalog.yaml").mkdir()
    with pytest.raises(DescriptionError, match=r"catalog\.yaml cannot be written: Is a directory"):
        write_text(tmp_path / "catalog.yaml", "a")
    assert [path.name for path in tmp_path.iterdir()] == ["catalog.yaml"]
