"""Commits, revisions, listings, and what comes back from an older day."""

from __future__ import annotations

import pytest

from entrepot.depot import copies, entries, nodes, projects, putting, versions
from entrepot.depot.entries import Add, Describe, Remove, Rename
from entrepot.depot.putting import NewFile
from entrepot.model.errors import (
    EntryNotFound,
    Forbidden,
    Hidden,
    Invalid,
    KindMismatch,
    NotFound,
    PathTaken,
    QuotaExceeded,
    StaleRevision,
)
from entrepot.model.values import Kind, Role, Visibility
from tests.support.house import House


def test_every_revision_stays_readable(house: House) -> None:
    ann = house.user("ann")
    made = house.version(ann)
    house.put(ann, made, {"a": b"1", "b": b"2"})
    house.put(ann, made, {"a": b"one"})
    entries.commit(house.depot, ann, made.n, [Remove("b"), Rename("a", "dir/a")])
    assert house.tree(ann, made.n, 0) == {}
    assert house.tree(ann, made.n, 1) == {"a": b"1", "b": b"2"}
    assert house.tree(ann, made.n, 2) == {"a": b"one", "b": b"2"}
    assert house.tree(ann, made.n, 3) == {"dir/a": b"one"}


def test_a_commit_is_all_or_nothing_and_names_all_that_is_wrong(house: House) -> None:
    ann = house.user("ann")
    made = house.version(ann)
    good = house.upload(ann, b"x")
    with pytest.raises(Invalid) as refused:
        entries.commit(
            house.depot,
            ann,
            made.n,
            [Add("good", upload=good.uid), Add("../up", upload=good.uid), Add("a//b", upload=good.uid)],
        )
    assert [fault["index"] for fault in refused.value.errors] == [1, 2]
    assert house.tree(ann, made.n) == {}


def test_a_commit_answers_the_revision_that_is_read_later(house: House) -> None:
    ann = house.user("ann")
    made = house.version(ann)
    upload = house.upload(ann, b"x")
    done = entries.commit(house.depot, ann, made.n, [Add("a", upload=upload.uid)], message="First")
    assert done.revision == entries.revision(house.depot, ann, made.n, 1)
    assert done.revision.author_name == ann.name


def test_a_commit_answers_the_version_that_is_read_later(house: House) -> None:
    ann, bob = house.user("ann"), house.user("bob")
    team = house.team(ann=Role.WRITE, bob=Role.READ)
    home = house.project(ann, team=team)
    made = house.version(ann, home)
    proposal = copies.copy(house.depot, bob, made.n)
    assert proposal.is_proposal
    for n in (made.n, proposal.n):
        for path, data in (("a.csv", b"a,b\n1,2\n"), ("b", bytes(100))):
            house.clock.move(seconds=1)
            sink = putting.put_file(house.depot, ann, n, NewFile(path))
            sink.write(data)
            done, created = sink.finish()
            assert (done.version, created) == (house.of(ann, n), True)
    assert done.version.is_proposal is False


def test_a_commit_that_saw_an_older_revision_is_stale(house: House) -> None:
    ann = house.user("ann")
    made = house.version(ann)
    house.put(ann, made, {"a": b"1"})
    with pytest.raises(StaleRevision) as stale:
        house.put(ann, made, {"b": b"2"}, expected=0)
    assert stale.value.details["revision"] == 1
    assert house.tree(ann, made.n) == {"a": b"1"}


def test_a_file_for_an_older_revision_is_refused_before_its_bytes_are_taken(house: House) -> None:
    """Found by a long life: the bytes were received first, and only a file in the way was told before."""
    ann = house.user("ann")
    made = house.version(ann)
    house.put(ann, made, {"a": b"1"})
    for condition in ("any", "absent"):
        with pytest.raises(StaleRevision) as stale:
            putting.put_file(house.depot, ann, made.n, NewFile("a", expected=0, condition=condition))
        assert stale.value.details["revision"] == 1


def test_a_path_condition_is_judged_at_the_head(house: House) -> None:
    ann = house.user("ann")
    made = house.version(ann)
    house.put(ann, made, {"a": b"1"})
    upload = house.upload(ann, b"2")
    with pytest.raises(PathTaken):
        entries.commit(house.depot, ann, made.n, [Add("a", upload=upload.uid, condition="absent")])
    with pytest.raises(EntryNotFound):
        entries.commit(house.depot, ann, made.n, [Add("b", upload=upload.uid, condition="present")])


def test_a_path_is_not_both_file_and_folder(house: House) -> None:
    ann = house.user("ann")
    made = house.version(ann)
    house.put(ann, made, {"a": b"1"})
    with pytest.raises(PathTaken):
        house.put(ann, made, {"a/b": b"2"})


