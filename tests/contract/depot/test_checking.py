"""Damage is found before somebody needs the bytes, is never served, and is mended by equal bytes from anywhere."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from entrepot.catalog import contents as rows
from entrepot.catalog import derived
from entrepot.catalog.checking import Totals
from entrepot.catalog.database import Catalog
from entrepot.catalog.schema import content, object_
from entrepot.depot import checking, collection, copies, entries, exports, uploads
from entrepot.depot.checking import Checked
from entrepot.depot.entries import Add, Remove
from entrepot.model.access import Actor
from entrepot.model.digests import Digests, sha256_text
from entrepot.model.errors import Corrupt, EntrepotError, NotFound, Unavailable
from entrepot.model.values import Version
from entrepot.store.filesystem import FilesystemStore
from entrepot.store.hashing import Hasher
from entrepot.store.memory import MemoryStore
from entrepot.testing.faulty import Faults, FaultyStore, fails
from tests.support.catalogs import CHEAP_PASSWORDS, Clock
from tests.support.house import House

GOOD, BAD = b"the bytes that were sent", b"the bytes that were seNt"


@pytest.fixture
def ann(house: House) -> Actor:
    return house.user("ann")


@pytest.fixture
def made(house: House, ann: Actor) -> Version:
    version = house.version(ann, name="penguins")
    house.put(ann, version, {"a": GOOD, "b": b"other bytes"})
    return version


def key_of(house: House, data: bytes) -> str:
    with house.depot.catalog.read() as conn:
        n = rows.find_many(conn, [house.sha256(data)])[house.sha256(data)]
        return rows.extents(conn, n)[0].key


def overwrite(house: House, key: str, data: bytes) -> None:
    """What a disk does to bytes that nobody reads."""
    house.depot.store.delete(key)
    house.depot.store.put(key, [data])


@pytest.fixture
def damaged(house: House, made: Version) -> str:
    key = key_of(house, GOOD)
    overwrite(house, key, BAD)
    return key


def is_known(house: House, data: bytes) -> bool:
    with house.depot.catalog.read() as conn:
        return rows.find(conn, house.sha256(data)) is not None


def test_what_is_right_is_read_and_left_alone(house: House, ann: Actor, made: Version) -> None:
    told: list[tuple[int, int]] = []
    done = checking.verify(house.depot, lambda contents, size: told.append((contents, size)))
    assert done == Checked(contents=2, n_bytes=len(GOOD) + 11, damaged=(), recovered=0)
    assert [contents for contents, _ in told] == [1, 2]
    assert checking.totals(house.depot).unread == 0
    assert house.tree(ann, made.n)["a"] == GOOD


def test_everything_is_read_each_time(house: House, made: Version) -> None:
    house.clock.move(hours=1)
    assert checking.verify(house.depot).contents == 2
    house.clock.move(hours=1)
    assert checking.verify(house.depot).contents == 2


def test_a_flipped_bit_is_found_with_every_dataset_that_it_touches(
    house: House, ann: Actor, made: Version, damaged: str
) -> None:
    again = house.version(ann, name="whales")
    copies.merge(house.depot, ann, again.n, made.n)
    entries.commit(house.depot, ann, made.n, [Remove("a")])
    (found,) = checking.verify(house.depot).damaged
    assert (found.sha256, found.size, found.is_mended) == (sha256_text(house.sha256(GOOD)), len(GOOD), False)
    assert "sha256:" in found.reason
    # Also where only an old revision shows it.
    assert [place.reference.partition("/")[2] for place in found.places] == ["penguins@1.1/a", "whales@1.1/a"]
    assert checking.count_damaged(house.depot) == 1


def test_damage_of_what_was_made_of_a_file_is_named_and_counted_where_the_file_is(
    house: House, ann: Actor, made: Version
) -> None:
    """As of a table that was made of a CSV: nobody refers to it, and its rows are read all the same."""
    house.upload(ann, b"its rows")
    with house.depot.catalog.read() as conn:
        source, content = rows.find(conn, house.sha256(GOOD)), rows.find(conn, house.sha256(b"its rows"))
    assert source is not None
    assert content is not None
    house.depot.catalog.write(lambda conn: derived.name(conn, source, "table", content, at=house.clock()))
    overwrite(house, key_of(house, b"its rows"), b"its r0ws")
    (found,) = checking.verify(house.depot).damaged
    assert [place.reference.partition("/")[2] for place in found.places] == ["penguins@1.1/a"]
    told = checking.of_version(house.depot, ann, made.n)[2]
    assert (told.contents, told.damaged) == (2, 1)


def test_nothing_of_damaged_bytes_is_served(house: House, ann: Actor, made: Version, damaged: str) -> None:
    checking.verify(house.depot)
    with pytest.raises(Corrupt, match="Send the same bytes again"):
        entries.open_entry(house.depot, ann, made.n, "a")
    for format in ("zip", "tar", "tar.gz"):
        with pytest.raises(Corrupt):
            b"".join(exports.export(house.depot, ann, made.n, format=format).read())  # type: ignore[arg-type]
    with entries.open_entry(house.depot, ann, made.n, "b").reader as other:
        assert other.read_at(0, 11) == b"other bytes"


def test_damaged_bytes_cannot_be_claimed_by_their_digest(house: House, ann: Actor, made: Version, damaged: str) -> None:
    """Or a sender would leave out exactly the bytes that are needed."""
    assert is_known(house, GOOD)
    checking.verify(house.depot)
    assert not is_known(house, GOOD)
    with pytest.raises(EntrepotError):
        entries.commit(house.depot, ann, made.n, [Add("c", sha256=house.sha256(GOOD))])


def test_equal_bytes_that_arrive_take_their_place(house: House, ann: Actor, made: Version, damaged: str) -> None:
    checking.verify(house.depot)
    house.upload(house.user("ben"), GOOD)
    assert house.tree(ann, made.n) == {"a": GOOD, "b": b"other bytes"}
    assert key_of(house, GOOD) != damaged
    assert checking.count_damaged(house.depot) == 0
    assert checking.verify(house.depot).damaged == ()
    # And the wrong ones go.
    collection.collect(house.depot)
    assert house.depot.store.stat(damaged) is None
    assert house.tree(ann, made.n)["a"] == GOOD


def test_an_object_that_is_gone_or_cut_off_is_damage_too(house: House, ann: Actor, made: Version) -> None:
    house.depot.store.delete(key_of(house, GOOD))
    overwrite(house, key_of(house, b"other bytes"), b"other")
    reasons = {one.size: one.reason for one in checking.verify(house.depot).damaged}
    assert reasons[len(GOOD)] == "an object is missing"
    assert "has 5 bytes and should have at least 11" in reasons[11]
    for data in (GOOD, b"other bytes"):
        house.upload(ann, data)
    assert house.tree(ann, made.n) == {"a": GOOD, "b": b"other bytes"}


def test_a_second_store_mends(house: House, ann: Actor, made: Version, damaged: str) -> None:
    second = MemoryStore()
    second.put(damaged, [GOOD])
    (found,) = checking.verify(house.depot, repair_from=second).damaged
    assert found.is_mended
    assert house.tree(ann, made.n) == {"a": GOOD, "b": b"other bytes"}
    house.clock.move(days=3)
    uploads.sweep(house.depot)
    collection.collect(house.depot)
    assert house.tree(ann, made.n)["a"] == GOOD
    assert list(house.depot.staging.keys()) == []


@pytest.mark.parametrize("there", [BAD, GOOD[:-1], None])
def test_a_second_store_that_is_wrong_as_well_changes_nothing(
    house: House, made: Version, damaged: str, there: bytes | None
) -> None:
    second = MemoryStore()
    if there is not None:
        second.put(damaged, [there])
    (found,) = checking.verify(house.depot, repair_from=second).damaged
    assert not found.is_mended
    assert checking.count_damaged(house.depot) == 1
    # A second run finds it again, and a better second store mends it then.
    house.clock.move(hours=1)
    better = MemoryStore()
    better.put(damaged, [GOOD])
    assert checking.verify(house.depot, repair_from=better).damaged[0].is_mended


def test_bytes_that_are_right_again_are_served_again(house: House, ann: Actor, made: Version, damaged: str) -> None:
    checking.verify(house.depot)
    overwrite(house, damaged, GOOD)
    house.clock.move(hours=1)
    assert checking.verify(house.depot).recovered == 1
    assert house.tree(ann, made.n)["a"] == GOOD


def test_a_store_that_cannot_be_reached_proves_nothing(house: House, ann: Actor, made: Version) -> None:
    faults = Faults()
    whole = house.depot.store
    house.depot.store = FaultyStore(whole, faults)
    faults.on("store.open", fails(Unavailable("no way there")))
    with pytest.raises(Unavailable):
        checking.verify(house.depot)
    house.depot.store = whole
    assert checking.count_damaged(house.depot) == 0
    assert house.tree(ann, made.n)["a"] == GOOD


def test_a_scrub_reads_only_what_was_not_read_for_long(house: House, made: Version) -> None:
    assert checking.scrub(house.depot).contents == 0
    house.clock.move(days=31)
    assert checking.scrub(house.depot).contents == 2
    assert checking.scrub(house.depot).contents == 0
    house.clock.move(days=31)
    assert checking.scrub(house.depot).contents == 2


def test_a_scrub_goes_on_where_the_one_before_stopped(house: House, ann: Actor, made: Version) -> None:
    house.put(ann, made, {f"f{n}": bytes(100) + bytes([n]) for n in range(8)})
    house.depot.policy = replace(house.depot.policy, scrub_bytes=300)
    house.clock.move(days=31)
    read = []
    while done := checking.scrub(house.depot).contents:
        read.append(done)
        house.clock.move(hours=1)
    assert sum(read) == 10
    assert len(read) >= 3
    house.clock.move(days=30)
    # The least recently read come first.
    with house.depot.catalog.read() as conn:
        first = conn.execute(select(content.c.id).order_by(content.c.verified_at, content.c.id)).scalars().first()
    checking.scrub(house.depot)
    with house.depot.catalog.read() as conn:
        last = conn.execute(select(content.c.id, content.c.verified_at).order_by(content.c.verified_at.desc())).all()
    assert first in {row.id for row in last if row.verified_at == last[0].verified_at}


def test_what_was_mended_while_it_was_read_is_not_accused(
    house: House, ann: Actor, made: Version, damaged: str
) -> None:
    """The bytes that were read are nobody's any more."""
    checking.verify(house.depot)
    house.clock.move(hours=1)
    inner = house.depot.store

    class Mending(FaultyStore):
        def open(self, key: str):  # type: ignore[no-untyped-def]
            if key == damaged:
                house.depot.store = inner
                house.upload(ann, GOOD)
            return inner.open(key)

    house.depot.store = Mending(inner, Faults())
    checking.verify(house.depot)
    assert checking.count_damaged(house.depot) == 0
    assert house.tree(ann, made.n)["a"] == GOOD


