"""What a commit does to the entries of a version, on both databases."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from entrepot.catalog import entries
from entrepot.catalog.entries import Describe, DescribeAll, Put, Remove, Rename
from entrepot.catalog.schema import live, past, version
from entrepot.model.errors import EntrepotError, EntryNotFound, Invalid, NotFound, PathTaken, StaleRevision
from tests.support.histories import Histories


def paths(h: Histories, of: int, rev: int | None = None) -> list[str]:
    return list(h.texts(of, h.newest(of) if rev is None else rev))


def fails(h: Histories, of: int, *changes: entries.RowChange, expected: int | None = None) -> EntrepotError:
    """The error of a commit that must change nothing."""
    before = h.newest(of), h.texts(of, h.newest(of)), h.rows()
    with pytest.raises(EntrepotError) as caught:
        h.commit(of, *changes, expected=expected)
    assert (h.newest(of), h.texts(of, h.newest(of)), h.rows()) == before
    return caught.value


def test_every_revision_stays_as_it_was(histories: Histories) -> None:
    h, v = histories, histories.version()
    h.put(v, a="1", b="1")
    h.put(v, a="2", c="1")
    h.commit(v, Remove("b"))
    assert [h.texts(v, rev) for rev in range(4)] == [
        {},
        {"a": "1", "b": "1"},
        {"a": "2", "b": "1", "c": "1"},
        {"a": "2", "c": "1"},
    ]


def test_counts_bytes_and_data_type_follow(histories: Histories) -> None:
    h, v = histories, histories.version()

    def shown() -> tuple[int, int, str | None]:
        with h.catalog.read() as conn:
            row = conn.execute(select(version).where(version.c.id == v)).one()
        return row.n_entries, row.n_bytes, row.data_type

    made = h.commit(v, Put("a", h.content("xx"), dtype="csv"), Put("b", h.content("yyy"), dtype="csv"))
    assert (made.num, made.n_entries, made.n_bytes) == (1, 2, 5)
    assert shown() == (2, 5, "csv")
    h.commit(v, Put("c", h.content("xx"), dtype="bam"))
    assert shown() == (3, 7, None)
    h.commit(v, Put("c", h.content("xx"), dtype="csv"))
    assert shown() == (3, 7, "csv")
    h.commit(v, Put("d", h.content("")))
    assert shown() == (4, 7, None)
    h.commit(v, Remove("", recursive=True))
    assert shown() == (0, 0, None)


def test_a_commit_that_names_an_old_revision_is_told_the_newest(histories: Histories) -> None:
    h, v = histories, histories.version()
    h.put(v, a="1")
    assert h.commit(v, Put("b", h.content("1")), expected=1).num == 2
    error = fails(h, v, Put("c", h.content("1")), expected=1)
    assert isinstance(error, StaleRevision)
    assert error.details["revision"] == 2


def test_a_version_that_is_not_there_takes_no_commit(histories: Histories) -> None:
    with pytest.raises(NotFound):
        histories.commit(999, expected=3)
    with pytest.raises(NotFound):
        histories.commit(999)


def test_positions_are_the_order_of_first_addition_and_never_given_out_twice(histories: Histories) -> None:
    h, v = histories, histories.version()

    def positions() -> dict[str, int]:
        return {row.path: row.pos for row in h.listing(v, h.newest(v))}

    h.commit(v, Put("z", h.content("1")), Put("a", h.content("1")))
    assert positions() == {"z": 0, "a": 1}
    h.commit(v, Put("z", h.content("2")), Rename("a", "m"))
    assert positions() == {"z": 0, "m": 1}
    h.commit(v, Remove("z"))
    h.commit(v, Put("z", h.content("1")))
    assert positions() == {"m": 1, "z": 2}
    h.commit(v, Put("x", h.content("1"), pos=7), Put("y", h.content("1")))
    assert positions() == {"m": 1, "x": 7, "y": 8, "z": 2}
    assert isinstance(fails(h, v, Put("w", h.content("1"), pos=8)), Invalid)
    assert isinstance(fails(h, v, Put("w", h.content("1"), pos=9), Put("u", h.content("1"), pos=9)), Invalid)
    h.commit(v, Put("x", h.content("2"), pos=7))
    assert positions()["x"] == 7


def test_conditions_are_judged_at_the_head(histories: Histories) -> None:
    h, v = histories, histories.version()
    h.put(v, a="1")
    assert isinstance(fails(h, v, Put("a", h.content("2"), condition="absent")), PathTaken)
    assert isinstance(fails(h, v, Put("b", h.content("2"), condition="present")), EntryNotFound)
    assert isinstance(fails(h, v, Remove("b")), EntryNotFound)
    assert isinstance(fails(h, v, Rename("b", "c")), EntryNotFound)
    assert isinstance(fails(h, v, Describe("b", "text")), EntryNotFound)
    h.commit(v, Put("a", h.content("2"), condition="present"), Put("b", h.content("2"), condition="absent"))
    h.commit(v, Remove("nothing", condition="any"), Remove("none/at/all", recursive=True, condition="any"))
    assert h.texts(v, 3) == {"a": "2", "b": "2"}


def test_all_that_is_wrong_is_said_at_once(histories: Histories) -> None:
    h, v = histories, histories.version()
    h.put(v, a="1")
    error = fails(h, v, Put("a", h.content("2"), condition="absent"), Remove("x"), Rename("y", "z"), Describe("a", "t"))
    assert sorted((e["path"], e["code"]) for e in error.errors) == [
        ("a", "path_taken"),
        ("x", "entry_not_found"),
        ("y", "entry_not_found"),
    ]
    assert error.details["count"] == 3


def test_swapping_two_paths_by_renames(histories: Histories) -> None:
    h, v = histories, histories.version()
    h.put(v, a="1", b="2", c="3")
    h.commit(v, Rename("a", "b"), Rename("b", "c"), Rename("c", "a"))
    assert h.texts(v, 2) == {"b": "1", "c": "2", "a": "3"}


def test_an_entry_may_become_a_folder_in_one_commit_in_any_order(histories: Histories) -> None:
    h, v = histories, histories.version()
    h.put(v, a="1")
    h.commit(v, Put("a/b", h.content("2")), Remove("a"))
    assert h.texts(v, 2) == {"a/b": "2"}
    h.commit(v, Rename("a/b", "a"))
    assert h.texts(v, 3) == {"a": "2"}
    h.commit(v, Rename("a", "a/b/c"))
    assert h.texts(v, 4) == {"a/b/c": "2"}


def test_no_path_is_a_file_and_a_folder(histories: Histories) -> None:
    h, v = histories, histories.version()
    h.put(v, a__b="1", f="1")
    one = h.content("1")
    for changes in (
        [Put("a", one)],
        [Put("f/x", one)],
        [Put("f/x/y/z", one)],
        [Put("a/b/c", one)],
        [Put("n", one), Put("n/m", one)],
        [Rename("f", "a")],
        [Rename("f", "a/b/c")],
        [Rename("a", "f", recursive=True)],
        [Rename("a", "f/g", recursive=True)],
    ):
        assert isinstance(fails(h, v, *changes), PathTaken), changes
    # A neighbour in byte order is not below.
    h.commit(v, Put("a-", one), Put("a0", one), Put("f.txt", one))


def test_a_file_cannot_become_the_top_folder(histories: Histories) -> None:
    """Only what is below a folder can move to the top, whatever a rename says of being for folders."""
    h, v = histories, histories.version()
    h.put(v, a="1", d__x="1")
    assert isinstance(fails(h, v, Rename("a", "", recursive=True)), Invalid)
    h.commit(v, Rename("d", "", recursive=True))
    assert h.texts(v, h.newest(v)) == {"a": "1", "x": "1"}


def test_two_changes_cannot_claim_one_path(histories: Histories) -> None:
    h, v = histories, histories.version()
    h.put(v, a="1", b="1", d__x="1")
    one = h.content("1")
    for changes in (
        [Put("n", one), Put("n", one)],
        [Put("n", one), Rename("a", "n")],
        [Rename("a", "n"), Rename("b", "n")],
        [Rename("a", "n"), Rename("a", "m")],
        [Remove("a"), Rename("a", "m")],
        [Rename("d", "e", recursive=True), Rename("d", "f", recursive=True)],
        [Rename("d", "e", recursive=True), Put("e/x", one)],
        [Describe("a", "x"), Describe("a", "y")],
        [DescribeAll("x"), DescribeAll("y")],
    ):
        assert isinstance(fails(h, v, *changes), Invalid), changes


def test_a_folder_is_removed_only_when_that_is_said(histories: Histories) -> None:
    h, v = histories, histories.version()
    h.put(v, d__x="1", d__y__z="1", e="1")
    error = fails(h, v, Remove("d"))
    assert "folder" in error.message
    h.commit(v, Remove("d", recursive=True), Remove("e", recursive=True))
    assert paths(h, v) == []


def test_a_folder_is_renamed_with_all_below_it(histories: Histories) -> None:
    h, v = histories, histories.version()
    h.put(v, d__x="1", d__y__z="2", e="3", da="4")
    h.commit(v, Rename("d", "new/home", recursive=True))
    assert h.texts(v, 2) == {"new/home/x": "1", "new/home/y/z": "2", "e": "3", "da": "4"}
    before = {row.content: (row.pos, row.added) for row in h.listing(v, 1)}
    assert {row.content: (row.pos, row.added) for row in h.listing(v, 2)} == before
    h.commit(v, Rename("new/home", "new/home/again", recursive=True))
    assert paths(h, v) == ["da", "e", "new/home/again/x", "new/home/again/y/z"]
    h.commit(v, Rename("new/home/again", "", recursive=True))
    assert paths(h, v) == ["da", "e", "x", "y/z"]
    h.commit(v, Rename("", "all", recursive=True))
    assert paths(h, v) == ["all/da", "all/e", "all/x", "all/y/z"]


def test_two_folders_are_swapped(histories: Histories) -> None:
    h, v = histories, histories.version()
    h.put(v, a__x="1", b__x="2", b__y="3")
    h.commit(v, Rename("a", "b", recursive=True), Rename("b", "a", recursive=True))
    assert h.texts(v, 2) == {"b/x": "1", "a/x": "2", "a/y": "3"}


def test_what_names_the_longer_path_counts(histories: Histories) -> None:
    h, v = histories, histories.version()
    h.put(v, d__keep="1", d__drop="2", d__move="3", d__sub__x="4", d__sub__y="5", d__gone__z="6")
    h.commit(
        v,
        Rename("d", "e", recursive=True),
        Remove("d/drop"),
        Rename("d/move", "moved"),
        Rename("d/sub", "s", recursive=True),
        Remove("d/gone", recursive=True),
    )
    assert h.texts(v, 2) == {"e/keep": "1", "moved": "3", "s/x": "4", "s/y": "5"}


def test_a_folder_renamed_into_another_must_not_meet_its_entries(histories: Histories) -> None:
    h, v = histories, histories.version()
    h.put(v, a__x="1", a__y="2", b__x="3", b__z="4")
    error = fails(h, v, Rename("a", "b", recursive=True))
    assert isinstance(error, PathTaken)
    assert [e["path"] for e in error.errors] == ["b/x"]
    h.commit(v, Rename("a", "b", recursive=True), Remove("b/x"))
    assert h.texts(v, 2) == {"b/x": "1", "b/y": "2", "b/z": "4"}
    # b/y/… would be below a file that comes along.
    h.put(v, c__y__deep="5")
    assert isinstance(fails(h, v, Rename("c", "b", recursive=True)), PathTaken)


def test_a_renamed_folder_may_not_make_paths_too_long(histories: Histories) -> None:
    h, v = histories, histories.version()
    long = "/".join(["é" * 100] * 5)
    h.commit(v, Put("d/" + long, h.content("1")))
    error = fails(h, v, Rename("d", "dd/" + "e" * 30, recursive=True))
    assert isinstance(error, Invalid)
    assert "1024" in error.message


def test_texts(histories: Histories) -> None:
    h, v = histories, histories.version()

    def texts() -> dict[str, str | None]:
        return {row.path: row.meta for row in h.listing(v, h.newest(v))}

    h.commit(v, Put("a", h.content("1"), meta="A"), Put("b", h.content("1")), Put("d/c", h.content("1"), meta=""))
    assert texts() == {"a": "A", "b": None, "d/c": None}
    h.commit(v, Put("a", h.content("2")), Describe("b", "B"), Describe("d/c", "C"))
    assert texts() == {"a": "A", "b": "B", "d/c": "C"}
    h.commit(v, Put("a", h.content("3"), meta=""), Rename("b", "bb"), Rename("d", "e", recursive=True))
    assert texts() == {"a": None, "bb": "B", "e/c": "C"}
    h.commit(
        v,
        DescribeAll("all"),
        Put("a", h.content("4")),
        Put("n", h.content("4"), meta="N"),
        Rename("bb", "b"),
        Rename("e", "d", recursive=True),
        Describe("d/c", "mine"),
    )
    assert texts() == {"a": "all", "b": "all", "d/c": "mine", "n": "N"}
    h.commit(v, DescribeAll(""))
    assert set(texts().values()) == {None}
    assert {row.path: row.meta for row in h.listing(v, 4)} == {"a": "all", "b": "all", "d/c": "mine", "n": "N"}


def test_who_added_an_entry_changes_with_its_content_only(histories: Histories) -> None:
    h, v = histories, histories.version()

    def added(path: str) -> int:
        return {row.path: row.added for row in h.listing(v, h.newest(v))}[path]

    h.put(v, a="1")
    first = added("a")
    h.commit(v, Describe("a", "t"))
    h.commit(v, Rename("a", "b"))
    assert added("b") == first
    h.put(v, b="2")
    assert added("b") > first


def test_putting_what_is_there_already_writes_no_rows(histories: Histories) -> None:
    h, v = histories, histories.version()
    h.put(v, a="1", b="2")
    before = h.rows(live, past)
    made = h.put(v, a="1")
    assert (made.num, made.n_entries) == (2, 2)
    assert h.rows(live, past) == before
    assert h.texts(v, 2) == {"a": "1", "b": "2"}


def test_a_put_outlives_the_removal_of_its_folder(histories: Histories) -> None:
    h, v = histories, histories.version()
    h.put(v, d__x="1", d__y="2")
    h.commit(v, Remove("d", recursive=True), Put("d/x", h.content("3")))
    assert h.texts(v, 2) == {"d/x": "3"}
    assert h.listing(v, 2)[0].pos == 2


def test_many_changes_at_once(histories: Histories) -> None:
    h, v = histories, histories.version()
    some = [h.content(f"c{n}") for n in range(10)]
    h.commit(v, *(Put(f"d{n % 50:02}/f{n:05}", some[n % 10]) for n in range(12_000)))
    assert len(h.listing(v, 1, size=1_000)) == 12_000
    h.commit(
        v,
        *(Put(f"d{n % 50:02}/f{n:05}", some[(n + 1) % 10]) for n in range(0, 12_000, 2)),
        *(Rename(f"d{n % 50:02}/f{n:05}", f"d{n % 50:02}/g{n:05}") for n in range(1, 12_000, 4)),
        *(Remove(f"d{n % 50:02}/f{n:05}") for n in range(3, 12_000, 4)),
    )
    now = h.listing(v, 2, size=1_000)
    assert len(now) == 9_000
    assert sum("g" in row.path for row in now) == 3_000
    assert [row.path for row in now] == sorted(row.path for row in now)


def test_versions_without_a_written_revision_zero_are_empty_there(histories: Histories) -> None:
    h, v = histories, histories.version(zero=False)
    assert h.texts(v, 0) == {}
    h.put(v, a="1")
    assert h.texts(v, 0) == {}
    assert h.texts(v, 1) == {"a": "1"}
    with pytest.raises(NotFound):
        h.listing(v, 2)


def test_a_folder_that_its_files_leave_by_themselves_brings_nothing_anywhere(histories: Histories) -> None:
    """Found by a long life: below a file there is no place, but nothing arrives there either."""
    h, v = histories, histories.version()
    h.put(v, **{"a": "1", "c/d/e": "2"})
    h.commit(v, Remove("c/d", recursive=True), Rename("c", "a/x", recursive=True))
    assert paths(h, v) == ["a"]
    h.put(v, **{"c/d/e": "2", "c/f": "3"})
    error = fails(h, v, Remove("c/d", recursive=True), Rename("c", "a/x", recursive=True))
    assert isinstance(error, PathTaken)
