"""What the filesystem store promises beyond the contract: its tree, its descriptors, its answers to a damaged disk."""

from __future__ import annotations

import errno
import multiprocessing
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from entrepot.model.errors import Conflict, Corrupt, NotFound, Unavailable
from entrepot.store import boot
from entrepot.store.base import boot_id
from entrepot.store.disk import Disk
from entrepot.store.filesystem import FilesystemStore
from entrepot.store.hashing import digests_of
from entrepot.testing.faulty import Fault, fails
from entrepot.testing.faulty_disk import FaultyDisk
from entrepot.testing.store_contract import KEYS, content_of, read_all

KEY = KEYS[2]
IO_ERROR = OSError(errno.EIO, "Input/output error")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "new" / "store"


@pytest.fixture
def disk(tmp_path: Path) -> FaultyDisk:
    return FaultyDisk(tmp_path / "spare")


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


# ---------------------------------------------------------------------- the tree


def test_an_object_is_a_plain_file_of_exactly_its_bytes(root: Path) -> None:
    FilesystemStore(root).put(KEY, [b"readable ", b"without us"])
    assert (root / "objects" / KEY[:2] / KEY).read_bytes() == b"readable without us"


def test_all_folders_are_there_from_the_start(root: Path) -> None:
    FilesystemStore(root)
    assert sorted(path.name for path in (root / "objects").iterdir()) == [f"{n:02x}" for n in range(256)]


def test_objects_cannot_be_written_to_and_uploads_are_private(root: Path) -> None:
    store = FilesystemStore(root)
    with store.staging.create(KEY) as stage:
        assert stat.S_IMODE((root / "staging" / KEY).stat().st_mode) == 0o600
        stage.place()
    assert stat.S_IMODE((root / "objects" / KEY[:2] / KEY).stat().st_mode) == 0o440


def test_a_store_does_not_move_when_the_process_changes_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = FilesystemStore(Path("relative"))
    monkeypatch.chdir("/")
    store.put(KEY, [b"x"])
    assert (tmp_path / "relative" / "objects" / KEY[:2] / KEY).exists()


def test_names_that_are_not_ours_are_not_listed(root: Path) -> None:
    store = FilesystemStore(root)
    store.put(KEY, [b"x"])
    (root / "objects" / "00" / "notes.txt").write_text("a stranger")
    (root / "objects" / "00" / KEY).write_text("in the wrong folder")
    (root / "staging" / "notes.txt").write_text("a stranger")
    assert list(store.keys()) == [KEY]
    assert list(store.staging.keys()) == []


def test_a_start_removes_probes_that_a_crash_left_and_no_stranger(root: Path) -> None:
    store = FilesystemStore(root)
    store.staging.create(KEY).release()
    (root / "staging" / ".probe-0123").write_bytes(b"left")
    (root / "staging" / "notes.txt").write_text("a stranger")
    FilesystemStore(root)
    assert sorted(os.listdir(root / "staging")) == sorted([KEY, "notes.txt"])


