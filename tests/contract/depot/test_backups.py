"""A backup has every fact of one moment and every byte that it needs, whatever happens while it is made."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from entrepot.catalog import contents as content_rows
from entrepot.catalog import snapshots
from entrepot.catalog.database import Catalog
from entrepot.catalog.entries import sweep_strands
from entrepot.catalog.schema import content, event, metadata, upload, version
from entrepot.depot import checking, collection, copies, entries, search, trash, uploads
from entrepot.depot.context import Depot
from entrepot.depot.entries import Add
from entrepot.depot.uploads import NewUpload
from entrepot.model.access import Actor
from entrepot.model.errors import AlreadyRunning, Conflict, Corrupt, Invalid, NotFound, Unsupported
from entrepot.model.values import Version
from entrepot.server import backup_check, backup_folder
from entrepot.server.backup_check import Checked
from entrepot.server.backup_folder import Done
from entrepot.store.base import ObjectReader
from entrepot.store.filesystem import FilesystemStore
from entrepot.store.hashing import digests_of
from entrepot.store.memory import MemoryStore
from tests.support.catalogs import new_catalog_url
from tests.support.house import House

FILES = {"a": b"the bytes that were sent", "sub/b": b"other bytes" * 5000, "empty": b""}


@pytest.fixture
def ann(house: House) -> Actor:
    return house.user("ann")


@pytest.fixture
def made(house: House, ann: Actor) -> Version:
    made = house.version(ann, name="penguins", description="of Adélie Land")
    house.put(ann, made, FILES)
    return made


def back_up(house: House, folder: Path, **more: Any) -> Done:
    folder.mkdir(exist_ok=True)
    with closing_store(folder) as target:
        return backup_folder.back_up(house.depot, folder, target, program="1.2.3", **more)


@contextmanager
def closing_store(folder: Path) -> Iterator[FilesystemStore]:
    store = FilesystemStore(folder, name="backup")
    try:
        yield store
    finally:
        store.close()


@contextmanager
def restored(house: House, folder: Path, into: str, quick_folder: Path, server: Callable[[], Any]) -> Iterator[House]:
    """The house again, on another database and store, with what is in the backup."""
    backup = backup_folder.choose(folder, None)
    (quick_folder / "new").mkdir()
    store = MemoryStore()
    with (
        new_catalog_url(into, quick_folder / "new", server, started=False) as url,
        closing(Catalog.open(url, clock=house.clock)) as catalog,
        closing(Catalog.open(backup_folder.snapshot_file(folder, backup), clock=house.clock)) as snapshot,
        closing_store(folder) as source,
    ):
        assert backup_folder.put_back_objects(snapshot, source, store, None) == list(backup.lost)
        snapshots.put_back(snapshot, catalog)
        new = House.__new__(House)
        new.clock, new.admin = house.clock, house.admin
        new.depot = Depot(
            catalog=catalog, store=store, staging=store.staging, secret=house.depot.secret, clock=house.clock
        )
        yield new


def collect(house: House) -> None:
    """Until nothing is left that nobody needs."""
    collect_all(house)
    house.clock.move(hours=48)
    assert collection.collect(house.depot).objects


def facts(catalog: Catalog) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table."""
    with catalog.read() as conn:
        return {
            table.name: sorted((tuple(row) for row in conn.execute(select(table))), key=repr)
            for table in metadata.sorted_tables
        }


@pytest.mark.parametrize("into", ["sqlite", "postgresql"])
def test_what_is_put_back_is_the_same_in_every_row_and_byte(
    house: House, ann: Actor, made: Version, into: str, tmp_path: Path, quick_folder: Path, request: Any
) -> None:
    copied = copies.copy(house.depot, ann, made.n)
    house.put(ann, copied, {"a": b"changed", "c": b"new"})
    before = facts(house.depot.catalog)
    done = back_up(house, tmp_path / "b")
    assert (done.backup.objects, done.copied, done.backup.lost) == (5, 5, ())
    with restored(house, tmp_path / "b", into, quick_folder, lambda: request.getfixturevalue("postgres_server")) as new:
        assert facts(new.depot.catalog) == before
        assert new.tree(ann, made.n) == FILES
        assert new.tree(ann, copied.n) == FILES | {"a": b"changed", "c": b"new"}
        assert checking.verify(new.depot).damaged == ()
        assert {hit.found.version.n for hit in search.search(new.depot, ann, "land").rows} == {copied.n, made.n}
        # New rows get numbers of their own.
        another = new.version(ann, name="whales")
        new.put(ann, another, {"w": b"whale"})
        assert new.tree(ann, another.n) == {"w": b"whale"}


