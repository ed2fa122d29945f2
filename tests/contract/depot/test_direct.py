"""Bytes past the server, on two servers of the S3 protocol: what is handed out, and what is believed of what came."""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from entrepot.catalog.database import Catalog
from entrepot.depot import checking, collection, direct, entries, uploads
from entrepot.depot.direct import Arrival, Elsewhere
from entrepot.depot.entries import Add, Opened
from entrepot.depot.uploads import FINISHED, NewUpload
from entrepot.model.access import Actor
from entrepot.model.errors import (
    Conflict,
    Corrupt,
    DigestMismatch,
    Gone,
    Hidden,
    Invalid,
    LengthMismatch,
    NotFound,
    QuotaExceeded,
    Unsupported,
    WrongState,
)
from entrepot.store.base import DirectAccess
from entrepot.store.filesystem import FilesystemStore
from entrepot.store.s3 import S3Store
from entrepot.store.s3_staging import S3Staging
from tests.support.catalogs import CHEAP_PASSWORDS, Clock, new_catalog_url
from tests.support.house import House
from tests.support.postgres import PostgresServer
from tests.support.s3 import S3Server

BODY = b"far too long to be sent by way of the server " * 50


@pytest.fixture(params=["nanio", pytest.param("moto", marks=pytest.mark.soak)])
def server(request: pytest.FixtureRequest) -> S3Server:
    """One in every run, both in the long one: what the servers do differently is below, of the store alone."""
    found: S3Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=["moto", "nanio"])
def each_server(request: pytest.FixtureRequest) -> S3Server:
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


def store_of(house: House) -> S3Store:
    assert isinstance(house.depot.store, S3Store)
    return house.depot.store


def send(url: str, body: bytes) -> None:
    typed = {"Content-Type": "application/octet-stream"}
    urllib.request.urlopen(urllib.request.Request(url, data=body, method="PUT", headers=typed), timeout=30).read()


def fetch(url: str) -> bytes:
    found: bytes = urllib.request.urlopen(url, timeout=30).read()
    return found


def announced(body: bytes = BODY, **more: object) -> NewUpload:
    return NewUpload(length=len(body), sha256=hashlib.sha256(body).digest(), **more)  # type: ignore[arg-type]


def begun(house: House, who: Actor, body: bytes = BODY) -> Arrival:
    return direct.begin(house.depot, who, announced(body))


def file_of(house: House, who: Actor, body: bytes = BODY) -> int:
    """A version with one file `a`."""
    version = house.version(who)
    upload = house.upload(who, body)
    entries.commit(house.depot, who, version.n, [Add("a", upload=upload.uid)])
    return version.n


def objects(house: House) -> set[str]:
    return set(store_of(house).keys())


# Down


def test_whoever_asks_is_sent_to_the_object(house: House) -> None:
    ann = house.user()
    found = direct.open_entry(house.depot, ann, file_of(house, ann), "a")
    assert isinstance(found, Elsewhere)
    assert found.expires_at == house.clock.at + timedelta(minutes=5)
    assert found.entry.sha256 == hashlib.sha256(BODY).digest()
    assert fetch(found.url) == BODY


def test_an_address_says_how_long_it_is_good(house: House) -> None:
    ann = house.user()
    found = direct.open_entry(house.depot, ann, file_of(house, ann), "a")
    assert isinstance(found, Elsewhere)
    assert "X-Amz-Expires=300&" in found.url


def test_a_part_of_a_pack_has_no_address_of_its_own(house: House) -> None:
    """It would be that of the whole pack, with files in it that the caller may not know of."""
    ann = house.user()
    version = house.version(ann)
    house.put_batch(ann, version, {"a": BODY, "b": b"another's"})
    for path, body in (("a", BODY), ("b", b"another's")):
        found = direct.open_entry(house.depot, ann, version.n, path)
        assert isinstance(found, Opened)
        with found.reader as reader:
            assert reader.read_at(0, reader.size) == body


def test_whoever_may_not_read_gets_no_address(house: House) -> None:
    ann = house.user()
    version = file_of(house, ann)
    with pytest.raises(Hidden):
        direct.open_entry(house.depot, house.user(), version, "a")


def test_bytes_that_are_known_to_be_damaged_have_no_address(house: House) -> None:
    ann = house.user()
    version = file_of(house, ann)
    (key,) = objects(house)
    store_of(house).delete(key)
    store_of(house).put(key, [b"X" + BODY[1:]])
    assert checking.verify(house.depot).damaged
    with pytest.raises(Corrupt):
        direct.open_entry(house.depot, ann, version, "a")


