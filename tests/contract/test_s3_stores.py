"""A bucket keeps the promises of `entrepot.store.base`, on two servers that are strict about different things."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from entrepot.model.errors import Conflict, Invalid, Unavailable
from entrepot.store.base import ObjectStore, boot_id
from entrepot.store.filesystem import FilesystemStore
from entrepot.store.hashing import digests_of
from entrepot.store.s3 import S3Address, S3Store
from entrepot.store.s3_staging import S3Staging
from entrepot.testing.store_contract import KEYS, ObjectStoreContract, StagingContract, content_of, in_blocks, read_all
from tests.support.proxies import losing_proxy
from tests.support.s3 import S3Server

KEY = KEYS[0]
MIB = 1 << 20


class _Store:
    READS = 10

    @pytest.fixture
    def address(self, moto: S3Server) -> S3Address:
        return moto.address()

    @pytest.fixture
    def store(self, address: S3Address) -> S3Store:
        return S3Store(address)

    @pytest.fixture
    def reopen(self, address: S3Address) -> Callable[[], S3Store]:
        return lambda: S3Store(address)


class _OnNanio(_Store):
    @pytest.fixture
    def address(self, nanio: S3Server) -> S3Address:
        return nanio.address()


class TestMotoStore(_Store, ObjectStoreContract):
    pass


class TestNanioStore(_OnNanio, ObjectStoreContract):
    # It takes no notice of conditions, so two at once both succeed; one after the other is refused by a look.
    test_of_concurrent_puts_of_one_key_exactly_one_wins = None  # type: ignore[assignment]


class _Staging:
    @pytest.fixture
    def staging(self, store: S3Store, tmp_path: Path) -> S3Staging:
        return S3Staging(store, FilesystemStore(tmp_path / "local").staging)

    @pytest.fixture
    def reopen(self, address: S3Address, tmp_path: Path) -> Callable[[], S3Staging]:
        return lambda: S3Staging(S3Store(address), FilesystemStore(tmp_path / "local").staging)


class TestMotoStaging(_Staging, _Store, StagingContract):
    pass


# The bucket has a small part in it; a second server is tried in the long run.
@pytest.mark.soak
class TestNanioStaging(_Staging, _OnNanio, StagingContract):
    pass


# Parts


@pytest.mark.parametrize("size", [5 * MIB, 5 * MIB + 1, 17 * MIB + 5])
def test_a_large_object_is_made_in_parts(server: S3Server, size: int) -> None:
    store = S3Store(server.address(), part=5 * MIB)
    content = content_of(size)
    assert store.put(KEY, in_blocks(content, 700_001)) == digests_of([content])
    assert store.stat(KEY) == size
    assert read_all(store, KEY) == content
    with pytest.raises(Conflict):
        store.put(KEY, in_blocks(content, MIB))


def test_parts_of_which_the_sender_ends_in_the_middle_show_nothing(server: S3Server) -> None:
    store = S3Store(server.address(), part=5 * MIB)

    def blocks() -> Iterator[bytes]:
        yield content_of(12 * MIB)
        raise ConnectionResetError("the sender went away")

    with pytest.raises(ConnectionResetError):
        store.put(KEY, blocks())
    assert store.stat(KEY) is None
    store.put(KEY, [b"whole"])
    assert read_all(store, KEY) == b"whole"


def test_whoever_reads_in_order_asks_seldom_and_gets_every_byte(server: S3Server) -> None:
    store = S3Store(server.address())
    content = content_of(3 * MIB + 17)
    store.put(KEY, [content])
    asked: list[int] = []
    read = store.read

    def counted(key: str, offset: int, length: int) -> bytes:
        asked.append(length)
        return read(key, offset, length)

    store.read = counted  # type: ignore[method-assign]
    with store.open(KEY) as reader:
        found = b"".join(reader.read_at(at, 65_536) for at in range(0, len(content), 65_536))
        assert reader.read_now(len(content) - 10, 10) == content[-10:]
        assert reader.read_at(5, 10) == content[5:15]
    assert found == content
    assert len(asked) < 12
    assert asked[0] == 65_536, "a single small read fetches no more than it wants"
    assert asked[-1] == 10


# A network that is no good


@pytest.mark.parametrize("size", [5, 11 * MIB])
def test_a_server_that_is_busy_is_asked_again(server: S3Server, size: int) -> None:
    content = content_of(size)
    with losing_proxy(server.endpoint) as proxy:
        store = S3Store(replace(server.address(), endpoint=proxy.url), part=5 * MIB)
        proxy.refuse(b"PUT /", 503, times=2)
        store.put(KEY, in_blocks(content, MIB))
        proxy.refuse(b"GET /", 500, times=2)
        assert read_all(store, KEY) == content
        assert len(proxy.lost) == 4


@pytest.mark.parametrize("begins", [b"PUT /", b"POST /"], ids=["parts", "the last request"])
def test_a_lost_answer_is_no_lost_object(server: S3Server, begins: bytes) -> None:
    content = content_of(11 * MIB)
    with losing_proxy(server.endpoint) as proxy:
        store = S3Store(replace(server.address(), endpoint=proxy.url), part=5 * MIB)
        proxy.lose(begins)
        assert store.put(KEY, in_blocks(content, MIB)) == digests_of([content])
        assert read_all(store, KEY) == content
        assert len(proxy.lost) == 1


def test_a_lost_answer_to_a_conditional_request_is_no_conflict(moto: S3Server) -> None:
    with losing_proxy(moto.endpoint) as proxy:
        store = S3Store(replace(moto.address(), endpoint=proxy.url))
        proxy.lose(b"PUT /")
        assert store.put(KEY, [b"once"]) == digests_of([b"once"])
        assert len(proxy.lost) == 1
        assert read_all(store, KEY) == b"once"
        with pytest.raises(Conflict):
            store.put(KEY, [b"twice"])


def test_a_server_that_is_gone_is_unavailable_and_nothing_is_lost(tmp_path: Path, nanio: S3Server) -> None:
    gone = replace(nanio.address(), endpoint="http://127.0.0.1:1", patience=timedelta(seconds=1))
    local = FilesystemStore(tmp_path / "local").staging
    with local.create(KEY) as stage:
        stage.write(b"kept")
        stage.sync()
    with S3Staging(S3Store(gone), local).resume(KEY, durable=4, boot_id=boot_id()) as stage, pytest.raises(Unavailable):
        stage.place()
    with S3Staging(S3Store(nanio.address()), local).resume(KEY, durable=4, boot_id=boot_id()) as stage:
        assert stage.place() == digests_of([b"kept"])


# What an operator gets wrong


def test_a_wrong_secret_is_said_to_be_one(nanio: S3Server) -> None:
    store = S3Store(nanio.wrong_secret())
    for call in (store.probe, lambda: store.put(KEY, [b"x"]), lambda: list(store.keys())):
        with pytest.raises(Unavailable, match=r"s3_secret"):
            call()


def test_a_missing_bucket_is_said_to_be_missing(server: S3Server) -> None:
    store = S3Store(
        S3Address(
            "s3://no-such-bucket", endpoint=server.endpoint, key_id="AKIDOFATESTATHOME", secret="a secret of a test"
        )
    )
    with pytest.raises(Unavailable, match="no such bucket"):
        store.probe()
    with pytest.raises(Unavailable, match="no such bucket"):
        store.put(KEY, [b"x"])


@pytest.mark.parametrize("url", ["", "bucket", "http://bucket", "s3://", "s3:///prefix", "s3://bucket?x=1"])
def test_what_is_no_address_of_a_bucket_is_refused(url: str) -> None:
    with pytest.raises(Invalid, match="s3://BUCKET"):
        S3Store(S3Address(url))


def test_the_secret_shows_in_no_text(nanio: S3Server) -> None:
    assert "a secret of a test" not in repr(nanio.address())


# Signed addresses


def test_a_signed_address_gives_the_object_and_nothing_else(nanio: S3Server) -> None:
    store = S3Store(nanio.address())
    store.put(KEY, [b"the bytes"])
    url = store.sign_read(KEY, timedelta(minutes=1))
    assert urllib.request.urlopen(url, timeout=30).read() == b"the bytes"
    for forged in (url.replace(KEY, KEYS[1]), url[:-1] + ("0" if url[-1] != "0" else "1")):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(forged, timeout=30)
        assert refused.value.code == 403


# Between sending and forgetting


def test_an_upload_that_was_sent_and_not_forgotten_is_found_to_be_there(server: S3Server, tmp_path: Path) -> None:
    """As when the process dies between the two."""
    store: ObjectStore = S3Store(server.address())
    staging = S3Staging(store, FilesystemStore(tmp_path / "local").staging)
    with staging.create(KEY) as stage:
        stage.write(b"all of it")
        stage.sync()
        store.put(KEY, [b"all of it"])
    with staging.resume(KEY, durable=9, boot_id=boot_id()) as again:
        assert again.place() == digests_of([b"all of it"])
    assert list(staging.keys()) == []
    assert read_all(store, KEY) == b"all of it"