def test_a_second_backup_copies_what_is_new(house: House, ann: Actor, made: Version, tmp_path: Path) -> None:
    back_up(house, tmp_path / "b")
    house.clock.move(minutes=1)
    house.put(ann, made, {"d": b"a new one"})
    told: list[tuple[int, int, int, int]] = []
    done = back_up(house, tmp_path / "b", step=lambda *at: told.append(at))
    assert (done.copied, done.copied_bytes, done.backup.objects) == (1, 9, 4)
    assert told[-1] == (4, done.backup.n_bytes, 4, done.backup.n_bytes)
    assert [one.name for one in backup_folder.listed(tmp_path / "b")] == sorted(
        one.name for one in backup_folder.listed(tmp_path / "b")
    )
    assert len(backup_folder.listed(tmp_path / "b")) == 2


def test_a_file_of_the_backup_that_lost_bytes_is_copied_again(house: House, made: Version, tmp_path: Path) -> None:
    back_up(house, tmp_path / "b")
    (path,) = (one for one in (tmp_path / "b" / "objects").rglob("*") if one.is_file() and one.stat().st_size == 24)
    path.chmod(0o600)
    os.truncate(path, 5)
    house.clock.move(minutes=1)
    assert back_up(house, tmp_path / "b").copied == 1
    assert path.read_bytes() == FILES["a"]


def test_damaged_bytes_are_named_and_never_copied(house: House, made: Version, tmp_path: Path) -> None:
    key = next(key for key in house.depot.store.keys() if house.depot.store.stat(key) == 24)  # noqa: SIM118
    house.depot.store.delete(key)
    house.depot.store.put(key, [b"the bytes that were seNt"])
    backup = back_up(house, tmp_path / "b").backup
    assert [(one.key, one.size) for one in backup.lost] == [(key, 24)]
    assert "damaged" in backup.lost[0].reason
    assert not list((tmp_path / "b" / "objects").rglob(key))
    # What a folder has already is not lost when the server loses it.
    house.depot.store.delete(key)
    house.depot.store.put(key, [FILES["a"]])
    house.clock.move(minutes=1)
    assert back_up(house, tmp_path / "b").backup.lost_count == 0
    house.depot.store.delete(key)
    house.clock.move(minutes=1)
    assert back_up(house, tmp_path / "b").backup.lost_count == 0


def test_an_object_that_is_nowhere_is_named(house: House, made: Version, tmp_path: Path) -> None:
    key = next(key for key in house.depot.store.keys() if house.depot.store.stat(key) == 24)  # noqa: SIM118
    house.depot.store.delete(key)
    (lost,) = back_up(house, tmp_path / "b").backup.lost
    assert (lost.key, lost.reason) == (key, "the object is missing")


class _Meanwhile:
    """A store in which something happens at the first opening of an object."""

    def __init__(self, inner: Any, happens: Callable[[], None]) -> None:
        self._inner = inner
        self._happens: Callable[[], None] | None = happens

    def open(self, key: str) -> ObjectReader:
        happens, self._happens = self._happens, None
        if happens is not None:
            happens()
        return self._inner.open(key)  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def with_store(house: House, store: Any) -> House:
    new = House.__new__(House)
    new.clock, new.admin = house.clock, house.admin
    old = house.depot
    new.depot = Depot(catalog=old.catalog, store=store, staging=old.staging, secret=old.secret, clock=old.clock)
    return new


