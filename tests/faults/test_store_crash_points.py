"""Dead or out of power at any single step: what is left on the disk?

One upload, and one `put`, are run once to count their system calls and then once for every call and every way to end
there. Whatever is found afterwards must be a stage to continue or a whole object, never part of an object under its
final name, and never less than what was said to be durable.
"""

from __future__ import annotations

import errno
import os
import random
from dataclasses import dataclass
from pathlib import Path

import pytest

from entrepot.model.errors import Conflict, DiskFull, EntrepotError, NotFound, Unavailable
from entrepot.store.base import Stage
from entrepot.store.disk import Disk
from entrepot.store.filesystem import FilesystemStore
from entrepot.store.hashing import digests_of
from entrepot.testing.faulty import Crash, Fault, crash, fails
from entrepot.testing.faulty_disk import FaultyDisk
from entrepot.testing.store_contract import KEYS, content_of, in_blocks, read_all

KEY = KEYS[0]
CONTENT = content_of(30_000)
BLOCKS = list(in_blocks(CONTENT, 10_000))
BOOT, NEXT_BOOT = "boot 1", "boot 2"


@dataclass
class Upload:
    """What a caller of the store would have recorded of one upload when it ended."""

    created: bool = False
    acknowledged: int = 0
    durable: int = 0
    placed: bool = False

    def run(self, store: FilesystemStore) -> None:
        stage = store.staging.create(KEY)
        self.created = True
        for block in BLOCKS:
            stage.write(block)
            self.acknowledged = stage.size
            if not self.durable:
                self.durable = stage.sync()
        assert stage.place() == digests_of([CONTENT])
        self.placed = True


class Bench:
    """An empty store on a disk that can be told to fail; step 1 is the first after the store was opened.

    The folder tree is the same for all benches of a test, because making 256 folders takes longer than a run.
    """

    def __init__(self, tmp_path: Path, number: int) -> None:
        self.root = tmp_path / "store"
        before = FilesystemStore(self.root)
        before.delete(KEY)
        before.staging.discard(KEY)
        self.disk = FaultyDisk(tmp_path / f"spare{number}")
        self.store = FilesystemStore(self.root, disk=self.disk, boot=lambda: BOOT)
        self.disk.faults.steps.clear()

    def reopened(self, boot: str) -> FilesystemStore:
        return FilesystemStore(self.root, boot=lambda: boot)


def steps_of_an_upload(tmp_path: Path) -> list[str]:
    healthy = Bench(tmp_path, 0)
    Upload().run(healthy.store)
    return list(healthy.disk.faults.steps)


def whole_or_absent(store: FilesystemStore) -> bool:
    """Whether there is an object; and if so it is whole."""
    if store.stat(KEY) is None:
        return False
    assert read_all(store, KEY) == CONTENT
    return True


def finish(store: FilesystemStore, upload: Upload) -> None:
    """Continue from whatever is there, as a client would."""
    offset = store.staging.stat(KEY, durable=upload.durable, boot_id=BOOT)
    if offset is None:
        stage = store.staging.create(KEY)
    else:
        stage = store.staging.resume(KEY, durable=upload.durable, boot_id=BOOT)
        assert stage.size == offset
    if stage.size < len(CONTENT):
        stage.write(CONTENT[stage.size :])
    assert stage.place() == digests_of([CONTENT])
    assert read_all(store, KEY) == CONTENT
    assert list(store.staging.keys()) == []


ENDS: list[Fault] = [crash("before"), crash("torn"), crash("after")]


def test_the_steps_of_placing_are_those_that_are_documented(tmp_path: Path) -> None:
    steps = steps_of_an_upload(tmp_path)
    assert steps[-5:] == ["sync", "link", "unlink", "seal", "sync_folder"]


