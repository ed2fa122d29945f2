"""No room: what was received before stays usable, and nothing half-made stays behind.

A file system of a few MiB needs an administrator to mount it, so two stand-ins are used: the kernel's own limit on the
size of a file, in a process of its own, and a disk that says so when told to.
"""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from entrepot.model.errors import DiskFull
from entrepot.store.base import boot_id
from entrepot.store.filesystem import FilesystemStore
from entrepot.store.hashing import digests_of
from entrepot.store.memory import MemoryStore
from entrepot.testing.faulty import fails
from entrepot.testing.faulty_disk import FaultyDisk
from entrepot.testing.store_contract import KEYS, content_of, in_blocks, read_all

KEY = KEYS[0]
FULL = OSError(errno.ENOSPC, "No space left on device")

UNDER_A_LIMIT = """
import resource, sys
from pathlib import Path
from entrepot.model.errors import DiskFull
from entrepot.store.filesystem import FilesystemStore
from entrepot.testing.store_contract import KEYS, content_of, read_all

limit, content = 1_000_000, content_of(1_200_000)
store = FilesystemStore(Path(sys.argv[1]))
stage = store.staging.create(KEYS[0])
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
stage.write(content[:400_000])
stage.write(content[400_000:800_000])
for _ in range(3):
    try:
        stage.write(content[800_000:])
    except DiskFull as error:
        assert stage.size == 800_000, stage.size
        assert (Path(sys.argv[1]) / "staging" / KEYS[0]).stat().st_size == 800_000
    else:
        raise SystemExit("no DiskFull")
try:
    store.put(KEYS[1], [content])
except DiskFull:
    assert store.stat(KEYS[1]) is None
else:
    raise SystemExit("no DiskFull from put")
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
stage.write(content[800_000:])
stage.place()
assert read_all(store, KEYS[0]) == content
assert list(store.keys()) == [KEYS[0]]
print("survived")
"""


def test_a_limit_of_the_kernel_is_disk_full_and_the_upload_goes_on_when_it_is_lifted(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", UNDER_A_LIMIT, str(tmp_path / "store")], capture_output=True, text=True, check=False
    )
    assert (ended.stdout, ended.stderr) == ("survived\n", "")


@pytest.mark.parametrize("torn", [False, True], ids=["refused-at-once", "refused-after-half-a-block"])
def test_a_block_that_finds_no_room_leaves_no_part_of_itself(tmp_path: Path, torn: bool) -> None:
    disk = FaultyDisk(tmp_path / "spare")
    store = FilesystemStore(tmp_path / "store", disk=disk)
    first, second = content_of(100_000, 1), content_of(50_000, 2)
    with store.staging.create(KEY) as stage:
        stage.write(first)
        disk.faults.on("write", fails(FULL, "torn" if torn else "before"), times=3)
        for _ in range(3):
            with pytest.raises(DiskFull, match="Free some space"):
                stage.write(second)
            assert stage.size == len(first)
            assert stage.digests() == digests_of([first])
            assert store.staging.stat(KEY, durable=0, boot_id=boot_id()) == len(first)
    with store.staging.resume(KEY, durable=0, boot_id=boot_id()) as stage:
        stage.write(second)
        assert stage.place() == digests_of([first, second])
    assert read_all(store, KEY) == first + second


def test_an_upload_that_cannot_even_begin_leaves_no_trace(tmp_path: Path) -> None:
    disk = FaultyDisk(tmp_path / "spare")
    store = FilesystemStore(tmp_path / "store", disk=disk)
    disk.faults.on("create", fails(FULL))
    with pytest.raises(DiskFull):
        store.staging.create(KEY)
    assert list(store.staging.keys()) == []
    store.staging.create(KEY).release()


def test_no_room_for_the_final_name_keeps_the_stage(tmp_path: Path) -> None:
    disk = FaultyDisk(tmp_path / "spare")
    store = FilesystemStore(tmp_path / "store", disk=disk)
    disk.faults.on("link", fails(FULL))
    with store.staging.create(KEY) as stage:
        stage.write(b"patient")
        with pytest.raises(DiskFull):
            stage.place()
        stage.place()
    assert read_all(store, KEY) == b"patient"


def test_a_put_without_room_leaves_nothing(tmp_path: Path) -> None:
    disk = FaultyDisk(tmp_path / "spare")
    store = FilesystemStore(tmp_path / "store", disk=disk)
    disk.faults.on("write", fails(FULL, "torn"), nth=3)
    with pytest.raises(DiskFull):
        store.put(KEY, in_blocks(content_of(50_000), 10_000))
    assert list((tmp_path / "store" / "staging").iterdir()) == []
    assert store.stat(KEY) is None
    store.put(KEY, [b"x"])


def test_a_probe_of_a_full_disk_says_so_and_leaves_no_file(tmp_path: Path) -> None:
    disk = FaultyDisk(tmp_path / "spare")
    store = FilesystemStore(tmp_path / "store", disk=disk)
    for step in ("create", "write", "sync"):
        disk.faults.on(step, fails(FULL))
        with pytest.raises(DiskFull):
            store.probe()
        assert list((tmp_path / "store" / "staging").iterdir()) == []
    store.probe()


def test_a_memory_store_is_full_at_its_capacity() -> None:
    store = MemoryStore(capacity=10)
    with store.staging.create(KEY) as stage:
        stage.write(b"12345678")
        with pytest.raises(DiskFull):
            stage.write(b"90!")
        assert stage.size == 8
        with pytest.raises(DiskFull):
            store.put(KEYS[1], [b"abc"])
        stage.write(b"90")
        with pytest.raises(DiskFull):
            store.probe()
        stage.place()
    assert read_all(store, KEY) == b"1234567890"
    store.delete(KEY)
    store.probe()
