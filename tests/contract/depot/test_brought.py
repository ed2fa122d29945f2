"""A batch as one change of a commit: every file of it at the path it came with, whoever remembers it or does not."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select, update

from entrepot.catalog import uploads as upload_rows
from entrepot.catalog.schema import upload
from entrepot.depot import brought, collection, entries, packing, uploads, whole
from entrepot.depot.entries import Add, AddBatch, Remove
from entrepot.depot.packing import Packed
from entrepot.depot.remembered import Remembered
from entrepot.depot.versions import NewVersion
from entrepot.model import names
from entrepot.model.access import Actor
from entrepot.model.errors import EntryNotFound, Invalid, PathTaken, TooLarge
from entrepot.model.values import Version
from entrepot.wire import frames
from tests.support.house import House

FILES: Mapping[str, bytes] = (
    {f"pages/{n:02}.html": f"<!doctype html><p>{n}".encode() for n in range(30)}
    | {"z.ndjson": b'{"a": 1}\n{"a": 2}\n', "empty": b"", "a.bin": bytes(range(256))}
    | {"twin": b"<!doctype html><p>3"}
)

Remember = Callable[[], None]


@pytest.fixture
def ann(house: House) -> Actor:
    return house.user("ann")


@pytest.fixture
def version(house: House, ann: Actor) -> Version:
    return house.version(ann)


@pytest.fixture(params=["remembered", "forgotten"])
def then(request: pytest.FixtureRequest, house: House) -> Remember:
    """What happens between the batch and its commit: nothing, or it is forgotten, as by another process."""

    def forget() -> None:
        if request.param == "forgotten":
            house.depot.remembered = Remembered()

    return forget


def send(house: House, who: Actor, files: Mapping[str, bytes]) -> Packed:
    sink = packing.put_batch(house.depot, who)
    for name, data in files.items():
        sink.write(frames.header(name, len(data), house.sha256(data)) + data)
    return sink.finish()


def told(house: House, packed: Packed) -> Any:
    """What the row of a batch says of its files."""
    with house.depot.catalog.read() as conn:
        return conn.execute(select(upload.c.detail).where(upload.c.uid == packed.upload.uid)).scalar_one()


def listed(house: House, who: Actor, version: int) -> list[tuple[str, str | None, int]]:
    found = [(one.path, one.data_type, one.position) for one in entries.iterate(house.depot, who, version)[2]]
    return sorted(found, key=lambda one: one[2])


def test_all_files_are_there_as_if_each_had_been_named(
    house: House, ann: Actor, version: Version, then: Remember
) -> None:
    packed = send(house, ann, FILES)
    one_by_one = house.version(ann)
    adds = [Add(path, upload=packed.upload.uid, sha256=house.sha256(data)) for path, data in FILES.items()]
    entries.commit(house.depot, ann, one_by_one.n, adds)
    then()
    done = entries.commit(house.depot, ann, version.n, [AddBatch(packed.upload.uid)])
    assert house.tree(ann, version.n) == FILES
    assert listed(house, ann, version.n) == listed(house, ann, one_by_one.n)
    assert [path for path, _, _ in listed(house, ann, version.n)] == list(FILES)
    assert {kind for _, kind, _ in listed(house, ann, version.n)} == {"text", "ndjson", None}
    assert done.revision.n_entries == len(FILES)


def test_the_row_has_the_names_only_where_the_pack_may_be_written_anew(house: House, ann: Actor) -> None:
    """Else every batch would be written down twice."""
    assert "files" not in told(house, send(house, ann, FILES))
    again = send(house, ann, FILES)
    assert [name for name, _ in told(house, again)["files"]] == list(FILES)


@pytest.mark.parametrize("known", ["all", "most", "few"])
def test_a_batch_that_was_here_in_part_is_told_all_the_same(
    house: House, ann: Actor, version: Version, then: Remember, known: str
) -> None:
    """Also when the pack that it came in has been written anew: that has other files then."""
    names = sorted(FILES, key=lambda name: len(FILES[name]), reverse=True)
    before = {"all": names, "most": names[:-2], "few": names[-2:]}[known]
    house.put(ann, house.version(ann), {f"before/{name}": FILES[name] for name in before})
    packed = send(house, ann, FILES)
    for _ in range(4):
        collection.collect(house.depot)
        house.clock.move(hours=25)
    then()
    entries.commit(house.depot, ann, version.n, [AddBatch(packed.upload.uid)])
    assert house.tree(ann, version.n) == FILES
    assert [path for path, _, _ in listed(house, ann, version.n)] == list(FILES)


def test_a_batch_from_before_types_were_written_down_gets_them(house: House, ann: Actor, version: Version) -> None:
    packed = send(house, ann, FILES)
    old = update(upload).where(upload.c.uid == packed.upload.uid).values(detail={})
    house.depot.catalog.write(lambda conn: conn.execute(old))
    house.depot.remembered = Remembered()
    entries.commit(house.depot, ann, version.n, [AddBatch(packed.upload.uid)])
    kinds = {path: kind for path, kind, _ in listed(house, ann, version.n)}
    assert (kinds["pages/03.html"], kinds["z.ndjson"], kinds["a.bin"]) == ("text", "ndjson", None)


def test_what_must_be_at_the_paths_holds_for_each_of_them(
    house: House, ann: Actor, version: Version, then: Remember
) -> None:
    there = dict(list(FILES.items())[:2])
    house.put(ann, version, dict.fromkeys(there, b"before"))
    packed = send(house, ann, FILES)
    then()
    with pytest.raises(PathTaken) as taken:
        entries.commit(house.depot, ann, version.n, [AddBatch(packed.upload.uid, "absent")])
    assert [one["path"] for one in taken.value.errors] == list(there)
    with pytest.raises(EntryNotFound) as missing:
        entries.commit(house.depot, ann, version.n, [AddBatch(packed.upload.uid, "present")])
    assert {one["path"] for one in missing.value.errors} == set(FILES) - set(there)
    assert house.tree(ann, version.n) == dict.fromkeys(there, b"before")
    few = send(house, ann, there)
    then()
    entries.commit(house.depot, ann, version.n, [AddBatch(few.upload.uid, "present")])
    assert house.tree(ann, version.n) == there


def test_a_batch_goes_along_with_other_changes(house: House, ann: Actor, version: Version, then: Remember) -> None:
    house.put(ann, version, {"gone": b"gone", "pages": b"a file where a folder comes"})
    first, second = send(house, ann, FILES), send(house, ann, {"second": b"2", "a/b": b"b"})
    then()
    by_digest = Add("named", upload=first.upload.uid, sha256=house.sha256(FILES["a.bin"]))
    changes = [Remove("gone"), Remove("pages"), AddBatch(second.upload.uid), by_digest, AddBatch(first.upload.uid)]
    entries.commit(house.depot, ann, version.n, changes)
    expected = {"second": b"2", "a/b": b"b", "named": FILES["a.bin"], **FILES}
    assert house.tree(ann, version.n) == expected
    assert [path for path, _, _ in listed(house, ann, version.n)] == list(expected)


def test_a_path_that_comes_twice_is_refused(house: House, ann: Actor, version: Version, then: Remember) -> None:
    sink = packing.put_batch(house.depot, ann)
    for data in (b"one", b"two"):
        sink.write(frames.header("same", len(data), house.sha256(data)) + data)
    packed, other = sink.finish(), send(house, ann, {"same": b"three"})
    then()
    for changes in ([AddBatch(packed.upload.uid)], [AddBatch(other.upload.uid), AddBatch(other.upload.uid)]):
        with pytest.raises(Invalid, match="same"):
            entries.commit(house.depot, ann, version.n, changes)
    assert house.tree(ann, version.n) == {}


def test_every_name_that_no_entry_can_have_is_told(house: House, ann: Actor, version: Version, then: Remember) -> None:
    """A batch takes any names, for its files may be put elsewhere; at their own paths these cannot be."""
    packed = send(house, ann, {"good": b"1", "../bad": b"2", "also good": b"3", "/bad too": b"4"})
    then()
    with pytest.raises(Invalid, match="1 more") as caught:
        entries.commit(house.depot, ann, version.n, [Remove("nothing"), AddBatch(packed.upload.uid)])
    assert [(one["index"], one["path"]) for one in caught.value.errors] == [(1, "../bad"), (1, "/bad too")]
    moved = [Add("elsewhere", upload=packed.upload.uid, sha256=house.sha256(b"2"))]
    entries.commit(house.depot, ann, version.n, moved)
    assert house.tree(ann, version.n) == {"elsewhere": b"2"}


def test_names_are_kept_in_one_form_of_unicode(house: House, ann: Actor, version: Version, then: Remember) -> None:
    packed = send(house, ann, {"u\u0308.txt": b"decomposed"})
    then()
    entries.commit(house.depot, ann, version.n, [AddBatch(packed.upload.uid)])
    assert house.tree(ann, version.n) == {"\u00fc.txt": b"decomposed"}


def test_only_a_finished_batch_of_ones_own_is_one(house: House, ann: Actor, version: Version, then: Remember) -> None:
    bob = house.user("bob")
    his, plain, ended = send(house, bob, FILES), house.upload(ann, b"plain"), send(house, ann, {"ended": b"e"})
    uploads.abort(house.depot, ann, ended.upload.uid)
    then()
    for uid, why in (
        (his.upload.uid, "or it is not yours"),
        (plain.uid, "is no batch"),
        (ended.upload.uid, "not yours"),
    ):
        with pytest.raises(Invalid, match=why) as caught:
            entries.commit(house.depot, ann, version.n, [Remove("x"), AddBatch(uid)])
        assert [(one["index"], one["code"]) for one in caught.value.errors] == [(1, "missing_content")]
    assert house.tree(ann, version.n) == {}


def test_a_batch_that_has_expired_is_not_committed(house: House, ann: Actor, version: Version, then: Remember) -> None:
    """Its contents may have ended; the numbers that are remembered of them would be those of others one day."""
    packed = send(house, ann, FILES)
    house.clock.move(days=8)
    uploads.sweep(house.depot)
    then()
    with pytest.raises(Invalid, match="or it is not yours"):
        entries.commit(house.depot, ann, version.n, [AddBatch(packed.upload.uid)])


def test_a_batch_counts_as_many_changes_as_it_has_files(
    house: House, ann: Actor, version: Version, then: Remember
) -> None:
    house.depot.limits = replace(house.depot.limits, entries_per_commit=len(FILES))
    packed, more = send(house, ann, FILES), send(house, ann, {"more": b"m"})
    then()
    with pytest.raises(TooLarge, match=f"{len(FILES) + 1} or more. Split"):
        entries.commit(house.depot, ann, version.n, [AddBatch(packed.upload.uid), AddBatch(more.upload.uid)])
    entries.commit(house.depot, ann, version.n, [AddBatch(packed.upload.uid)])


def test_no_more_is_looked_up_than_a_commit_may_have(
    house: House, ann: Actor, version: Version, then: Remember, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few bytes of a request name ten thousand files each; that must not cost more than what a commit costs."""
    house.depot.limits = replace(house.depot.limits, entries_per_commit=100)
    good, bad = send(house, ann, FILES), send(house, ann, {f"../{n}": b"x" for n in range(40)})
    then()
    looked_at: list[str] = []
    named = brought._named
    monkeypatch.setattr(
        brought, "_named", lambda depot, row, told: looked_at.append(row.key) or named(depot, row, told)
    )
    for uid in (good.upload.uid, bad.upload.uid):
        with pytest.raises(TooLarge):
            entries.commit(house.depot, ann, version.n, [AddBatch(uid)] * 100)
    assert len(looked_at) == len(set(looked_at))
    several = [send(house, ann, {f"{n}/{m}": b"%d %d" % (n, m) for m in range(60)}).upload.uid for n in range(5)]
    house.depot.remembered = Remembered()
    looked_at.clear()
    with pytest.raises(TooLarge):
        entries.commit(house.depot, ann, version.n, [AddBatch(uid) for uid in several])
    assert len(looked_at) == 2


