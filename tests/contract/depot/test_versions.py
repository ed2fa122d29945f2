"""Names, lines, numbers and the record of versions."""

from __future__ import annotations

from datetime import timedelta

import pytest

from entrepot.catalog.versions import Filter
from entrepot.depot import copies, entries, members, projects, trash, versions
from entrepot.depot.versions import NewVersion, VersionChanges
from entrepot.model.access import ANONYMOUS
from entrepot.model.errors import Forbidden, Frozen, Hidden, Invalid, NameTaken, NotFound, Trashed, Unauthenticated
from entrepot.model.references import parse_reference
from entrepot.model.values import Kind, Numbering, Role, State, Visibility
from tests.support.house import House


def test_a_files_version_is_ready_numbered_and_empty_from_the_start(house: House) -> None:
    ann = house.user("ann")
    made = house.version(ann, name="Penguins")
    assert (made.number, made.revision, made.state, made.slug) == (1, 0, State.READY, "penguins")
    assert house.tree(ann, made.n) == {}


def test_a_version_that_awaits_its_ingest_has_no_number_yet(house: House) -> None:
    ann = house.user("ann")
    made = house.version(ann, name="Table", kind=Kind.TABLE)
    assert (made.number, made.state) == (None, State.EMPTY)


def test_a_second_dataset_of_one_name_is_refused_by_default(house: House) -> None:
    ann = house.user("ann")
    house.version(ann, name="Penguins")
    with pytest.raises(NameTaken, match="Choose another name, or make its next version"):
        house.version(ann, name="Penguins")


def test_next_makes_the_next_version_of_the_line(house: House) -> None:
    ann = house.user("ann")
    first = house.version(ann, name="Penguins")
    second = house.version(ann, name="Penguins", numbering=Numbering.NEXT)
    assert (second.number, second.dataset) == (2, first.dataset)


def test_a_trashed_number_is_free_again(house: House) -> None:
    ann = house.user("ann")
    house.version(ann, name="Penguins")
    second = house.version(ann, name="Penguins", numbering=Numbering.NEXT)
    trash.trash(house.depot, ann, second.n)
    assert house.version(ann, name="Penguins", numbering=Numbering.NEXT).number == 2
    with pytest.raises(NameTaken):
        trash.reinstate(house.depot, ann, second.n, numbering=Numbering.KEEP)
    assert trash.reinstate(house.depot, ann, second.n).number == 3


def test_the_bare_name_means_the_highest_active_version(house: House) -> None:
    ann = house.user("ann")
    house.version(ann, name="Penguins")
    second = house.version(ann, name="Penguins", numbering=Numbering.NEXT)
    bare = parse_reference("ann/penguins")
    assert versions.resolve(house.depot, ann, bare)[0].version.n == second.n
    trash.trash(house.depot, ann, second.n)
    assert versions.resolve(house.depot, ann, bare)[0].version.number == 1


def test_a_readers_copy_is_a_proposal_that_the_bare_name_skips(house: House) -> None:
    ann, bob = house.user("ann"), house.user("bob")
    team = house.team(ann=Role.WRITE, bob=Role.READ)
    project = house.project(ann, "Birds", team=team)
    first = house.version(ann, project, "Penguins")
    proposal = copies.copy(house.depot, bob, first.n)
    assert (proposal.is_proposal, proposal.number, proposal.previous_version) == (True, 2, 1)
    bare = parse_reference("birds/penguins")
    assert versions.resolve(house.depot, ann, bare)[0].version.n == first.n
    versions.accept(house.depot, ann, proposal.n)
    assert versions.resolve(house.depot, ann, bare)[0].version.n == proposal.n


def test_a_proposal_is_taken_back_by_whoever_made_it_until_it_is_accepted(house: House) -> None:
    ann, bob, cyd = house.user("ann"), house.user("bob"), house.user("cyd")
    team = house.team(ann=Role.WRITE, bob=Role.READ, cyd=Role.READ)
    first = house.version(ann, house.project(ann, "Birds", team=team), "Penguins")
    proposal, other = (copies.copy(house.depot, bob, first.n) for _ in range(2))
    for theirs in (first, proposal):
        with pytest.raises(Forbidden, match="You may not trash"):
            trash.trash(house.depot, cyd, theirs.n)
    gone = trash.trash(house.depot, bob, proposal.n, reason="withdrawn: better ideas")
    assert gone.trash is not None
    assert (gone.trash.by, gone.trash.reason) == (bob.user, "withdrawn: better ideas")
    with pytest.raises(Forbidden):
        trash.reinstate(house.depot, bob, proposal.n)
    versions.accept(house.depot, ann, other.n)
    with pytest.raises(Forbidden):
        trash.trash(house.depot, bob, other.n)


