"""Bytes that nothing refers to go, after two graces and never a moment before; what is referred to stays."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from entrepot.catalog import contents
from entrepot.catalog.entries import sweep_strands
from entrepot.catalog.schema import content, extent, object_
from entrepot.depot import collection, copies, entries, trash, uploads
from entrepot.depot.collection import Collected
from entrepot.depot.entries import Add, Remove
from entrepot.depot.uploads import NewUpload
from entrepot.model.access import Actor
from entrepot.model.errors import Forbidden, Unavailable
from entrepot.model.values import Version, Visibility
from entrepot.testing.faulty import Faults, FaultyStore, fails
from tests.support.house import House

GRACE = timedelta(hours=24)


@pytest.fixture
def ann(house: House) -> Actor:
    return house.user("ann")


def held(house: House) -> int:
    """Bytes in the store."""
    return sum(house.depot.store.stat(key) or 0 for key in list(house.depot.store.keys()))


def rows(house: House) -> tuple[int, int, int]:
    with house.depot.catalog.read() as conn:
        count = [conn.execute(select(func.count()).select_from(t)).scalar_one() for t in (content, extent, object_)]
    return count[0], count[1], count[2]


def let_uploads_end(house: House) -> None:
    house.clock.move(days=7)
    uploads.sweep(house.depot)


def collected(house: House) -> Iterator[Collected]:
    """One run after the other, a grace between them."""
    while True:
        sweep_strands(house.depot.catalog)
        yield collection.collect(house.depot)
        house.clock.move(hours=24, seconds=1)


def gone(house: House, who: Actor, version: Version) -> None:
    trash.purge(house.depot, who, version.n)


def test_bytes_go_two_graces_after_the_last_reference(house: House, ann: Actor) -> None:
    version = house.version(ann)
    house.put(ann, version, {"a": b"12345", "b": b"12345", "c": b"678"})
    let_uploads_end(house)
    gone(house, ann, version)
    runs = collected(house)
    assert next(runs) == Collected(condemned=2, condemned_bytes=8)
    assert held(house) == 8
    assert next(runs) == Collected(ended=2, ended_bytes=8, objects=2, freed_bytes=8)
    assert (held(house), rows(house)) == (0, (0, 0, 0))
    assert next(runs) == Collected()


def test_nothing_that_is_referred_to_goes(house: House, ann: Actor) -> None:
    """By the head, by an old revision, by a copy, by an upload that was not committed yet."""
    version = house.version(ann)
    house.put(ann, version, {"head": b"head", "old": b"old", "copied": b"copied"})
    other = copies.copy(house.depot, ann, version.n)
    entries.commit(house.depot, ann, version.n, [Remove("old")])
    let_uploads_end(house)
    runs = collected(house)
    for _ in range(3):
        assert next(runs) == Collected()
    waiting = house.upload(ann, b"waiting")
    gone(house, ann, version)
    for _ in range(3):
        next(runs)
    assert house.tree(ann, other.n) == {"head": b"head", "old": b"old", "copied": b"copied"}
    entries.commit(house.depot, ann, other.n, [Add("waiting", upload=waiting.uid)])
    assert house.tree(ann, other.n)["waiting"] == b"waiting"


def test_a_preview_says_what_only_uploads_keep(house: House, ann: Actor) -> None:
    """Or who purged what was pushed today would look in vain for the bytes that were promised."""
    version, other = house.version(ann), house.version(ann)
    house.put(ann, version, {"a": b"12345", "b": b"shared"})
    house.put(ann, other, {"b": b"shared"})
    gone(house, ann, version)
    seen = collection.look(house.depot)
    assert (seen.held, seen.held_bytes, seen.condemned) == (1, 5, 0)
    let_uploads_end(house)
    seen = collection.look(house.depot)
    assert (seen.held, seen.condemned, seen.condemned_bytes) == (0, 1, 5)


def test_a_condemned_content_that_comes_again_is_not_ended(house: House, ann: Actor) -> None:
    version, later = house.version(ann), house.version(ann)
    house.put(ann, version, {"a": b"12345"})
    let_uploads_end(house)
    gone(house, ann, version)
    runs = collected(house)
    assert next(runs).condemned == 1
    house.put(ann, later, {"b": b"12345"})
    let_uploads_end(house)
    for _ in range(3):
        assert next(runs) == Collected()
    assert house.tree(ann, later.n) == {"b": b"12345"}
    assert rows(house) == (1, 1, 1), "the bytes were stored once"


def test_a_condemned_content_whose_grace_is_over_is_looked_at_once_more(house: House, ann: Actor) -> None:
    """An upload of the same bytes begins while they are condemned and ends when the collector is about to act."""
    version = house.version(ann)
    house.put(ann, version, {"a": b"12345"})
    let_uploads_end(house)
    gone(house, ann, version)
    next(collected(house))
    house.clock.move(hours=25)
    again = house.upload(ann, b"12345")
    assert collection.collect(house.depot) == Collected()
    other = house.version(ann)
    entries.commit(house.depot, ann, other.n, [Add("b", upload=again.uid)])
    assert house.tree(ann, other.n) == {"b": b"12345"}


def test_bytes_sent_again_after_they_were_ended_are_new_bytes(house: House, ann: Actor) -> None:
    version, later = house.version(ann), house.version(ann)
    house.put(ann, version, {"a": b"12345"})
    let_uploads_end(house)
    gone(house, ann, version)
    runs = collected(house)
    next(runs), next(runs)
    house.put(ann, later, {"b": b"12345"})
    assert house.tree(ann, later.n) == {"b": b"12345"}


def test_what_frees_says_is_what_a_purge_gives_back(house: House, ann: Actor) -> None:
    version = house.version(ann)
    house.put(ann, version, {"shared": b"shared", "mine": b"mine!"})
    other = copies.copy(house.depot, ann, version.n)
    entries.commit(house.depot, ann, other.n, [Remove("mine")])
    house.put(ann, version, {"mine": b"changed"})
    promised = collection.frees(house.depot, ann, version.n)
    assert (promised.contents, promised.n_bytes, promised.at_once) == (1, 7, 7), "the copy's first revision has mine!"
    before = held(house)
    gone(house, ann, version)
    let_uploads_end(house)
    runs = collected(house)
    next(runs), next(runs)
    assert before - held(house) == promised.n_bytes


def test_frees_is_for_whoever_may_purge(house: House, ann: Actor) -> None:
    version = house.version(ann, visibility=Visibility.PUBLIC)
    with pytest.raises(Forbidden):
        collection.frees(house.depot, house.user("bob"), version.n)


def test_a_dry_run_says_what_a_run_does_and_does_nothing(house: House, ann: Actor) -> None:
    version = house.version(ann)
    house.put(ann, version, {"a": b"12345", "b": b"678"})
    let_uploads_end(house)
    gone(house, ann, version)
    sweep_strands(house.depot.catalog)
    for _ in range(2):
        before = rows(house)
        said = collection.gc(house.depot, house.admin, dry_run=True)
        assert rows(house) == before
        assert held(house) == 8
        assert said == collection.gc(house.depot, house.admin)
        house.clock.move(hours=24, seconds=1)
    assert held(house) == 0


def test_collecting_on_demand_is_for_operators(house: House, ann: Actor) -> None:
    with pytest.raises(Forbidden):
        collection.gc(house.depot, ann)


def test_a_run_that_is_stopped_anywhere_is_finished_by_the_next(house: House, ann: Actor) -> None:
    """Whatever step it was stopped at, the next runs come to the same end."""
    stops = 0
    while True:
        version = house.version(ann)
        house.put(ann, version, {"a": f"a{stops}".encode(), "b": f"b{stops}".encode()})
        let_uploads_end(house)
        gone(house, ann, version)
        left = stops

        def step(_: int) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise KeyboardInterrupt

        try:
            for _ in range(2):
                sweep_strands(house.depot.catalog)
                collection.collect(house.depot, step)
                house.clock.move(hours=24, seconds=1)
            interrupted = False
        except KeyboardInterrupt:
            interrupted = True
        runs = collected(house)
        next(runs), next(runs), next(runs)
        assert (held(house), rows(house)) == (0, (0, 0, 0))
        if not interrupted:
            break
        stops += 1
    assert stops > 3


def test_an_object_that_cannot_be_deleted_is_tried_again(house: House, ann: Actor) -> None:
    version = house.version(ann)
    house.put(ann, version, {"a": b"12345"})
    let_uploads_end(house)
    gone(house, ann, version)
    runs = collected(house)
    next(runs)
    faults = Faults()
    faults.on("store.delete", fails(Unavailable("the disk is away")))
    house.depot.store = FaultyStore(house.depot.store, faults)
    assert next(runs) == Collected(ended=1, ended_bytes=5)
    assert next(runs) == Collected(objects=1, freed_bytes=5)
    assert rows(house) == (0, 0, 0)


def test_bytes_that_are_missing_already_do_not_stop_the_collector(house: House, ann: Actor) -> None:
    version = house.version(ann)
    house.put(ann, version, {"a": b"12345"})
    let_uploads_end(house)
    gone(house, ann, version)
    runs = collected(house)
    next(runs)
    for key in list(house.depot.store.keys()):
        house.depot.store.delete(key)
    next(runs)
    assert rows(house) == (0, 0, 0)


def test_room_that_was_reserved_and_never_named_is_given_back(house: House) -> None:
    """A process died between writing a pack down and naming what is in it."""
    depot = house.depot
    key = depot.new_key()
    depot.catalog.write(
        lambda conn: contents.reserve_object(conn, store=depot.store.name, key=key, kind="pack", at=depot.now())
    )
    depot.store.put(key, [b"12345"])
    house.clock.move(hours=23)
    collection.collect(depot)
    assert held(house) == 5
    house.clock.move(hours=2)
    collection.collect(depot)
    assert (held(house), rows(house)) == (0, (0, 0, 0))


def test_the_loser_of_two_equal_uploads_leaves_no_second_copy(house: House, ann: Actor) -> None:
    """Both were received whole before either was named: the later one's object is given back at once."""
    one, other = (uploads.begin(house.depot, ann, NewUpload(length=5)) for _ in range(2))
    receivers = [uploads.receive(house.depot, ann, row.uid, 0) for row in (one, other)]
    for receiver in receivers:
        receiver.write(b"12345")
    for receiver in receivers:
        receiver.finish()
    collection.collect(house.depot)
    assert held(house) == 5
    version = house.version(ann)
    entries.commit(house.depot, ann, version.n, [Add("a", upload=one.uid), Add("b", upload=other.uid)])
    assert house.tree(ann, version.n) == {"a": b"12345", "b": b"12345"}
