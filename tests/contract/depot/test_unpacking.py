"""An archive becomes files of a version: one transaction, shared objects, and nothing left of failures."""

from __future__ import annotations

import io
import zipfile

import pytest

from entrepot.depot import collection, unpacking, uploads, versions
from entrepot.model.access import Actor
from entrepot.model.errors import Forbidden, Frozen, Invalid, InvalidName, Malformed, PathTaken, QuotaExceeded, TooLarge
from entrepot.model.values import Version
from entrepot.store.memory import MemoryStore
from tests.support.house import House


def zipped(members: list[tuple[str, bytes]]) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return body.getvalue()


def put(house: House, actor: Actor, version: Version, body: bytes) -> unpacking.Unpacked:
    sink = unpacking.put_archive(house.depot, actor, version.n)
    try:
        for start in range(0, len(body), 1000):
            sink.write(body[start : start + 1000])
        return sink.finish()
    except BaseException:
        sink.close()
        raise


@pytest.fixture
def alice(house: House) -> Actor:
    return house.user("alice")


def test_members_become_entries_in_one_revision(house: House, alice: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "PACKED", 100)
    monkeypatch.setattr(unpacking, "PACK", 150)
    version = house.version(alice)
    members = [
        ("a", b"a" * 90),
        ("b", b"b" * 90),
        ("c", b"c" * 90),
        ("big", b"x" * 101),
        ("e", b""),
        ("f", b""),
        ("g", b"a" * 90),
    ]
    done = put(house, alice, version, zipped(members))
    assert done.added == tuple((name, house.sha256(content)) for name, content in members)
    assert (done.committed.version.revision, done.committed.version.n_entries) == (1, 7)
    assert house.tree(alice, version.n) == dict(members)
    assert house.depot.store.name
    kept = set(house.depot.store.keys())
    # Two packs, the large member, and the archive itself until the collector takes it.
    assert len(kept) <= 5


def test_giving_up_what_is_named_already_does_nothing(
    house: House, alice: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacking, "PACKED", 100)
    version, members = house.version(alice), {"small": b"s", "large": b"x" * 101}
    sink = unpacking.put_archive(house.depot, alice, version.n)
    sink.write(zipped(list(members.items())))
    sink.finish()
    sink.close()
    assert house.tree(alice, version.n) == members


def test_what_came_by_an_archive_survives_the_collector(house: House, alice: Actor) -> None:
    version = house.version(alice)
    members = [(f"{i}.txt", str(i).encode()) for i in range(20)]
    put(house, alice, version, zipped(members))
    for _ in range(4):
        house.clock.move(days=3)
        uploads.sweep(house.depot)
        collection.collect(house.depot)
    assert house.tree(alice, version.n) == dict(members)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_folders_are_given_numbers_that_are_free(house: House, alice: Actor) -> None:
    version = house.version(alice)
    house.put(alice, version, {"d/1": b"x", "d/2/y": b"x"})
    members = [("d/", b""), ("d/4", b"four"), ("d/", b""), ("e/f/", b"")]
    done = put(house, alice, version, zipped(members))
    assert [path for path, _ in done.added] == ["d/3", "d/4", "d/5", "e/f/1"]


@pytest.mark.parametrize(
    ("members", "error"),
    [
        ([("ok", b"1"), ("../up", b"2")], InvalidName),
        ([("ok", b"1"), ("/abs", b"2")], InvalidName),
        ([("ok", b"1"), ("ok", b"2")], InvalidName),
        ([("ok", b"1"), ("used", b"2")], PathTaken),
        ([("ok", b"1"), ("used/x", b"2")], PathTaken),
        ([("ok", b"1"), ("ok/x", b"2")], PathTaken),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_nothing_is_added_when_one_member_is_wrong(
    house: House, alice: Actor, members: list[tuple[str, bytes]], error: type[Exception]
) -> None:
    version = house.version(alice)
    house.put(alice, version, {"used": b"u"})
    before = uploads.list_uploads(house.depot, alice).rows
    with pytest.raises(error) as caught:
        put(house, alice, version, zipped(members))
    assert caught.value.errors  # type: ignore[attr-defined]
    assert house.tree(alice, version.n) == {"used": b"u"}
    assert versions.get(house.depot, alice, version.n).version.revision == 1
    assert uploads.list_uploads(house.depot, alice).rows == before


def test_what_is_no_archive(house: House, alice: Actor) -> None:
    version = house.version(alice)
    for body in (b"", b"x" * 5000):
        with pytest.raises(Malformed):
            put(house, alice, version, body)
    damaged = bytearray(zipped([("a", bytes(range(256)) * 40)]))
    damaged[60] ^= 1
    with pytest.raises(Invalid, match="damaged"):
        put(house, alice, version, bytes(damaged))
    assert put(house, alice, version, zipped([])).committed.version.revision == 0


def test_the_judge_and_the_state_are_asked_at_the_beginning(house: House, alice: Actor) -> None:
    version = house.version(alice)
    with pytest.raises(Forbidden):
        unpacking.put_archive(house.depot, house.user("bob"), version.n)
    versions.freeze(house.depot, alice, version.n)
    with pytest.raises(Frozen):
        unpacking.put_archive(house.depot, alice, version.n)


def test_limits_hold(house: House, alice: Actor) -> None:
    from dataclasses import replace

    from entrepot.depot import projects
    from entrepot.depot.projects import ProjectChanges

    version = house.version(alice)
    house.depot.limits = replace(house.depot.limits, entries_per_commit=3)
    with pytest.raises(TooLarge):
        put(house, alice, version, zipped([(str(i), b"") for i in range(4)]))
    projects.update(house.depot, house.admin, version.project, ProjectChanges(allocation=10))
    with pytest.raises(QuotaExceeded):
        put(house, alice, version, zipped([("a", b"x" * 11)]))
    assert house.tree(alice, version.n) == {}
    assert isinstance(house.depot.store, MemoryStore)
