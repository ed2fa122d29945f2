"""Any order of uploads, crashes, power cuts and full disks, against a model that is a byte string."""

from __future__ import annotations

import random
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from entrepot.model.errors import Conflict, DiskFull, NotFound
from entrepot.store.base import ObjectStore, Stage, Staging
from entrepot.store.filesystem import FilesystemStore
from entrepot.store.hashing import digests_of
from entrepot.store.memory import MemoryStore
from entrepot.testing.faulty import Crash, crash, fails
from entrepot.testing.faulty_disk import FaultyDisk
from entrepot.testing.store_contract import KEYS, read_all

keys = st.sampled_from(KEYS[:3])
# Mostly small; now and then more than a writeback window, so that those steps are taken too.
blocks = st.one_of(st.binary(max_size=300), st.binary(min_size=1, max_size=8).map(lambda part: part * 1_500_000))


@dataclass
class Upload:
    """What must be true of one upload, and what the catalogue would have recorded of it."""

    content: bytes = b""
    durable: int = 0
    boot: str = ""
    stage: Stage | None = field(default=None, repr=False)


class Machine(RuleBasedStateMachine):
    """The rules; subclasses say what store they are for and how that store dies."""

    can_die_within_a_call: ClassVar[bool] = False
    store: ObjectStore
    staging: Staging

    def __init__(self) -> None:
        super().__init__()
        self.boots = 1
        self.uploads: dict[str, Upload] = {}
        self.objects: dict[str, bytes] = {}

    # ------------------------------------------------------------------ for subclasses

    def die(self) -> None:
        """Every process ends without a word, and a new one opens the store."""
        raise AssertionError

    def lose_power(self, seed: int) -> None:
        """The machine ends without a word; `boot` has already changed."""
        raise AssertionError

    def fill_disk(self, full: bool) -> None:
        raise AssertionError

    def die_at(self, steps: int, when: str) -> None:
        """Plan a death within the coming steps."""
        raise AssertionError

    # ------------------------------------------------------------------ helpers

    def boot(self) -> str:
        return f"boot {self.boots}"

    def resumed(self, key: str) -> Stage:
        upload = self.uploads.get(key)
        recorded = (upload.durable, upload.boot) if upload else (0, self.boot())
        return self.staging.resume(key, durable=recorded[0], boot_id=recorded[1])

    def forget_handles(self) -> None:
        for upload in self.uploads.values():
            upload.stage = None

    # ------------------------------------------------------------------ uploads

    @rule(key=keys)
    def create(self, key: str) -> None:
        if key in self.uploads or key in self.objects:
            with pytest.raises(Conflict):
                self.staging.create(key)
            return
        self.uploads[key] = Upload(boot=self.boot(), stage=self.staging.create(key))

    @rule(key=keys, block=blocks)
    def write(self, key: str, block: bytes) -> None:
        upload = self.uploads.get(key)
        if upload and upload.stage:
            upload.stage.write(block)
            upload.content += block
            assert upload.stage.size == len(upload.content)

    @rule(key=keys, block=st.binary(min_size=1, max_size=50))
    def write_to_a_full_disk(self, key: str, block: bytes) -> None:
        upload = self.uploads.get(key)
        if upload and upload.stage:
            self.fill_disk(True)
            with pytest.raises(DiskFull):
                upload.stage.write(block)
            self.fill_disk(False)
            assert upload.stage.size == len(upload.content)

    @rule(key=keys)
    def sync(self, key: str) -> None:
        upload = self.uploads.get(key)
        if upload and upload.stage:
            assert upload.stage.sync() == len(upload.content)
            upload.durable, upload.boot = len(upload.content), self.boot()

    @rule(key=keys)
    def compare_digests(self, key: str) -> None:
        upload = self.uploads.get(key)
        if upload and upload.stage:
            assert upload.stage.digests() == digests_of([upload.content])

    @rule(key=keys)
    def release(self, key: str) -> None:
        upload = self.uploads.get(key)
        if upload and upload.stage:
            upload.stage.release()
            upload.stage = None

    @rule(key=keys)
    def resume(self, key: str) -> None:
        upload = self.uploads.get(key)
        if upload is None and key in self.objects:
            with self.resumed(key) as stage:
                assert stage.size == len(self.objects[key])
                assert stage.place() == digests_of([self.objects[key]])
        elif upload is None:
            with pytest.raises(NotFound):
                self.resumed(key)
        elif upload.stage:
            with pytest.raises(Conflict):
                self.resumed(key)
        else:
            if upload.boot != self.boot():
                upload.content = upload.content[: upload.durable]
            upload.stage = self.resumed(key)
            assert upload.stage.size == len(upload.content)
            # As the catalogue does: from now on the size is trusted again, if the process dies but not the machine.
            upload.durable, upload.boot = upload.stage.durable, self.boot()

    @rule(key=keys)
    def place(self, key: str) -> None:
        upload = self.uploads.get(key)
        if upload and upload.stage:
            assert upload.stage.place() == digests_of([upload.content])
            self.objects[key] = self.uploads.pop(key).content

    @rule(key=keys)
    def discard_by_handle(self, key: str) -> None:
        upload = self.uploads.get(key)
        if upload and upload.stage:
            upload.stage.discard()
            del self.uploads[key]

    @rule(key=keys)
    def discard_by_key(self, key: str) -> None:
        self.staging.discard(key)
        upload = self.uploads.pop(key, None)
        if upload and upload.stage:
            with pytest.raises(NotFound):
                upload.stage.place()
            upload.stage.release()

    # ------------------------------------------------------------------ objects

    @rule(key=keys, content=st.lists(st.binary(max_size=40), max_size=4))
    def put(self, key: str, content: list[bytes]) -> None:
        if key in self.objects:
            with pytest.raises(Conflict):
                self.store.put(key, content)
        elif key not in self.uploads:
            assert self.store.put(key, content) == digests_of(content)
            self.objects[key] = b"".join(content)

    @rule(key=keys)
    def delete(self, key: str) -> None:
        self.store.delete(key)
        self.objects.pop(key, None)

    # ------------------------------------------------------------------ disasters

    @rule()
    def crash(self) -> None:
        self.die()
        self.forget_handles()

    @rule(seed=st.integers(0, 1000))
    def cut_power(self, seed: int) -> None:
        self.boots += 1
        self.lose_power(seed)
        self.forget_handles()
        for key, upload in list(self.uploads.items()):
            offset = self.staging.stat(key, durable=upload.durable, boot_id=upload.boot)
            if offset is None:
                # Its name was never synced, so nothing of it was ever said to be durable.
                assert upload.durable == 0
                del self.uploads[key]
            else:
                assert offset == upload.durable
                upload.content = upload.content[: upload.durable]

    @precondition(lambda self: self.can_die_within_a_call)
    @rule(key=keys, block=blocks, steps=st.integers(1, 3), when=st.sampled_from(["before", "torn", "after"]))
    def die_in_write(self, key: str, block: bytes, steps: int, when: str) -> None:
        upload = self.uploads.get(key)
        if not (upload and upload.stage):
            return
        self.die_at(steps, when)
        wanted = upload.content + block
        try:
            upload.stage.write(block)
            upload.content = wanted
        except Crash:
            pass
        self.crash()
        if upload.boot != self.boot():
            return
        offset = self.staging.stat(key, durable=upload.durable, boot_id=upload.boot)
        assert offset is not None
        assert len(upload.content) <= offset <= len(wanted)
        upload.content = wanted[:offset]

    @precondition(lambda self: self.can_die_within_a_call)
    @rule(key=keys, steps=st.integers(1, 6), when=st.sampled_from(["before", "after"]))
    def die_in_place(self, key: str, steps: int, when: str) -> None:
        upload = self.uploads.get(key)
        if not (upload and upload.stage):
            return
        self.die_at(steps, when)
        placed = False
        try:
            upload.stage.place()
            placed = True
        except Crash:
            pass
        self.crash()
        if self.store.stat(key) is not None:
            self.objects[key] = self.uploads.pop(key).content
        assert not placed or key in self.objects

    # ------------------------------------------------------------------ what is always true

    @invariant()
    def everything_is_where_it_should_be(self) -> None:
        assert sorted(self.store.keys()) == sorted(self.objects)
        assert sorted(self.staging.keys()) == sorted(self.uploads)
        for key, content in self.objects.items():
            assert self.store.stat(key) == len(content)
            assert read_all(self.store, key) == content
        for key, upload in self.uploads.items():
            offset = self.staging.stat(key, durable=upload.durable, boot_id=upload.boot)
            assert offset == (len(upload.content) if upload.boot == self.boot() or upload.stage else upload.durable)


