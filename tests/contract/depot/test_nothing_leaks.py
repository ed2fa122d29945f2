"""What the caller may not know of does not exist: in lists, pages, counts, messages, walks, names and links.

With the people and the table of roles of `tests.support.matrix`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from entrepot.catalog.versions import Filter
from entrepot.depot import (
    browse,
    copies,
    entries,
    exports,
    history,
    ingests,
    objects,
    projects,
    putting,
    relationships,
    resolving,
    search,
    slots,
    tasks,
    trash,
    uploads,
    versions,
)
from entrepot.depot.entries import Add, Remove
from entrepot.depot.relationships import NewRelationship
from entrepot.depot.uploads import NewUpload
from entrepot.depot.versions import NewVersion, VersionChanges
from entrepot.model import ids
from entrepot.model.access import ANONYMOUS, Action, Actor, Rule
from entrepot.model.errors import EntrepotError, Forbidden, Hidden, NotFound
from entrepot.model.ids import Noun
from entrepot.model.references import parse_reference
from entrepot.model.values import Numbering, Role, Version, Visibility
from tests.support.matrix import (
    CONTENT,
    HOW,
    LISTED,
    MEMBER,
    PRIVATE,
    PUBLIC,
    Cast,
    W,
    allowed,
    cast,
    edge,
    folder,
    in_trash,
    own_upload,
    running,
    table,
    visible,
)

__all__ = ["cast"]


# Lists: what is not to be seen leaves no trace, not in the rows, not in their number, not in the pages


@pytest.fixture(scope="module")
def shelf(cast: Cast) -> Mapping[Visibility, Version]:
    """One version of each visibility that all contain one word, in a project with nothing else of that word."""
    project = cast.house.project(cast.owner, "Shelf", team=cast.team)
    made = {}
    for visibility in Visibility:
        new = NewVersion(f"Quokka {visibility}", visibility=visibility, tags=("marsupial",))
        made[visibility] = versions.create(cast.depot, cast.owner, project.n, new)
        cast.house.put(cast.owner, made[visibility], {"q.txt": f"quokka {visibility}".encode()})
    return made


def pages(ask: Callable[[str | None], Any]) -> list[Any]:
    """All rows, by pages of one; a page that is not the last is full, so that nobody learns from its length."""
    rows: list[Any] = []
    cursor: str | None = None
    while True:
        page = ask(cursor)
        rows += page.rows
        if page.cursor is None:
            return rows
        assert len(page.rows) == 1, "a page came out short: what was left out can be counted"
        cursor = page.cursor


def leaves(ask: Callable[[str | None], Any]) -> list[Any]:
    """All rows, forward and back again; nothing is found on one way that was not there on the other."""
    leaf = ask(None)
    assert leaf.previous is None
    rows = list(leaf.rows)
    while leaf.next is not None:
        leaf = ask(leaf.next)
        rows += leaf.rows
    back = list(leaf.rows)
    while leaf.previous is not None:
        leaf = ask(leaf.previous)
        back = [*leaf.rows, *back]
    assert back == rows
    return rows


def test_lists_and_searches_show_exactly_what_may_be_known(cast: Cast, shelf: Mapping[Visibility, Version]) -> None:
    home = shelf[PRIVATE].project
    asks: Mapping[str, Callable[[Actor], list[Any]]] = {
        "versions.list_versions": lambda a: pages(
            lambda cursor: versions.list_versions(cast.depot, a, Filter(project=home), cursor=cursor, limit=1)
        ),
        "browse.list_versions": lambda a: pages(
            lambda cursor: browse.list_versions(
                cast.depot, a, browse.Wanted(tags=("marsupial",)), cursor=cursor, limit=1
            )
        ),
        "browse.leaf_versions": lambda a: leaves(
            lambda cursor: browse.leaf_versions(
                cast.depot, a, browse.Wanted(tags=("marsupial",)), cursor=cursor, limit=1
            )
        ),
        "search.search": lambda a: [
            result.found
            for result in pages(lambda cursor: search.search(cast.depot, a, "quokka", cursor=cursor, limit=1))
        ],
    }
    for (who, how), actor in cast.actors.items():
        expected = {v.n for visibility, v in shelf.items() if visible(who, how, visibility)}
        for name, ask in asks.items():
            assert {found.version.n for found in ask(actor)} == expected, (name, who, how)


def test_contents_are_known_to_whom_they_may_be_read(cast: Cast, shelf: Mapping[Visibility, Version]) -> None:
    digests = {visibility: cast.house.sha256(f"quokka {visibility}".encode()) for visibility in Visibility}
    for (who, how), actor in cast.actors.items():
        expected = {visibility for visibility in Visibility if allowed(CONTENT, who, how, visibility)}
        for visibility, digest in digests.items():
            found: Any = None
            with contextlib.suppress(NotFound):
                found = resolving.resolve(cast.depot, actor, digest.hex())
            assert (found is not None) == (visibility in expected), (who, how, visibility)
        if who != "anonymous":
            known = entries.known(cast.depot, actor, list(digests.values()))
            assert known == {digests[visibility] for visibility in expected}, (who, how)


def test_projects_and_tasks_and_events_are_listed_to_members(cast: Cast, shelf: Mapping[Visibility, Version]) -> None:
    home = shelf[PRIVATE].project
    task = running(cast, PUBLIC)
    for (who, how), actor in cast.actors.items():
        member = allowed(MEMBER, who, how, None)
        seen = pages(lambda cursor, a=actor: projects.list_projects(cast.depot, a, cursor=cursor, limit=1))
        assert (home in {found.project.n for found in seen}) == member, (who, how)
        writable = projects.list_projects(cast.depot, actor, least=Role.WRITE, limit=1000).rows
        assert (home in {found.project.n for found in writable}) == allowed(W, who, how, None), (who, how)
        if who == "anonymous":
            continue
        assert (task.n in {found.n for found in tasks.list_tasks(cast.depot, actor, limit=1000).rows}) == member
        told = history.events(cast.depot, actor, limit=1000).rows
        assert (home in {found.project for found in told}) == member, (who, how)
        if how == "limited":
            own = cast.house_of(actor).n
            assert {found.project for found in told} <= {own}, who
            assert {found.project.n for found in seen} == {own}, who


def test_a_door_narrows_reading_and_lists_alike(cast: Cast, shelf: Mapping[Visibility, Version]) -> None:
    """A door for whose clients content is the members' alone, and some things staff's, whatever is public."""
    narrow = {
        Action.READ_CONTENT: Rule(Role.READ),
        Action.PURGE: Rule(),
        Action.REINSTATE: Rule(),
    }
    stranger = cast.actors["stranger", "password"].through("narrow", narrow)
    keeper = cast.actors["keeper", "password"].through("narrow", narrow)
    staff = cast.actors["staff", "password"].through("narrow", narrow)
    shown = shelf[PUBLIC]
    assert versions.get(cast.depot, stranger, shown.n).version.n == shown.n
    for act in (
        lambda a: entries.list_entries(cast.depot, a, shown.n),
        lambda a: exports.export(cast.depot, a, shown.n),
        lambda a: objects.sign_entry(cast.depot, a, shown.n, "q.txt"),
        lambda a: copies.copy(cast.depot, a, shown.n, project=cast.house_of(a).n),
    ):
        with pytest.raises(Forbidden):
            act(stranger)
    assert entries.known(cast.depot, stranger, [cast.house.sha256(b"quokka public")]) == set()
    assert entries.list_entries(cast.depot, keeper, shown.n)[2].rows
    gone = in_trash(cast, PRIVATE)
    for act in (trash.reinstate, trash.purge):
        with pytest.raises(Forbidden):
            act(cast.depot, keeper, gone.n)
    trash.purge(cast.depot, staff, gone.n)


def test_a_door_that_narrows_records_narrows_every_list(cast: Cast, shelf: Mapping[Visibility, Version]) -> None:
    for narrow, expected in (
        (Rule(Role.READ), {PRIVATE: True, LISTED: True, PUBLIC: True}),
        (Rule(Role.ADMIN), {PRIVATE: False, LISTED: False, PUBLIC: False}),
        (Rule(Role.READ, everyone=frozenset({PUBLIC})), {PRIVATE: True, LISTED: True, PUBLIC: True}),
    ):
        actor = cast.actors["reader", "password"].through("narrow", {Action.VIEW_RECORD: narrow})
        outsider = cast.actors["stranger", "password"].through("narrow", {Action.VIEW_RECORD: narrow})
        for who, seen in (
            (actor, expected),
            (outsider, {visibility: visibility in narrow.everyone for visibility in Visibility}),
        ):
            wanted = {shelf[visibility].n for visibility, shown in seen.items() if shown}
            listed = pages(
                lambda cursor, a=who: versions.list_versions(
                    cast.depot, a, Filter(project=shelf[PUBLIC].project), cursor=cursor, limit=1
                )
            )
            found = pages(lambda cursor, a=who: search.search(cast.depot, a, "quokka", cursor=cursor, limit=1))
            assert {one.version.n for one in listed} == wanted
            assert {one.found.version.n for one in found} == wanted


def test_what_is_hidden_and_what_is_missing_are_refused_in_the_same_words(cast: Cast) -> None:
    """For everybody who may not see a private version, and for every use case that takes its id."""
    secret = cast.version(PRIVATE)
    missing = cast.depot.new_uid()
    task, link, place = running(cast, PRIVATE), edge(cast, PRIVATE)[0], folder(cast, PRIVATE)
    by_uid: list[tuple[Callable[[Actor, UUID], Any], UUID]] = [
        (lambda a, u: versions.get(cast.depot, a, u), secret.uid),
        (lambda a, u: entries.list_entries(cast.depot, a, u), secret.uid),
        (lambda a, u: entries.get(cast.depot, a, u, "a.txt"), secret.uid),
        (lambda a, u: entries.get(cast.depot, a, u, "nothing", revision=99), secret.uid),
        (lambda a, u: entries.commit(cast.depot, a, u, [Remove("a.txt")]), secret.uid),
        (lambda a, u: versions.update(cast.depot, a, u, VersionChanges(name="x")), secret.uid),
        (lambda a, u: versions.freeze(cast.depot, a, u), secret.uid),
        (lambda a, u: trash.trash(cast.depot, a, u), secret.uid),
        (lambda a, u: trash.purge(cast.depot, a, u), secret.uid),
        (lambda a, u: copies.copy(cast.depot, a, u), secret.uid),
        (lambda a, u: relationships.list_relationships(cast.depot, a, u), secret.uid),
        (lambda a, u: relationships.graph(cast.depot, a, u), secret.uid),
        (lambda a, u: exports.export(cast.depot, a, u), secret.uid),
        (lambda a, u: objects.sign_entry(cast.depot, a, u, "a.txt"), secret.uid),
        (lambda a, u: slots.list_slots(cast.depot, a, u), secret.uid),
        (lambda a, u: ingests.start(cast.depot, a, u), secret.uid),
        (lambda a, u: history.version_events(cast.depot, a, u), secret.uid),
        (lambda a, u: resolving.resolve(cast.depot, a, ids.encode(Noun.VERSION, u)), secret.uid),
        (lambda a, u: browse.get_dataset(cast.depot, a, u), secret.dataset_uid),
        (lambda a, u: resolving.resolve(cast.depot, a, ids.encode(Noun.DATASET, u)), secret.dataset_uid),
        (lambda a, u: projects.get(cast.depot, a, u), cast.project.uid),
        (lambda a, u: projects.trash(cast.depot, a, u), cast.project.uid),
        (lambda a, u: versions.create(cast.depot, a, u, NewVersion("x")), cast.project.uid),
        (lambda a, u: search.search(cast.depot, a, "x", project=u), cast.project.uid),
        (lambda a, u: projects.get_collection(cast.depot, a, u), place.uid),
        (lambda a, u: projects.delete_collection(cast.depot, a, u), place.uid),
        (lambda a, u: versions.create(cast.depot, a, None, NewVersion("x", collection=u)), place.uid),
        (lambda a, u: resolving.resolve(cast.depot, a, ids.encode(Noun.COLLECTION, u)), place.uid),
        (lambda a, u: tasks.get(cast.depot, a, u), task.uid),
        (lambda a, u: tasks.cancel(cast.depot, a, u), task.uid),
        (lambda a, u: relationships.get(cast.depot, a, u), link.uid),
        (lambda a, u: relationships.delete(cast.depot, a, u), link.uid),
    ]
    by_text: list[tuple[Callable[[Actor, str], Any], str]] = [
        (lambda a, t: versions.resolve(cast.depot, a, parse_reference(f"birds/{t}")), secret.slug),
        (lambda a, t: versions.resolve(cast.depot, a, parse_reference(f"birds/{t}@1")), secret.slug),
        (lambda a, t: versions.resolve(cast.depot, a, parse_reference(f"birds/{t}@1.99")), secret.slug),
        (lambda a, t: resolving.resolve(cast.depot, a, f"birds/{t}/a.txt"), secret.slug),
        (lambda a, t: projects.get(cast.depot, a, t), "birds"),
        (lambda a, t: resolving.resolve(cast.depot, a, t), "birds"),
        (lambda a, t: versions.create(cast.depot, a, t, NewVersion("x")), "birds"),
        (lambda a, t: projects.create(cast.depot, a, "x", team=t), "lab"),
    ]
    own = cast.mine(cast.actors["stranger", "password"])
    by_uid += [
        (lambda a, u: versions.update(cast.depot, a, own.n, VersionChanges(project=u)), cast.project.uid),
        (lambda a, u: versions.update(cast.depot, a, own.n, VersionChanges(collection=u)), place.uid),
        (lambda a, u: copies.copy(cast.depot, a, own.n, project=u), cast.project.uid),
        (lambda a, u: copies.copy(cast.depot, a, own.n, collection=u), place.uid),
        (lambda a, u: copies.merge(cast.depot, a, own.n, u), secret.uid),
        (lambda a, u: relationships.create(cast.depot, a, NewRelationship(own.n, u, "v")), secret.uid),
        (lambda a, u: uploads.begin(cast.depot, a, NewUpload(project=u)), cast.project.uid),
        (lambda a, u: entries.commit(cast.depot, a, own.n, [Add("x", source=(u, None, "a.txt"))]), secret.uid),
        (lambda a, u: trash.trash_many(cast.depot, a, [own.n, u], reason="x"), secret.uid),
    ]
    for how in HOW[:-1]:
        stranger = cast.actors["stranger", how]
        for i, (act, there) in enumerate(by_uid):
            same_words(partial(act, stranger), there, missing, lambda u: u.hex, (how, "uid", i))
        for i, (ask, name) in enumerate(by_text):
            same_words(partial(ask, stranger), name, "nowhere-at-all", str, (how, "text", i))


def same_words(act: Callable[[Any], Any], there: Any, missing: Any, shown: Callable[[Any], str], case: Any) -> None:
    with pytest.raises(EntrepotError) as hidden:
        act(there)
    with pytest.raises(EntrepotError) as absent:
        act(missing)
    one, other = hidden.value, absent.value
    # The leaf may differ: it is for the doors, most of which say the same of both.
    kinds = {NotFound if isinstance(error, Hidden | NotFound) else type(error) for error in (one, other)}
    assert len(kinds) == 1, (case, one, other)

    def told(error: EntrepotError, key: Any) -> str:
        return repr((error.message, error.details, error.errors)).replace(shown(key), "…")

    assert told(one, there) == told(other, missing), case


def test_numbers_are_as_silent_as_ids(cast: Cast) -> None:
    secret, stranger = cast.version(PRIVATE), cast.actors["stranger", "password"]
    for act in (
        lambda n: versions.get(cast.depot, stranger, n),
        lambda n: trash.purge(cast.depot, stranger, n),
        lambda n: resolving.resolve(cast.depot, stranger, f"ufdl:{n}"),
        lambda n: resolving.resolve(cast.depot, stranger, f"flow:{n}-0"),
    ):
        same_words(act, secret.n, 10**9, str, act)


def test_an_upload_is_its_owners_alone_whoever_asks(cast: Cast) -> None:
    keeper = cast.actors["keeper", "password"]
    mine, missing = own_upload(cast, keeper), cast.depot.new_uid()
    for act in (
        lambda a, u: uploads.get(cast.depot, a, u),
        lambda a, u: uploads.declare_length(cast.depot, a, u, 0),
        lambda a, u: uploads.receive(cast.depot, a, u, 0),
        lambda a, u: uploads.finish(cast.depot, a, u),
        lambda a, u: uploads.abort(cast.depot, a, u),
        lambda a, u: uploads.concatenate(cast.depot, a, [u], NewUpload()),
        lambda a, u: putting.receive_chunk(cast.depot, a, u, 0),
    ):
        for who in ("stranger", "writer", "staff"):
            same_words(partial(act, cast.actors[who, "password"]), mine, missing, lambda u: u.hex, who)
        with pytest.raises(NotFound):
            act(ANONYMOUS, mine)
    assert uploads.get(cast.depot, keeper, mine).uid == mine


def test_a_slot_is_not_filled_by_the_way_of_uploads(cast: Cast) -> None:
    """There nobody asks whether its version still takes files."""
    _, slot = table(cast, PRIVATE)
    for act in (
        lambda: uploads.receive(cast.depot, cast.owner, slot.uid, 0),
        lambda: uploads.finish(cast.depot, cast.owner, slot.uid),
        lambda: uploads.abort(cast.depot, cast.owner, slot.uid),
    ):
        with pytest.raises(NotFound):
            act()
    assert slot.uid not in {row.uid for row in uploads.list_uploads(cast.depot, cast.owner, limit=1000).rows}


# Edges, and what is left of what was purged


def test_an_edge_is_there_for_whom_its_source_is_there(cast: Cast) -> None:
    """That somebody made something secret of a public dataset, and what they say of it, is theirs to tell."""
    shown, secret = cast.version(PUBLIC), cast.version(PRIVATE)
    hidden = relationships.create(cast.depot, cast.owner, NewRelationship(secret.n, shown.n, "v", note="secret"))
    halfway = relationships.create(cast.depot, cast.owner, NewRelationship(shown.n, secret.n, "from"))
    for (who, how), actor in cast.actors.items():
        member = visible(who, how, PRIVATE)
        listed = pages(
            lambda cursor, a=actor: relationships.list_relationships(cast.depot, a, shown.n, cursor=cursor, limit=1)
        )
        assert [one.uid for one in listed] == ([hidden.uid] if member else []) + [halfway.uid], (who, how)
        mine = listed[-1]
        assert (mine.target is not None) == member, (who, how)
        walk = relationships.graph(cast.depot, actor, shown.n, direction="both")
        assert set(walk.versions) == ({shown.n, secret.n} if member else {shown.n}), (who, how)
        assert len(walk.edges) == (2 if member else 0), (who, how)
        assert not walk.truncated


def test_a_tombstone_names_the_purged_to_whom_it_was_visible(cast: Cast) -> None:
    shown, secret, listed = cast.version(PUBLIC), cast.version(PRIVATE), cast.version(LISTED)
    for target in (secret, listed):
        relationships.create(cast.depot, cast.owner, NewRelationship(shown.n, target.n, "from"))
        trash.purge(cast.depot, cast.owner, target.n)
    for (who, how), actor in cast.actors.items():
        edges = relationships.list_relationships(cast.depot, actor, shown.n).rows
        names = {edge.target.name for edge in edges if edge.target is not None}
        assert names == ({secret.name, listed.name} if visible(who, how, PRIVATE) else {listed.name}), (who, how)
        assert all(edge.target is None or edge.target.purged for edge in edges)


def test_the_edge_of_a_purged_source_is_for_staff_to_remove(cast: Cast) -> None:
    source, target = cast.version(LISTED), cast.version(LISTED)
    made = relationships.create(cast.depot, cast.owner, NewRelationship(source.n, target.n, "from"))
    trash.purge(cast.depot, cast.owner, source.n)
    for who in ("keeper", "writer", "stranger"):
        with pytest.raises(Forbidden):
            relationships.delete(cast.depot, cast.actors[who, "password"], made.uid)
    relationships.delete(cast.depot, cast.actors["staff", "password"], made.uid)


# Names


def test_a_bare_name_means_the_highest_that_the_caller_may_know_of(cast: Cast) -> None:
    name = cast.fresh("line")
    first = versions.create(cast.depot, cast.owner, cast.project.n, NewVersion(name, visibility=PUBLIC))
    draft = versions.create(cast.depot, cast.owner, cast.project.n, NewVersion(name, numbering=Numbering.NEXT))
    reference = parse_reference(f"birds/{first.slug}")
    for (who, how), actor in cast.actors.items():
        expected = draft if visible(who, how, PRIVATE) else first
        assert versions.resolve(cast.depot, actor, reference)[0].version.n == expected.n, (who, how)
        found = resolving.resolve(cast.depot, actor, ids.encode(Noun.DATASET, first.dataset_uid))
        assert found.version is not None
        assert found.version.n == expected.n, (who, how)
