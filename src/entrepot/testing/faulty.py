"""Stores that fail when told to: full, unreadable, torn in the middle of a write, or dead at a numbered step.

    faults = Faults()
    staging = FaultyStaging(MemoryStore().staging, faults)
    faults.on("stage.write", fails(DiskFull("…")), nth=3)     # the third write from now
    faults.at(7, crash("after"))                              # the process dies just after step 7

`faults.steps` lists what was done, so a test can run a use case once, count, and then run it again for every step.
After a crash every further step raises `Crash` too: nothing that a dying process would not do gets done, not even in
a `finally`. A test then drops the wrappers and looks at the backend as a new process would.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self, TypeAlias, TypeVar

from entrepot.model.digests import Digests
from entrepot.store.base import Block, ObjectReader, ObjectStore, Stage, Staging

__all__ = ["Crash", "Fault", "Faults", "FaultyStaging", "FaultyStore", "crash", "fails"]

T = TypeVar("T")
When: TypeAlias = Literal["before", "torn", "after"]
"""Instead of the step, after half of it (a step that has no halves is then not done), or once it is done."""


class Crash(BaseException):
    """The process died here. No `Exception`, since nothing in the product may survive it by catching broadly."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens at a step."""

    error: BaseException
    when: When = "before"


def crash(when: When = "before") -> Fault:
    """The process dies."""
    return Fault(Crash(when), when)


def fails(error: Exception, when: When = "before") -> Fault:
    """The step raises."""
    return Fault(error, when)