def test_a_text_survives_replacing_and_renaming(house: House) -> None:
    ann = house.user("ann")
    made = house.version(ann)
    house.put(ann, made, {"a": b"1"})
    entries.commit(house.depot, ann, made.n, [Describe("a", "the first")])
    house.put(ann, made, {"a": b"2"})
    entries.commit(house.depot, ann, made.n, [Rename("a", "b")])
    found = entries.get(house.depot, ann, made.n, "b")[2]
    assert (found.metadata, found.position) == ("the first", 0)
    entries.clear(house.depot, ann, made.n)
    assert entries.get(house.depot, ann, made.n, "b")[2].metadata == ""
    assert entries.get(house.depot, ann, made.n, "b", revision=4)[2].metadata == "the first"


def test_a_table_takes_texts_but_no_files(house: House) -> None:
    ann = house.user("ann")
    made = house.version(ann, kind=Kind.TABLE)
    upload = house.upload(ann, b"x")
    with pytest.raises(KindMismatch):
        entries.commit(house.depot, ann, made.n, [Add("a", upload=upload.uid)])


def test_restore_shows_an_old_revision_as_a_new_one(house: House) -> None:
    ann = house.user("ann")
    made = house.version(ann)
    house.put(ann, made, {"a": b"1", "b": b"2"})
    house.put(ann, made, {"a": b"x", "c": b"3"})
    done = entries.restore(house.depot, ann, made.n, 1)
    assert done.revision.number == 3
    assert house.tree(ann, made.n) == {"a": b"1", "b": b"2"}
    assert entries.restore(house.depot, ann, made.n, 0).version.n_entries == 0


def test_a_diff_tells_added_removed_changed_and_renamed(house: House) -> None:
    ann = house.user("ann")
    made = house.version(ann)
    house.put(ann, made, {"keep": b"k", "change": b"1", "gone": b"g", "old name": b"r"})
    upload, other = house.upload(ann, b"2"), house.upload(ann, b"n")
    entries.commit(
        house.depot,
        ann,
        made.n,
        [
            Add("change", upload=upload.uid),
            Add("new", upload=other.uid),
            Remove("gone"),
            Rename("old name", "new name"),
        ],
    )
    found = {(c.kind, c.path) for c in entries.diff(house.depot, ann, (made.n, 1), (made.n, 2))}
    assert found == {("changed", "change"), ("added", "new"), ("removed", "gone"), ("renamed", "new name")}


def test_a_diff_reaches_across_datasets(house: House) -> None:
    ann = house.user("ann")
    one, two = house.version(ann), house.version(ann)
    house.put(ann, one, {"a": b"1", "b": b"2"})
    house.put(ann, two, {"a": b"1", "c": b"3"})
    found = {(c.kind, c.path) for c in entries.diff(house.depot, ann, (one.n, None), (two.n, None))}
    assert found == {("removed", "b"), ("added", "c")}


def test_a_copy_and_its_source_go_their_own_ways(house: House) -> None:
    ann = house.user("ann")
    one = house.version(ann)
    house.put(ann, one, {"a": b"1"})
    two = copies.copy(house.depot, ann, one.n)
    house.put(ann, one, {"a": b"one"})
    house.put(ann, two, {"a": b"two"})
    assert (house.tree(ann, one.n), house.tree(ann, two.n)) == ({"a": b"one"}, {"a": b"two"})


def test_a_copy_of_some_entries_ignores_unknown_names(house: House) -> None:
    ann = house.user("ann")
    one = house.version(ann)
    house.put(ann, one, {"a": b"1", "b": b"2"})
    two = copies.copy(house.depot, ann, one.n, only_paths=["b", "nothing"])
    assert house.tree(ann, two.n) == {"b": b"2"}


def test_merge_numbers_what_clashes_and_can_take_the_source_away(house: House) -> None:
    ann = house.user("ann")
    one, two = house.version(ann), house.version(ann)
    house.put(ann, one, {"same": b"s", "d/e.tar.gz": b"1"})
    house.put(ann, two, {"same": b"s", "d/e.tar.gz": b"2", "new": b"n"})
    copies.merge(house.depot, ann, one.n, two.n, delete=True)
    assert house.tree(ann, one.n) == {"same": b"s", "d/e.tar.gz": b"1", "d/e.tar-0001.gz": b"2", "new": b"n"}
    assert versions.get(house.depot, ann, two.n).version.trash is not None


def test_merging_with_itself_changes_nothing(house: House) -> None:
    ann = house.user("ann")
    one = house.version(ann)
    house.put(ann, one, {"a": b"1"})
    assert copies.merge(house.depot, ann, one.n, one.n).revision.number == 1


def test_content_may_be_claimed_by_digest_only_by_who_may_read_it(house: House) -> None:
    ann, bob = house.user("ann"), house.user("bob")
    secret, mine = house.version(ann), house.version(bob)
    house.put(ann, secret, {"a": b"secret"})
    digest = house.sha256(b"secret")
    for unknown in (digest, house.sha256(b"nowhere")):
        assert entries.known(house.depot, bob, [unknown]) == set()
        with pytest.raises(Invalid, match="is not here, or not for you"):
            entries.commit(house.depot, bob, mine.n, [Add("a", sha256=unknown)])
    assert entries.known(house.depot, ann, [digest]) == {digest}
    entries.commit(house.depot, ann, secret.n, [Add("again", sha256=digest)])
    assert house.tree(ann, secret.n)["again"] == b"secret"


