"""Small files that lie together in a bucket: sent, read, rewritten, and whole when the process dies at a step of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from entrepot.catalog.database import Catalog
from entrepot.catalog.entries import sweep_strands
from entrepot.depot import checking, collection, entries, packing, trash, uploads
from entrepot.depot.entries import Add
from entrepot.model.access import Actor
from entrepot.model.values import Version
from entrepot.store.filesystem import FilesystemStore
from entrepot.store.s3 import S3Store
from entrepot.store.s3_staging import S3Staging
from entrepot.testing.faulty import Crash, Faults, FaultyStaging, FaultyStore, crash
from entrepot.wire.frames import Frames
from tests.support.catalogs import CHEAP_PASSWORDS, Clock, new_catalog_url
from tests.support.house import House
from tests.support.postgres import PostgresServer
from tests.support.s3 import S3Server

FILES = {f"f{n:02}": f"what is in {n} ".encode() * (n + 20) for n in range(20)}
KEPT = ("f03", "f17")


@pytest.fixture(params=["nanio", pytest.param("moto", marks=pytest.mark.soak)])
def server(request: pytest.FixtureRequest) -> S3Server:
    found: S3Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def house(clock: Clock, server: S3Server, tmp_path: Path) -> Iterator[House]:
    store, local = S3Store(server.address()), FilesystemStore(tmp_path / "local")
    with (
        closing(local),
        new_catalog_url("sqlite", tmp_path, never, started=True) as url,
        closing(Catalog.open(url, clock=clock)) as catalog,
    ):
        yield House(catalog, store, S3Staging(store, local.staging), clock, policy=CHEAP_PASSWORDS)


def never() -> PostgresServer:
    raise AssertionError


def keys(house: House) -> list[str]:
    return list(house.depot.store.keys())


def asked(house: House, who: Actor, n: int, paths: tuple[str, ...]) -> dict[str, bytes]:
    body = b"".join(packing.open_batch(house.depot, who, n, paths).blocks())
    found, _ = Frames().feed(body)
    return dict(zip(paths, (bytes(one.body) for one in found), strict=True))


def mostly_purged(house: House, who: Actor) -> Version:
    """A pack of which a version needs two files; a month ago."""
    whole, kept = house.version(who), house.version(who)
    house.put_batch(who, whole, FILES)
    adds = [Add(path, source=(whole.n, None, path)) for path in KEPT]
    entries.commit(house.depot, who, kept.n, adds)
    trash.trash(house.depot, who, whole.n)
    trash.purge(house.depot, who, whole.n)
    return kept


def months(house: House, many: int) -> None:
    for _ in range(many):
        house.clock.move(days=30)
        uploads.sweep(house.depot)
        sweep_strands(house.depot.catalog)
        collection.collect(house.depot)


def test_a_batch_is_one_object_and_is_read_file_by_file(house: House) -> None:
    ann = house.user()
    version = house.version(ann)
    house.put_batch(ann, version, FILES)
    assert len(keys(house)) == 1
    assert house.tree(ann, version.n) == FILES
    assert asked(house, ann, version.n, ("f07", "f01", "f19")) == {path: FILES[path] for path in ("f07", "f01", "f19")}
    assert list(house.depot.staging.keys()) == []


def test_a_sparse_pack_is_rewritten(house: House) -> None:
    ann = house.user()
    kept = mostly_purged(house, ann)
    (before,) = keys(house)
    months(house, 4)
    (after,) = keys(house)
    assert before != after
    assert house.tree(ann, kept.n) == {path: FILES[path] for path in KEPT}
    assert checking.verify(house.depot).damaged == ()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["store.put", "store.delete"])
def test_a_death_while_it_is_rewritten_loses_nothing_and_leaves_nothing(house: House, step: str, when: str) -> None:
    ann = house.user()
    kept = mostly_purged(house, ann)
    store, faults = house.depot.store, Faults()
    house.depot.store = FaultyStore(store, faults)
    faults.on(step, crash(when))  # type: ignore[arg-type]
    with pytest.raises(Crash):
        months(house, 4)
    house.depot.store = store
    assert house.tree(ann, kept.n) == {path: FILES[path] for path in KEPT}
    months(house, 4)
    assert house.tree(ann, kept.n) == {path: FILES[path] for path in KEPT}
    assert len(keys(house)) == 1


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["staging.create", "stage.write", "stage.seal"])
def test_a_death_while_a_batch_comes_in_leaves_nothing_or_all_of_it(
    house: House, tmp_path: Path, step: str, when: str
) -> None:
    ann = house.user()
    version = house.version(ann)
    staging, store, faults = house.depot.staging, house.depot.store, Faults()
    assert isinstance(store, S3Store)
    house.depot.staging = FaultyStaging(staging, faults)
    faults.on(step, crash(when))  # type: ignore[arg-type]
    with pytest.raises(Crash):
        house.put_batch(ann, version, FILES)
    # Another process: what the dead one held is nobody's.
    with closing(FilesystemStore(tmp_path / "local")) as local:
        house.depot.staging = S3Staging(store, local.staging)
        assert house.tree(ann, version.n) == {}
        house.put_batch(ann, version, FILES)
        months(house, 4)
        assert house.tree(ann, version.n) == FILES
        assert len(keys(house)) == 1


def test_a_flipped_bit_in_a_pack_is_found_and_only_its_file_refused(house: House) -> None:
    ann = house.user()
    version = house.version(ann)
    house.put_batch(ann, version, FILES)
    (key,) = keys(house)
    store = house.depot.store
    with store.open(key) as reader:
        body = bytearray(reader.read_at(0, reader.size))
    body[body.index(FILES["f09"])] ^= 1
    store.delete(key)
    store.put(key, [bytes(body)])
    (damage,) = checking.verify(house.depot).damaged
    assert [place.reference.rpartition("/")[2] for place in damage.places] == ["f09"]
    assert asked(house, ann, version.n, ("f08", "f10")) == {path: FILES[path] for path in ("f08", "f10")}
    house.put_batch(ann, version, {"f09": FILES["f09"]})
    assert house.tree(ann, version.n) == FILES
