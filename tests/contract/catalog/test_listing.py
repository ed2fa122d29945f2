"""Pages of entries, by path, by position, by folder, at the head and at old revisions, on both databases."""

from __future__ import annotations

from typing import Any

import pytest

from entrepot.catalog import entries, listing
from entrepot.catalog.entries import Put, Remove
from entrepot.model.errors import NotFound
from tests.support.histories import Histories

TREE = ["a-", "a/x", "a/y/z", "a/y0", "a0", "b", "c/d/e/f", "é", "日本/語", "\U0010fffd/last"]


def tree(h: Histories) -> int:
    v = h.version()
    h.commit(v, *(Put(path, h.content(path)) for path in reversed(TREE)))
    return v


def aged(h: Histories, v: int) -> None:
    """Make revision 1 an old one: everything is replaced, moved away, or has new neighbours."""
    h.commit(v, *(Put(path, h.content("new")) for path in TREE[::2]), *(Remove(path) for path in TREE[1::2]))
    h.commit(v, *(Put(f"{path}.new", h.content("new")) for path in TREE), Put("0", h.content("new")))


@pytest.fixture(params=["head", "old", "old and sparse"])
def revision_one(request: pytest.FixtureRequest, histories: Histories, monkeypatch: pytest.MonkeyPatch) -> int:
    """A version whose revision 1 holds TREE, found by each of the three ways of reading."""
    v = tree(histories)
    if request.param != "head":
        aged(histories, v)
    if request.param == "old and sparse":
        monkeypatch.setattr(listing, "SPARSE", 0)
    return v


def names(rows: list[entries.EntryRow]) -> list[str]:
    return [row.path for row in rows]


def test_pages_follow_the_order_of_bytes(histories: Histories, revision_one: int) -> None:
    with histories.catalog.read() as conn:
        found: list[str] = []
        while True:
            page = entries.page(conn, revision_one, 1, after=found[-1] if found else None, limit=3)
            found += names(page)
            if len(page) < 3:
                break
    assert found == sorted(TREE, key=str.encode)
    assert found == names(histories.listing(revision_one, 1, size=4))


def test_a_page_starts_after_any_text_not_only_after_a_path(histories: Histories, revision_one: int) -> None:
    with histories.catalog.read() as conn:
        assert names(entries.page(conn, revision_one, 1, after="a/y", limit=2)) == ["a/y/z", "a/y0"]
        assert entries.page(conn, revision_one, 1, after="\U0010ffff", limit=2) == []
        assert entries.page(conn, revision_one, 1, limit=0) == []


def test_a_prefix_is_a_folder_and_not_a_beginning(histories: Histories, revision_one: int) -> None:
    with histories.catalog.read() as conn:
        for prefix in ("a", "a/"):
            assert names(entries.page(conn, revision_one, 1, prefix=prefix, limit=9)) == ["a/x", "a/y/z", "a/y0"]
        assert names(entries.page(conn, revision_one, 1, prefix="a", after="a/x", limit=1)) == ["a/y/z"]
        assert entries.page(conn, revision_one, 1, prefix="a", after="a0", limit=9) == []
        assert names(entries.page(conn, revision_one, 1, prefix="a", after="0", limit=1)) == ["a/x"]
        assert entries.page(conn, revision_one, 1, prefix="b", limit=9) == []
    assert [r.path for r in entries.iterate(histories.catalog, revision_one, 1, prefix="c/d")] == ["c/d/e/f"]


def test_positions_are_paged_in_order_of_addition(histories: Histories, revision_one: int) -> None:
    with histories.catalog.read() as conn:
        found: list[entries.EntryRow] = []
        while True:
            page = entries.page_by_position(conn, revision_one, 1, after=found[-1].pos if found else None, limit=4)
            found += page
            if len(page) < 4:
                break
        assert names(found) == TREE[::-1]
        assert entries.get_by_position(conn, revision_one, 1, 0) == found[0]
        assert entries.get_by_position(conn, revision_one, 1, 99) is None