class MemoryMachine(Machine):
    @initialize()
    def open(self) -> None:
        self.store = MemoryStore(boot=self.boot)
        self.staging = self.store.staging

    def die(self) -> None:
        assert isinstance(self.store, MemoryStore)
        self.store.crash()

    def lose_power(self, seed: int) -> None:
        assert isinstance(self.store, MemoryStore)
        self.store.lose_power()

    def fill_disk(self, full: bool) -> None:
        assert isinstance(self.store, MemoryStore)
        self.store.capacity = self.store.used if full else None


class FilesystemMachine(Machine):
    can_die_within_a_call = True

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.disk = FaultyDisk(self.folder / "spare")

    @initialize()
    def open(self) -> None:
        self.store = FilesystemStore(self.folder / "store", disk=self.disk, boot=self.boot, open_files=2)
        self.staging = self.store.staging

    def die(self) -> None:
        self.disk.die()
        self.disk = self.disk.restart()
        self.open()

    def lose_power(self, seed: int) -> None:
        self.disk.cut_power(self.folder / "store", random.Random(seed), ordered=bool(seed % 2))
        self.disk = self.disk.restart()
        self.open()

    def fill_disk(self, full: bool) -> None:
        self.disk.faults.heal()
        if full:
            self.disk.faults.on("write", fails(OSError(28, "No space left on device"), "torn"))

    def die_at(self, steps: int, when: str) -> None:
        self.disk.faults.at(len(self.disk.faults.steps) + steps, crash(when))  # type: ignore[arg-type]

    def teardown(self) -> None:
        self.disk.die()
        shutil.rmtree(self.folder)


TestMemoryStagingAgainstAModel = MemoryMachine.TestCase
TestFilesystemStagingAgainstAModel = FilesystemMachine.TestCase
