"""kill -9 of a real process that writes an upload, again and again, until the upload is whole."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from entrepot.model.errors import Conflict, NotFound
from entrepot.store.base import boot_id
from entrepot.store.filesystem import FilesystemStore
from entrepot.store.hashing import digests_of
from entrepot.testing.store_contract import KEYS, content_of, read_all

KEY = KEYS[0]
WRITER = Path(__file__).resolve().parent.parent / "support" / "stage_writer.py"
SIZE = 6_000_000
TO_THE_END = 10_000


class Writer:
    """The process under attack, and the last thing it said of each kind."""

    def __init__(self, root: Path, seed: int, durable: int, blocks: int) -> None:
        self.at = 0
        self.durable = durable
        self.placing = self.placed = False
        self.process = subprocess.Popen(
            [sys.executable, str(WRITER), str(root), KEY, str(seed), str(SIZE), str(durable)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdin is not None
        self.process.stdin.write("." * blocks)
        self.process.stdin.flush()

    def listen(self, lines: int) -> None:
        """Hear at most so many lines, or all until the process ends."""
        assert self.process.stdout is not None
        for _ in range(lines):
            line = self.process.stdout.readline()
            # A line that was cut off by the kill says nothing.
            if not line.endswith("\n"):
                return
            word, _, number = line.strip().partition(" ")
            if word == "at":
                self.at = int(number)
            elif word == "durable":
                self.durable = int(number)
            elif word == "placing":
                self.placing = True
            elif word == "placed":
                self.placed = True

    def kill(self) -> None:
        self.process.kill()
        # What it had said before it died counts as acknowledged, also what nobody had read yet.
        self.listen(1_000_000)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


def upload_under_attack(root: Path, seed: int) -> int:
    """Kill the writer of one upload at random until it is placed; returns the number of kills."""
    content = content_of(SIZE, seed)
    chance = random.Random(seed)
    store = FilesystemStore(root)
    kills = durable = 0
    while True:
        lines = chance.randrange(1, 20)
        # A few blocks more than are listened to: the kill then hits it somewhere in those.
        writer = Writer(root, seed, durable, lines + 3)
        writer.listen(lines)
        writer.kill()
        kills += 1
        durable = writer.durable
        if store.stat(KEY) is not None:
            break
        assert not writer.placed
        try:
            # The page cache outlives the process: everything acknowledged is there, and it is the right bytes.
            with store.staging.resume(KEY, durable=durable, boot_id=boot_id()) as stage:
                assert stage.size >= writer.at
                assert stage.digests() == digests_of([content[: stage.size]])
        except NotFound:
            assert writer.at == 0
    assert read_all(store, KEY) == content
    with store.staging.resume(KEY, durable=durable, boot_id=boot_id()) as stage:
        assert stage.place() == digests_of([content])
    assert list(store.staging.keys()) == []
    return kills


def test_an_upload_that_is_killed_again_and_again_ends_whole(tmp_path: Path) -> None:
    assert upload_under_attack(tmp_path / "store", seed=11) >= 2


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(40))
def test_many_uploads_that_are_killed_again_and_again_end_whole(tmp_path: Path, seed: int) -> None:
    assert upload_under_attack(tmp_path / "store", seed) >= 1


@pytest.mark.parametrize("lines_later", [0, 1])
def test_killed_while_placing_leaves_the_stage_or_the_object(tmp_path: Path, lines_later: int) -> None:
    content = content_of(SIZE, 5)
    store = FilesystemStore(tmp_path / "store")
    writer = Writer(tmp_path / "store", 5, 0, TO_THE_END)
    while not writer.placing:
        writer.listen(1)
    writer.listen(lines_later)
    writer.kill()
    if writer.placed:
        assert read_all(store, KEY) == content
    with store.staging.resume(KEY, durable=writer.durable, boot_id=boot_id()) as stage:
        assert stage.size == SIZE
        assert stage.place() == digests_of([content])
    assert read_all(store, KEY) == content


def test_a_stage_held_by_another_process_is_refused_until_that_process_is_gone(tmp_path: Path) -> None:
    store = FilesystemStore(tmp_path / "store")
    writer = Writer(tmp_path / "store", 3, 0, 5)
    writer.listen(3)
    with pytest.raises(Conflict) as caught:
        store.staging.resume(KEY, durable=0, boot_id=boot_id())
    assert caught.value.details["retry"] is True
    writer.kill()
    with store.staging.resume(KEY, durable=0, boot_id=boot_id()) as stage:
        assert stage.size >= writer.at