def digests(data: bytes) -> Digests:
    hasher = Hasher()
    hasher.update(data)
    return hasher.digests()


def test_a_damaged_member_of_a_pack_leaves_the_others_where_they_are(house: House, ann: Actor) -> None:
    one, two = b"first member", b"second"
    catalog, store, now = house.depot.catalog, house.depot.store, house.depot.now()
    pack = catalog.write(lambda conn: rows.reserve_object(conn, store=store.name, key="ab" * 16, kind="pack", at=now))
    store.put("ab" * 16, [one[:-1] + b"X" + two])
    members = {0: digests(one), len(one): digests(two)}
    catalog.write(lambda conn: rows.insert_packed(conn, pack, len(one + two), members, at=now))
    made = house.version(ann)
    house.clock.move(hours=1)
    (found,) = checking.verify(house.depot).damaged
    assert found.size == len(one)
    house.put(ann, made, {"one": one, "two": two})
    assert house.tree(ann, made.n) == {"one": one, "two": two}
    with catalog.read() as conn:
        (row,) = conn.execute(select(object_).where(object_.c.id == pack))
    assert (row.state, row.live_bytes) == ("placed", len(two))


def test_a_copy_of_the_folder_mends_and_is_only_read(catalog: Catalog, clock: Clock, tmp_path: Path) -> None:
    """A backup may lie on a medium that cannot be written to."""
    store = FilesystemStore(tmp_path / "data")
    house = House(catalog, store, store.staging, clock, policy=CHEAP_PASSWORDS)
    ann = house.user("ann")
    made = house.version(ann)
    house.put(ann, made, {"a": GOOD})
    shutil.copytree(tmp_path / "data", tmp_path / "backup")
    before = sorted((tmp_path / "backup").rglob("*"))
    key = key_of(house, GOOD)
    path = tmp_path / "data" / "objects" / key[:2] / key
    path.chmod(0o600)
    path.write_bytes(BAD)
    second = FilesystemStore(tmp_path / "backup", name="repair", only_read=True)
    (found,) = checking.verify(house.depot, repair_from=second).damaged
    assert found.is_mended
    assert house.tree(ann, made.n) == {"a": GOOD}
    assert sorted((tmp_path / "backup").rglob("*")) == before
    with pytest.raises(NotFound, match="no store"):
        FilesystemStore(tmp_path / "elsewhere", only_read=True)