def test_a_file_where_a_folder_should_be_is_explained_to_the_operator(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("not a folder")
    with pytest.raises(Unavailable, match="store as a store"):
        FilesystemStore(tmp_path / "store")


def test_objects_and_uploads_on_two_file_systems_are_refused_at_the_start(root: Path) -> None:
    class TwoFileSystems(Disk):
        def stat_path(self, path: str) -> os.stat_result | None:
            found = super().stat_path(path)
            if found is None or not path.endswith("/staging"):
                return found
            values = list(found)
            values[stat.ST_DEV] += 1
            return os.stat_result(values)

    with pytest.raises(Unavailable, match="one file system"):
        FilesystemStore(root, disk=TwoFileSystems())


# ---------------------------------------------------------------------- descriptors


def test_readers_beyond_the_cache_stay_open_and_are_closed_with_their_last_use(root: Path) -> None:
    store = FilesystemStore(root, open_files=2)
    keys = [f"{n:032x}" for n in range(20)]
    for key in keys:
        store.put(key, [key.encode()])
    before = open_files()
    readers = {key: store.open(key) for key in keys}
    assert open_files() == before + 20
    for key, reader in readers.items():
        assert reader.read_at(0, 100) == key.encode()
        reader.close()
    readers.clear()
    assert open_files() == before + 2
    store.close()
    assert open_files() == before


def test_a_forgotten_reader_leaks_nothing(root: Path) -> None:
    store = FilesystemStore(root, open_files=1)
    store.put(KEY, [b"x"])
    store.put(KEYS[0], [b"y"])
    before = open_files()
    for _ in range(10):
        store.open(KEY)
        store.open(KEYS[0])
    assert open_files() == before + 1


def test_one_object_is_opened_once_for_many_reads(root: Path, disk: FaultyDisk) -> None:
    store = FilesystemStore(root, disk=disk)
    store.put(KEY, [b"x"])
    for _ in range(5):
        assert read_all(store, KEY) == b"x"
    assert disk.faults.steps.count("open") == 1


def test_an_object_deleted_by_another_process_is_not_served_from_a_kept_descriptor(root: Path) -> None:
    here, elsewhere = FilesystemStore(root), FilesystemStore(root)
    here.put(KEY, [b"x"])
    read_all(here, KEY)
    elsewhere.delete(KEY)
    with pytest.raises(NotFound):
        here.open(KEY)


def test_a_probe_lets_go_of_what_another_process_deleted(root: Path) -> None:
    here, elsewhere = FilesystemStore(root), FilesystemStore(root)
    here.put(KEY, [b"x"])
    read_all(here, KEY)
    held = open_files()
    elsewhere.delete(KEY)
    here.probe()
    assert open_files() == held - 1


def test_when_descriptors_run_out_the_kept_ones_are_given_up_first(root: Path, disk: FaultyDisk) -> None:
    store = FilesystemStore(root, disk=disk)
    store.put(KEY, [b"x"])
    store.put(KEYS[0], [b"y"])
    read_all(store, KEYS[0])
    too_many = OSError(errno.EMFILE, "Too many open files")
    disk.faults.on("open", fails(too_many))
    assert read_all(store, KEY) == b"x"
    disk.faults.on("open", fails(too_many), times=2)
    with pytest.raises(Unavailable, match="ulimit"):
        store.open(KEYS[0])


# ---------------------------------------------------------------------- damage


def test_an_object_that_lost_its_end_is_corrupt_and_not_short(root: Path) -> None:
    store = FilesystemStore(root)
    store.put(KEY, [content_of(10_000)])
    with store.open(KEY) as reader:
        os.truncate(root / "objects" / KEY[:2] / KEY, 6_000)
        assert reader.read_at(0, 6_000) == content_of(10_000)[:6_000]
        with pytest.raises(Corrupt, match="now ends at 6000"):
            reader.read_at(5_000, 2_000)


@pytest.mark.parametrize("step", ["open", "read"])
def test_a_disk_that_cannot_read_an_object_makes_it_corrupt(root: Path, disk: FaultyDisk, step: str) -> None:
    store = FilesystemStore(root, disk=disk)
    store.put(KEY, [b"x"])
    disk.faults.on(step, fails(IO_ERROR))
    with pytest.raises(Corrupt, match="entrepot verify"):
        read_all(store, KEY)
    assert read_all(store, KEY) == b"x"


def test_a_read_the_system_cuts_short_is_continued(root: Path) -> None:
    class FewBytesAtATime(Disk):
        def read(self, fd: int, length: int, offset: int) -> bytes:
            return super().read(fd, min(length, 7), offset)

    store = FilesystemStore(root, disk=FewBytesAtATime())
    store.put(KEY, [content_of(100)])
    assert read_all(store, KEY) == content_of(100)


def test_staged_bytes_that_cannot_be_read_back_are_corrupt_and_never_placed(root: Path, disk: FaultyDisk) -> None:
    FilesystemStore(root).staging.create(KEY).write(b"x" * 100)
    store = FilesystemStore(root, disk=disk)
    with store.staging.resume(KEY, durable=0, boot_id=boot_id()) as stage:
        disk.faults.on("read", fails(IO_ERROR))
        with pytest.raises(Corrupt, match="Abort it"):
            stage.place()
        os.truncate(root / "staging" / KEY, 50)
        with pytest.raises(Corrupt, match="ends at 50, not at 100"):
            stage.place()
    assert store.stat(KEY) is None


def test_a_staged_file_that_lost_its_end_after_it_was_hashed_is_never_placed(root: Path) -> None:
    store = FilesystemStore(root)
    with store.staging.create(KEY) as stage:
        stage.write(content_of(1_000))
        os.truncate(root / "staging" / KEY, 999)
        with pytest.raises(Corrupt, match="ends at 999, not at 1000"):
            stage.place()
    assert store.stat(KEY) is None


def test_an_object_has_no_tail_of_a_write_that_never_returned(root: Path, disk: FaultyDisk) -> None:
    store = FilesystemStore(root, disk=disk)
    with store.staging.create(KEY) as stage:
        stage.write(b"whole")
        # Not an OSError, so nothing rolls it back: Ctrl-C, or a thread that is ended from outside.
        disk.faults.on("write", Fault(KeyboardInterrupt(), "torn"))
        with pytest.raises(KeyboardInterrupt):
            stage.write(b"interrupted")
        assert stage.place() == digests_of([b"whole"])
    assert read_all(store, KEY) == b"whole"


# ---------------------------------------------------------------------- hashes that outlive a handle


def test_a_stage_resumed_in_the_same_process_is_not_read_again(root: Path, disk: FaultyDisk) -> None:
    store = FilesystemStore(root, disk=disk)
    content = content_of(50_000)
    with store.staging.create(KEY) as stage:
        stage.write(content)
    for _ in range(3):
        with store.staging.resume(KEY, durable=0, boot_id=boot_id()) as stage:
            stage.write(b"more")
    with store.staging.resume(KEY, durable=0, boot_id=boot_id()) as stage:
        assert stage.place() == digests_of([content, b"more" * 3])
    assert "read" not in disk.faults.steps


def test_a_kept_hash_is_not_used_for_bytes_that_somebody_else_wrote(root: Path) -> None:
    here, elsewhere = FilesystemStore(root), FilesystemStore(root)
    with here.staging.create(KEY) as stage:
        stage.write(b"first")
        stage.sync()
        stage.write(b"second")
    # A process that does not trust the size cuts it, writes as many bytes again, and lets go.
    with elsewhere.staging.resume(KEY, durable=5, boot_id="another boot") as stage:
        stage.write(b"SECOND")
    with here.staging.resume(KEY, durable=5, boot_id=boot_id()) as stage:
        assert stage.place() == digests_of([b"firstSECOND"])


def test_a_resume_after_a_power_cut_forgets_the_kept_hash(root: Path) -> None:
    store = FilesystemStore(root)
    with store.staging.create(KEY) as stage:
        stage.write(b"abcdef")
    with store.staging.resume(KEY, durable=3, boot_id="another boot") as stage:
        assert stage.digests() == digests_of([b"abc"])


# ---------------------------------------------------------------------- processes


def create_at_once(root: str, gate: object, answers: object) -> None:
    store = FilesystemStore(Path(root))
    gate.wait()  # type: ignore[attr-defined]
    try:
        stage = store.staging.create(KEY)
    except Conflict:
        answers.put("refused")  # type: ignore[attr-defined]
    else:
        stage.write(str(os.getpid()).encode())
        stage.place()
        answers.put(str(os.getpid()))  # type: ignore[attr-defined]


def test_of_concurrent_processes_that_create_one_key_exactly_one_wins(root: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    gate, answers = spawn.Barrier(4), spawn.Queue()
    processes = [spawn.Process(target=create_at_once, args=(str(root), gate, answers)) for _ in range(4)]
    for process in processes:
        process.start()
    found = [answers.get() for _ in processes]
    for process in processes:
        process.join()
    winners = [answer for answer in found if answer != "refused"]
    assert len(winners) == 1
    assert read_all(FilesystemStore(root), KEY) == winners[0].encode()


def test_a_dropped_handle_holds_nothing(root: Path) -> None:
    store = FilesystemStore(root)

    def forgetful() -> None:
        store.staging.create(KEY).write(b"kept")

    forgetful()
    with store.staging.resume(KEY, durable=0, boot_id=boot_id()) as stage:
        assert stage.size == 4


def test_a_buffer_is_free_again_even_while_the_error_is_looked_at(root: Path, disk: FaultyDisk) -> None:
    store = FilesystemStore(root, disk=disk)
    buffer = bytearray(b"block")
    with store.staging.create(KEY) as stage:
        disk.faults.on("write", fails(IO_ERROR))
        with pytest.raises(Unavailable) as caught:
            stage.write(buffer)
        buffer.extend(b"resized")
    assert caught.value.retryable


# ---------------------------------------------------------------------- the run of the machine


def test_the_boot_id_is_the_same_for_everybody_until_a_restart() -> None:
    assert boot_id() == boot_id() == Path("/proc/sys/kernel/random/boot_id").read_text().strip()


@pytest.fixture
def without_a_boot_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], str]]:
    monkeypatch.setattr(boot, "_SOURCE", tmp_path / "absent")
    boot.boot_id.cache_clear()
    yield boot.boot_id
    boot.boot_id.cache_clear()


def test_a_system_without_one_gets_one_per_process(without_a_boot_id: Callable[[], str]) -> None:
    first = without_a_boot_id()
    assert first == without_a_boot_id()
    boot.boot_id.cache_clear()
    assert without_a_boot_id() != first
