"""Small files in batches, both ways: one request and one answer for many, each file checked by itself.

Up:    a batch arrives whole or not at all, so after a break it is sent again. What arrived is in the journal, file by
       file.
Down:  each file is compared and gets its name as soon as it is here; after a break the next request begins with the
       first that is missing.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from entrepot.client.download import Wanted, mismatch, part_name
from entrepot.client.parallel import Stop
from entrepot.client.progress import Tally
from entrepot.client.sources import Source
from entrepot.client.transport import Transport, segment
from entrepot.client.turns import Turns
from entrepot.model.digests import parse_sha256, sha256_text
from entrepot.model.errors import DigestMismatch, Invalid, Unavailable
from entrepot.wire import frames
from entrepot.wire.frames import Frames
from entrepot.wire.messages.packs import BatchRequest, Packed

__all__ = ["SMALL", "fetch_batch", "framed_name", "grouped", "send_batch"]

#: Files up to this travel in batches.
SMALL = 256 << 10
#: Bytes and files of a batch at most. Each batch is one upload that is begun, finished and made durable; twice this
#: many gain nothing any more, and a break costs the sending of one of them.
BYTES, FILES = 16 << 20, 2000
#: Handed to the network at once: many small pieces would cost a system call each.
_PIECE = 256 << 10
_NEW = (
    os.O_WRONLY
    | os.O_CREAT
    | os.O_TRUNC
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOFOLLOW", 0)
)
#: Breaks in a row without a file of progress.
_BREAKS = 6


class _Sized(Protocol):
    @property
    def size(self) -> int: ...


S = TypeVar("S", bound=_Sized)


def grouped(items: Iterable[S], *, limit: int = BYTES, senders: int = 1) -> Iterator[list[S]]:
    """The items in their order, as many to a group as a batch may have.

    Args:
        limit: Bytes of a group.
        senders: How many send groups side by side. Of theirs the first is smaller than the second, and so on: senders
            that begin together with as much to send would come to the server's writer at the same time, and would go on
            to wait for it together.
    """
    group: list[S] = []
    size = 0
    begun = 1
    for item in items:
        share = min(begun, senders)
        if group and (size + item.size > limit * share // senders or len(group) >= FILES * share // senders):
            yield group
            group, size = [], 0
            begun += 1
        group.append(item)
        size += item.size
    if group:
        yield group


# --- up ---------------------------------------------------------------------------------------------------------------


def send_batch(
    transport: Transport, batch: Sequence[Source], *, project: str | None, tally: Tally, stop: Stop, patience_s: float
) -> str:
    """Send the files; the id of the upload by which a commit refers to each of them, with its digest.

    Their bytes are counted, the files are not: the caller writes down first that they are there.

    Raises:
        DigestMismatch: They arrived as other bytes, twice.
    """
    for attempt in range(2):
        try:
            return _sent(transport, batch, project, tally, stop, patience_s)
        except DigestMismatch:
            # The local bytes were hashed, and reading them again would have noticed a change: the way is at fault.
            if attempt:
                raise
    raise AssertionError("the loop returns or raises")


def _sent(
    transport: Transport, batch: Sequence[Source], project: str | None, tally: Tally, stop: Stop, patience_s: float
) -> str:
    heads = [frames.header(framed_name(source), source.size, source.sha256) for source in batch]
    counted = 0

    def content() -> Iterator[bytes]:
        nonlocal counted
        tally.add(-counted)
        counted = 0
        parts: list[bytes] = []
        gathered = bodies = 0
        for head, source in zip(heads, batch, strict=True):
            stop.check()
            parts.append(head)
            for block in source.blocks(0, source.size):
                parts.append(block)
                gathered += len(block)
                bodies += len(block)
            if gathered >= _PIECE:
                yield b"".join(parts)
                counted += bodies
                tally.add(bodies, file_name=source.name)
                parts, gathered, bodies = [], 0, 0
        if parts:
            yield b"".join(parts)
            counted += bodies
            tally.add(bodies)

    try:
        answer = transport.send(
            "PUT",
            "/packs",
            params={"project": project},
            content=content,
            headers={
                "Content-Length": str(sum(map(len, heads)) + sum(source.size for source in batch)),
                "Content-Type": frames.MEDIA_TYPE,
                # What is sent is known here, and anything else than that is refused there.
                "Prefer": "return=minimal",
            },
            patience_s=patience_s,
        )
        packed = Packed.model_validate_json(answer.content)
        # An older server tells of them all the same.
        for source, file in zip(batch, packed.files, strict=True) if packed.files else ():
            if file.sha256 != sha256_text(source.sha256):
                raise DigestMismatch(f"{source.name!r} arrived as other bytes than were sent. Send it again.")
    except BaseException:
        tally.add(-counted)
        raise
    return packed.upload.id


def framed_name(source: Source) -> str:
    """What the pack calls it. Whole, if it can be the path of an entry; of anything longer the end will do."""
    return source.name.encode("utf-8", "replace")[-1024:].decode("utf-8", "replace")


# --- down -------------------------------------------------------------------------------------------------------------


def fetch_batch(
    transport: Transport,
    batch: Sequence[tuple[Wanted, Path]],
    *,
    turns: Turns,
    tally: Tally,
    stop: Stop,
    durable: bool = False,
) -> None:
    """Bring small entries of one revision to their places, each as soon as it is here and right.

    Args:
        turns: Of all who write small files for the same transfer.
        durable: Have the bytes of each on the disk before its name changes hands.

    Raises:
        DigestMismatch: Twice in a row other bytes arrived than the server's own listing says.
        Invalid: A file cannot be written here.
    """
    left, breaks, wrong = list(batch), 0, False
    while left:
        answer = _Answer(left, tally, stop, durable=durable)
        try:
            answer.receive(transport, turns)
        except Unavailable:
            breaks = 0 if answer.kept else breaks + 1
            if breaks >= _BREAKS:
                raise
            stop.wait(0.1 * 2**breaks)
        except DigestMismatch:
            if wrong and not answer.kept:
                raise
            wrong = True
        del left[: answer.kept]


class _Answer:
    """The files of one answer, in the order in which they were asked for: compared, and kept."""

    def __init__(self, batch: Sequence[tuple[Wanted, Path]], tally: Tally, stop: Stop, *, durable: bool) -> None:
        self._batch = batch
        self._tally = tally
        self._stop = stop
        self._durable = durable
        self._frames = Frames()
        self._told = 0
        self.kept = 0
        """How many are in their places."""

    def receive(self, transport: Transport, turns: Turns) -> None:
        """
        Raises:
            Unavailable: The connection broke, or the answer ended early.
            DigestMismatch: The next file is not the one that the listing says.
        """
        first = self._batch[0][0]
        asked = BatchRequest(paths=[wanted.path for wanted, _ in self._batch], revision=first.revision)
        blocks: list[bytes] = []
        gathered = 0
        with transport.stream("POST", f"/versions/{segment(first.version)}/batch", body=asked) as answer:
            for block in answer.iter_raw():
                blocks.append(block)
                gathered += len(block)
                # While somebody else writes, receiving goes on for a while.
                if self._keep_all(blocks, turns, wait=gathered >= _PIECE):
                    blocks, gathered = [], 0
        self._keep_all(blocks, turns, wait=True)
        if self.kept < len(self._batch):
            raise Unavailable(f"An answer ended {len(self._batch) - self.kept} files early.")

    def _keep_all(self, blocks: Sequence[bytes], turns: Turns, *, wait: bool) -> bool:
        try:
            with turns.one(wait=wait) as mine:
                for block in blocks if mine else ():
                    self._keep_those_of(block)
        finally:
            some = self._batch[self._told : self.kept]
            self._told = self.kept
            if some:
                size = sum(wanted.size for wanted, _ in some)
                self._tally.add(size, files=len(some), file_name=some[-1][0].path)
        return mine

    def _keep_those_of(self, block: bytes) -> None:
        for frame in self._frames.feed(block)[0]:
            self._stop.check()
            wanted, target = self._batch[self.kept]
            expected = parse_sha256(wanted.sha256)
            if frame.sha256 != expected or hashlib.sha256(frame.body).digest() != expected:
                raise mismatch(wanted)
            _keep(wanted, target, frame.body, durable=self._durable)
            self.kept += 1


def _keep(wanted: Wanted, target: Path, body: memoryview, *, durable: bool) -> None:
    # Texts and descriptors: the objects that paths and files are cost more here than the calls of the system.
    place = os.fspath(target)
    name = place.rpartition(os.sep)[2]
    part = place[: len(place) - len(name)] + part_name(name, wanted.sha256)
    try:
        fd = os.open(part, _NEW, 0o666)
        try:
            written = os.write(fd, body)
            while written < len(body):
                written += os.write(fd, body[written:])
            if durable:
                os.fsync(fd)
        finally:
            os.close(fd)
        os.replace(part, place)  # noqa: PTH105
    except OSError as error:
        raise Invalid(f"{str(target)!r} cannot be written: {error.strerror or error}.") from error