def test_single_entries(histories: Histories, revision_one: int) -> None:
    with histories.catalog.read() as conn:
        for path in TREE:
            row = entries.get(conn, revision_one, 1, path)
            assert row is not None
            assert (row.path, row.content, row.size) == (path, histories.contents[path], len(path.encode()))
            assert len(row.sha256) == 32
        for path in ("a", "a/y", "A-", "b/", "", "0"):
            assert entries.get(conn, revision_one, 1, path) is None
        assert entries.get(conn, revision_one, 77, "b") is None


@pytest.mark.parametrize("size", [1, 2, 100])
def test_a_folder_shows_one_level(histories: Histories, revision_one: int, size: int) -> None:
    def level(folder: str) -> list[tuple[str, bool]]:
        found: list[entries.FolderItem] = []
        with histories.catalog.read() as conn:
            while True:
                after = found[-1].name if found else None
                items = entries.folder(conn, revision_one, 1, folder, after=after, limit=size)
                found += items
                if len(items) < size:
                    break
        assert all((item.entry is None) == item.is_folder for item in found)
        return [(item.name, item.is_folder) for item in found]

    assert level("") == [
        ("a-", False),
        ("a", True),
        ("a0", False),
        ("b", False),
        ("c", True),
        ("é", False),
        ("日本", True),
        ("\U0010fffd", True),
    ]
    assert level("a") == [("x", False), ("y", True), ("y0", False)]
    assert level("c/d") == [("e", True)]
    assert level("b") == []
    assert level("nowhere") == []


def test_a_folder_costs_one_step_for_each_name_and_not_for_each_file(histories: Histories) -> None:
    h, v = histories, histories.version()
    one = h.content("1")
    h.commit(v, *(Put(f"d{n % 3}/f{n:04}", one) for n in range(3000)), Put("z", one))
    with h.catalog.read() as conn:
        items = entries.folder(conn, v, 1, "", limit=100)
    assert [(i.name, i.is_folder) for i in items] == [("d0", True), ("d1", True), ("d2", True), ("z", False)]


@pytest.mark.parametrize("catalog_url", ["sqlite"], indirect=True)
def test_a_folder_of_a_replaced_revision_passes_what_came_later_once(histories: Histories) -> None:
    """Counted in steps of SQLite's machine: twice the names in as many files are not twice the work."""

    def steps(folders: int) -> int:
        h, v = histories, histories.version()
        paths = [f"d{n % folders:02}/f{n:04}" for n in range(2000)]
        h.commit(v, *(Put(path, h.content("1")) for path in paths))
        h.commit(v, *(Put(path, h.content("2")) for path in paths))
        taken = 0

        def hundred() -> None:
            nonlocal taken
            taken += 1

        with h.catalog.read() as conn:
            driver: Any = conn.connection.dbapi_connection
            driver.set_progress_handler(hundred, 100)
            items = entries.folder(conn, v, 1, "", limit=100)
            driver.set_progress_handler(None, 0)
        assert len(items) == folders
        return taken

    assert steps(80) < 2 * steps(10)


def test_a_revision_that_is_not_kept_is_not_found(histories: Histories) -> None:
    v = histories.version()
    with histories.catalog.read() as conn:
        for read in (
            lambda: entries.page(conn, v, 5, limit=1),
            lambda: entries.page_by_position(conn, v, 5, limit=1),
            lambda: entries.folder(conn, v, 5, "", limit=1),
        ):
            with pytest.raises(NotFound):
                read()


def test_revisions_are_listed_newest_first(histories: Histories) -> None:
    h, v = histories, histories.version()
    for n in range(4):
        h.clock.move(minutes=1)
        h.put(v, a=str(n) * (n + 1))
    with h.catalog.read() as conn:
        rows = entries.revisions(conn, v, limit=3)
        assert [(r.num, r.n_entries, r.n_bytes, r.message, r.author) for r in rows] == [
            (4, 1, 4, "m", h.author),
            (3, 1, 3, "m", h.author),
            (2, 1, 2, "m", h.author),
        ]
        assert rows[0].at == h.clock()
        assert [r.num for r in entries.revisions(conn, v, before=2, limit=3)] == [1, 0]
        assert entries.revision(conn, v, 3) == rows[1]
        assert entries.revision(conn, v, 9) is None