def test_who_left_the_team_takes_back_nothing(house: House) -> None:
    ann, bob = house.user("ann"), house.user("bob")
    team = house.team(ann=Role.ADMIN, bob=Role.READ)
    first = house.version(ann, house.project(ann, "Birds", team=team), "Penguins", visibility=Visibility.PUBLIC)
    proposal = copies.copy(house.depot, bob, first.n)
    members.remove(house.depot, ann, team, "bob")
    with pytest.raises(Forbidden):
        trash.trash(house.depot, bob, proposal.n)


def test_an_edit_by_a_writer_accepts_a_proposal(house: House) -> None:
    ann, bob = house.user("ann"), house.user("bob")
    team = house.team(ann=Role.WRITE, bob=Role.READ)
    first = house.version(ann, house.project(ann, "Birds", team=team), "Penguins")
    proposal = copies.copy(house.depot, bob, first.n)
    edited = versions.update(house.depot, ann, proposal.n, VersionChanges(description="good"))
    assert not edited.is_proposal


def test_renaming_moves_this_version_alone_to_another_line(house: House) -> None:
    ann = house.user("ann")
    first = house.version(ann, name="Penguins")
    second = house.version(ann, name="Penguins", numbering=Numbering.NEXT)
    moved = versions.update(house.depot, ann, second.n, VersionChanges(name="Auks"))
    assert (moved.name, moved.number, moved.slug) == ("Auks", 2, "auks")
    assert versions.get(house.depot, ann, first.n).version.name == "Penguins"


def test_the_slug_of_a_line_that_was_left_leads_to_where_its_last_version_went(house: House) -> None:
    ann = house.user("ann")
    only = house.version(ann, name="Penguins")
    versions.update(house.depot, ann, only.n, VersionChanges(name="Auks"))
    found, _ = versions.resolve(house.depot, ann, parse_reference("ann/penguins"))
    assert found.version.n == only.n
    taker = house.version(ann, name="Penguins")
    assert versions.resolve(house.depot, ann, parse_reference("ann/penguins"))[0].version.n == taker.n


def test_moving_onto_a_taken_number_is_refused_and_changes_nothing(house: House) -> None:
    ann = house.user("ann")
    house.version(ann, name="Auks")
    other = house.version(ann, name="Penguins")
    with pytest.raises(NameTaken):
        versions.update(house.depot, ann, other.n, VersionChanges(name="Auks", description="x"))
    assert versions.get(house.depot, ann, other.n).version == other


def test_moving_to_a_project_where_one_may_not_create_is_hidden(house: House) -> None:
    ann, bob = house.user("ann"), house.user("bob")
    theirs = house.project(bob, "Secret")
    mine = house.version(ann, name="Penguins")
    with pytest.raises((Hidden, NotFound)):
        versions.update(house.depot, ann, mine.n, VersionChanges(project=theirs.n))


def test_an_alias_is_unique_among_active_versions_and_slugs(house: House) -> None:
    ann = house.user("ann")
    house.version(ann, name="Penguins", alias="best")
    with pytest.raises(NameTaken, match="best"):
        house.version(ann, name="Auks", alias="best")
    with pytest.raises(NameTaken):
        house.version(ann, name="Gulls", alias="penguins")
    assert versions.resolve(house.depot, ann, parse_reference("ann/best"))[0].version.name == "Penguins"


def test_a_failed_create_leaves_no_line_behind(house: House) -> None:
    ann = house.user("ann")
    house.version(ann, name="Penguins", alias="best")
    with pytest.raises(NameTaken):
        house.version(ann, name="Auks", alias="best")
    with pytest.raises(NotFound):
        versions.resolve(house.depot, ann, parse_reference("ann/auks"))


def test_record_edits_raise_the_edit_number_and_make_no_revision(house: House) -> None:
    ann = house.user("ann")
    made = house.version(ann, name="Penguins")
    edited = versions.update(house.depot, ann, made.n, VersionChanges(description="Palmer", tags=["a", "b", "a"]))
    assert (edited.description, edited.tags, edited.revision, edited.edit) == ("Palmer", ("a", "b"), 0, made.edit + 1)
    again = versions.update(house.depot, ann, made.n, VersionChanges(description="Palmer"))
    assert again.edit == edited.edit