def test_a_version_tells_when_its_bytes_were_last_checked(house: House, ann: Actor, made: Version) -> None:
    house.put(ann, made, {"again": GOOD, "b": b"replaced"})
    other = house.version(ann, name="elsewhere")
    house.put(ann, other, {"c": b"not in penguins"})
    _, revision, before = checking.of_version(house.depot, ann, made.n)
    assert revision == 2
    assert (before.contents, before.unread, before.damaged, before.oldest) == (2, 2, 0, None)
    assert before.n_bytes == len(GOOD) + len(b"replaced"), "equal files count once"
    at = house.clock()
    checking.verify(house.depot)
    house.clock.move(hours=1)
    house.put(ann, made, {"late": b"arrived after it"})
    after = checking.of_version(house.depot, ann, made.n)[2]
    assert (after.contents, after.unread, after.oldest) == (3, 1, at)
    old = checking.of_version(house.depot, ann, made.n, revision=1)[2]
    assert (old.contents, old.unread, old.oldest) == (2, 0, at)


def test_a_version_tells_of_its_damaged_bytes_and_no_others(
    house: House, ann: Actor, made: Version, damaged: str
) -> None:
    other = house.version(ann, name="elsewhere")
    house.put(ann, other, {"c": b"not in penguins"})
    checking.verify(house.depot)
    assert checking.of_version(house.depot, ann, made.n)[2].damaged == 1
    assert checking.of_version(house.depot, ann, other.n)[2].damaged == 0
    empty = house.version(ann, name="empty")
    assert checking.of_version(house.depot, ann, empty.n)[2] == Totals(0, 0, 0, 0, None)


# A clock that was wrong


@pytest.mark.parametrize("days", [-365, 365])
def test_a_clock_that_jumps_while_everything_is_read_makes_nothing_due_twice(house: House, days: int) -> None:
    ann = house.user()
    version = house.version(ann)
    house.put(ann, version, {"a": b"one", "b": b"two", "c": b"three"})
    jumps = iter([days])

    def jump(_contents: int, _bytes: int) -> None:
        house.clock.move(days=next(jumps, 0))

    assert checking.verify(house.depot, jump).contents == 3


def test_what_was_read_under_a_clock_that_was_ahead_is_read_again(house: House) -> None:
    ann = house.user()
    version = house.version(ann)
    house.clock.move(days=365)
    house.put(ann, version, {"a": b"one"})
    assert checking.verify(house.depot).contents == 1
    house.put(ann, version, {"b": b"two"})
    house.clock.move(days=-365)
    for contents in (2, 2):
        assert checking.verify(house.depot).contents == contents
        house.clock.move(minutes=1)