def test_killed_at_any_step_leaves_a_stage_to_continue_or_a_whole_object(tmp_path: Path) -> None:
    count = len(steps_of_an_upload(tmp_path))
    for number, (step, end) in enumerate(((s, e) for s in range(1, count + 1) for e in ENDS), start=1):
        run, upload = Bench(tmp_path, number), Upload()
        run.disk.faults.at(step, end)
        with pytest.raises(Crash):
            upload.run(run.store)
        run.disk.die()

        after = run.reopened(BOOT)
        placed = whole_or_absent(after)
        assert placed or not upload.placed
        offset = after.staging.stat(KEY, durable=upload.durable, boot_id=BOOT)
        if upload.created:
            assert offset is not None
            assert offset >= upload.acknowledged
        finish(after, upload)


@pytest.mark.parametrize("ordered", [True, False], ids=["names-kept-in-order", "any-names-kept"])
@pytest.mark.parametrize("seed", range(4))
def test_power_lost_at_any_step_never_takes_what_was_said_to_be_durable(
    tmp_path: Path, seed: int, ordered: bool
) -> None:
    lose_power_everywhere(tmp_path, seed, ordered=ordered)


@pytest.mark.soak
def test_power_lost_at_any_step_in_very_many_ways(tmp_path: Path) -> None:
    for seed in range(100, 300):
        folder = tmp_path / str(seed)
        folder.mkdir()
        lose_power_everywhere(folder, seed, ordered=bool(seed % 2))


def lose_power_everywhere(tmp_path: Path, seed: int, *, ordered: bool) -> None:
    chance = random.Random(seed)
    count = len(steps_of_an_upload(tmp_path))
    # One step beyond the last: the power goes just after `place` returned.
    for number, (step, end) in enumerate(((s, e) for s in range(1, count + 2) for e in ENDS), start=1):
        run, upload = Bench(tmp_path, number), Upload()
        run.disk.faults.at(step, end)
        if step <= count:
            with pytest.raises(Crash):
                upload.run(run.store)
        else:
            upload.run(run.store)
        run.disk.cut_power(run.root, chance, ordered=ordered)

        after = run.reopened(NEXT_BOOT)
        placed = whole_or_absent(after)
        assert placed or not upload.placed
        offset = after.staging.stat(KEY, durable=upload.durable, boot_id=BOOT)
        if ordered or step < count - 3:
            # A file system without order may lose both names between the link and the last fsync; the upload then
            # starts over, and no fact was ever recorded of it.
            assert (offset or 0) >= upload.durable
        finish(after, upload)


def test_killed_between_its_two_names_the_next_start_takes_the_second_away(tmp_path: Path) -> None:
    run = Bench(tmp_path, 1)
    run.disk.faults.on("link", crash("after"))
    with pytest.raises(Crash):
        Upload().run(run.store)
    run.disk.die()
    assert (run.root / "staging" / KEY).samefile(run.root / "objects" / KEY[:2] / KEY)

    after = run.reopened(BOOT)
    assert list(after.staging.keys()) == []
    assert read_all(after, KEY) == CONTENT
    assert after.staging.resume(KEY, durable=0, boot_id=BOOT).place() == digests_of([CONTENT])


def test_resume_of_a_file_with_both_names_finds_it_complete_and_never_writes_to_it(tmp_path: Path) -> None:
    run = Bench(tmp_path, 1)
    living = run.reopened(BOOT)
    run.disk.faults.on("link", crash("after"))
    with pytest.raises(Crash):
        Upload().run(run.store)
    run.disk.die()

    assert living.staging.stat(KEY, durable=0, boot_id=NEXT_BOOT) == len(CONTENT)
    stage = living.staging.resume(KEY, durable=10_000, boot_id="yet another boot")
    assert stage.size == len(CONTENT)
    assert stage.place() == digests_of([CONTENT])
    assert read_all(living, KEY) == CONTENT