def test_an_operator_may_give_no_addresses(house: House) -> None:
    ann = house.user()
    version = file_of(house, ann)
    house.depot.policy = replace(house.depot.policy, direct_lifetime=None)
    found = direct.open_entry(house.depot, ann, version, "a")
    assert isinstance(found, Opened)
    found.reader.close()
    with pytest.raises(Unsupported):
        begun(house, ann)


# Up


def test_what_was_sent_to_the_store_becomes_a_content_once_it_was_read(house: House) -> None:
    ann = house.user()
    arrival = begun(house, ann)
    send(arrival.url, BODY)
    assert objects(house) == set(), "what arrived is no object"
    for _ in range(2):
        assert direct.finish(house.depot, ann, arrival.upload.uid).state == FINISHED
    assert len(objects(house)) == 1
    assert store_of(house).arrived(arrival.upload.key) is None
    version = house.version(ann)
    entries.commit(house.depot, ann, version.n, [Add("a", upload=arrival.upload.uid)])
    assert house.tree(ann, version.n) == {"a": BODY}
    assert not checking.verify(house.depot).damaged


def test_other_bytes_than_announced_are_thrown_away_and_may_be_sent_again(house: House) -> None:
    ann = house.user()
    arrival = begun(house, ann)
    for wrong, error in ((b"X" + BODY[1:], DigestMismatch), (BODY + b"X", LengthMismatch), (None, LengthMismatch)):
        if wrong is not None:
            send(arrival.url, wrong)
        with pytest.raises(error):
            direct.finish(house.depot, ann, arrival.upload.uid)
        assert objects(house) == set()
        assert store_of(house).arrived(arrival.upload.key) is None
    send(arrival.url, BODY)
    assert direct.finish(house.depot, ann, arrival.upload.uid).state == FINISHED


def test_what_is_written_after_the_check_changes_nothing(house: House) -> None:
    """The address is still good then: what was checked must be out of its reach."""
    ann = house.user()
    arrival = begun(house, ann)
    send(arrival.url, BODY)
    row = direct.finish(house.depot, ann, arrival.upload.uid)
    send(arrival.url, b"Z" * len(BODY))
    version = house.version(ann)
    entries.commit(house.depot, ann, version.n, [Add("a", upload=row.uid)])
    assert house.tree(ann, version.n) == {"a": BODY}
    assert not checking.verify(house.depot).damaged
    house.clock.move(days=8)
    uploads.sweep(house.depot)
    assert store_of(house).arrived(arrival.upload.key) is None
    assert house.tree(ann, version.n) == {"a": BODY}


