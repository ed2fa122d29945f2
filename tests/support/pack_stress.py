"""Threads that send batches, commit and forget them, beside collectors: the whole depot, with a grace of nothing.

Used by `tests/faults/test_pack_races.py`. Every user works on a version of its own with the same few contents, so that
batches meet batches of the same bytes, collection and compaction at every step.
"""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

from entrepot.catalog.entries import sweep_strands, trim
from entrepot.depot import collection, entries, packing, uploads
from entrepot.depot.entries import Add, AddBatch, Change, Remove
from entrepot.depot.packing import Packed
from entrepot.depot.remembered import Remembered
from entrepot.model.access import Actor
from entrepot.model.errors import Corrupt, EntrepotError, Invalid
from entrepot.model.values import Version
from entrepot.wire import frames
from tests.support.house import House

CONTENTS = [f"content {n}".encode() * (n + 1) for n in range(24)]


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


class Stress:
    """
    Args:
        operations: Of each user.
    """

    def __init__(self, house: House, *, users: int, operations: int, seed: int) -> None:
        self.house = house
        house.depot.policy = replace(house.depot.policy, collection_grace=timedelta(0))
        self.who = house.user("ann")
        self.versions = [house.version(self.who) for _ in range(users)]
        self.wanted: list[dict[str, bytes]] = [{} for _ in range(users)]
        self.operations = operations
        self.seed = seed
        self.done = threading.Event()
        self.rewritten = 0
        self._counting = threading.Lock()
        self.sent_again = 0

    def run(self) -> None:
        with ThreadPoolExecutor(len(self.versions) + 2) as pool:
            collectors = [pool.submit(self.collect, n) for n in range(2)]
            try:
                for user in [pool.submit(self.user, n) for n in range(len(self.versions))]:
                    user.result()
            finally:
                self.done.set()
            for collector in collectors:
                collector.result()

    def user(self, n: int) -> None:
        chance = random.Random(self.seed * 100 + n)
        for _ in range(self.operations):
            chance.choices([self.put, self.remove, self.forget, self.look], [6, 4, 4, 4])[0](n, chance)

    def put(self, n: int, chance: random.Random) -> None:
        files = {f"p{chance.randrange(40)}": chance.choice(CONTENTS) for _ in range(chance.randint(2, 8))}
        packed = self.batch(files)
        uid = packed.upload.uid
        try:
            if chance.random() < 0.5:
                if chance.random() < 0.5:
                    # As another process would commit it, which has to read what came.
                    self.house.depot.remembered = Remembered()
                self.commit(n, [AddBatch(uid)])
            else:
                self.commit(n, [Add(path, upload=uid, sha256=digest(data)) for path, data in files.items()])
        finally:
            uploads.abort(self.house.depot, self.who, packed.upload.uid)
        self.wanted[n] |= files

    def batch(self, files: dict[str, bytes]) -> Packed:
        body = b"".join(frames.header(path, len(data), digest(data)) + data for path, data in files.items())
        while True:
            sink = packing.put_batch(self.house.depot, self.who)
            sink.write(body)
            try:
                return sink.finish()
            except EntrepotError as error:
                # The reservation of an object may expire at once, where there is no grace.
                sink.close()
                if not error.retryable and error.code not in ("gone", "conflict"):
                    raise
                self.sent_again += 1

    def commit(self, n: int, changes: Sequence[Change]) -> None:
        entries.commit(self.house.depot, self.who, self.versions[n].n, changes)

    def remove(self, n: int, chance: random.Random) -> None:
        if self.wanted[n]:
            gone = chance.sample(sorted(self.wanted[n]), chance.randint(1, len(self.wanted[n])))
            self.commit(n, [Remove(path) for path in gone])
            for path in gone:
                del self.wanted[n][path]

    def forget(self, n: int, _chance: random.Random) -> None:
        """The past goes, so that contents really lose their last reference."""
        self.house.depot.catalog.write(lambda conn: trim(conn, self.versions[n].n, before=2**30))

    def look(self, n: int, _chance: random.Random) -> None:
        """What a version shows can be read, alone and in a batch, whatever is being rewritten."""
        check(self.house, self.who, self.versions[n], self.wanted[n])

    def collect(self, n: int) -> None:
        while not self.done.is_set():
            packs = self.round()
            # Of two collectors; and a sum that is begun before the round forgets what the other one counted meanwhile.
            with self._counting:
                self.rewritten += packs

    def round(self) -> int:
        self.house.clock.move(seconds=1)
        uploads.sweep(self.house.depot)
        sweep_strands(self.house.depot.catalog)
        return collection.collect(self.house.depot).packs


def check(house: House, who: Actor, version: Version, wanted: dict[str, bytes]) -> None:
    assert house.tree(who, version.n) == wanted
    if wanted:
        body = b"".join(packing.open_batch(house.depot, who, version.n, sorted(wanted)).blocks())
        found, _ = frames.Frames().feed(body)
        assert {frame.name: bytes(frame.body) for frame in found} == wanted


__all__ = ["CONTENTS", "Callable", "Corrupt", "Invalid", "Stress", "check"]
