"""Counts of entries by folder and text, a stretch at a time, at the head and at an older revision."""

from __future__ import annotations

from collections import Counter

import pytest

from entrepot.catalog.entries import Put, Remove
from entrepot.catalog.tallies import tallies
from tests.support.histories import Histories

MARKED, OTHER = '{"mark": "é"}', "mark"
TREE = {
    "a+": MARKED,
    "a-": None,
    "a/b/c": MARKED,
    "a/b/d": MARKED,
    "a/b/e": OTHER,
    "a/b/é/日本": MARKED,
    "a0/bb": None,
    "b/aaaa": '{"marker"',
    "é/\U0010fffd": MARKED,
}


def tally(h: Histories, of: int, rev: int, size: int) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for folder, text, count in tallies(h.catalog, of, rev, mark='{"mark"', size=size):
        found[folder, text] += count
    return found


def expected(tree: dict[str, str | None]) -> Counter[tuple[str, str]]:
    return Counter((path.rpartition("/")[0], MARKED if text == MARKED else "") for path, text in tree.items())


def planted(h: Histories) -> int:
    v = h.version()
    h.commit(v, *(Put(path, h.content(path), meta=text) for path, text in TREE.items()))
    return v


@pytest.mark.parametrize("size", [1, 2, 3, len(TREE), 1_000])
def test_every_entry_counts_once_wherever_a_stretch_ends(histories: Histories, size: int) -> None:
    v = planted(histories)
    assert tally(histories, v, 1, size) == expected(TREE)


@pytest.mark.parametrize("size", [2, 1_000])
def test_an_older_revision_is_counted_as_it_was(histories: Histories, size: int) -> None:
    v = planted(histories)
    paths = list(TREE)
    histories.commit(
        v, *(Remove(path) for path in paths[::2]), *(Put(f"{one}.new", histories.content("n")) for one in paths)
    )
    assert tally(histories, v, 1, size) == expected(TREE)
    later = {one: text for i, (one, text) in enumerate(TREE.items()) if i % 2} | {f"{one}.new": None for one in paths}
    assert tally(histories, v, 2, size) == expected(later)


def test_a_revision_without_entries_has_nothing_to_count(histories: Histories) -> None:
    assert tally(histories, histories.version(), 0, 5) == Counter()