def test_content_of_another_version_may_be_added_by_who_may_read_it(house: House) -> None:
    ann, bob = house.user("ann"), house.user("bob")
    shown = house.version(ann, visibility=Visibility.PUBLIC)
    listed = house.version(ann, visibility=Visibility.LISTED)
    for one in (shown, listed):
        house.put(ann, one, {"a": b"1"})
    mine = house.version(bob)
    entries.commit(house.depot, bob, mine.n, [Add("b", source=(shown.n, None, "a"))])
    with pytest.raises(Invalid, match="may not read"):
        entries.commit(house.depot, bob, mine.n, [Add("c", source=(listed.n, None, "a"))])
    assert house.tree(bob, mine.n) == {"b": b"1"}


def test_equal_bytes_are_stored_once(house: House) -> None:
    ann, bob = house.user("ann"), house.user("bob")
    house.put(ann, house.version(ann), {"a": b"same bytes"})
    house.put(bob, house.version(bob), {"b": b"same bytes"})
    assert len(list(house.depot.store.keys())) == 1


def test_who_may_not_read_learns_nothing(house: House) -> None:
    ann, bob = house.user("ann"), house.user("bob")
    made = house.version(ann)
    house.put(ann, made, {"a": b"1"})
    with pytest.raises(Hidden) as hidden:
        entries.get(house.depot, bob, made.uid, "a")
    nobody = house.depot.new_uid()
    with pytest.raises(NotFound) as missing:
        entries.get(house.depot, bob, nobody, "a")
    assert str(hidden.value) == str(missing.value).replace(nobody.hex, made.uid.hex)


def test_a_reader_may_not_commit_but_an_executor_with_a_node_may(house: House) -> None:
    ann, bob, eve = house.user("ann"), house.user("bob"), house.user("eve")
    team = house.team(ann=Role.WRITE, bob=Role.READ, eve=Role.EXECUTE)
    made = house.version(ann, house.project(ann, team=team))
    with pytest.raises(Forbidden):
        house.put(bob, made, {"a": b"1"})
    with pytest.raises(Forbidden):
        house.put(eve, made, {"a": b"1"})
    node = nodes.create(house.depot, house.admin, "machine")
    house.put(eve.acting_for(node.n), made, {"a": b"1"})
    assert house.tree(bob, made.n) == {"a": b"1"}


def test_an_allocation_is_not_passed(house: House) -> None:
    ann = house.user("ann")
    project = house.project(ann)
    projects.update(house.depot, house.admin, project.n, projects.ProjectChanges(allocation=10))
    made = house.version(ann, project)
    house.put(ann, made, {"a": b"12345"})
    with pytest.raises(QuotaExceeded):
        house.put(ann, made, {"b": b"123456"})
    assert house.tree(ann, made.n) == {"a": b"12345"}
    house.put(ann, made, {"a": b"1234567890"})


def test_a_folder_is_listed_level_by_level(house: House) -> None:
    ann = house.user("ann")
    made = house.version(ann)
    house.put(ann, made, {"a.txt": b"", "d/1": b"", "d/e/2": b"", "d.txt": b""})
    top = entries.list_folder(house.depot, ann, made.n)[2].rows
    assert [(item.name, item.is_folder) for item in top] == [("a.txt", False), ("d.txt", False), ("d", True)]
    inner = entries.list_folder(house.depot, ann, made.n, "d")[2].rows
    assert [(item.name, item.is_folder) for item in inner] == [("1", False), ("e", True)]


def test_an_entry_tells_who_added_it_and_when_also_after_others_were_there(house: House) -> None:
    ann, bob = house.user("ann"), house.user("bob")
    made = house.version(ann, house.project(ann, team=house.team(ann=Role.WRITE, bob=Role.WRITE)))
    house.put(ann, made, {"d/a": b"1"})
    first = house.clock()
    house.clock.move(hours=1)
    house.put(bob, made, {"d/b": b"2"})
    entries.commit(house.depot, bob, made.n, [Rename("d/a", "d/c"), Describe("d/c", "text")])
    shown = {e.path: (e.added_by, e.added_at) for e in entries.list_entries(house.depot, ann, made.n)[2].rows}
    assert shown == {"d/b": ("bob", house.clock()), "d/c": ("ann", first)}
    inside = entries.list_folder(house.depot, ann, made.n, "d")[2].rows
    assert [item.entry.added_by for item in inside if item.entry is not None] == ["bob", "ann"]


def test_a_cursor_stays_with_the_revision_it_began_in(house: House) -> None:
    ann = house.user("ann")
    made = house.version(ann)
    house.put(ann, made, {f"{i:02}": b"x" for i in range(10)})
    page = entries.list_entries(house.depot, ann, made.n, limit=4)[2]
    house.put(ann, made, {"05b": b"y"})
    seen = [entry.path for entry in page.rows]
    while page.cursor:
        page = entries.list_entries(house.depot, ann, made.n, limit=4, cursor=page.cursor)[2]
        seen += [entry.path for entry in page.rows]
    assert seen == [f"{i:02}" for i in range(10)]
