"""What differs between two revisions, on both databases: the same answer by whichever way it is found."""

from __future__ import annotations

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

    monkeypatch.setattr(comparison, "_side_by_side", refuse)


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
