"""The stat cache never says what it cannot know for certain."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from entrepot.client.statcache import GRANULARITY_NS, FileStat, StatCache, stat_of
from entrepot.client.tree import LocalFile, digest_file

DIGEST = bytes(range(32))
OLD = 1_700_000_000 * 10**9


class Clock:
    def __init__(self, now: int) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock(OLD + 3600 * 10**9)


@pytest.fixture
def cache(tmp_path: Path, clock: Clock) -> StatCache:
    return StatCache(tmp_path / "stat.sqlite3", clock)


def reopened(cache: StatCache, tmp_path: Path, clock: Clock) -> StatCache:
    cache.close()
    return StatCache(tmp_path / "stat.sqlite3", clock)


def test_a_file_in_the_same_state_keeps_its_digest(cache: StatCache, tmp_path: Path, clock: Clock) -> None:
    stat = FileStat(10, OLD, 7)
    cache.remember(tmp_path / "a", stat, DIGEST, clock())
    again = reopened(cache, tmp_path, clock)
    assert again.known(tmp_path / "a", stat) == DIGEST
    assert again.known(tmp_path / "b", stat) is None


def test_many_files_are_answered_in_their_order(cache: StatCache, tmp_path: Path, clock: Clock) -> None:
    count = 1100
    states = [(tmp_path / f"{n}", FileStat(n, OLD, n)) for n in range(count)]
    for place, stat in states[::3]:
        cache.remember(place, stat, stat.size.to_bytes(32, "big"), clock())
    found = reopened(cache, tmp_path, clock).known_of([*reversed(states), states[0]])
    expected = [n.to_bytes(32, "big") if n % 3 == 0 else None for n in range(count)]
    assert found == [*reversed(expected), expected[0]]


@pytest.mark.parametrize("other", [FileStat(11, OLD, 7), FileStat(10, OLD + 1, 7), FileStat(10, OLD, 8)])
def test_another_size_time_or_inode_is_another_state(
    cache: StatCache, tmp_path: Path, clock: Clock, other: FileStat
) -> None:
    cache.remember(tmp_path / "a", FileStat(10, OLD, 7), DIGEST, clock())
    assert reopened(cache, tmp_path, clock).known(tmp_path / "a", other) is None


@pytest.mark.parametrize("age", [0, GRANULARITY_NS // 2, GRANULARITY_NS])
def test_a_file_changed_within_the_clocks_granularity_is_not_believed(
    cache: StatCache, tmp_path: Path, clock: Clock, age: int
) -> None:
    stat = FileStat(10, clock() - age, 7)
    cache.remember(tmp_path / "a", stat, DIGEST, clock())
    assert reopened(cache, tmp_path, clock).known(tmp_path / "a", stat) is None


def test_a_file_from_the_future_is_never_believed(cache: StatCache, tmp_path: Path, clock: Clock) -> None:
    stat = FileStat(10, clock() + 10**12, 7)
    cache.remember(tmp_path / "a", stat, DIGEST, clock())
    assert reopened(cache, tmp_path, clock).known(tmp_path / "a", stat) is None


def test_forgetting_makes_a_file_be_read_again(cache: StatCache, tmp_path: Path, clock: Clock) -> None:
    stat = FileStat(10, OLD, 7)
    cache.remember(tmp_path / "a", stat, DIGEST, clock())
    cache.forget([tmp_path / "a"])
    assert cache.known(tmp_path / "a", stat) is None


def test_a_damaged_cache_is_made_anew(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "stat.sqlite3").write_bytes(b"this is not a database" * 100)
    cache = StatCache(tmp_path / "stat.sqlite3", clock)
    cache.remember(tmp_path / "a", FileStat(1, OLD, 1), DIGEST, clock())
    assert reopened(cache, tmp_path, clock).known(tmp_path / "a", FileStat(1, OLD, 1)) == DIGEST


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "file").write_text("in the way")
    cache = StatCache(tmp_path / "file" / "stat.sqlite3", clock)
    cache.remember(tmp_path / "a", FileStat(1, OLD, 1), DIGEST, clock())
    assert cache.known(tmp_path / "a", FileStat(1, OLD, 1)) is None
    cache.close()


def test_names_that_are_no_utf8_and_huge_inodes_fit(cache: StatCache, tmp_path: Path, clock: Clock) -> None:
    odd = Path(os.fsdecode(b"/data/\xff\xfe"))
    stat = FileStat(1, OLD, 2**64 - 3)
    cache.remember(odd, stat, DIGEST, clock())
    assert reopened(cache, tmp_path, clock).known(odd, stat) == DIGEST


def test_an_edit_that_keeps_size_and_time_is_seen_by_its_freshness(tmp_path: Path) -> None:
    """The reason for the rule: without it the second digest would be the first."""
    place = tmp_path / "a"
    cache = StatCache(tmp_path / "stat.sqlite3")
    place.write_bytes(b"one")
    first = place.stat()
    before = digest_file(LocalFile("a", place, stat_of(first)), cache)
    place.write_bytes(b"two")
    os.utime(place, ns=(first.st_atime_ns, first.st_mtime_ns))
    after = digest_file(LocalFile("a", place, stat_of(place.stat())), cache)
    assert before != after
