"""Copies by reference, forks, restores, merges, purges and trims, on both databases: what they cost, what they keep."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, func, select

from entrepot.catalog import entries, strands
from entrepot.catalog.entries import Describe, Put, Remove
from entrepot.catalog.schema import live, past, revision, strand
from entrepot.model.errors import NotFound, PathTaken, StaleRevision
from tests.support.histories import Histories, numbered


def strand_count(h: Histories) -> int:
    return h.rows(strand)


def states(h: Histories) -> list[int]:
    with h.catalog.read() as conn:
        return list(conn.execute(select(strand.c.state).order_by(strand.c.id)).scalars())


def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strands, "INLINE", 3)
    monkeypatch.setattr(strands, "SLICE", 2)


def fill(h: Histories, of: int, count: int) -> None:
    one = h.content("1")
    h.commit(of, *(Put(f"f{n:03}", one) for n in range(count)))


def test_a_copy_writes_one_revision_row_whatever_the_size(histories: Histories) -> None:
    h, v, w = histories, histories.version(), histories.version()
    fill(h, v, 50)
    before = h.rows()
    made = h.copy(v, 1, w)
    assert h.rows() == before + 1
    assert (made.version, made.num, made.n_entries) == (w, 1, 50)
    assert h.listing(w, 1) == h.listing(v, 1)


def test_who_writes_first_continues_and_the_other_forks(histories: Histories) -> None:
    h, v, w = histories, histories.version(), histories.version()
    h.put(v, a="1", b="1")
    h.copy(v, 1, w)
    h.put(w, a="2")
    assert strand_count(h) == 1
    h.put(v, b="3")
    assert strand_count(h) == 2
    assert h.texts(v, 2) == {"a": "1", "b": "3"}
    assert h.texts(w, 2) == {"a": "2", "b": "1"}
    assert h.texts(v, 1) == h.texts(w, 1) == {"a": "1", "b": "1"}
    h.put(v, c="1")
    h.put(w, c="1")
    assert strand_count(h) == 2


def test_positions_go_on_after_those_of_the_source(histories: Histories) -> None:
    h, v, w = histories, histories.version(), histories.version()
    h.put(v, a="1", b="1")
    h.commit(v, Remove("b"))
    h.copy(v, 2, w)
    h.put(w, c="1")
    assert {row.path: row.pos for row in h.listing(w, 2)} == {"a": 0, "c": 2}


def test_a_copy_of_a_revision_that_is_not_kept_is_refused(histories: Histories) -> None:
    h, v, w = histories, histories.version(), histories.version()
    h.put(v, a="1")
    with pytest.raises(NotFound):
        h.copy(v, 2, w)
    assert h.newest(w) == 0


def test_an_empty_revision_can_be_copied_and_continued(histories: Histories) -> None:
    h, v, w = histories, histories.version(), histories.version()
    h.copy(v, 0, w)
    assert h.texts(w, 1) == {}
    h.put(w, a="1")
    assert h.texts(w, 2) == {"a": "1"}


def test_some_entries_are_copied_with_what_they_carry(histories: Histories) -> None:
    h, v, w = histories, histories.version(), histories.version()
    h.put(v, a="1", b="22", c="333")
    h.commit(v, Describe("b", "text"))

    def work(conn: Connection) -> entries.RevisionRow:
        return entries.copy_some(conn, v, 2, w, ["b", "c", "zzz", "b"], author=None, at=h.clock(), message="")

    made = h.write(work)
    assert (made.n_entries, made.n_bytes) == (2, 5)
    assert h.listing(w, 1) == [row for row in h.listing(v, 2) if row.path in ("b", "c")]
    with pytest.raises(ValueError, match="merge"):
        h.write(work)


def test_a_large_fork_is_made_in_slices_and_flipped_at_the_end(
    histories: Histories, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch)
    h, v, w = histories, histories.version(), histories.version()
    fill(h, v, 9)
    h.copy(v, 1, w)
    h.put(v, f000="v")
    h.put(w, f001="w")
    assert states(h) == [0, 0]
    assert h.texts(w, 1) == {f"f{n:03}": "1" for n in range(9)}
    assert h.texts(w, 2) == {f"f{n:03}": "w" if n == 1 else "1" for n in range(9)}
    assert h.texts(v, 2) == {f"f{n:03}": "v" if n == 0 else "1" for n in range(9)}


def test_a_fork_broken_off_in_the_middle_is_resumed_where_it_stopped(
    histories: Histories, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch)
    h, v, w = histories, histories.version(), histories.version()
    fill(h, v, 9)
    h.copy(v, 1, w)
    h.put(v, f000="v")
    write, calls = h.catalog.write, []

    def dies_in_the_third_slice(work: object, *, bulk: bool = False) -> object:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return write(work, bulk=bulk)  # type: ignore[arg-type]

    monkeypatch.setattr(h.catalog, "write", dies_in_the_third_slice)
    with pytest.raises(KeyboardInterrupt):
        strands.own_strand(h.catalog, w, 1)
    monkeypatch.setattr(h.catalog, "write", write)
    assert states(h) == [0, strands.FILLING]
    assert h.texts(w, 1) == {f"f{n:03}": "1" for n in range(9)}
    filled = h.rows(live)
    assert filled == 9 + 4
    h.put(w, f001="w")
    # The same strand was finished, not another one begun.
    assert states(h) == [0, 0]
    assert h.texts(w, 2)["f001"] == "w"
    assert h.rows(live) == 18


def test_a_fork_that_nobody_needs_any_more_is_swept(histories: Histories, monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch)
    h, v, w = histories, histories.version(), histories.version()
    fill(h, v, 9)
    h.copy(v, 1, w)
    h.put(v, f000="v")
    write, calls = h.catalog.write, []

    def dies(work: object, *, bulk: bool = False) -> object:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return write(work, bulk=bulk)  # type: ignore[arg-type]

    monkeypatch.setattr(h.catalog, "write", dies)
    with pytest.raises(KeyboardInterrupt):
        strands.own_strand(h.catalog, w, 1)
    monkeypatch.setattr(h.catalog, "write", write)
    entries.sweep_strands(h.catalog)
    assert states(h) == [0, strands.FILLING], "its source is still there: somebody may resume it"
    h.purge(w)
    h.trim(v, before=2)
    assert entries.sweep_strands(h.catalog) > 0
    assert states(h) == [0]
    assert h.texts(v, 2)["f000"] == "v"
    assert h.rows(live, past) == 9


def test_restore_in_one_history_writes_only_what_differs(histories: Histories) -> None:
    h, v = histories, histories.version()
    fill(h, v, 50)
    h.put(v, f000="x", new="y")
    h.commit(v, Remove("f001"), Describe("f002", "text"))
    before = h.rows(live, past)
    made = h.restore(v, 1)
    assert made.num == 4
    assert h.listing(v, 4) == h.listing(v, 1)
    # f000, new and f002 go to the past; f000, f001 and f002 come back.
    assert h.rows(live, past) == before + 3
    with h.catalog.read() as conn:
        assert conn.execute(select(func.count(func.distinct(revision.c.strand)))).scalar_one() == 1
    h.put(v, more="z")
    assert len(h.listing(v, 5)) == 51


def test_restore_names_the_revision_it_saw(histories: Histories) -> None:
    h, v = histories, histories.version()
    h.put(v, a="1")
    with pytest.raises(StaleRevision):
        h.restore(v, 0, expected=0)
    with pytest.raises(NotFound):
        h.restore(v, 5)
    assert h.newest(v) == 1
    h.restore(v, 0, expected=1)
    assert h.texts(v, 2) == {}
    h.restore(v, 1)
    assert h.texts(v, 3) == {"a": "1"}


def test_restore_across_a_fork(histories: Histories) -> None:
    h, v, w = histories, histories.version(), histories.version()
    h.put(v, a="1", b="1")
    h.put(v, a="2")
    h.copy(v, 2, w)
    h.put(v, a="3")
    h.commit(w, Remove("b"), Put("c", h.content("w")))
    h.restore(w, 1)
    assert h.texts(w, 3) == {"a": "2", "b": "1"}
    h.restore(w, 2)
    assert h.texts(w, 4) == {"a": "2", "c": "w"}


def test_a_large_restore_across_histories_is_sliced(histories: Histories, monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch)
    h, v, w = histories, histories.version(), histories.version()
    fill(h, v, 9)
    h.copy(v, 1, w)
    h.put(v, f000="v")
    h.put(w, f001="w")
    # Take rows out of the fork, so that its own beginning can no longer be trusted.
    x = h.version()
    h.copy(w, 2, x)
    h.purge(x)
    entries.sweep_strands(h.catalog)
    h.restore(w, 1)
    assert h.texts(w, 3) == {f"f{n:03}": "1" for n in range(9)}
    h.put(w, f002="again")
    assert h.texts(w, 4)["f002"] == "again"
    assert h.texts(v, 2)["f000"] == "v"


def test_merge_adds_leaves_alone_and_renames(histories: Histories) -> None:
    h, v, w = histories, histories.version(), histories.version()
    h.put(v, same="1", clash__txt="1", keep="1")
    h.put(w, same="1", clash__txt="2", new="3", d__e="4")
    h.commit(w, Describe("clash/txt", "from source"), Describe("same", "not taken"))
    done = h.merge(w, 2, v)
    assert (done.added, done.same, done.renamed) == (2, 1, (("clash/txt", "clash/txt-0001"),))
    rows = {row.path: row for row in h.listing(v, 2)}
    assert h.texts(v, 2) == {
        "same": "1",
        "clash/txt": "1",
        "keep": "1",
        "clash/txt-0001": "2",
        "new": "3",
        "d/e": "4",
    }
    assert (rows["clash/txt-0001"].meta, rows["same"].meta) == ("from source", None)
    assert [rows[p].pos for p in ("new", "d/e", "clash/txt-0001")] == [3, 4, 5]
    again = h.merge(w, 2, v)
    assert (again.added, again.same, again.renamed) == (0, 3, (("clash/txt", "clash/txt-0002"),))
    assert again.revision.n_entries == 7


def test_merge_refuses_what_would_be_a_file_and_a_folder(histories: Histories) -> None:
    h, v, w = histories, histories.version(), histories.version()
    h.put(v, a="1", b__c="1")
    h.put(w, a__x="1", b="1", fine="1")
    with pytest.raises(PathTaken) as caught:
        h.merge(w, 1, v)
    assert sorted({e["path"] for e in caught.value.errors}) == ["a", "b"]
    assert h.texts(v, h.newest(v)) == {"a": "1", "b/c": "1"}


def test_merge_of_a_version_with_its_own_copy(histories: Histories) -> None:
    h, v, w = histories, histories.version(), histories.version()
    h.put(v, a="1")
    h.copy(v, 1, w)
    h.put(w, b="2")
    h.merge(w, 2, v)
    assert h.texts(v, 2) == {"a": "1", "b": "2"}
    h.merge(v, 2, w)
    assert h.texts(w, 3) == {"a": "1", "b": "2"}


def test_names_for_clashes() -> None:
    assert [numbered(p, 1) for p in ("a.txt", "d/e.tar.gz", "noext", ".hidden", "d/.x")] == [
        "a-0001.txt",
        "d/e.tar-0001.gz",
        "noext-0001",
        ".hidden-0001",
        "d/.x-0001",
    ]


def test_purge_leaves_to_others_what_they_share(histories: Histories) -> None:
    h, v, w = histories, histories.version(), histories.version()
    h.put(v, a="1", b="1")
    h.copy(v, 1, w)
    h.put(v, a="2")
    h.purge(v)
    assert h.texts(w, 1) == {"a": "1", "b": "1"}
    h.put(w, a="3")
    assert h.texts(w, 2) == {"a": "3", "b": "1"}
    h.purge(w)
    assert h.rows() == 0


def test_a_large_purge_is_left_to_the_sweep(histories: Histories, monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch)
    h, v = histories, histories.version()
    fill(h, v, 9)
    for n in range(3):
        h.put(v, **{f"f{k:03}": str(n) for k in range(9)})
    h.purge(v)
    assert h.rows(revision) == 0
    assert states(h) == [strands.DEAD]
    assert entries.sweep_strands(h.catalog) == 9 * 4
    assert h.rows() == 0
    assert entries.sweep_strands(h.catalog) == 0


@pytest.mark.parametrize("large", [False, True])
def test_trim_forgets_old_revisions_and_only_what_they_alone_show(
    histories: Histories, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    if large:
        small(monkeypatch)
    h, v, w = histories, histories.version(), histories.version()
    fill(h, v, 6)
    h.put(v, f000="2")
    h.copy(v, 2, w)
    h.put(v, f000="3", f001="3")
    h.put(v, f000="4", f002="4")
    assert h.trim(v, before=4) == 3
    assert h.trim(v, before=99) == 0, "never the newest"
    entries.sweep_strands(h.catalog)
    assert set(states(h)) == {0}
    assert h.texts(v, 4) == {"f000": "4", "f001": "3", "f002": "4", "f003": "1", "f004": "1", "f005": "1"}
    assert h.texts(w, 1) == {f"f{n:03}": "2" if n == 0 else "1" for n in range(6)}
    with pytest.raises(NotFound):
        h.listing(v, 2)
    assert h.texts(v, 0) == {}
    # f000=2, f001=1, f002=1 are what w shows; f000=1 and f000=3 nobody shows.
    assert h.rows(past) == 3


def test_what_others_wrote_on_top_of_a_copy_goes_with_them(
    histories: Histories, monkeypatch: pytest.MonkeyPatch
) -> None:
    """v continued the strand that w still points into; when v is purged its rows are in `live`, and are taken out."""
    small(monkeypatch)
    h, v, w = histories, histories.version(), histories.version()
    h.put(v, a="1", b="1")
    h.copy(v, 1, w)
    h.commit(v, *(Put(f"n{n}", h.content("2")) for n in range(9)), Remove("a"))
    h.purge(v)
    assert states(h) == [strands.DIRTY]
    assert entries.sweep_strands(h.catalog) == 9
    assert (states(h), h.rows(live), h.rows(past)) == ([0], 1, 1)
    assert h.texts(w, 1) == {"a": "1", "b": "1"}
    h.put(w, c="3")
    assert h.texts(w, 2) == {"a": "1", "b": "1", "c": "3"}


def test_a_strand_trimmed_while_being_swept_is_swept_again(
    histories: Histories, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(monkeypatch)
    h, v = histories, histories.version()
    for n in range(6):
        h.put(v, **{f"f{k}": f"{n}" for k in range(4)})
    h.trim(v, before=3)
    write, calls = h.catalog.write, []

    def trims_meanwhile(work: object, *, bulk: bool = False) -> object:
        calls.append(1)
        if len(calls) == 4:
            write(lambda conn: entries.trim(conn, v, before=5))
        return write(work, bulk=bulk)  # type: ignore[arg-type]

    monkeypatch.setattr(h.catalog, "write", trims_meanwhile)
    entries.sweep_strands(h.catalog)
    monkeypatch.setattr(h.catalog, "write", write)
    assert states(h) == [strands.DIRTY]
    entries.sweep_strands(h.catalog)
    assert states(h) == [0]
    assert h.rows(past) == 4
    assert h.texts(v, 5) == {f"f{k}": "4" for k in range(4)}
