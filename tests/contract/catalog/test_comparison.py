"""What differs between two revisions, on both databases: the same answer by whichever way it is found."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from entrepot.catalog import comparison, entries
from entrepot.catalog.entries import Describe, Put, Remove, Rename
from entrepot.model.errors import NotFound
from tests.support.histories import Histories

Shown = list[tuple[str, str, str | None]]


def diff(h: Histories, older: tuple[int, int], newer: tuple[int, int]) -> Shown:
    """(kind, path, old path of a rename)."""
    return [
        (c.kind, c.path, c.before.path if c.kind == "renamed" and c.before else None)
        for c in entries.diff(h.catalog, older, newer)
    ]


def short_way_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail where both listings would be read."""

    def refuse(*_: object) -> object:
        raise AssertionError("read both listings")

    monkeypatch.setattr(comparison, "_stretch", refuse)
    monkeypatch.setattr(comparison, "iterate", refuse)


def test_added_removed_changed_renamed(histories: Histories, monkeypatch: pytest.MonkeyPatch) -> None:
    short_way_only(monkeypatch)
    h, v = histories, histories.version()
    h.put(v, a="1", b="2", c="3", same="4", text="5")
    h.commit(
        v, Remove("a"), Put("b", h.content("x")), Rename("c", "d/c"), Put("n", h.content("y")), Describe("text", "t")
    )
    assert diff(h, (v, 1), (v, 2)) == [
        ("removed", "a", None),
        ("changed", "b", None),
        ("renamed", "d/c", "c"),
        ("added", "n", None),
        ("changed", "text", None),
    ]
    assert diff(h, (v, 2), (v, 1)) == [
        ("added", "a", None),
        ("changed", "b", None),
        ("renamed", "c", "d/c"),
        ("removed", "n", None),
        ("changed", "text", None),
    ]
    assert diff(h, (v, 2), (v, 2)) == []


def test_there_and_back_is_no_change(histories: Histories, monkeypatch: pytest.MonkeyPatch) -> None:
    short_way_only(monkeypatch)
    h, v = histories, histories.version()
    h.put(v, a="1", b="1")
    h.put(v, a="2")
    h.put(v, a="1")
    assert diff(h, (v, 1), (v, 3)) == []


def test_many_equal_files_are_paired_in_order(histories: Histories) -> None:
    h, v = histories, histories.version()
    h.put(v, a="", b="", c="")
    h.commit(v, Rename("a", "x"), Rename("b", "y"), Remove("c"))
    assert diff(h, (v, 1), (v, 2)) == [("removed", "c", None), ("renamed", "x", "a"), ("renamed", "y", "b")]


def test_against_an_empty_revision(histories: Histories) -> None:
    h, v = histories, histories.version()
    h.put(v, a="1", b="2")
    assert diff(h, (v, 0), (v, 1)) == [("added", "a", None), ("added", "b", None)]
    assert diff(h, (v, 1), (v, 0)) == [("removed", "a", None), ("removed", "b", None)]


def test_a_revision_that_is_not_there_is_said_at_once(histories: Histories) -> None:
    v = histories.version()
    with pytest.raises(NotFound):
        entries.diff(histories.catalog, (v, 0), (v, 3))


def test_versions_with_a_common_ancestor_are_compared_by_what_changed(
    histories: Histories, monkeypatch: pytest.MonkeyPatch
) -> None:
    short_way_only(monkeypatch)
    h, v, w, x = histories, histories.version(), histories.version(), histories.version()
    h.put(v, a="1", b="1", c="1", d="1")
    h.copy(v, 1, w)
    h.put(v, a="2")
    h.commit(w, Remove("b"))
    h.copy(w, 2, x)
    h.put(w, c="3")
    h.put(x, d="4")
    assert diff(h, (v, 2), (w, 3)) == [("changed", "a", None), ("removed", "b", None), ("changed", "c", None)]
    assert diff(h, (v, 1), (x, 2)) == [("removed", "b", None), ("changed", "d", None)]
    assert diff(h, (x, 2), (w, 3)) == [("changed", "c", None), ("changed", "d", None)]
    assert diff(h, (x, 2), (v, 2)) == [("changed", "a", None), ("added", "b", None), ("changed", "d", None)]


def test_a_fork_whose_beginning_was_trimmed_is_still_compared_rightly(histories: Histories) -> None:
    """What w removed in its first commit is in no revision of w's own history any more."""
    h, v, w, x = histories, histories.version(), histories.version(), histories.version()
    h.put(v, a="1", b="1")
    h.copy(v, 1, w)
    h.put(v, a="2")
    h.commit(w, Remove("b"))
    h.copy(w, 2, x)
    h.purge(x)
    assert diff(h, (v, 1), (w, 2)) == [("removed", "b", None)]
    assert diff(h, (v, 2), (w, 2)) == [("changed", "a", None), ("removed", "b", None)]


