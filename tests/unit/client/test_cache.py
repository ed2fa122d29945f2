"""The content cache: what it gives is what was asked for, and it stays within its bound."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from entrepot.client.cache import ContentCache, parse_size
from entrepot.model.errors import Invalid


def sha(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


@pytest.fixture
def cache(tmp_path: Path) -> ContentCache:
    return ContentCache(tmp_path / "contents", 1000, Clock())


def test_what_was_put_is_got(cache: ContentCache) -> None:
    cache.put(sha(b"abc"), b"abc")
    assert cache.get(sha(b"abc")) == b"abc"
    assert cache.get(sha(b"other")) is None


def test_damaged_content_is_never_given(cache: ContentCache, tmp_path: Path) -> None:
    cache.put(sha(b"abc"), b"abc")
    (place,) = [place for place in (tmp_path / "contents").rglob("*") if place.is_file() and place.name[0] != "."]
    place.write_bytes(b"abd")
    assert cache.get(sha(b"abc")) is None
    assert not place.exists()


def test_what_was_used_longest_ago_goes_first(cache: ContentCache) -> None:
    contents = [bytes([n]) * 240 for n in range(4)]
    for content in contents:
        cache.put(sha(content), content)
    assert cache.get(sha(contents[0])) is not None
    extra = b"x" * 240
    cache.put(sha(extra), extra)
    found = [cache.get(sha(content)) is not None for content in [*contents, extra]]
    assert found == [True, False, False, True, True]


def test_something_too_large_is_not_kept_and_costs_nothing(cache: ContentCache) -> None:
    cache.put(sha(b"abc"), b"abc")
    cache.put(sha(b"x" * 251), b"x" * 251)
    assert cache.get(sha(b"x" * 251)) is None
    assert cache.get(sha(b"abc")) == b"abc"


def test_a_bound_of_nothing_keeps_nothing(tmp_path: Path) -> None:
    cache = ContentCache(tmp_path, 0)
    cache.put(sha(b"a"), b"a")
    assert cache.get(sha(b"a")) is None


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = ContentCache(tmp_path / "file" / "contents", 1000)
    cache.put(sha(b"a"), b"a")
    assert cache.get(sha(b"a")) is None


def test_what_a_killed_program_left_goes_when_it_is_old(cache: ContentCache, tmp_path: Path) -> None:
    cache.put(sha(b"abc"), b"abc")
    folder = next(place for place in (tmp_path / "contents").iterdir() if place.is_dir())
    (folder / ".new-abandoned").write_bytes(b"x")
    cache._clock = lambda: 9e12
    cache.shrink()
    assert not (folder / ".new-abandoned").exists()


def test_the_bound_is_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENTREPOT_CACHE_SIZE", "1.5M")
    assert ContentCache(tmp_path).bound == 3 << 19


@pytest.mark.parametrize(
    ("text", "size"), [("0", 0), ("4096", 4096), ("1k", 1024), ("2 GiB", 2 << 30), ("1T", 1 << 40)]
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "-1", "many", "1X", "1 2"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        parse_size(text)