def test_files_that_nobody_can_name_any_more_are_asked_for(house: House, ann: Actor, version: Version) -> None:
    """The pack was damaged at its end, and who received it forgot."""
    packed = send(house, ann, FILES)
    (key,) = house.depot.store.keys()
    with house.depot.store.open(key) as reader:
        stored = bytearray(reader.read_at(0, reader.size))
    stored[-40] ^= 1
    house.depot.store.delete(key)
    house.depot.store.put(key, [bytes(stored)])
    house.depot.remembered = Remembered()
    with pytest.raises(Invalid, match="cannot be told any more") as caught:
        entries.commit(house.depot, ann, version.n, [AddBatch(packed.upload.uid)])
    assert caught.value.errors[0]["code"] == "missing_content"
    adds = [Add(path, upload=packed.upload.uid, sha256=house.sha256(data)) for path, data in FILES.items()]
    entries.commit(house.depot, ann, version.n, adds)
    assert house.tree(ann, version.n) == FILES


def test_a_version_is_made_of_a_batch(house: House, ann: Actor, then: Remember) -> None:
    packed = send(house, ann, FILES)
    then()
    made = whole.create(house.depot, ann, None, NewVersion("birds"), [AddBatch(packed.upload.uid)])
    assert house.tree(ann, made.version.n) == FILES