def test_what_is_collected_meanwhile_is_not_in_the_backup_at_all(
    house: House, ann: Actor, made: Version, tmp_path: Path
) -> None:
    other = house.version(ann, name="whales")
    house.put(ann, other, {"w": b"whale"})

    def purge_and_collect() -> None:
        trash.trash(house.depot, ann, other.n)
        trash.purge(house.depot, house.admin, other.n)
        collect(house)

    # So that the object of the version that goes is the last one to be copied.
    backup = back_up(with_store(house, _Meanwhile(house.depot.store, purge_and_collect)), tmp_path / "b").backup
    assert (backup.lost, backup.objects) == ((), 3)


def test_small_files_are_in_a_backup_also_while_their_pack_is_rewritten(
    house: House, ann: Actor, tmp_path: Path, quick_folder: Path
) -> None:
    files = {f"{n:02}": bytes([n]) * 500 for n in range(20)}
    whole, kept = house.version(ann), house.version(ann)
    house.put_batch(ann, whole, files)
    few = {path: files[path] for path in ("03", "17")}
    entries.commit(house.depot, ann, kept.n, [Add(path, source=(whole.n, None, path)) for path in few])
    trash.trash(house.depot, ann, whole.n)
    trash.purge(house.depot, house.admin, whole.n)

    def rewrite() -> None:
        collect_all(house)
        house.clock.move(hours=48)
        assert collection.collect(house.depot).packs == 1
        assert collection.collect(house.depot).objects == 1

    backup = back_up(with_store(house, _Meanwhile(house.depot.store, rewrite)), tmp_path / "b").backup
    assert (backup.lost, backup.objects) == ((), 1)
    with restored(house, tmp_path / "b", "sqlite", quick_folder, lambda: None) as new:
        assert new.tree(ann, kept.n) == few
        assert checking.verify(new.depot).damaged == ()


def collect_all(house: House) -> None:
    """What nobody needs is condemned."""
    sweep_strands(house.depot.catalog)
    house.clock.move(hours=8 * 24)
    uploads.sweep(house.depot)
    collection.collect(house.depot)


def test_what_is_written_meanwhile_is_for_the_next_one(house: House, ann: Actor, made: Version, tmp_path: Path) -> None:
    store = _Meanwhile(house.depot.store, lambda: house.put(ann, made, {"late": b"later"}) and None)
    done = back_up(with_store(house, store), tmp_path / "b")
    assert (done.backup.objects, done.backup.lost) == (3, ())
    house.clock.move(minutes=1)
    assert back_up(house, tmp_path / "b").copied == 1


def test_old_backups_go_with_the_objects_that_only_they_have(
    house: House, ann: Actor, made: Version, tmp_path: Path
) -> None:
    first = back_up(house, tmp_path / "b").backup.name
    trash.trash(house.depot, ann, made.n)
    trash.purge(house.depot, house.admin, made.n)
    other = house.version(ann, name="whales")
    house.put(ann, other, {"w": b"whale", "a": FILES["a"]})
    collect(house)
    assert back_up(house, tmp_path / "b", keep=2).removed == ()
    house.clock.move(minutes=1)
    done = back_up(house, tmp_path / "b", keep=2)
    assert done.removed == (first,)
    left = {path.read_bytes() for path in (tmp_path / "b" / "objects").rglob("*") if path.is_file()}
    assert left == {b"whale", FILES["a"]}
    assert (done.freed, done.freed_bytes) == (2, len(FILES["sub/b"]))


def test_uploads_that_were_under_way_have_ended(house: House, ann: Actor, tmp_path: Path) -> None:
    row = uploads.begin(house.depot, ann, NewUpload(length=10))
    with uploads.receive(house.depot, ann, row.uid, 0) as receiver:
        receiver.write(b"half")
    back_up(house, tmp_path / "b")
    path = backup_folder.snapshot_file(tmp_path / "b", backup_folder.choose(tmp_path / "b", None))
    with closing(Catalog.open(path, clock=house.clock)) as snapshot:
        snapshot.write(lambda conn: snapshots.expire_uploads(conn, house.clock()))
        with snapshot.read() as conn:
            assert conn.execute(select(upload.c.expires_at)).scalars().all() == [house.clock()]


