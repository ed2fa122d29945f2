"""Bytes from the server: into a file beside the destination, resumable, hashed on the way, moved there when they fit.

The unfinished file is called `<name>.<12 hex digits of its SHA-256>.part`. The digest in the name is what makes
resuming safe: whatever revision the bytes are asked of, they are the same bytes, and leftovers of other content are
never continued. When the last byte is here the whole is compared; only then does the real name change hands.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2

from entrepot.client.parallel import Stop
from entrepot.client.progress import Tally
from entrepot.client.transport import Transport, entry_segments, segment
from entrepot.client.tree import BLOCK, is_partial
from entrepot.model.digests import parse_sha256, sha256_base64
from entrepot.model.errors import Corrupt, DigestMismatch, Invalid, Unavailable

__all__ = ["Wanted", "fetch", "fetch_bytes", "forget_leftovers", "mismatch", "part_name", "part_of"]

_BREAKS = 6
_MAX_NAME = 255
#: Less is sent by the server in the time that it takes to ask for an address.
_WORTH_IT = 1 << 20


@dataclass(frozen=True, slots=True)
class Wanted:
    """An entry of a pinned revision, with what its bytes must be.

    Args:
        sha256: `sha256:<hex>`.
    """

    version: str
    revision: int
    path: str
    size: int
    sha256: str

    @property
    def address(self) -> str:
        return f"/versions/{segment(self.version)}/files/{entry_segments(self.path)}"


def part_of(target: Path, sha256: str) -> Path:
    """The unfinished file of a destination."""
    return target.with_name(part_name(target.name, sha256))


def part_name(name: str, sha256: str) -> str:
    """`part_of` for a bare name."""
    mark = f".{parse_sha256(sha256).hex()[:12]}.part"
    while len((name + mark).encode()) > _MAX_NAME:
        name = name[:-1]
    return name + mark


def fetch(
    transport: Transport, wanted: Wanted, target: Path, *, tally: Tally, stop: Stop, durable: bool = False
) -> None:
    """Bring one entry to `target`, going on where an earlier attempt stopped.

    Args:
        durable: Have the bytes on the disk before the name changes hands, for who writes down that they are here.

    Raises:
        DigestMismatch: Twice in a row other bytes arrived than the server's own listing says.
        Invalid: The file cannot be written here.
    """
    part = part_of(target, wanted.sha256)
    try:
        for attempt in range(2):
            try:
                # What came wrong from the store itself is asked of the server, which knows what is the matter with it.
                _fill(transport, wanted, part, tally, stop, elsewhere=attempt == 0)
                break
            except DigestMismatch:
                if attempt == 0 and _goes_elsewhere(transport, wanted, 0):
                    transport.store_failed(for_good=True)
                tally.add(-wanted.size)
                part.unlink(missing_ok=True)
                if attempt:
                    raise
        if durable:
            _sync(part)
        part.replace(target)
    except OSError as error:
        raise Invalid(f"{str(target)!r} cannot be written: {error.strerror or error}.") from error
    tally.add(files=1, file_name=wanted.path)


def _sync(place: Path) -> None:
    with place.open("r+b") as file:
        os.fsync(file.fileno())


def fetch_bytes(transport: Transport, wanted: Wanted) -> bytes:
    """A whole entry in memory, checked. The caller knows that it is small enough.

    Raises:
        DigestMismatch: Other bytes arrived than the listing says.
    """
    content = b"".join(_blocks(transport, wanted, 0))
    if len(content) != wanted.size or hashlib.sha256(content).digest() != parse_sha256(wanted.sha256):
        raise mismatch(wanted)
    return content


def _fill(transport: Transport, wanted: Wanted, part: Path, tally: Tally, stop: Stop, *, elsewhere: bool) -> None:
    digest = hashlib.sha256()
    with open(part, "ab", opener=_no_link) as begun:
        have = begun.tell()
    if have > wanted.size:
        part.unlink()
        have = 0
    with open(part, "r+b" if part.exists() else "w+b", opener=_no_link) as file:
        while block := file.read(BLOCK):
            stop.check()
            digest.update(block)
        tally.add(skipped=have)
        at, breaks = have, 0
        while at < wanted.size:
            before = at
            try:
                for block in _blocks(transport, wanted, at, elsewhere=elsewhere and breaks < _BREAKS // 2):
                    stop.check()
                    at += len(block)
                    if at > wanted.size:
                        raise mismatch(wanted)
                    file.write(block)
                    digest.update(block)
                    tally.add(len(block), file_name=wanted.path)
                if at < wanted.size:
                    raise Unavailable(f"The answer for {wanted.path!r} ended {wanted.size - at} bytes early.")
            except Unavailable:
                breaks = 0 if at > before else breaks + 1
                if breaks >= _BREAKS:
                    raise
                stop.wait(0.1 * 2**breaks)
    if digest.digest() != parse_sha256(wanted.sha256):
        raise mismatch(wanted)


def _no_link(place: str | os.PathLike[str], flags: int) -> int:
    """Opened where it lies: in a folder that several people write to, a link of that name could lead anywhere."""
    return os.open(place, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


def _blocks(transport: Transport, wanted: Wanted, start: int, *, elsewhere: bool = False) -> Iterator[bytes]:
    """The entry's bytes from `start` on, as the network gives them.

    Args:
        elsewhere: From the store itself, if the caller of all this asked for it and it is worth a second request.
    """
    elsewhere = elsewhere and _goes_elsewhere(transport, wanted, start)
    headers = {"Range": f"bytes={start}-"} if start else {}
    params = {"revision": wanted.revision}
    with transport.stream("GET", wanted.address, params=params, headers=headers, elsewhere=elsewhere) as answer:
        _require_announced(answer, wanted)
        skip = start if start and answer.status_code != 206 else 0
        for block in answer.iter_raw():
            if skip:
                # Somebody in between knows no ranges and sent everything.
                block, skip = block[skip:], max(0, skip - len(block))
                if not block:
                    continue
            yield block


def _goes_elsewhere(transport: Transport, wanted: Wanted, start: int) -> bool:
    """Whether the rest of the entry is worth a second request, and the store is thought to answer."""
    return transport.direct and wanted.size - start >= _WORTH_IT


def _require_announced(answer: httpx2.Response, wanted: Wanted) -> None:
    """Before the first byte: does the server mean the same content as its listing?"""
    announced = answer.headers.get("Repr-Digest")
    expected = f"sha-256=:{sha256_base64(parse_sha256(wanted.sha256))}:"
    if announced is not None and expected not in announced.replace(" ", "").split(","):
        raise Corrupt(
            f"The server lists {wanted.path!r} with another digest than it sends it with. Run `entrepot verify` there."
        )


def mismatch(wanted: Wanted) -> DigestMismatch:
    """What to raise when other bytes came than the listing said."""
    return DigestMismatch(
        f"{wanted.path!r} did not arrive as the bytes that its digest names. Nothing was kept; run it again.",
        details={"path": wanted.path, "sha256": wanted.sha256},
    )


def forget_leftovers(targets: Iterable[Path]) -> None:
    """Remove unfinished files of earlier content beside these destinations; one look at each folder."""
    folders: dict[str, set[str]] = {}
    for target in targets:
        folder, name = os.path.split(target)
        folders.setdefault(folder, set()).add(name)
    for folder, names in folders.items():
        with contextlib.suppress(OSError):
            for beside in os.listdir(folder or os.curdir):  # noqa: PTH208 - names are all that is asked
                if is_partial(beside) and beside.removesuffix(".part").rpartition(".")[0] in names:
                    Path(folder, beside).unlink(missing_ok=True)
