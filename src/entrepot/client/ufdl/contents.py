"""The bytes of one dataset: only what is not here yet is fetched, kept aside if it is large, and sent restartably.

    in memory       up to 8 MiB, which go over in one request
    imports/        larger ones: `<sha256>` whole, `<sha256>.<process>.part` while they arrive

A source gives no parts of files, so one that was fetched whole stays aside until it is sent: a run that is killed while
it sends does not fetch it again. What the source says a file's digest is, is believed only after its bytes were hashed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from entrepot.client.client import Client
from entrepot.client.journal import Journal
from entrepot.client.parallel import Stop, each
from entrepot.client.places import state_folder
from entrepot.client.progress import Tally
from entrepot.client.statcache import stat_of
from entrepot.client.transfer import ONE_SHOT, BytesSource, FileSource, Sender, Source
from entrepot.client.transport import segment
from entrepot.client.tree import LocalFile
from entrepot.client.ufdl.report import Imported
from entrepot.client.ufdl.source import Source as Origin
from entrepot.model.digests import parse_sha256, sha256_text
from entrepot.model.errors import (
    Corrupt,
    DigestMismatch,
    Gone,
    Invalid,
    NotFound,
    Unauthenticated,
    Unavailable,
)
from entrepot.wire.messages.entries import Known, KnownRequest
from entrepot.wire.messages.uploads import Upload

__all__ = ["Contents", "Found"]

_HEX: Final = re.compile(r"[0-9a-f]{64}")
_ASK: Final = 10_000
#: What nobody wrote to for so long is of an import that nobody goes on with.
_STALE_S: Final = 7 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Found:
    """A content here: an upload of ours, or, without one, something that is here already."""

    sha256: str
    upload: str | None = None


class Contents:
    """Brings contents over for one run."""

    def __init__(
        self, origin: Origin, client: Client, journal: Journal, report: Imported, tally: Tally, *, parallel: int
    ) -> None:
        self._origin = origin
        self._client = client
        self._journal = journal
        self._report = report
        self._tally = tally
        self._parallel = parallel
        self._folder = state_folder() / "imports"

    def known(self, handles: Mapping[str, str]) -> set[str]:
        """Of the handles of some files, those whose content is here already and may be named without being sent."""
        asked = sorted({sha256_text(bytes.fromhex(one)) for one in handles.values() if _HEX.fullmatch(one)})
        found: set[str] = set()
        for start in range(0, len(asked), _ASK):
            question = KnownRequest(sha256=asked[start : start + _ASK])
            answer = self._client.transport.post("/contents/known", Known, question, keyed=False, repeatable=True)
            found.update(answer.known)
        return {parse_sha256(one).hex() for one in found}

    def bring(self, pk: int, label: str, project: str, handles: Mapping[str, str]) -> dict[str, Found]:
        """The contents of these files of a dataset by name. What the source cannot give is left out, and reported.

        Raises:
            Unavailable: One of the two servers went away for good.
        """
        known, found, stop = self.known(handles), dict[str, Found](), Stop()
        sender = Sender(self._client.transport, self._journal, project=project, stop=stop, tally=Tally(None))
        wanted: dict[str, list[str]] = {}
        for name, handle in handles.items():
            if handle in known:
                found[name] = Found(sha256_text(bytes.fromhex(handle)))
                self._tally.add(files=1)
            else:
                # What is no digest says nothing about other files.
                wanted.setdefault(handle if _HEX.fullmatch(handle) else f"name {name}", []).append(name)

        def work(names: list[str]) -> None:
            try:
                content = self._one(pk, names[0], handles[names[0]], sender, stop)
            except (Unavailable, Unauthenticated):
                raise
            except (Corrupt, DigestMismatch, Invalid, NotFound) as error:
                self._report.trouble(f"{label}: {names[0]}", error.message)
                return
            for name in names:
                found[name] = content
            self._tally.add(files=len(names), file_name=names[0])

        try:
            each(work, wanted.values(), workers=max(1, min(self._parallel, len(wanted))), stop=stop)
        finally:
            self._clean()
        return found

    def forget(self, found: Mapping[str, Found]) -> None:
        """They were committed."""
        self._journal.forget(
            self._client.url, {parse_sha256(one.sha256) for one in found.values() if one.upload is not None}
        )

    def _one(self, pk: int, name: str, handle: str, sender: Sender, stop: Stop) -> Found:
        if _HEX.fullmatch(handle) and (upload := self._finished(bytes.fromhex(handle))) is not None:
            return Found(sha256_text(bytes.fromhex(handle)), upload)
        content, place = self._fetched(pk, name, handle, stop)
        upload = sender.send(content)
        if place is not None:
            with contextlib.suppress(OSError):
                place.unlink()
        self._report.sent(content.size)
        return Found(sha256_text(content.sha256), upload)

    def _finished(self, sha256: bytes) -> str | None:
        """The upload of an earlier run that has all its bytes and was not committed."""
        remembered = self._journal.find(self._client.url, sha256)
        if remembered is None or not remembered.finished:
            return None
        try:
            state = self._client.transport.get(f"/uploads/{segment(remembered.upload)}", Upload)
        except (NotFound, Gone):
            return None
        good = state.state == "finished" and state.sha256 == sha256_text(sha256)
        return remembered.upload if good else None

    # --- from there to here -------------------------------------------------------------------------------------------

    def _fetched(self, pk: int, name: str, handle: str, stop: Stop) -> tuple[Source, Path | None]:
        aside = self._folder / handle if _HEX.fullmatch(handle) else None
        if aside is not None and aside.is_file() and (kept := _kept(aside, name, handle)) is not None:
            return kept, aside
        for attempt in range(2):
            found, place = self._origin.fetch(pk, name, lambda blocks: self._received(name, blocks, stop))
            if not _HEX.fullmatch(handle) or found.sha256.hex() == handle:
                break
            if place is not None:
                place.unlink()
            if attempt:
                raise DigestMismatch("The source sends other bytes than its handle says.")
        if place is not None and aside is not None:
            place.replace(aside)
            found = FileSource(LocalFile(name, aside, stat_of(aside.stat())), found.sha256)
            return found, aside
        return found, place

    def _received(self, name: str, blocks: Iterator[bytes], stop: Stop) -> tuple[Source, Path | None]:
        """Hold what is small, put aside what is not."""
        held, digest, counted = bytearray(), hashlib.sha256(), 0
        try:
            for block in blocks:
                stop.check()
                digest.update(block)
                held += block
                counted += len(block)
                self._tally.add(len(block), file_name=name)
                if len(held) > ONE_SHOT:
                    return self._put_aside(name, held, digest, blocks, stop)
        except BaseException:
            self._tally.add(-counted)
            raise
        return BytesSource(name, bytes(held), digest.digest()), None

    def _put_aside(
        self, name: str, held: bytearray, digest: hashlib._Hash, blocks: Iterator[bytes], stop: Stop
    ) -> tuple[Source, Path]:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        place = self._folder / f"{os.urandom(16).hex()}.{os.getpid()}.part"
        try:
            with place.open("xb") as file:
                file.write(held)
                held.clear()
                for block in blocks:
                    stop.check()
                    digest.update(block)
                    file.write(block)
                    self._tally.add(len(block), file_name=name)
        except BaseException:
            with contextlib.suppress(OSError):
                place.unlink()
            raise
        return FileSource(LocalFile(name, place, stat_of(place.stat())), digest.digest()), place

    def _clean(self) -> None:
        """What killed processes left."""
        with contextlib.suppress(OSError):
            for place in self._folder.iterdir():
                if place.stat().st_mtime < time.time() - _STALE_S:
                    place.unlink()


def _kept(place: Path, name: str, handle: str) -> FileSource | None:
    """A file that an earlier run fetched whole; None, and gone, if it is not that any more."""
    digest = hashlib.sha256()
    file = LocalFile(name, place, stat_of(place.stat()))
    with place.open("rb") as opened:
        while block := opened.read(1 << 20):
            digest.update(block)
    if digest.hexdigest() == handle:
        return FileSource(file, digest.digest())
    place.unlink()
    return None