def test_a_backup_is_chosen_by_the_beginning_of_its_name(house: House, made: Version, tmp_path: Path) -> None:
    folder = tmp_path / "b"
    with pytest.raises(NotFound, match="no whole backup"):
        backup_folder.choose(folder, None)
    one = back_up(house, folder).backup
    house.clock.move(hours=48)
    two = back_up(house, folder).backup
    assert backup_folder.choose(folder, None) == two
    assert backup_folder.choose(folder, one.name[:11]) == one
    with pytest.raises(Invalid, match="2 backups"):
        backup_folder.choose(folder, one.name[:4])
    with pytest.raises(NotFound, match=one.name):
        backup_folder.choose(folder, "1999")


def test_one_that_is_not_whole_does_not_count(house: House, made: Version, tmp_path: Path) -> None:
    """As a run that was killed leaves it."""
    folder = tmp_path / "b"
    backup = back_up(house, folder).backup
    (folder / "catalogs" / f"{backup.name}.json").unlink()
    (folder / "catalogs" / "20990101T000000.000000Z.sqlite.part").write_bytes(b"half")
    assert backup_folder.listed(folder) == []
    house.clock.move(minutes=1)
    again = back_up(house, folder)
    assert (again.copied, again.backup.objects) == (0, 3)
    assert not list((folder / "catalogs").glob("*.part*"))


def test_a_damaged_catalogue_of_a_backup_is_refused(house: House, made: Version, tmp_path: Path) -> None:
    folder = tmp_path / "b"
    backup = back_up(house, folder).backup
    path = folder / "catalogs" / f"{backup.name}.sqlite"
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)
    with pytest.raises(Corrupt, match="damaged"):
        backup_folder.snapshot_file(folder, backup)
    path.unlink()
    with pytest.raises(Corrupt, match="lacks"):
        backup_folder.snapshot_file(folder, backup)


def test_a_folder_of_a_newer_program_is_left_alone(house: House, made: Version, tmp_path: Path) -> None:
    folder = tmp_path / "b"
    backup = back_up(house, folder).backup
    manifest = folder / "catalogs" / f"{backup.name}.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "format": 99, "entrepot": "9.0"}))
    with pytest.raises(Unsupported, match=r"9\.0"):
        back_up(house, folder)


def test_two_at_once_into_one_folder_are_refused(house: House, made: Version, tmp_path: Path) -> None:
    refused: list[str] = []

    def another() -> None:
        with pytest.raises(AlreadyRunning) as said:
            back_up(house, tmp_path / "b")
        refused.append(said.value.message)

    back_up(with_store(house, _Meanwhile(house.depot.store, another)), tmp_path / "b")
    assert len(refused) == 1


def test_facts_are_put_back_only_where_there_are_none(house: House, made: Version, tmp_path: Path) -> None:
    back_up(house, tmp_path / "b")
    path = backup_folder.snapshot_file(tmp_path / "b", backup_folder.choose(tmp_path / "b", None))
    with closing(Catalog.open(path, clock=house.clock)) as snapshot, pytest.raises(Conflict, match="not empty"):
        snapshots.put_back(snapshot, house.depot.catalog)
    with house.depot.catalog.read() as conn:
        assert len(conn.execute(select(version.c.id)).all()) == 1


def test_a_damaged_part_of_a_pack_is_named_until_it_is_mended(house: House, tmp_path: Path) -> None:
    """A pack has no digest of its own; what else is in it may be the only copy, so it is kept."""
    one, two = b"the first member", b"the second member"
    key, now, store = house.depot.new_key(), house.clock(), house.depot.store

    def reserve(conn: Any) -> int:
        return content_rows.reserve_object(conn, store=store.name, key=key, kind="pack", at=now)

    pack = house.depot.catalog.write(reserve)
    store.put(key, [one + two])
    members = {0: digests_of([one]), len(one): digests_of([two])}
    house.depot.catalog.write(lambda conn: content_rows.insert_packed(conn, pack, len(one + two), members, at=now))
    assert back_up(house, tmp_path / "good").backup.lost == ()

    store.delete(key)
    store.put(key, [one + b"the sEcond member"])
    for _ in range(2):
        (lost,) = back_up(house, tmp_path / "bad").backup.lost
        assert (lost.key, lost.size) == (key, len(two))
        house.clock.move(minutes=1)
    (copy,) = (tmp_path / "bad" / "objects").rglob(key)
    assert copy.read_bytes().startswith(one)
    store.delete(key)
    store.put(key, [one + two])
    done = back_up(house, tmp_path / "bad")
    assert (done.backup.lost, copy.read_bytes()) == ((), one + two)


