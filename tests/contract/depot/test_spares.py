"""Bodies of single requests: the second one of a process finds its row written already, and none is lost or shared."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from entrepot.catalog.connection import Connection
from entrepot.catalog.contents import object_known
from entrepot.catalog.database import Catalog
from entrepot.depot import entries, packing, projects, putting, spares, uploads
from entrepot.depot.packing import PackPut
from entrepot.depot.projects import ProjectChanges
from entrepot.depot.putting import NewFile
from entrepot.model.access import Actor
from entrepot.model.errors import DigestMismatch, Hidden, NotFound, PathTaken, QuotaExceeded
from entrepot.wire import frames
from tests.support.house import House


@pytest.fixture
def ann(house: House) -> Actor:
    return house.user("ann")


def put(house: House, who: Actor, version: int, path: str, body: bytes, **more: object) -> putting.FilePut:
    sink = putting.put_file(house.depot, who, version, NewFile(path, condition="absent", **more))
    sink.write(body)
    return sink


@contextmanager
def counted(catalog: Catalog) -> Iterator[list[object]]:
    """Every transaction that writes."""
    written: list[object] = []
    with pytest.MonkeyPatch.context() as patch:
        write = type(catalog).write

        def noted(self: Catalog, work: object, **how: object) -> object:
            written.append(work)
            return write(self, work, **how)  # type: ignore[arg-type]

        patch.setattr(type(catalog), "write", noted)
        yield written


def stored(house: House) -> set[str]:
    return set(house.depot.store.keys())


def named(house: House) -> set[str]:
    """The objects that the catalogue names; those that nothing refers to any more too, which collection takes."""
    with house.depot.catalog.read() as conn:
        return {key for key in stored(house) if object_known(conn, house.depot.store.name, key)}


def read(house: House, who: Actor, version: int, path: str) -> bytes:
    with entries.open_entry(house.depot, who, version, path).reader as reader:  # type: ignore[arg-type]
        return reader.read_at(0, reader.size)


def test_a_file_in_one_request_takes_one_transaction_after_the_first(house: House, ann: Actor) -> None:
    version = house.version(ann).n
    put(house, ann, version, "first", b"first").finish()
    for number in range(3):
        with counted(house.depot.catalog) as written:
            put(house, ann, version, f"{number}", b"body %d" % number).finish()
        assert len(written) == 1
    assert [read(house, ann, version, f"{number}") for number in range(3)] == [b"body 0", b"body 1", b"body 2"]
    assert len(house.depot.spares) == 1


def test_two_bodies_at_once_have_a_row_each(house: House, ann: Actor) -> None:
    version = house.version(ann).n
    put(house, ann, version, "first", b"first").finish()
    one, two = (put(house, ann, version, name, name.encode()) for name in ("one", "two"))
    one.finish()
    two.finish()
    assert (read(house, ann, version, "one"), read(house, ann, version, "two")) == (b"one", b"two")
    assert len(house.depot.spares) == 2
    assert len({row.key for row in house.depot.spares}) == 2


def test_a_row_serves_whoever_comes_next(house: House, ann: Actor) -> None:
    bob = house.user("bob")
    version, his = house.version(ann).n, house.version(bob).n
    put(house, ann, version, "a", b"ann's").finish()
    put(house, bob, his, "b", b"bob's").finish()
    assert read(house, bob, his, "b") == b"bob's"
    assert uploads.list_uploads(house.depot, ann).rows == ()  # type: ignore[arg-type]


def test_what_fails_takes_its_row_along_and_leaves_nothing(house: House, ann: Actor) -> None:
    version = house.version(ann).n
    put(house, ann, version, "a", b"a").finish()
    for body, more, error in ((b"b", {"sha256": bytes(32)}, DigestMismatch), (b"other", {}, PathTaken)):
        sink = put(house, ann, version, "b", body, **more)
        if error is PathTaken:
            # Somebody else was faster, after the bytes began to come.
            put(house, ann, version, "b", b"theirs").finish()
        with pytest.raises(error):
            sink.finish()
        sink.close()
        sink.close()
    assert read(house, ann, version, "b") == b"theirs"
    put(house, ann, version, "c", b"c").finish()
    assert read(house, ann, version, "c") == b"c"
    house.clock.at += house.depot.policy.upload_lifetime + timedelta(hours=1)
    uploads.sweep(house.depot)
    assert stored(house) == named(house)


def test_closing_after_the_end_does_not_touch_the_body_that_has_the_row_now(house: House, ann: Actor) -> None:
    version = house.version(ann).n
    first = put(house, ann, version, "a", b"a")
    first.finish()
    second = put(house, ann, version, "b", b"b")
    first.close()
    second.finish()
    assert read(house, ann, version, "b") == b"b"


def test_an_old_row_is_not_used_and_the_sweep_takes_it(house: House, ann: Actor) -> None:
    version = house.version(ann).n
    put(house, ann, version, "a", b"a").finish()
    house.clock.at += house.depot.policy.upload_lifetime * 0.6
    put(house, ann, version, "b", b"b").finish()
    house.clock.at += house.depot.policy.upload_lifetime * 0.6
    assert uploads.sweep(house.depot) == 1
    assert read(house, ann, version, "a") == b"a"
    assert read(house, ann, version, "b") == b"b"


def test_bytes_that_a_dead_process_placed_and_did_not_name_go_with_its_row(house: House, ann: Actor) -> None:
    version = house.version(ann).n
    put(house, ann, version, "a", b"a").finish()
    sink = put(house, ann, version, "b", b"never named")

    def dies(conn: Connection, content: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sink._receiver.finish(dies, over=spares.renewal(house.depot))
    assert stored(house) != named(house), "placed and not named"
    house.clock.at += house.depot.policy.upload_lifetime + timedelta(hours=1)
    uploads.sweep(house.depot)
    assert stored(house) == named(house)


def test_known_bytes_that_a_dead_process_did_not_throw_away_go_with_its_row(
    house: House, ann: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by a long life: the row had its next key by then, and nobody knew of the bytes under the old one."""
    version = house.version(ann).n
    put(house, ann, version, "a", b"a").finish()
    staged = set(house.depot.staging.keys())

    def dies(_stage: object) -> None:
        raise KeyboardInterrupt

    sink = put(house, ann, version, "b", b"a")
    with monkeypatch.context() as dying:
        dying.setattr(type(sink._receiver._stage), "discard", dies)
        with pytest.raises(KeyboardInterrupt):
            sink.finish()
    assert set(house.depot.staging.keys()) > staged, "named, and not thrown away"
    house.clock.at += house.depot.policy.upload_lifetime + timedelta(hours=1)
    uploads.sweep(house.depot)
    assert set(house.depot.staging.keys()) == staged


