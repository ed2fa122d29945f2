"""Lists by names and ids, what a purge frees, the log, and keys of repeats: the same on both databases."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest

from entrepot.depot import (
    browse,
    collection,
    copies,
    history,
    idempotency,
    naming,
    putting,
    tasks,
    tokens,
    trash,
    versions,
)
from entrepot.depot.browse import Wanted
from entrepot.depot.idempotency import Claim, Replay
from entrepot.depot.putting import NewFile
from entrepot.depot.versions import NewVersion
from entrepot.model.access import Actor
from entrepot.model.errors import Conflict, Forbidden, InProgress, Malformed, NotFound, PreconditionFailed
from entrepot.model.values import Entry, Numbering, Scope, State, Version, Visibility
from tests.support.identity import World


def version(world: World, actor: Actor, name: str, **more: object) -> Version:
    return versions.create(world.depot, actor, None, NewVersion(name, **more))  # type: ignore[arg-type]


def put(world: World, actor: Actor, where: Version, path: str, body: bytes) -> None:
    sink = putting.put_file(world.depot, actor, where.n, NewFile(path))
    sink.write(body)
    sink.finish()


# Lists


def test_a_list_is_asked_for_by_names_and_ids(world: World) -> None:
    alice = world.person("alice")
    cold = version(world, alice, "penguins", tags=("cold", "bird"), collection="a/b")
    warm = version(world, alice, "herons", tags=("bird",), visibility=Visibility.PUBLIC)

    def found(**wanted: object) -> list[str]:
        page = browse.list_versions(world.depot, alice, Wanted(**wanted), limit=100)  # type: ignore[arg-type]
        return [one.version.name for one in page.rows]

    assert found() == ["herons", "penguins"]
    assert found(tags=("cold", "bird")) == found(collection=cold.collection_uid) == ["penguins"]
    assert found(dataset=warm.dataset_uid) == found(visibility=Visibility.PUBLIC) == ["herons"]
    assert found(project="alice", creator="alice", states=(State.READY,), ready_only=True) == ["herons", "penguins"]
    for nothing in (
        {"project": "none"},
        {"creator": "nobody"},
        {"collection": UUID(int=1)},
        {"dataset": UUID(int=1)},
        {"name": "a\x00b"},
        {"tags": ("\x00",)},
        {"collection": cold.collection_uid, "project": world.personal_project(world.staff)},
    ):
        assert found(**nothing) == []


def test_a_bare_name_means_one_version_of_each_line(world: World) -> None:
    alice = world.person("alice")
    first = version(world, alice, "penguins")
    second = version(world, alice, "penguins", numbering=Numbering.NEXT)
    other = version(world, alice, "herons")
    trash.trash(world.depot, alice, version(world, alice, "gone").n)
    page = browse.list_heads(world.depot, alice, "alice", limit=1)
    rest = browse.list_heads(world.depot, alice, "alice", cursor=page.cursor, limit=5)
    assert [one.version.n for one in (*page.rows, *rest.rows)] == [second.n, other.n]
    trash.trash(world.depot, alice, second.n)
    assert [one.version.n for one in browse.list_heads(world.depot, alice, "alice").rows] == [first.n, other.n]
    line, home, found = browse.get_dataset(world.depot, alice, first.dataset_uid)
    assert (line.name, home, [one.version.n for one in found]) == ("penguins", first.project_uid, [first.n])
    with pytest.raises(NotFound):
        browse.get_dataset(world.depot, world.person("bob"), first.dataset_uid)


def test_a_purge_frees_what_nothing_else_names(world: World) -> None:
    alice = world.person("alice")
    one, two = version(world, alice, "one"), version(world, alice, "two")
    put(world, alice, one, "a", b"x" * 100)
    put(world, alice, one, "b", b"y" * 10)
    put(world, alice, one, "a", b"z" * 1000)
    assert collection.frees(world.depot, alice, one.n).n_bytes == 1110, "older revisions count too"
    put(world, alice, two, "same", b"y" * 10)
    assert collection.frees(world.depot, alice, one.n).n_bytes == 1100
    copy = copies.copy(world.depot, alice, one.n)
    assert collection.frees(world.depot, alice, one.n).n_bytes == 100, "what only its older revisions show is its own"
    trash.purge(world.depot, alice, copy.n)
    assert collection.frees(world.depot, alice, one.n).n_bytes == 1100


# The log


def test_the_log_is_told_to_those_whom_it_concerns(world: World) -> None:
    alice, bob = world.person("alice"), world.person("bob")
    mine = version(world, alice, "mine", visibility=Visibility.PUBLIC)
    seen = history.events(world.depot, alice, verbs=("version.created",))
    assert [event.version for event in seen.rows] == [mine.n]
    assert history.events(world.depot, bob, verbs=("version.created",)).rows == ()
    assert history.events(world.depot, world.staff, by="alice", verbs=("version.created",)).rows == seen.rows
    assert {event.verb for event in history.events(world.depot, bob).rows} >= {"login.succeeded"}
    limited = world.by_token(alice, Scope.READ, projects=[mine.project])
    assert {event.project for event in history.events(world.depot, limited).rows} == {mine.project}
    pages, cursor = [], None
    while True:
        page = history.events(world.depot, alice, cursor=cursor, limit=1)
        pages += [event.n for event in page.rows]
        if (cursor := page.cursor) is None:
            break
    assert pages == [event.n for event in history.events(world.depot, alice).rows]
    with pytest.raises(Forbidden):
        history.version_events(world.depot, bob, mine.n)


def test_revisions_and_differences_come_in_pages_that_stay(world: World) -> None:
    alice = world.person("alice")
    one = version(world, alice, "one")
    for name in ("ä", "b", "a/ü", "z"):
        put(world, alice, one, name, name.encode())
    _, page = history.revisions(world.depot, alice, one.n, limit=3)
    _, rest = history.revisions(world.depot, alice, one.n, cursor=page.cursor, limit=3)
    assert [revision.number for revision in (*page.rows, *rest.rows)] == [4, 3, 2, 1, 0]
    first = history.diff_page(world.depot, alice, (one.n, 0), (one.n, None), limit=3)
    put(world, alice, one, "0", b"later")
    second = history.diff_page(world.depot, alice, (one.n, 0), (one.n, None), cursor=first.cursor, limit=3)
    assert [change.path for change in (*first.rows, *second.rows)] == ["a/ü", "b", "z", "ä"]


# Files in one piece


def test_a_put_is_judged_before_the_first_byte_and_again_at_the_last(world: World) -> None:
    alice = world.person("alice")
    one = version(world, alice, "one")
    seen: list[Entry | None] = []

    def absent(entry: Entry | None) -> None:
        seen.append(entry)
        if entry is not None:
            raise PreconditionFailed("It is there.")

    sink = putting.put_file(world.depot, alice, one.n, NewFile("a"), check=absent)
    sink.write(b"slow")
    put(world, alice, one, "a", b"quick")
    with pytest.raises(PreconditionFailed):
        sink.finish()
    sink.close()
    assert [None if entry is None else entry.size for entry in seen] == [None, 5]
    assert list(world.depot.staging.keys()) == []


# Keys of repeats


def test_a_key_is_claimed_once_even_by_many_at_once(world: World) -> None:
    alice, request = world.person("alice"), idempotency.fingerprint(b"POST", b"/x", b"body")
    gate = threading.Barrier(8)

    def claim(_: int) -> object:
        gate.wait()
        try:
            return idempotency.claim(world.depot, alice, "key", request)
        except InProgress:
            return None

    with ThreadPoolExecutor(8) as pool:
        found = [one for one in pool.map(claim, range(8)) if one is not None]
    assert len(found) == 1
    assert isinstance(found[0], Claim)
    idempotency.keep(world.depot, found[0], status=201, headers={"a": "b"}, body=b"answer")
    assert idempotency.claim(world.depot, alice, "key", request) == Replay(201, {"a": "b"}, b"answer")
    with pytest.raises(Conflict):
        idempotency.claim(world.depot, alice, "key", idempotency.fingerprint(b"POST", b"/x", b"other"))
    with pytest.raises(Malformed):
        idempotency.claim(world.depot, alice, "", request)


def test_a_claim_that_is_given_back_or_dies_leaves_the_key_free(world: World) -> None:
    alice, request = world.person("alice"), idempotency.fingerprint(b"x")
    first = idempotency.claim(world.depot, alice, "key", request)
    assert isinstance(first, Claim)
    idempotency.release(world.depot, first)
    second = idempotency.claim(world.depot, alice, "key", request)
    assert isinstance(second, Claim)
    world.clock.move(seconds=61)
    third = idempotency.claim(world.depot, alice, "key", request)
    assert isinstance(third, Claim)
    idempotency.keep(world.depot, third, status=200, headers={}, body=b"third")
    idempotency.release(world.depot, second)
    assert isinstance(idempotency.claim(world.depot, alice, "key", request), Replay), "a late release takes nothing"
    world.clock.move(hours=25)
    assert idempotency.sweep(world.depot) == 1


def test_an_answer_that_is_too_large_is_not_kept(world: World) -> None:
    alice, request = world.person("alice"), idempotency.fingerprint(b"x")
    mine = idempotency.claim(world.depot, alice, "key", request)
    assert isinstance(mine, Claim)
    idempotency.keep(world.depot, mine, status=200, headers={}, body=bytes(idempotency.MAX_BODY + 1))
    assert isinstance(idempotency.claim(world.depot, alice, "key", request), Claim)


def test_numbers_are_named_by_their_ids(world: World) -> None:
    alice = world.person("alice")
    one = version(world, alice, "one")
    token = tokens.create(world.depot, alice, scope=Scope.READ, projects=["alice"]).token
    assert naming.of_tokens(world.depot, [token]).projects == {one.project: one.project_uid}
    assert naming.of_tasks(world.depot, tasks.list_tasks(world.depot, alice).rows) == naming.Names()
    events = history.version_events(world.depot, alice, one.n).rows
    assert naming.of_events(world.depot, events).versions == {one.n: one.uid}
