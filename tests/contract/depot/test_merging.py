"""What a merge would do is what it then does."""

from __future__ import annotations

import pytest

from entrepot.depot import copies, entries, merging, versions
from entrepot.depot.changes import Describe
from entrepot.model.errors import Frozen, KindMismatch, PathTaken, WrongState
from entrepot.model.values import Kind
from tests.support.house import House


def test_a_preview_is_what_the_merge_does(house: House) -> None:
    ann = house.user("ann")
    here, there = house.version(ann), house.version(ann)
    house.put(
        ann,
        here,
        {
            "same.txt": b"1",
            "clash.csv": b"2",
            "clash-0001.csv": b"3",
            "moved/old.txt": b"4",
            "d/clash": b"5",
            "own": b"6",
        },
    )
    house.put(
        ann,
        there,
        {
            "clash.csv": b"other",
            "d/clash": b"another",
            "d/clash-0001": b"taken there",
            "moved/new.txt": b"4",
            "new.txt": b"7",
            "same.txt": b"1",
        },
    )
    entries.commit(house.depot, ann, there.n, [Describe("same.txt", "told otherwise")])
    found = merging.preview(house.depot, ann, here.n, there.n)
    assert [one.path for one in found.added] == ["d/clash-0001", "moved/new.txt", "new.txt"]
    assert [(one.path, name) for one, name in found.renamed] == [
        ("clash.csv", "clash-0002.csv"),
        ("d/clash", "d/clash-0002"),
    ]
    assert (found.n_added, found.n_renamed, found.same, found.blocked, found.is_whole) == (3, 2, 1, (), True)

    before, source = house.tree(ann, here.n), house.tree(ann, there.n)
    copies.merge(house.depot, ann, here.n, there.n)
    expected = before | {one.path: source[one.path] for one in found.added}
    expected |= {name: source[one.path] for one, name in found.renamed}
    assert house.tree(ann, here.n) == expected
    again = merging.preview(house.depot, ann, here.n, there.n)
    assert (again.n_added, again.n_renamed) == (0, 2), "what clashed clashes again, under the next number"


def test_only_the_first_are_listed_and_all_are_counted(house: House) -> None:
    ann = house.user("ann")
    here, there = house.version(ann), house.version(ann)
    house.put(ann, here, {f"c{i}": b"here %d" % i for i in range(4)})
    house.put(ann, there, {f"c{i}": b"there %d" % i for i in range(4)} | {f"n{i}": b"%d" % i for i in range(5)})
    found = merging.preview(house.depot, ann, here.n, there.n, shown=2)
    assert (len(found.added), len(found.renamed), found.n_added, found.n_renamed) == (2, 2, 5, 4)


def test_where_looking_ended_early_nothing_is_promised(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "LOOK", 2)
    monkeypatch.setattr(merging, "STEP", 1)
    ann = house.user("ann")
    here, there = house.version(ann), house.version(ann)
    house.put(ann, there, {f"n{i}": b"%d" % i for i in range(5)})
    found = merging.preview(house.depot, ann, here.n, there.n)
    assert (found.n_added, found.same, found.is_whole) == (2, None, False)


@pytest.mark.parametrize(("here", "there"), [("a", "a/b"), ("a/b", "a")])
def test_what_would_be_a_file_and_a_folder_is_named_before(house: House, here: str, there: str) -> None:
    ann = house.user("ann")
    one, two = house.version(ann), house.version(ann)
    house.put(ann, one, {here: b"1"})
    house.put(ann, two, {there: b"2"})
    assert merging.preview(house.depot, ann, one.n, two.n).blocked == ("a",)
    with pytest.raises(PathTaken):
        copies.merge(house.depot, ann, one.n, two.n)


def test_what_cannot_be_merged_is_refused_as_the_merge_refuses_it(house: House) -> None:
    ann = house.user("ann")
    one, table = house.version(ann), house.version(ann, kind=Kind.TABLE)
    with pytest.raises(KindMismatch):
        merging.preview(house.depot, ann, one.n, table.n)
    unready = house.version(ann, awaits_content=True)
    with pytest.raises(WrongState):
        merging.preview(house.depot, ann, one.n, unready.n)
    versions.freeze(house.depot, ann, one.n)
    with pytest.raises(Frozen):
        merging.preview(house.depot, ann, one.n, house.version(ann).n)