def test_another_file_under_the_final_name_is_refused_after_a_crash_too(tmp_path: Path) -> None:
    run = Bench(tmp_path, 1)
    run.disk.faults.on("link", crash())
    with pytest.raises(Crash):
        Upload().run(run.store)
    run.disk.die()
    after = run.reopened(BOOT)
    after.put(KEY, [b"somebody else's"])
    with pytest.raises(Conflict):
        after.staging.resume(KEY, durable=0, boot_id=BOOT).place()
    assert read_all(after, KEY) == b"somebody else's"


# ---------------------------------------------------------------------- put


def test_a_put_that_is_killed_at_any_step_leaves_nothing_or_everything(tmp_path: Path) -> None:
    healthy = Bench(tmp_path, 0)
    healthy.store.put(KEY, BLOCKS)
    count = len(healthy.disk.faults.steps)
    for number, (step, end) in enumerate(((s, e) for s in range(1, count + 1) for e in ENDS), start=1):
        run = Bench(tmp_path, number)
        run.disk.faults.at(step, end)
        with pytest.raises(Crash):
            run.store.put(KEY, BLOCKS)
        run.disk.die()

        after = run.reopened(BOOT)
        if whole_or_absent(after):
            with pytest.raises(Conflict):
                after.put(KEY, BLOCKS)
        else:
            after.put(KEY, BLOCKS)
        assert read_all(after, KEY) == CONTENT
        after.delete(KEY)
        assert os.listdir(run.root / "staging") == []


def test_a_put_is_durable_when_it_returns(tmp_path: Path) -> None:
    for seed in range(20):
        run = Bench(tmp_path, seed)
        run.store.put(KEY, BLOCKS)
        run.disk.cut_power(run.root, random.Random(seed), ordered=bool(seed % 2))
        assert read_all(run.reopened(NEXT_BOOT), KEY) == CONTENT


def test_delete_removes_what_a_killed_put_left(tmp_path: Path) -> None:
    run = Bench(tmp_path, 1)
    run.disk.faults.on("write", crash("torn"), nth=2)
    with pytest.raises(Crash):
        run.store.put(KEY, BLOCKS)
    run.disk.die()
    assert os.listdir(run.root / "staging") == [f"{KEY}.put"]
    run.reopened(BOOT).delete(KEY)
    assert os.listdir(run.root / "staging") == []


def test_a_deleted_object_does_not_come_back_with_the_power(tmp_path: Path) -> None:
    for seed in range(10):
        run = Bench(tmp_path, seed)
        run.store.put(KEY, BLOCKS)
        run.store.delete(KEY)
        run.disk.cut_power(run.root, random.Random(seed), ordered=False)
        assert run.reopened(NEXT_BOOT).stat(KEY) is None


@pytest.mark.parametrize("by_handle", [True, False], ids=["by-handle", "by-key"])
def test_a_discarded_upload_does_not_come_back_with_the_power(tmp_path: Path, by_handle: bool) -> None:
    for seed in range(10):
        run = Bench(tmp_path, seed)
        stage = run.store.staging.create(KEY)
        stage.write(CONTENT)
        stage.sync()
        stage.discard() if by_handle else run.store.staging.discard(KEY)
        run.disk.cut_power(run.root, random.Random(seed), ordered=False)
        assert list(run.reopened(NEXT_BOOT).staging.keys()) == []


# ---------------------------------------------------------------------- the folders


def test_a_start_that_is_cut_off_anywhere_is_finished_by_the_next(tmp_path: Path) -> None:
    chance = random.Random(5)
    healthy = FaultyDisk(tmp_path / "spare")
    FilesystemStore(tmp_path / "healthy", disk=healthy)
    assert healthy.unsynced_names == []
    count = len(healthy.faults.steps)
    for step in [1, 2, 3, 4, 5, *chance.sample(range(6, count - 3), 10), *range(count - 3, count + 1)]:
        folder = tmp_path / str(step)
        folder.mkdir()
        disk = FaultyDisk(folder / "spare")
        disk.faults.at(step, crash("after"))
        with pytest.raises(Crash):
            FilesystemStore(folder / "a" / "store", disk=disk)
        disk.cut_power(folder, chance, ordered=False)
        again = FaultyDisk(folder / "spare")
        store = FilesystemStore(folder / "a" / "store", disk=again)
        store.put(KEY, BLOCKS)
        again.cut_power(folder, chance, ordered=False)
        assert read_all(FilesystemStore(folder / "a" / "store"), KEY) == CONTENT


