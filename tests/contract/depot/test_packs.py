"""Many small files in one body: checked one by one, named together, read together, and whole whatever happens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import func, select

from entrepot.catalog import contents as content_rows
from entrepot.catalog.database import Catalog
from entrepot.catalog.schema import content, extent, object_, upload
from entrepot.depot import checking, collection, compaction, entries, exports, packing, trash, uploads
from entrepot.depot.entries import Add
from entrepot.depot.packing import Packed
from entrepot.model.access import ANONYMOUS, Actor
from entrepot.model.digests import sha256_text
from entrepot.model.errors import (
    Corrupt,
    DigestMismatch,
    DiskFull,
    EntryNotFound,
    Gone,
    Hidden,
    Invalid,
    Malformed,
    NotFound,
    TooLarge,
    Unauthenticated,
)
from entrepot.model.values import Version
from entrepot.store.filesystem import FilesystemStore
from entrepot.store.memory import MemoryStore
from entrepot.testing.faulty import Crash, Faults, FaultyStaging, FaultyStore, crash
from entrepot.wire import frames
from tests.support.catalogs import CHEAP_PASSWORDS, Clock
from tests.support.house import House

FILES = {f"images/{i:03}.png": bytes([i]) * (50 + i) for i in range(40)} | {"empty": b"", "twin": bytes([7]) * 57}


@pytest.fixture
def ann(house: House) -> Actor:
    return house.user("ann")


def framed(house: House, files: dict[str, bytes]) -> bytes:
    return b"".join(frames.header(name, len(data), house.sha256(data)) + data for name, data in files.items())


def send(house: House, who: Actor, body: bytes, block: int = 1 << 20) -> Packed:
    """As the door does it: whatever goes wrong, the sink is closed."""
    sink = packing.put_batch(house.depot, who, length=len(body))
    try:
        for at in range(0, len(body), block):
            sink.write(body[at : at + block])
        return sink.finish()
    except Exception:
        sink.close()
        raise


def adds(house: House, packed: Packed, files: dict[str, bytes]) -> list[Add]:
    return [Add(path, upload=packed.upload.uid, sha256=house.sha256(data)) for path, data in files.items()]


def put(house: House, who: Actor, version: Version, files: dict[str, bytes]) -> Packed:
    packed = send(house, who, framed(house, files))
    entries.commit(house.depot, who, version.n, adds(house, packed, files))
    return packed


def asked(house: House, who: Actor, version: Version, paths: Sequence[str], **more: int) -> dict[str, bytes]:
    made = packing.open_batch(house.depot, who, version.n, paths, **more)
    body = b"".join(made.blocks())
    assert len(body) == made.size
    reader = frames.Frames()
    found, _ = reader.feed(body)
    reader.finish()
    assert [frame.name for frame in found] == list(paths)
    for frame in found:
        assert house.sha256(bytes(frame.body)) == frame.sha256
    return {frame.name: bytes(frame.body) for frame in found}


def packs(house: House) -> list[tuple[int, int, str]]:
    """Size, needed bytes and state of each pack, the oldest first."""
    with house.depot.catalog.read() as conn:
        found = conn.execute(
            select(object_.c.size, object_.c.live_bytes, object_.c.state)
            .where(object_.c.kind == "pack")
            .order_by(object_.c.id)
        )
        return [tuple(row) for row in found]


def pack_of(house: House, data: bytes) -> tuple[int, int, int]:
    """Of the object in which these bytes lie: its size, what came with it, and what is needed of that."""
    with house.depot.catalog.read() as conn:
        n = content_rows.find_many(conn, [house.sha256(data)])[house.sha256(data)]
        found = conn.execute(
            select(object_.c.size, object_.c.body_bytes, object_.c.live_bytes).where(
                object_.c.id.in_(select(extent.c.object).where(extent.c.content == n))
            )
        )
        size, body, needed = found.one()
    return size, body, needed


def keys(house: House) -> set[str]:
    return set(house.depot.store.keys())


def count(house: House) -> tuple[int, int, int]:
    with house.depot.catalog.read() as conn:
        found = [conn.execute(select(func.count()).select_from(t)).scalar_one() for t in (content, extent, object_)]
    return found[0], found[1], found[2]


def flip(house: House, data: bytes) -> None:
    """What a disk does to one bit of a file in a pack."""
    with house.depot.catalog.read() as conn:
        n = content_rows.find_many(conn, [house.sha256(data)])[house.sha256(data)]
        (place,) = content_rows.extents(conn, n)
    with house.depot.store.open(place.key) as reader:
        stored = bytearray(reader.read_at(0, reader.size))
    stored[place.offset + place.length // 2] ^= 4
    house.depot.store.delete(place.key)
    house.depot.store.put(place.key, [bytes(stored)])


def grown_old(house: House) -> None:
    house.clock.move(days=8)
    uploads.sweep(house.depot)


def collect(house: House, times: int = 1) -> None:
    for _ in range(times):
        collection.collect(house.depot)
        house.clock.move(hours=25)


# In


@pytest.mark.parametrize("block", [1, 61, 1 << 20])
def test_what_came_in_one_batch_is_read_file_by_file(house: House, ann: Actor, block: int) -> None:
    version = house.version(ann)
    packed = send(house, ann, framed(house, FILES), block)
    assert [(one.name, one.size, one.sha256) for one in packed.files] == [
        (name, len(data), house.sha256(data)) for name, data in FILES.items()
    ]
    entries.commit(house.depot, ann, version.n, adds(house, packed, FILES))
    assert house.tree(ann, version.n) == FILES
    assert len(keys(house)) == 1


def test_a_pack_tells_without_the_catalogue_what_lies_in_it(house: House, ann: Actor) -> None:
    body = framed(house, FILES)
    send(house, ann, body)
    (key,) = keys(house)
    with house.depot.store.open(key) as reader:
        stored = reader.read_at(0, reader.size)
        told = frames.read_footer(reader.read_at, reader.size)
    assert stored.startswith(body)
    assert told is not None
    assert {one.name: stored[one.offset : one.offset + one.size] for one in told} == FILES


def test_every_wrong_file_is_named_and_nothing_of_the_batch_is_kept(house: House, ann: Actor) -> None:
    good, wrong = (
        framed(house, {"a": b"a", "z": b"z"}),
        b"".join(frames.header(name, 3, house.sha256(b"others")) + b"abc" for name in ("b", "c")),
    )
    with pytest.raises(DigestMismatch, match="'b' is not what was announced, and so are 1 more") as caught:
        send(house, ann, good + wrong + good)
    assert [(one["index"], one["name"]) for one in caught.value.errors] == [(2, "b"), (3, "c")]
    assert (keys(house), count(house), list(house.depot.staging.keys())) == (set(), (0, 0, 0), [])


def test_any_flipped_bit_of_a_batch_is_found(house: House, ann: Actor) -> None:
    """But in the bytes of a name, headers and bodies alike; a header says so itself."""
    body = framed(house, {"one": b"1234567890", "two": b"abc"})
    for at in range(0, len(body), 3):
        torn = bytearray(body)
        torn[at] ^= 1 << (at % 8)
        with pytest.raises((DigestMismatch, Malformed, TooLarge)):
            send(house, ann, bytes(torn))
    assert keys(house) == set()


def test_a_batch_that_ends_in_a_file_leaves_nothing(house: House, ann: Actor) -> None:
    body = framed(house, FILES)
    for cut in (1, 40, len(body) // 2, len(body) - 1):
        with pytest.raises(Malformed, match="ends in the middle"):
            send(house, ann, body[:cut])
    assert (keys(house), count(house)) == (set(), (0, 0, 0))
    with pytest.raises(Invalid, match="at least one file"):
        send(house, ann, b"")


def test_what_is_too_large_for_a_batch_is_refused(house: House, ann: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TooLarge, match=str(frames.MEMBER_BYTES)):
        send(house, ann, frames.header("big", frames.MEMBER_BYTES + 1, bytes(32)) + b"x")
    with pytest.raises(TooLarge):
        packing.put_batch(house.depot, ann, length=frames.BATCH_BYTES + 1)
    monkeypatch.setattr(frames, "BATCH_FILES", 3)
    with pytest.raises(TooLarge, match="3 files"):
        send(house, ann, framed(house, {str(i): b"" for i in range(4)}))
    monkeypatch.setattr(frames, "BATCH_BYTES", 100)
    sink = packing.put_batch(house.depot, ann)
    with pytest.raises(TooLarge, match="100 bytes"):
        sink.write(bytes(101))


def test_sending_a_batch_again_stores_nothing(house: House, ann: Actor) -> None:
    """Its answer may have been lost."""
    first = send(house, ann, framed(house, FILES))
    before = keys(house), count(house)
    again = send(house, ann, framed(house, FILES))
    assert (keys(house), count(house)) == before
    assert first.upload.uid != again.upload.uid
    version = house.version(ann)
    entries.commit(house.depot, ann, version.n, adds(house, again, FILES))
    assert house.tree(ann, version.n) == FILES


def test_what_was_here_before_is_not_needed_from_the_pack(house: House, ann: Actor) -> None:
    version = house.version(ann)
    house.put(ann, version, {"known": b"known bytes"})
    put(house, ann, version, {"known2": b"known bytes", "new": b"new bytes"})
    assert packs(house)[0][1:] == (len(b"new bytes"), "placed")
    assert house.tree(ann, version.n)["known2"] == b"known bytes"


def test_two_batches_of_equal_files_at_once_give_each_content_one_place(house: House, ann: Actor) -> None:
    body = framed(house, FILES)
    sinks = [packing.put_batch(house.depot, ann) for _ in range(4)]
    for sink in sinks:
        sink.write(body)
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda sink: sink.finish(), sinks))
    unique = len(set(FILES.values()))
    assert count(house)[:2] == (unique, unique)
    live = sum(len(data) for data in set(FILES.values()))
    assert sum(needed for _, needed, state in packs(house) if state == "placed") == live
    version = house.version(ann)
    for packed in done:
        entries.commit(house.depot, ann, version.n, adds(house, packed, FILES))
    collect(house, 2)
    assert house.tree(ann, version.n) == FILES


# Commits


def test_a_commit_names_a_file_of_a_batch_by_its_digest(house: House, ann: Actor) -> None:
    version = house.version(ann)
    packed = send(house, ann, framed(house, FILES))
    with pytest.raises(Invalid, match="holds many files"):
        entries.commit(house.depot, ann, version.n, [Add("x", upload=packed.upload.uid)])
    with pytest.raises(Invalid, match="did not bring"):
        entries.commit(house.depot, ann, version.n, [Add("x", upload=packed.upload.uid, sha256=house.sha256(b"no"))])
    plain = house.upload(ann, b"plain")
    with pytest.raises(Invalid, match="did not bring"):
        entries.commit(house.depot, ann, version.n, [Add("x", upload=plain.uid, sha256=house.sha256(b"no"))])
    entries.commit(house.depot, ann, version.n, [Add("x", upload=plain.uid, sha256=house.sha256(b"plain"))])
    assert house.tree(ann, version.n) == {"x": b"plain"}


def test_a_batch_is_its_senders_alone(house: House, ann: Actor) -> None:
    bob = house.user("bob")
    packed = send(house, ann, framed(house, FILES))
    version = house.version(bob)
    with pytest.raises(Invalid, match="or it is not yours"):
        entries.commit(house.depot, bob, version.n, adds(house, packed, FILES))
    with pytest.raises(NotFound):
        uploads.get(house.depot, bob, packed.upload.uid)
    with pytest.raises(Unauthenticated):
        packing.put_batch(house.depot, ANONYMOUS)


def test_an_unfinished_batch_cannot_be_written_to_by_another_way(house: House, ann: Actor) -> None:
    sink = packing.put_batch(house.depot, ann)
    with house.depot.catalog.read() as conn:
        uid = conn.execute(select(upload.c.uid)).scalar_one()
    for call in (
        lambda: uploads.receive(house.depot, ann, uid, 0),
        lambda: uploads.get(house.depot, ann, uid),
        lambda: uploads.finish(house.depot, ann, uid),
        lambda: uploads.abort(house.depot, ann, uid),
    ):
        with pytest.raises(NotFound):
            call()
    # What can be neither looked at nor ended is not listed: its client may be dead.
    assert uploads.list_uploads(house.depot, ann).rows == ()
    sink.close()


def test_a_finished_batch_is_found_and_can_be_given_up(house: House, ann: Actor) -> None:
    packed = send(house, ann, framed(house, FILES))
    found = uploads.get(house.depot, ann, packed.upload.uid)
    assert (found.state, found.purpose, found.received) == ("finished", "batch", len(framed(house, FILES)))
    assert [row.uid for row in uploads.list_uploads(house.depot, ann).rows] == [packed.upload.uid]
    uploads.abort(house.depot, ann, packed.upload.uid)
    with pytest.raises(Gone):
        uploads.get(house.depot, ann, packed.upload.uid)
    collect(house, 3)
    assert (keys(house), count(house)) == (set(), (0, 0, 0))


def test_files_of_a_batch_wait_for_their_commit_as_long_as_its_upload(house: House, ann: Actor) -> None:
    version = house.version(ann)
    packed = send(house, ann, framed(house, FILES))
    collect(house, 5)
    entries.commit(house.depot, ann, version.n, adds(house, packed, FILES))
    grown_old(house)
    collect(house, 3)
    assert house.tree(ann, version.n) == FILES


# Out


def test_many_files_are_read_at_once_in_the_order_that_was_asked_for(house: House, ann: Actor) -> None:
    version = house.version(ann)
    put(house, ann, version, FILES)
    house.put(ann, version, {"own": b"an object of its own"})
    paths = [*reversed(FILES), "own", "empty"]
    assert asked(house, ann, version, paths) == FILES | {"own": b"an object of its own"}


def test_files_go_down_under_the_names_that_they_have_now(house: House, ann: Actor) -> None:
    """Frames go out as they lie in the pack only where they are the ones that are asked for."""
    version = house.version(ann)
    put(house, ann, version, {name: data for name, data in FILES.items() if name != "twin"})
    renamed = [entries.Rename(f"images/{n:03}.png", f"pictures/{n:03}.png") for n in (0, 5, 6, 39)]
    entries.commit(house.depot, ann, version.n, renamed)
    now = {name.replace("images", "pictures") if name[7:10] in ("000", "005", "006", "039") else name for name in FILES}
    now.discard("twin")
    expected = {name: FILES[name.replace("pictures", "images")] for name in sorted(now)}
    assert asked(house, ann, version, sorted(now)) == expected
    twice = [name for name in sorted(now) for _ in range(2)]
    framed = b"".join(packing.open_batch(house.depot, ann, version.n, twice).blocks())
    assert [frame.name for frame in frames.Frames().feed(framed)[0]] == twice


def test_old_revisions_are_read_like_the_newest(house: House, ann: Actor) -> None:
    version = house.version(ann)
    put(house, ann, version, {"a": b"before"})
    put(house, ann, version, {"a": b"after"})
    assert asked(house, ann, version, ["a"], revision=1) == {"a": b"before"}
    assert asked(house, ann, version, ["a"]) == {"a": b"after"}


def test_paths_that_are_not_there_are_all_named(house: House, ann: Actor) -> None:
    version = house.version(ann)
    put(house, ann, version, {"a": b"a"})
    with pytest.raises(EntryNotFound, match="no entry 'b' and 1 more") as caught:
        packing.open_batch(house.depot, ann, version.n, ["a", "b", "../c"])
    assert [one["path"] for one in caught.value.errors] == ["b", "../c"]
    with pytest.raises(Hidden):
        packing.open_batch(house.depot, house.user("bob"), version.n, ["a"])
    with pytest.raises(Invalid):
        packing.open_batch(house.depot, ann, version.n, [])


def test_large_files_do_not_travel_in_batches(house: House, ann: Actor) -> None:
    version = house.version(ann)
    house.put(ann, version, {"large": bytes(frames.MEMBER_BYTES + 1), "small": b"s"})
    with pytest.raises(TooLarge, match="'large' is too large"):
        packing.open_batch(house.depot, ann, version.n, ["small", "large"])


# Damage


def test_a_flipped_bit_in_a_pack_is_named_and_only_that_file_is_quarantined(house: House, ann: Actor) -> None:
    version = house.version(ann, name="penguins")
    put(house, ann, version, FILES)
    flip(house, FILES["images/020.png"])
    (found,) = checking.verify(house.depot).damaged
    assert found.sha256 == sha256_text(house.sha256(FILES["images/020.png"]))
    assert [place.reference.rpartition("@")[2] for place in found.places] == ["1.1/images/020.png"]
    with pytest.raises(Corrupt):
        entries.open_entry(house.depot, ann, version.n, "images/020.png")
    with pytest.raises(Corrupt, match=r"images/020\.png"):
        packing.open_batch(house.depot, ann, version.n, list(FILES))
    with pytest.raises(Corrupt):
        b"".join(exports.export(house.depot, ann, version.n, format="zip").read())
    rest = [path for path in FILES if path != "images/020.png"]
    assert len(asked(house, ann, version, rest)) == len(rest)


def test_damage_that_nobody_knows_of_is_not_served_in_a_batch(house: House, ann: Actor) -> None:
    version = house.version(ann)
    put(house, ann, version, FILES)
    flip(house, FILES["images/020.png"])
    made = packing.open_batch(house.depot, ann, version.n, list(FILES))
    given: list[bytes] = []
    with pytest.raises(Corrupt, match=r"images/020\.png"):
        given.extend(made.blocks())
    whole, _ = frames.Frames().feed(b"".join(given))
    assert [frame.name for frame in whole] == list(FILES)[:20]


def test_a_damaged_file_of_a_pack_is_mended_by_sending_it_again(house: House, ann: Actor) -> None:
    version = house.version(ann)
    put(house, ann, version, FILES)
    flip(house, FILES["images/020.png"])
    checking.verify(house.depot)
    send(house, ann, framed(house, {"again": FILES["images/020.png"]}))
    assert house.tree(ann, version.n) == FILES
    assert not checking.verify(house.depot).damaged


def test_a_pack_is_mended_from_a_copy_of_the_store(house: House, ann: Actor) -> None:
    version = house.version(ann)
    put(house, ann, version, FILES)
    copy = MemoryStore(name="copy")
    for key in keys(house):
        with house.depot.store.open(key) as reader:
            copy.put(key, [reader.read_at(0, reader.size)])
    flip(house, FILES["images/020.png"])
    (found,) = checking.verify(house.depot, repair_from=copy).damaged
    assert found.is_mended
    assert house.tree(ann, version.n) == FILES


# Collection and compaction


def keep_only(house: House, who: Actor, version: Version, kept: Sequence[str]) -> None:
    """Everything else goes, with all of history; not yet collected."""
    fresh = house.version(who)
    entries.commit(
        house.depot, who, fresh.n, [Add(path, source=(version.n, None, path)) for path in kept], message="keep"
    )
    trash.purge(house.depot, who, version.n)
    house.kept = fresh  # type: ignore[attr-defined]


KEPT = ["images/001.png", "images/017.png", "images/039.png", "empty"]


@pytest.fixture
def sparse(house: House, ann: Actor) -> Version:
    """A version that needs a few files of a pack; the others were condemned, and can end."""
    version = house.version(ann)
    put(house, ann, version, FILES)
    keep_only(house, ann, version, KEPT)
    grown_old(house)
    collect(house)
    return house.kept  # type: ignore[attr-defined,no-any-return]


def test_a_preview_says_what_is_freed_and_when_the_disk_follows(house: House, ann: Actor, sparse: Version) -> None:
    seen = collection.look(house.depot)
    live = sum(len(FILES[path]) for path in KEPT)
    size = packs(house)[0][0]
    assert (seen.ended_bytes, seen.objects, seen.freed_bytes) == (sum(map(len, set(FILES.values()))) - live, 0, 0)
    assert (seen.packs, seen.packs_bytes) == (1, size - live)
    done = collection.collect(house.depot)
    assert (done.ended_bytes, done.packs) == (seen.ended_bytes, 1)
    # The rewritten pack has headers too, which the preview does not know.
    assert 0 < seen.packs_bytes - done.packs_bytes < len(KEPT) * 2 * 100
    assert collection.collect(house.depot).freed_bytes == size


def test_a_sparse_pack_is_rewritten_and_the_old_one_goes_with_the_next_run(
    house: House, ann: Actor, sparse: Version
) -> None:
    (old,) = keys(house)
    collect(house)
    assert old in keys(house)
    collect(house)
    assert old not in keys(house)
    (key,) = keys(house)
    with house.depot.store.open(key) as reader:
        told = frames.read_footer(reader.read_at, reader.size)
        assert told is not None
        assert [one.name for one in told] == KEPT
    live = sum(len(FILES[path]) for path in KEPT)
    assert [(needed, state) for _, needed, state in packs(house)] == [(live, "placed")]
    assert house.tree(ann, sparse.n) == {path: FILES[path] for path in KEPT}
    assert not checking.verify(house.depot).damaged
    # What is left is mostly headers; rewriting it once more would gain nothing.
    collect(house, 3)
    assert keys(house) == {key}


def test_a_reader_that_is_at_work_is_not_disturbed(house: House, ann: Actor, sparse: Version) -> None:
    opened = entries.open_entry(house.depot, ann, sparse.n, KEPT[0]).reader
    made = packing.open_batch(house.depot, ann, sparse.n, KEPT)
    collect(house, 3)
    assert opened.read_at(0, opened.size) == FILES[KEPT[0]]
    opened.close()
    assert b"".join(made.blocks()).endswith(FILES[KEPT[2]] + frames.header("empty", 0, house.sha256(b"")))


def test_damaged_bytes_are_not_laundered_by_compaction(house: House, ann: Actor, sparse: Version) -> None:
    flip(house, FILES[KEPT[1]])
    collect(house, 3)
    assert checking.count_damaged(house.depot) == 1
    with pytest.raises(Corrupt):
        entries.open_entry(house.depot, ann, sparse.n, KEPT[1])
    assert len(keys(house)) == 2
    send(house, ann, framed(house, {"again": FILES[KEPT[1]]}))
    assert house.tree(ann, sparse.n) == {path: FILES[path] for path in KEPT}
    collect(house, 2)
    assert house.tree(ann, sparse.n) == {path: FILES[path] for path in KEPT}
    # The one with the damaged bytes is needed by nobody now.
    assert len(keys(house)) == 2


def test_what_ended_while_a_pack_was_copied_is_not_brought_back(house: House, ann: Actor, sparse: Version) -> None:
    """And what is still needed moves."""
    depot, inner = house.depot, house.depot.store
    other = house.version(ann)
    entries.commit(depot, ann, other.n, [Add(KEPT[0], source=(sparse.n, None, KEPT[0]))])

    class Meanwhile:
        """Ends everything in the moment after the new pack was placed."""

        def __getattr__(self, name: str) -> object:
            return getattr(inner, name)

        def put(self, key: str, blocks: Iterable[bytes]) -> object:
            made = inner.put(key, blocks)
            trash.purge(depot, ann, sparse.n)
            for _ in range(2):
                house.clock.move(hours=25)
                everything_else()
            return made

    # Whoever runs in between does everything but compaction, or it would meet itself.
    def everything_else() -> None:
        now, before = house.depot.now(), house.depot.now() - house.depot.policy.collection_grace
        collection._end(house.depot, before, lambda _: None)
        collection._condemn(house.depot, before, now, lambda _: None)

    collection._end(house.depot, house.depot.now() - house.depot.policy.collection_grace, lambda _: None)
    depot.store = Meanwhile()  # type: ignore[assignment]
    packs_before = packs(house)
    assert compaction.compact(depot)[0] == 1
    depot.store = inner
    assert len(packs(house)) == len(packs_before) + 1
    assert house.tree(ann, other.n) == {KEPT[0]: FILES[KEPT[0]]}
    # What ended meanwhile is in the new pack, dead from the start.
    size, body, needed = pack_of(house, FILES[KEPT[0]])
    assert (body, needed) == (len(FILES[KEPT[0]]), len(FILES[KEPT[0]]))
    assert size > body
    collect(house, 3)
    assert count(house)[0] == 1
    assert house.tree(ann, other.n) == {KEPT[0]: FILES[KEPT[0]]}
    assert not checking.verify(depot).damaged


def test_two_compactions_at_once_do_it_once(house: House, ann: Actor, sparse: Version) -> None:
    before = house.depot.now() - house.depot.policy.collection_grace
    collection._end(house.depot, before, lambda _: None)
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda _: compaction.compact(house.depot), range(3)))
    assert sum(packs for packs, _ in done) == 1
    collect(house, 3)
    assert len(keys(house)) == 1
    assert house.tree(ann, sparse.n) == {path: FILES[path] for path in KEPT}


# Faults


@pytest.fixture
def broken(catalog: Catalog, clock: Clock) -> tuple[House, MemoryStore, Faults]:
    """A house whose store dies where it is told to."""
    store, faults = MemoryStore(), Faults()
    house = House(
        catalog, FaultyStore(store, faults), FaultyStaging(store.staging, faults), clock, policy=CHEAP_PASSWORDS
    )
    return house, store, faults


def restarted(house: House, store: MemoryStore, clock: Clock) -> House:
    store.crash()
    house.depot.store, house.depot.staging = store, store.staging
    return house


@pytest.mark.parametrize("when", ["before", "after", "torn"])
@pytest.mark.parametrize("step", ["staging.create", "stage.write", "stage.seal"])
def test_a_crash_at_any_step_of_a_batch_leaves_nothing_or_all_of_it(
    broken: tuple[House, MemoryStore, Faults], clock: Clock, step: str, when: str
) -> None:
    house, store, faults = broken
    ann = house.user("ann")
    version = house.version(ann)
    faults.on(step, crash(when))  # type: ignore[arg-type]
    with pytest.raises(Crash):
        send(house, ann, framed(house, FILES))
    restarted(house, store, clock)
    packed = send(house, ann, framed(house, FILES))
    entries.commit(house.depot, ann, version.n, adds(house, packed, FILES))
    grown_old(house)
    collect(house, 3)
    assert house.tree(ann, version.n) == FILES
    assert (len(keys(house)), list(store.staging.keys())) == (1, [])


@pytest.mark.parametrize("when", ["before", "after", "torn"])
@pytest.mark.parametrize("step", ["store.put", "store.delete"])
def test_a_crash_at_any_step_of_compaction_loses_nothing(
    broken: tuple[House, MemoryStore, Faults], clock: Clock, step: str, when: str
) -> None:
    house, store, faults = broken
    ann = house.user("ann")
    version = house.version(ann)
    put(house, ann, version, FILES)
    keep_only(house, ann, version, KEPT)
    kept: Version = house.kept  # type: ignore[attr-defined]
    grown_old(house)
    collect(house)
    faults.on(step, crash(when))  # type: ignore[arg-type]
    with pytest.raises(Crash):
        collect(house, 3)
    restarted(house, store, clock)
    assert house.tree(ann, kept.n) == {path: FILES[path] for path in KEPT}
    collect(house, 3)
    assert house.tree(ann, kept.n) == {path: FILES[path] for path in KEPT}
    # A staging file of a pack that was reserved goes with the reservation.
    assert len(keys(house)) == 1
    assert list(store.staging.keys()) == []


def test_a_full_disk_refuses_a_batch_whole_and_does_not_keep_collection_from_freeing(
    catalog: Catalog, clock: Clock
) -> None:
    store = MemoryStore()
    house = House(catalog, store, store.staging, clock, policy=CHEAP_PASSWORDS)
    ann = house.user("ann")
    version = house.version(ann)
    put(house, ann, version, FILES)
    store.capacity = store.used + 100
    with pytest.raises(DiskFull):
        send(house, ann, framed(house, {"more": b"x" * 200}))
    assert list(store.staging.keys()) == []
    keep_only(house, ann, version, KEPT)
    other = house.version(ann)
    house.put(ann, other, {"o": b"o" * 90})
    trash.purge(house.depot, ann, other.n)
    grown_old(house)
    store.capacity = store.used
    collect(house, 2)
    # No room to rewrite; what could go without that went, and made the room.
    collect(house, 3)
    assert house.tree(ann, house.kept.n) == {path: FILES[path] for path in KEPT}  # type: ignore[attr-defined]


def test_a_pack_on_disk_is_one_plain_file(catalog: Catalog, clock: Clock, tmp_path: Path) -> None:
    store = FilesystemStore(tmp_path / "store")
    house = House(catalog, store, store.staging, clock, policy=CHEAP_PASSWORDS)
    ann = house.user("ann")
    version = house.version(ann)
    put(house, ann, version, FILES)
    (key,) = store.keys()
    stored = (tmp_path / "store" / "objects" / key[:2] / key).read_bytes()
    assert stored.startswith(framed(house, FILES))
    assert asked(house, ann, version, list(FILES)) == FILES
    assert house.tree(ann, version.n) == FILES