def test_what_is_written_while_it_is_checked_cannot_be_named(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = house.user()
    arrival = begun(house, ann)
    send(arrival.url, BODY)
    take = S3Store.take

    def between(self: S3Store, source: str, key: str) -> None:
        send(arrival.url, b"Z" * len(BODY))
        take(self, source, key)

    monkeypatch.setattr(S3Store, "take", between)
    with pytest.raises(DigestMismatch):
        direct.finish(house.depot, ann, arrival.upload.uid)
    assert objects(house) == set()


def test_equal_bytes_that_are_here_already_are_kept_once(house: House) -> None:
    ann = house.user()
    house.upload(ann, BODY)
    arrival = begun(house, ann)
    send(arrival.url, BODY)
    direct.finish(house.depot, ann, arrival.upload.uid)
    assert len(objects(house)) == 1


@pytest.mark.parametrize("dies_in", ["take", "read_digests", "name_content", "forget_arrival"])
def test_a_death_at_any_step_leaves_nothing_that_is_not_finished_or_swept(
    house: House, monkeypatch: pytest.MonkeyPatch, dies_in: str
) -> None:
    ann = house.user()
    arrival = begun(house, ann)
    send(arrival.url, BODY)
    owner = direct if hasattr(direct, dies_in) else S3Store
    real = getattr(owner, dies_in)

    def then_die(*given: object, **more: object) -> None:
        real(*given, **more)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(owner, dies_in, then_die)
        with pytest.raises(KeyboardInterrupt):
            direct.finish(house.depot, ann, arrival.upload.uid)
    assert direct.finish(house.depot, ann, arrival.upload.uid).state == FINISHED
    house.clock.move(days=8)
    uploads.sweep(house.depot)
    for _ in range(3):
        collection.collect(house.depot)
        house.clock.move(days=2)
    collection.collect(house.depot)
    assert objects(house) == set(), "nothing was committed"
    assert store_of(house).arrived(arrival.upload.key) is None


def test_an_upload_that_was_ended_is_remembered_as_long_as_something_may_arrive(house: House) -> None:
    ann = house.user()
    arrival = begun(house, ann)
    uploads.abort(house.depot, ann, arrival.upload.uid)
    uploads.sweep(house.depot)
    send(arrival.url, BODY)
    with pytest.raises(Gone):
        direct.finish(house.depot, ann, arrival.upload.uid)
    house.clock.move(minutes=6)
    uploads.sweep(house.depot)
    assert store_of(house).arrived(arrival.upload.key) is None


def test_an_upload_begun_for_the_store_takes_its_bytes_at_the_server_too(house: House) -> None:
    ann = house.user()
    arrival = begun(house, ann)
    with uploads.receive(house.depot, ann, arrival.upload.uid, 0) as receiver:
        receiver.write(BODY)
        receiver.finish()
    assert direct.finish(house.depot, ann, arrival.upload.uid).content_sha256 == hashlib.sha256(BODY).digest()


def test_an_address_can_be_renewed_until_the_upload_is_complete(house: House) -> None:
    ann = house.user()
    arrival = begun(house, ann)
    house.clock.move(minutes=10)
    again = direct.renew(house.depot, ann, arrival.upload.uid)
    assert again.expires_at == house.clock.at + timedelta(minutes=5)
    send(again.url, BODY)
    direct.finish(house.depot, ann, arrival.upload.uid)
    with pytest.raises(WrongState):
        direct.renew(house.depot, ann, arrival.upload.uid)
    with pytest.raises(WrongState):
        direct.renew(house.depot, ann, uploads.begin(house.depot, ann, NewUpload(length=1)).uid)


def test_an_upload_is_its_owners_alone(house: House) -> None:
    arrival = begun(house, house.user())
    for call in (direct.renew, direct.finish):
        with pytest.raises(NotFound):
            call(house.depot, house.user(), arrival.upload.uid)
        with pytest.raises(NotFound):
            call(house.depot, house.user(), UUID(int=0))


def test_what_is_asked_for_must_be_announced_and_have_room(house: House) -> None:
    ann = house.user()
    with pytest.raises(Invalid, match="Announce length"):
        direct.begin(house.depot, ann, NewUpload(length=5))
    with pytest.raises(Unsupported, match="Send 0 as an upload"):
        direct.begin(house.depot, ann, announced(b""))
    house.depot.policy = replace(house.depot.policy, project_allocation=len(BODY) - 1)
    small = house.project(ann)
    with pytest.raises(QuotaExceeded):
        direct.begin(house.depot, ann, announced(project=small.n))


def test_wrong_bytes_are_not_copied_for_ever(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct, "_ATTEMPTS", 2)
    ann = house.user()
    arrival = begun(house, ann)
    for _ in range(2):
        send(arrival.url, b"X" + BODY[1:])
        with pytest.raises(DigestMismatch):
            direct.finish(house.depot, ann, arrival.upload.uid)
    with pytest.raises(Gone, match="Begin another"):
        direct.finish(house.depot, ann, arrival.upload.uid)


# The store


def test_what_arrived_becomes_a_new_object_and_no_other(each_server: S3Server) -> None:
    store = S3Store(each_server.address())
    assert isinstance(store, DirectAccess)
    one, two = "1" * 32, "2" * 32
    with pytest.raises(NotFound):
        store.take(one, two)
    send(store.sign_arrival(one, timedelta(minutes=1)), b"first")
    assert (store.arrived(one), list(store.keys())) == (5, [])
    store.take(one, two)
    send(store.sign_arrival(one, timedelta(minutes=1)), b"second")
    with pytest.raises(Conflict):
        store.take(one, two)
    assert fetch(store.sign_read(two, timedelta(minutes=1))) == b"first"
    store.forget_arrival(one)
    store.forget_arrival(one)
    assert store.arrived(one) is None


def test_an_address_is_good_for_one_thing(nanio: S3Server) -> None:
    store = S3Store(nanio.address())
    one, two = "1" * 32, "2" * 32
    store.put(two, [b"kept"])
    url = store.sign_arrival(one, timedelta(minutes=1))
    for forged in (url.replace(one, two), url.replace(f"arriving/{one}", f"22/{two}")):
        with pytest.raises(urllib.error.HTTPError) as refused:
            send(forged, b"stolen")
        assert refused.value.code == 403
    with pytest.raises(urllib.error.HTTPError):
        fetch(url)


def test_addresses_name_the_server_as_clients_reach_it(nanio: S3Server) -> None:
    shown = S3Store(replace(nanio.address(), public_endpoint="http://files.example:1234"))
    assert shown.sign_read("1" * 32, timedelta(minutes=1)).startswith("http://files.example:1234/")
    shown.probe()


def test_a_store_without_addresses_is_none_of_these(tmp_path: Path) -> None:
    with closing(FilesystemStore(tmp_path)) as store:
        assert not isinstance(store, DirectAccess)