def test_a_fork_whose_parent_was_trimmed_is_still_compared_rightly(histories: Histories) -> None:
    """The point that w left is no revision of v any more, and what v removed later is gone from v's history."""
    h, v, w = histories, histories.version(), histories.version()
    h.put(v, a="1", b="1")
    h.copy(v, 1, w)
    h.commit(v, Remove("b"))
    h.put(w, c="1")
    h.put(v, d="9")
    h.trim(w, before=2)
    h.trim(v, before=3)
    assert diff(h, (v, 3), (w, 2)) == [("added", "b", None), ("added", "c", None), ("removed", "d", None)]


def test_unrelated_versions_are_compared_by_path(histories: Histories) -> None:
    h, v, w = histories, histories.version(), histories.version()
    h.put(v, a="1", c="1", z="9")
    h.put(w, a="1", b="2", z="8", y="1")
    assert diff(h, (v, 1), (w, 1)) == [
        ("added", "b", None),
        # c is gone and y came with the same bytes.
        ("renamed", "y", "c"),
        ("changed", "z", None),
    ]


def test_too_many_changes_are_streamed_without_renames(histories: Histories, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "MOST", 3)
    h, v = histories, histories.version()
    h.commit(v, *(Put(f"a{n}", h.content("1")) for n in range(4)))
    h.commit(v, Rename("a0", "b0"), Rename("a1", "b1"), Rename("a2", "b2"))
    assert diff(h, (v, 1), (v, 2)) == [
        ("removed", "a0", None),
        ("removed", "a1", None),
        ("removed", "a2", None),
        ("added", "b0", None),
        ("added", "b1", None),
        ("added", "b2", None),
    ]


def paged(h: Histories, older: tuple[int, int], newer: tuple[int, int], limit: int) -> list[list[entries.EntryChange]]:
    """All pages of a difference."""
    pages: list[list[entries.EntryChange]] = []
    after: str | None = None
    while True:
        found, after = entries.diff_page(h.catalog, older, newer, after=after, limit=limit)
        pages.append(found)
        assert len(found) <= limit
        if after is None:
            return pages


@pytest.mark.parametrize(("most", "step"), [(3, 1), (3, 1_000), (10_000, 2)])
def test_the_pages_are_the_whole(histories: Histories, monkeypatch: pytest.MonkeyPatch, most: int, step: int) -> None:
    monkeypatch.setattr(comparison, "MOST", most)
    monkeypatch.setattr(comparison, "_STEP", step)
    h, v, w = histories, histories.version(), histories.version()
    h.put(v, a="1", b="2", c="3", d="4", e="5", f__g="6", f__h="7")
    h.commit(v, Remove("a"), Put("b", h.content("x")), Rename("c", "n"), Put("o", h.content("y")), Rename("f/g", "f/z"))
    h.put(w, b="2", n="3", o="o", zz="7")
    for older, newer in (((v, 1), (v, 2)), ((v, 2), (v, 1)), ((v, 0), (v, 2)), ((v, 2), (w, 1)), ((w, 1), (v, 1))):
        whole = list(entries.diff(h.catalog, older, newer))
        for limit in (1, 2, 50):
            pages = paged(h, older, newer, limit)
            assert [change for page in pages for change in page] == whole
            assert all(left[-1].path < right[0].path for left, right in pairwise(pages) if left and right)


def test_a_page_of_a_large_difference_reads_no_more_than_a_page(
    histories: Histories, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted in entries: the page in the middle of many costs what the first costs, and none of them costs all."""
    monkeypatch.setattr(comparison, "MOST", 20)
    monkeypatch.setattr(comparison, "_STEP", 10)
    h, v = histories, histories.version()
    h.commit(v, *(Put(f"f{n:03}", h.content("1")) for n in range(300)))
    h.commit(v, *(Put(f"f{n:03}", h.content("2")) for n in range(300)))
    read: list[int] = []
    real = comparison.page

    def counted(*of: Any, **window: Any) -> Any:
        rows = real(*of, **window)
        read.append(len(rows))
        return rows

    monkeypatch.setattr(comparison, "page", counted)
    monkeypatch.setattr(comparison, "iterate", None)
    for after, expected in ((None, "f000"), ("f149", "f150"), ("f289", "f290")):
        read.clear()
        found, _ = entries.diff_page(h.catalog, (v, 1), (v, 2), after=after, limit=5)
        assert [found[0].path, len(found)] == [expected, 5]
        assert sum(read) <= 20


def test_a_page_that_finds_nothing_in_a_lot_ends_and_says_where_to_go_on(
    histories: Histories, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "MOST", 3)
    monkeypatch.setattr(comparison, "LOOK", 40)
    monkeypatch.setattr(comparison, "_STEP", 10)
    h, v, w = histories, histories.version(), histories.version()
    h.commit(v, *(Put(f"f{n:03}", h.content("1")) for n in range(100)))
    h.commit(w, *(Put(f"f{n:03}", h.content("1")) for n in range(100)), Put("z", h.content("2")))
    assert entries.diff_page(h.catalog, (v, 1), (w, 1), limit=5) == ([], "f019")
    assert [change.path for page in paged(h, (v, 1), (w, 1), 5) for change in page] == ["z"]