class Faults:
    """The plan and the log of one test. Safe for several threads."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        """Names of all steps so far; step 1 is the first."""
        self.dead = False
        self._lock = threading.Lock()
        self._at: dict[int, Fault] = {}
        self._on: list[tuple[str, int, int, Fault]] = []
        self._seen: dict[str, int] = {}

    def at(self, number: int, fault: Fault) -> None:
        """At the step of this number, counted from 1 over all names."""
        with self._lock:
            self._at[number] = fault

    def on(self, name: str, fault: Fault, *, nth: int = 1, times: int = 1) -> None:
        """At the nth step of this name from now, and at the following ones, `times` in all."""
        with self._lock:
            first = self._seen.get(name, 0) + nth
            self._on.append((name, first, first + times, fault))

    def heal(self) -> None:
        """Forget the plan. A dead process stays dead."""
        with self._lock:
            self._at.clear()
            self._on.clear()

    def run(self, name: str, action: Callable[[], T], torn: Callable[[], object] | None = None) -> T:
        """Take one step, or the fault that is due at it.

        Args:
            torn: Does half of the action.
        """
        fault = self._next(name)
        if fault is None:
            return action()
        if fault.when == "after":
            action()
        elif fault.when == "torn" and torn is not None:
            torn()
        raise fault.error

    def _next(self, name: str) -> Fault | None:
        with self._lock:
            if self.dead:
                raise Crash(f"{name} after the process died")
            self.steps.append(name)
            seen = self._seen[name] = self._seen.get(name, 0) + 1
            fault = self._at.get(len(self.steps)) or next(
                (fault for wanted, first, end, fault in self._on if wanted == name and first <= seen < end), None
            )
            if fault is not None and isinstance(fault.error, Crash):
                self.dead = True
            return fault


class FaultyStore:
    """Any `ObjectStore`, with steps `store.open`, `.read_at`, `.put`, `.delete`, `.stat` and `.probe`.

    A torn `put` hands half of its blocks on and then fails, as a sender does that goes away.
    """

    def __init__(self, inner: ObjectStore, faults: Faults) -> None:
        self._inner = inner
        self._faults = faults

    @property
    def name(self) -> str:
        return self._inner.name

    def open(self, key: str) -> ObjectReader:
        return _FaultyReader(self._faults.run("store.open", lambda: self._inner.open(key)), self._faults)

    def put(self, key: str, blocks: Iterable[Block]) -> Digests:
        kept = [bytes(block) for block in blocks]
        return self._faults.run("store.put", lambda: self._inner.put(key, kept), torn=lambda: self._put_half(key, kept))

    def delete(self, key: str) -> None:
        self._faults.run("store.delete", lambda: self._inner.delete(key))

    def stat(self, key: str) -> int | None:
        return self._faults.run("store.stat", lambda: self._inner.stat(key))

    def keys(self) -> Iterator[str]:
        return self._inner.keys()

    def probe(self) -> None:
        self._faults.run("store.probe", self._inner.probe)

    def _put_half(self, key: str, blocks: list[bytes]) -> None:
        def half() -> Iterator[bytes]:
            yield from blocks[: len(blocks) // 2]
            raise Crash("in the middle of a put")

        try:
            self._inner.put(key, half())
        except Crash:
            # The fault that is due is raised by the caller.
            return


class _FaultyReader:
    def __init__(self, inner: ObjectReader, faults: Faults) -> None:
        self._inner = inner
        self._faults = faults

    @property
    def size(self) -> int:
        return self._inner.size

    def read_at(self, offset: int, length: int) -> bytes:
        return self._faults.run("store.read_at", lambda: self._inner.read_at(offset, length))

    def read_now(self, offset: int, length: int, spare: bytearray | None = None) -> bytes | bytearray | None:  # noqa: ARG002
        # So that every read is a step that can fail.
        return None

    def close(self) -> None:
        self._inner.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class FaultyStaging:
    """Any `Staging`, with steps `staging.create`, `.resume`, `.discard`, `.stat` and those of its stages:
    `stage.write`, `.sync`, `.digests`, `.place`, `.seal`, `.discard`. A torn write leaves the first half of its block.
    """

    def __init__(self, inner: Staging, faults: Faults) -> None:
        self._inner = inner
        self._faults = faults

    def create(self, key: str, *, hashed: bool = True) -> Stage:
        inner = self._faults.run("staging.create", lambda: self._inner.create(key, hashed=hashed))
        return _FaultyStage(inner, self._faults)

    def resume(self, key: str, *, durable: int, boot_id: str) -> Stage:
        inner = self._faults.run("staging.resume", lambda: self._inner.resume(key, durable=durable, boot_id=boot_id))
        return _FaultyStage(inner, self._faults)

    def discard(self, key: str) -> None:
        self._faults.run("staging.discard", lambda: self._inner.discard(key))

    def stat(self, key: str, *, durable: int, boot_id: str) -> int | None:
        return self._faults.run("staging.stat", lambda: self._inner.stat(key, durable=durable, boot_id=boot_id))

    def keys(self) -> Iterator[str]:
        return self._inner.keys()


class _FaultyStage:
    def __init__(self, inner: Stage, faults: Faults) -> None:
        self._inner = inner
        self._faults = faults

    @property
    def key(self) -> str:
        return self._inner.key

    @property
    def size(self) -> int:
        return self._inner.size

    @property
    def durable(self) -> int:
        return self._inner.durable

    def write(self, block: Block) -> None:
        half = memoryview(block).nbytes // 2
        self._faults.run(
            "stage.write",
            lambda: self._inner.write(block),
            torn=lambda: self._inner.write(memoryview(block).cast("B")[:half]),
        )

    def sync(self) -> int:
        return self._faults.run("stage.sync", self._inner.sync)

    def read_at(self, offset: int, length: int) -> bytes:
        return self._faults.run("stage.read_at", lambda: self._inner.read_at(offset, length))

    def digests(self) -> Digests:
        return self._faults.run("stage.digests", self._inner.digests)

    def place(self) -> Digests:
        return self._faults.run("stage.place", self._inner.place)

    def seal(self) -> int:
        return self._faults.run("stage.seal", self._inner.seal)

    def release(self) -> None:
        # A dead process releases nothing itself; the backend's own `crash` does what the system would.
        if not self._faults.dead:
            self._inner.release()

    def discard(self) -> None:
        self._faults.run("stage.discard", self._inner.discard)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
