"""The wrappers that fail when told to keep every promise as long as they are not told, and do what they are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from entrepot.model.errors import Corrupt, DiskFull
from entrepot.store.base import boot_id
from entrepot.store.filesystem import FilesystemStore
from entrepot.store.memory import MemoryStore
from entrepot.testing.faulty import Crash, Faults, FaultyStaging, FaultyStore, crash, fails
from entrepot.testing.faulty_disk import FaultyDisk
from entrepot.testing.store_contract import KEYS, ObjectStoreContract, StagingContract, read_all

KEY = KEYS[0]
FULL = DiskFull("No room. Free some.")


class TestFaultyStoreThatIsNotTold(ObjectStoreContract):
    @pytest.fixture
    def store(self) -> FaultyStore:
        return FaultyStore(MemoryStore(), Faults())


class TestFaultyStagingThatIsNotTold(StagingContract):
    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()

    @pytest.fixture
    def staging(self, store: MemoryStore) -> FaultyStaging:
        return FaultyStaging(store.staging, Faults())


class TestFilesystemStoreOnAFaultyDiskThatIsNotTold(ObjectStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> FilesystemStore:
        return FilesystemStore(tmp_path / "store", disk=FaultyDisk(tmp_path / "spare"))


def test_steps_are_counted_by_name_and_in_all() -> None:
    faults = Faults()
    staging = FaultyStaging(MemoryStore().staging, faults)
    with staging.create(KEY) as stage:
        stage.write(b"x")
        stage.place()
    assert faults.steps == ["staging.create", "stage.write", "stage.place"]


def test_the_nth_step_of_a_name_fails_and_as_often_as_told() -> None:
    faults = Faults()
    with FaultyStaging(MemoryStore().staging, faults).create(KEY) as stage:
        stage.write(b"1")
        faults.on("stage.write", fails(FULL), nth=2, times=2)
        stage.write(b"2")
        for _ in range(2):
            with pytest.raises(DiskFull):
                stage.write(b"lost")
        stage.write(b"3")
        assert stage.size == 3


def test_a_healed_store_fails_no_more() -> None:
    store, faults = MemoryStore(), Faults()
    store.put(KEY, [b"x"])
    faults.on("store.read_at", fails(Corrupt("Damaged. Restore it.")), times=100)
    with pytest.raises(Corrupt):
        read_all(FaultyStore(store, faults), KEY)
    faults.heal()
    assert read_all(FaultyStore(store, faults), KEY) == b"x"


def test_a_step_may_fail_although_it_was_done() -> None:
    store, faults = MemoryStore(), Faults()
    faults.on("store.put", fails(FULL, "after"))
    with pytest.raises(DiskFull):
        FaultyStore(store, faults).put(KEY, [b"x"])
    assert store.stat(KEY) == 1


def test_after_a_crash_nothing_is_done_any_more() -> None:
    store, faults = MemoryStore(), Faults()
    staging = FaultyStaging(store.staging, faults)
    stage = staging.create(KEY)
    faults.at(2, crash("torn"))
    with pytest.raises(Crash):
        stage.write(b"12345678")
    for call in (lambda: stage.write(b"x"), stage.sync, stage.place, stage.discard, lambda: staging.discard(KEY)):
        with pytest.raises(Crash):
            call()
    stage.release()
    store.crash()
    with store.staging.resume(KEY, durable=0, boot_id=boot_id()) as survivor:
        assert survivor.size == 4


def test_a_torn_put_makes_no_object() -> None:
    store, faults = MemoryStore(), Faults()
    faults.on("store.put", fails(FULL, "torn"))
    with pytest.raises(DiskFull):
        FaultyStore(store, faults).put(KEY, [b"x", b"y"])
    assert store.stat(KEY) is None


def test_a_power_cut_of_the_memory_store_keeps_what_was_synced() -> None:
    store = MemoryStore()
    stage = store.staging.create(KEY)
    stage.write(b"kept")
    stage.sync()
    stage.write(b" lost")
    store.lose_power()
    assert store.staging.stat(KEY, durable=4, boot_id="before") == 4
    with store.staging.resume(KEY, durable=4, boot_id="before") as stage:
        assert stage.size == 4