def test_a_strangers_batch_tells_neither_its_names_nor_how_many(
    house: House, ann: Actor, version: Version, then: Remember
) -> None:
    bob = house.user("bob")
    house.depot.limits = replace(house.depot.limits, entries_per_commit=len(FILES) - 1)
    for files in (FILES, {"../bad": b"2"}):
        uid = send(house, bob, files).upload.uid
        then()
        with pytest.raises(Invalid, match="or it is not yours") as caught:
            entries.commit(house.depot, ann, version.n, [AddBatch(uid)])
        assert [one["code"] for one in caught.value.errors] == ["missing_content"]


def test_names_that_cost_much_are_judged_once_and_told_shortly(
    house: House, ann: Actor, version: Version, then: Remember, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit is a few bytes, and may come as often as its sender likes."""
    accents = "a" + "\u0315" * 400 + "\u0316" * 400
    judged: list[str] = []
    judge = names.entry_path
    monkeypatch.setattr(names, "entry_path", lambda name: judge(judged.append(name) or name))
    packed = send(house, ann, {"b" * 4000: b""} | {f"{n}\0{accents}": b"" for n in range(200)})
    assert len(judged) == 99, "neither what is too long in any form, nor more than is told"
    assert [set(one) for one in told(house, packed)["wrong"]] == [{"path", "code", "detail"}] * 100
    assert len(json.dumps(told(house, packed))) < 100_000
    then()
    monkeypatch.setattr(names, "entry_path", None)
    with pytest.raises(Invalid, match="99 more") as caught:
        entries.commit(house.depot, ann, version.n, [AddBatch(packed.upload.uid)])
    assert all(one["index"] == 0 and one["path"].isprintable() for one in caught.value.errors)


def test_a_batch_of_any_names_can_be_sent_again(house: House, ann: Actor, version: Version) -> None:
    files = {"a\0b": b"one", "\x01": b"two", "c" * 4000: b"three"}
    for _ in range(2):
        packed = send(house, ann, files)
        entries.commit(house.depot, ann, version.n, [Add("two", upload=packed.upload.uid, sha256=house.sha256(b"two"))])
    assert house.tree(ann, version.n) == {"two": b"two"}


def test_who_looks_at_many_uploads_does_not_read_the_files_of_all(house: House, ann: Actor) -> None:
    send(house, ann, FILES)
    uid = send(house, ann, FILES).upload.uid
    with house.depot.catalog.read() as conn:
        row = upload_rows.find(conn, uid=uid)
        assert row is not None
        assert (row.detail, upload_rows.find_many(conn, [uid])[uid].detail) == ({}, {})
        assert len(upload_rows.batch_detail(conn, row.n)["files"]) == len(FILES)
    long = [brought.PackedFile("x" * 1024, 0, b"")] * 1025
    assert "files" not in brought.detail(long, [one.name for one in long], [], [None] * 1025, named=True)


def test_what_the_row_says_of_types_are_the_places_of_the_files(house: House, ann: Actor) -> None:
    packed = send(house, ann, FILES)
    given = list(FILES)
    kinds = {kind: [given[place] for place in places] for kind, places in told(house, packed)["types"].items()}
    assert kinds == {
        "text": [name for name in given if name.startswith("pages/") or name == "twin"],
        "ndjson": ["z.ndjson"],
    }
    assert brought.detail(packed.files, given, [], [None] * len(FILES), named=False) == {"types": {}}