def test_the_row_of_known_bytes_serves_the_next_body(house: House, ann: Actor) -> None:
    version = house.version(ann).n
    put(house, ann, version, "a", b"a").finish()
    for name, body in (("b", b"a"), ("c", b"c"), ("d", b"a"), ("e", b"e")):
        put(house, ann, version, name, body).finish()
        assert read(house, ann, version, name) == body
    assert len(house.depot.spares) == 1
    assert stored(house) == named(house)
    assert set(house.depot.staging.keys()) == set()


# Batches


def batch(house: House, who: Actor, files: dict[str, bytes], **more: object) -> PackPut:
    sink = packing.put_batch(house.depot, who, **more)  # type: ignore[arg-type]
    sink.write(b"".join(frames.header(name, len(data), house.sha256(data)) + data for name, data in files.items()))
    return sink


def committed(house: House, who: Actor, version: int, packed: packing.Packed) -> None:
    adds = [entries.Add(file.name, upload=packed.upload.uid, sha256=file.sha256) for file in packed.files]
    entries.commit(house.depot, who, version, adds)


def test_a_batch_takes_one_transaction_after_the_first(house: House, ann: Actor) -> None:
    version = house.version(ann).n
    batch(house, ann, {"first": b"first"}).finish()
    for number in range(3):
        with counted(house.depot.catalog) as written:
            packed = batch(house, ann, {f"{number}": b"body %d" % number}).finish()
        assert len(written) == 1
        committed(house, ann, version, packed)
        found = uploads.get(house.depot, ann, packed.upload.uid)
        assert (found.owner, found.purpose, found.state) == (ann.user, "batch", "finished")
        assert found.created_at == found.touched_at == house.clock.at
        house.clock.at += timedelta(hours=1)
    assert [read(house, ann, version, f"{number}") for number in range(3)] == [b"body 0", b"body 1", b"body 2"]
    assert len(house.depot.spares) == 1
    assert len(uploads.list_uploads(house.depot, ann).rows) == 4  # type: ignore[arg-type]


def test_files_and_batches_use_the_same_rows(house: House, ann: Actor) -> None:
    version = house.version(ann).n
    put(house, ann, version, "a", b"a").finish()
    for number in range(3):
        committed(house, ann, version, batch(house, ann, {f"b{number}": b"b%d" % number}).finish())
        put(house, ann, version, f"c{number}", b"c%d" % number).finish()
    assert len(house.depot.spares) == 1
    assert {name: read(house, ann, version, name) for name in ("a", "b2", "c2")} == {
        "a": b"a",
        "b2": b"b2",
        "c2": b"c2",
    }


def test_a_batch_that_fails_takes_its_row_along_and_leaves_nothing(house: House, ann: Actor) -> None:
    batch(house, ann, {"a": b"a"}).finish()
    sink = batch(house, ann, {"b": b"b"})
    sink.close()
    sink = packing.put_batch(house.depot, ann)
    sink.write(frames.header("c", 1, bytes(32)) + b"c")
    with pytest.raises(DigestMismatch):
        sink.finish()
    sink.close()
    assert set(house.depot.staging.keys()) == set()
    batch(house, ann, {"d": b"d"}).finish()
    house.clock.at += house.depot.policy.upload_lifetime + timedelta(hours=1)
    uploads.sweep(house.depot)
    assert stored(house) == named(house)
    assert uploads.list_uploads(house.depot, ann).rows == ()  # type: ignore[arg-type]


def test_the_project_of_a_batch_is_judged_with_a_row_that_waited_too(house: House, ann: Actor) -> None:
    bob = house.user("bob")
    batch(house, ann, {"a": b"a"}).finish()
    (waits,) = house.depot.spares
    full = house.project(bob, "full")
    with pytest.raises((NotFound, Hidden)):
        packing.put_batch(house.depot, ann, project=full.n)
    house.put(bob, house.version(bob, project=full), {"x": b"some bytes"})
    projects.update(house.depot, house.admin, full.n, ProjectChanges(allocation=5))
    with pytest.raises(QuotaExceeded):
        packing.put_batch(house.depot, bob, project=full.n)
    assert house.depot.spares == [waits]
