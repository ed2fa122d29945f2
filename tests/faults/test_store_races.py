"""Somebody else acts in the worst possible instant: between two system calls of one step."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from entrepot.model.errors import Conflict, NotFound, Unavailable, WrongState
from entrepot.store.base import boot_id
from entrepot.store.disk import Disk
from entrepot.store.filesystem import FilesystemStore
from entrepot.store.hashing import digests_of
from entrepot.testing.store_contract import KEYS, read_all

KEY = KEYS[0]


class InterruptedDisk(Disk):
    """Lets others act once, just before the next lock, read or unlink; what they do is not interrupted in turn."""

    def __init__(self) -> None:
        super().__init__()
        self.before_lock: Callable[[], object] | None = None
        self.before_read: Callable[[], object] | None = None
        self.before_unlink: Callable[[], object] | None = None
        self.sync_fails = False

    def lock(self, fd: int) -> bool:
        action, self.before_lock = self.before_lock, None
        if action:
            action()
        return super().lock(fd)

    def read(self, fd: int, length: int, offset: int) -> bytes:
        action, self.before_read = self.before_read, None
        if action:
            action()
        return super().read(fd, length, offset)

    def unlink(self, path: str) -> None:
        action, self.before_unlink = self.before_unlink, None
        if action:
            action()
        super().unlink(path)

    def sync(self, fd: int) -> None:
        if self.sync_fails:
            raise OSError(errno.EIO, "Input/output error")
        super().sync(fd)


@pytest.fixture
def disk() -> InterruptedDisk:
    return InterruptedDisk()


@pytest.fixture
def here(tmp_path: Path, disk: InterruptedDisk) -> FilesystemStore:
    return FilesystemStore(tmp_path / "store", disk=disk)


@pytest.fixture
def elsewhere(here: FilesystemStore, tmp_path: Path) -> FilesystemStore:
    return FilesystemStore(tmp_path / "store")


def test_a_stage_placed_while_it_is_being_resumed_is_found_complete_and_not_written_to(
    here: FilesystemStore, elsewhere: FilesystemStore, disk: InterruptedDisk
) -> None:
    with here.staging.create(KEY) as stage:
        stage.write(b"whole")

    def place_elsewhere() -> None:
        with elsewhere.staging.resume(KEY, durable=0, boot_id=boot_id()) as other:
            other.place()

    disk.before_lock = place_elsewhere
    with here.staging.resume(KEY, durable=0, boot_id="another boot") as stage:
        with pytest.raises(WrongState):
            stage.write(b"more")
        assert stage.place() == digests_of([b"whole"])
    assert read_all(here, KEY) == b"whole"


def test_a_stage_discarded_while_it_is_being_resumed_is_not_found(
    here: FilesystemStore, elsewhere: FilesystemStore, disk: InterruptedDisk
) -> None:
    here.staging.create(KEY).release()
    disk.before_lock = lambda: elsewhere.staging.discard(KEY)
    with pytest.raises(NotFound):
        here.staging.resume(KEY, durable=0, boot_id=boot_id())


def test_a_stage_that_another_process_resumes_while_it_is_being_created_belongs_to_that_one(
    here: FilesystemStore, elsewhere: FilesystemStore, disk: InterruptedDisk
) -> None:
    others = []
    disk.before_lock = lambda: others.append(elsewhere.staging.resume(KEY, durable=0, boot_id=boot_id()))
    with pytest.raises(Conflict):
        here.staging.create(KEY)
    others[0].write(b"theirs")
    others[0].place()
    assert read_all(here, KEY) == b"theirs"


def test_a_handle_whose_stage_was_discarded_never_places_the_next_one_of_that_key(here: FilesystemStore) -> None:
    first = here.staging.create(KEY)
    here.staging.discard(KEY)
    with here.staging.create(KEY) as second:
        second.write(b"second")
        with pytest.raises(NotFound):
            first.place()
        assert here.stat(KEY) is None
        second.place()
    first.release()
    assert read_all(here, KEY) == b"second"


def test_a_stage_that_is_being_discarded_is_not_given_to_a_resumer_first(
    here: FilesystemStore, elsewhere: FilesystemStore, disk: InterruptedDisk
) -> None:
    stage = here.staging.create(KEY)
    disk.before_unlink = lambda: resume_in_vain(elsewhere)
    stage.discard()
    assert disk.before_unlink is None
    assert list(here.staging.keys()) == []


def resume_in_vain(store: FilesystemStore) -> None:
    with pytest.raises(Conflict):
        store.staging.resume(KEY, durable=0, boot_id=boot_id())


def test_a_sync_that_fails_beside_place_keeps_the_bytes_from_being_placed(
    here: FilesystemStore, elsewhere: FilesystemStore, disk: InterruptedDisk
) -> None:
    with elsewhere.staging.create(KEY) as stage:
        stage.write(b"lost")
    with here.staging.resume(KEY, durable=0, boot_id=boot_id()) as stage:

        def sync_and_fail() -> None:
            disk.sync_fails = True
            with contextlib.suppress(Unavailable):
                stage.sync()
            # A second fsync would succeed: the system has forgotten what it could not write.
            disk.sync_fails = False

        disk.before_read = sync_and_fail
        with pytest.raises(Unavailable, match="from the start"):
            stage.place()
    assert here.stat(KEY) is None
    assert list(here.staging.keys()) == []


def test_two_that_take_over_one_interrupted_put_do_not_remove_each_others_bytes(
    here: FilesystemStore, elsewhere: FilesystemStore, disk: InterruptedDisk, tmp_path: Path
) -> None:
    (tmp_path / "store" / "staging" / f"{KEY}.put").write_bytes(b"half of")
    others = []
    disk.before_lock = lambda: others.append(elsewhere.staging.begin_put(KEY))
    with pytest.raises(Conflict):
        here.put(KEY, [b"ours"])
    others[0].write(b"theirs")
    others[0].place()
    assert read_all(here, KEY) == b"theirs"


def test_a_put_that_is_taken_for_an_interrupted_one_as_it_begins_begins_again(
    here: FilesystemStore, elsewhere: FilesystemStore, disk: InterruptedDisk
) -> None:
    def take_over_and_give_up() -> None:
        elsewhere.staging.begin_put(KEY).discard()

    disk.before_lock = take_over_and_give_up
    here.put(KEY, [b"ours"])
    assert read_all(here, KEY) == b"ours"


def test_a_put_that_loses_to_another_in_its_last_step_keeps_the_others_object(
    here: FilesystemStore, elsewhere: FilesystemStore
) -> None:
    def blocks() -> object:
        yield b"ours"
        with elsewhere.staging.create(KEY) as stage:
            stage.write(b"theirs")
            stage.place()

    with pytest.raises(Conflict):
        here.put(KEY, blocks())  # type: ignore[arg-type]
    assert read_all(here, KEY) == b"theirs"