# ---------------------------------------------------------------------- errors instead of death


def error_of(upload: Upload, store: FilesystemStore) -> EntrepotError | None:
    try:
        upload.run(store)
    except EntrepotError as error:
        return error
    return None


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_an_error_at_any_step_is_one_of_ours_and_leaves_no_half_object(tmp_path: Path, code: int) -> None:
    count = len(steps_of_an_upload(tmp_path))
    for step in range(1, count + 1):
        run, upload = Bench(tmp_path, step), Upload()
        run.disk.faults.at(step, fails(OSError(code, os.strerror(code))))
        raised = error_of(upload, run.store)
        if raised is not None:
            assert isinstance(raised, DiskFull) == (code in (errno.ENOSPC, errno.EDQUOT))
            assert KEY in raised.message
            assert str(tmp_path) not in raised.message
            assert isinstance(raised.__cause__, OSError)
        run.disk.die()
        after = run.reopened(BOOT)
        assert whole_or_absent(after) or not upload.placed
        finish(after, upload)


def receive_and_sync(stage: Stage) -> None:
    for _ in range(3):
        stage.write(bytes(8 << 20))
    stage.sync()


@pytest.mark.parametrize("step", ["sync", "sync_folder", "writeback"])
def test_a_failed_sync_is_final(tmp_path: Path, step: str) -> None:
    run = Bench(tmp_path, 1)
    run.disk.faults.on(step, fails(OSError(errno.EIO, "injected")))
    stage = run.store.staging.create(KEY)
    with pytest.raises(Unavailable, match="from the start"):
        receive_and_sync(stage)
    for call in (lambda: stage.write(b"x"), stage.sync, stage.digests, stage.place):
        with pytest.raises(Unavailable, match="from the start"):
            call()
    with pytest.raises(NotFound):
        run.reopened(BOOT).staging.resume(KEY, durable=0, boot_id=BOOT)
    stage.release()
    stage.discard()
    run.store.staging.create(KEY).release()


def test_a_final_name_that_could_not_be_synced_is_taken_back(tmp_path: Path) -> None:
    run = Bench(tmp_path, 1)
    stage = run.store.staging.create(KEY)
    stage.write(CONTENT)
    stage.sync()
    run.disk.faults.on("sync_folder", fails(OSError(errno.EIO, "injected")))
    with pytest.raises(Unavailable, match="from the start"):
        stage.place()
    stage.release()
    assert run.store.stat(KEY) is None
    assert list(run.store.staging.keys()) == []


def test_an_object_that_was_there_before_is_not_taken_back(tmp_path: Path) -> None:
    run = Bench(tmp_path, 1)
    Upload().run(run.store)
    again = run.store.staging.resume(KEY, durable=0, boot_id=BOOT)
    run.disk.faults.on("sync_folder", fails(OSError(errno.EIO, "injected")))
    with pytest.raises(Unavailable):
        again.place()
    assert read_all(run.store, KEY) == CONTENT


def test_a_staged_name_that_cannot_be_removed_does_not_spoil_the_object(tmp_path: Path) -> None:
    run = Bench(tmp_path, 1)
    run.disk.faults.on("unlink", fails(OSError(errno.EIO, "injected")))
    Upload().run(run.store)
    assert read_all(run.store, KEY) == CONTENT
    assert list(run.reopened(BOOT).staging.keys()) == []


def test_the_real_disk_and_the_faulty_one_offer_the_same_calls() -> None:
    calls = {name for name in vars(Disk) if not name.startswith("_")}
    untouched = {"lock", "stat", "stat_path"}
    assert calls - untouched <= set(vars(FaultyDisk))