def test_no_event_is_written(house: House, made: Version, tmp_path: Path) -> None:
    def count() -> int:
        with house.depot.catalog.read() as conn:
            return len(conn.execute(select(event.c.id)).all())

    before = count()
    back_up(house, tmp_path / "b")
    assert count() == before
    assert timedelta(0) == house.clock() - backup_folder.choose(tmp_path / "b", None).at


def test_what_the_server_had_wrong_and_the_backup_has_right_is_served_after_it_is_put_back(
    house: House, made: Version, tmp_path: Path
) -> None:
    back_up(house, tmp_path / "b")
    for data in (FILES["a"], FILES["sub/b"]):
        (key,) = (key for key in house.depot.store.keys() if house.depot.store.stat(key) == len(data))  # noqa: SIM118
        house.depot.store.delete(key)
        house.depot.store.put(key, [bytes(len(data))])
    assert len(checking.verify(house.depot).damaged) == 2
    house.clock.move(minutes=1)
    backup = back_up(house, tmp_path / "b").backup
    with closing(Catalog.open(backup_folder.snapshot_file(tmp_path / "b", backup), clock=house.clock)) as snapshot:
        lost = key
        snapshot.write(lambda conn: snapshots.believe_again(conn, [lost]))
        with snapshot.read() as conn:
            left = conn.execute(select(content.c.size).where(content.c.damaged_at.is_not(None))).scalars().all()
    assert left == [len(FILES["sub/b"])]


# Folders that rot


def test_a_folder_that_rots_is_found_out_and_mended_by_the_next_backup(
    house: House, made: Version, tmp_path: Path
) -> None:
    folder = tmp_path / "b"
    back_up(house, folder)
    assert checked(house, folder).lost == ()
    paths = {one.stat().st_size: one for one in (folder / "objects").rglob("*") if one.is_file()}
    paths[24].chmod(0o600)
    paths[24].write_bytes(b"the bytes that were seNt")
    paths[len(FILES["sub/b"])].unlink()
    found = checked(house, folder)
    assert (found.objects, found.lost_count, found.damaged) == (3, 2, ())
    assert sorted(one.size for one in found.lost) == [24, len(FILES["sub/b"])]
    house.clock.move(minutes=1)
    done = back_up(house, folder)
    assert (done.copied, done.backup.lost) == (2, ())
    assert (checked(house, folder).lost, paths[24].read_bytes()) == ((), FILES["a"])
    house.clock.move(minutes=1)
    assert back_up(house, folder).copied == 0


def test_a_catalogue_that_rots_is_named(house: House, made: Version, tmp_path: Path) -> None:
    name = back_up(house, tmp_path / "b").backup.name
    (tmp_path / "b" / "catalogs" / f"{name}.sqlite").unlink()
    assert (checked(house, tmp_path / "b").damaged, checked(house, tmp_path / "b").backups) == ((name,), ())


def test_what_is_left_of_an_object_stays_while_the_server_has_nothing_better(
    house: House, made: Version, tmp_path: Path
) -> None:
    folder = tmp_path / "b"
    back_up(house, folder)
    (path,) = (one for one in (folder / "objects").rglob("*") if one.is_file() and one.stat().st_size == 24)
    path.chmod(0o600)
    path.write_bytes(b"the bytes that were seNt")
    assert checked(house, folder).lost_count == 1
    house.depot.store.delete(path.name)
    house.clock.move(minutes=1)
    (lost,) = back_up(house, folder).backup.lost
    assert (lost.key, lost.reason) == (path.name, "the object is missing")
    assert path.read_bytes() == b"the bytes that were seNt"


def checked(house: House, folder: Path) -> Checked:
    store = FilesystemStore(folder, name="backup", only_read=True)
    try:
        return backup_check.check(folder, store, house.clock)
    finally:
        store.close()