def test_a_frozen_version_refuses_content_and_moves_but_not_edits(house: House) -> None:
    ann = house.user("ann")
    made = house.version(ann, name="Penguins")
    versions.freeze(house.depot, ann, made.n)
    upload = house.upload(ann, b"x")
    with pytest.raises(Frozen):
        entries.commit(house.depot, ann, made.n, [entries.Add("a", upload=upload.uid)])
    with pytest.raises(Frozen):
        versions.update(house.depot, ann, made.n, VersionChanges(name="Auks"))
    assert versions.update(house.depot, ann, made.n, VersionChanges(description="d")).description == "d"


def test_a_trashed_version_refuses_edits_and_says_what_to_do(house: House) -> None:
    ann = house.user("ann")
    made = house.version(ann, name="Penguins")
    trash.trash(house.depot, ann, made.n, reason="archived: done")
    with pytest.raises(Trashed, match="reinstate it first"):
        versions.update(house.depot, ann, made.n, VersionChanges(description="x"))
    assert versions.get(house.depot, ann, made.n).version.trash is not None
    assert versions.list_versions(house.depot, ann, Filter()).rows == ()


def test_trash_and_reinstate_may_be_repeated(house: House) -> None:
    ann = house.user("ann")
    made = house.version(ann, name="Penguins")
    first = trash.trash(house.depot, ann, made.n)
    house.clock.move(hours=1)
    assert trash.trash(house.depot, ann, made.n).trash == first.trash
    assert trash.reinstate(house.depot, ann, made.n).trash is None
    assert trash.reinstate(house.depot, ann, made.n).number == 1


def test_trashing_many_is_all_or_none(house: House) -> None:
    ann, bob = house.user("ann"), house.user("bob")
    mine, theirs = house.version(ann), house.version(bob)
    with pytest.raises(Invalid) as refused:
        trash.trash_many(house.depot, ann, [mine.uid, theirs.uid], reason="archived: x")
    assert len(refused.value.errors) == 1
    assert versions.get(house.depot, ann, mine.n).version.trash is None


def test_purge_removes_the_version_and_its_line_but_not_what_shares_its_entries(house: House) -> None:
    ann = house.user("ann")
    made = house.version(ann, name="Penguins")
    house.put(ann, made, {"a": b"1"})
    copy = copies.copy(house.depot, ann, made.n, name="Auks", numbering=Numbering.ONLY)
    trash.purge(house.depot, ann, made.n)
    with pytest.raises(NotFound):
        versions.get(house.depot, ann, made.n)
    assert house.tree(ann, copy.n) == {"a": b"1"}


def test_numbers_of_the_catalogue_are_never_given_out_twice(house: House) -> None:
    ann = house.user("ann")
    first = house.version(ann, name="Penguins")
    trash.purge(house.depot, ann, first.n)
    assert house.version(ann, name="Penguins").n > first.n


def test_lists_show_what_the_caller_may_know_and_page_without_gaps(house: House) -> None:
    ann, bob = house.user("ann"), house.user("bob")
    made = [house.version(ann, visibility=Visibility.PUBLIC if i % 2 else Visibility.PRIVATE) for i in range(7)]
    seen: list[int] = []
    cursor = None
    while True:
        page = versions.list_versions(house.depot, bob, Filter(), cursor=cursor, limit=2)
        seen += [found.version.n for found in page.rows]
        cursor = page.cursor
        if cursor is None:
            break
    assert seen == sorted((v.n for v in made if v.visibility is Visibility.PUBLIC), reverse=True)


def test_listed_shows_the_record_to_everybody_and_the_content_to_members(house: House) -> None:
    ann, bob = house.user("ann"), house.user("bob")
    made = house.version(ann, visibility=Visibility.LISTED)
    house.put(ann, made, {"a": b"1"})
    assert versions.get(house.depot, bob, made.n).version.name == made.name
    with pytest.raises(Forbidden, match="read content"):
        entries.list_entries(house.depot, bob, made.n)


def test_a_project_gives_its_default_expiry_to_new_versions(house: House) -> None:
    ann = house.user("ann")
    project = house.project(ann, "Birds")
    projects.update(house.depot, ann, project.n, projects.ProjectChanges(default_expiry_s=3600))
    made = house.version(ann, project)
    assert made.expires_at == house.clock() + timedelta(hours=1)


def test_anonymous_callers_may_not_create(house: House) -> None:
    with pytest.raises(Unauthenticated):
        versions.create(house.depot, ANONYMOUS, None, NewVersion(name="x"))
