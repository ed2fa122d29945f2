"""Bytes to the server: restartable, in parallel, with a bound on memory, digests compared at both ends.

    up to 256 KiB   in batches of up to 16 MiB, if there are several (see `batches`)
    up to 8 MiB     one PUT with the digest in its header; sent again from its start if the connection breaks
    more            tus: chunks of 64 MiB, and after any break the server is asked where to go on; or to the store
                    itself, where the caller asked for that and the server has such addresses (see `direct`)

Blocks of 1 MiB are read from the file while they are sent, so the memory in use is a few blocks a
thread. What was begun is in the journal: a new process, or the same command tomorrow, goes on where this one stopped.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import IO

import httpx2

from entrepot.client.batches import BYTES, SMALL, framed_name, grouped, send_batch
from entrepot.client.direct import send_direct
from entrepot.client.journal import Remembered, UploadLog
from entrepot.client.parallel import Stop, each
from entrepot.client.progress import Tally
from entrepot.client.sources import BytesSource, FileSource, Source
from entrepot.client.transport import API, Transport, segment
from entrepot.client.tree import BLOCK
from entrepot.model.digests import sha256_base64, sha256_text
from entrepot.model.errors import (
    Corrupt,
    DigestMismatch,
    Gone,
    NotFound,
    OffsetMismatch,
    Unavailable,
    Unsupported,
    WrongState,
)
from entrepot.wire.messages.uploads import Upload

__all__ = ["BytesSource", "FileSource", "Sender", "Source"]

#: One request and one answer; a break costs at most this much.
ONE_SHOT = 8 << 20
CHUNK = 64 << 20
PARALLEL = 4
#: How long a server may be away in the middle of a transfer: long enough for a restart or an update.
PATIENCE_S = 120.0
#: Breaks in a row without a byte of progress.
_BREAKS = 6
#: What the server calls an upload that holds many files.
_BATCH = "batch"
_TUS = {"Tus-Resumable": "1.0.0"}


class Sender:
    """Sends contents to one server; what comes back is the id of a finished upload, for a commit to refer to.

    Args:
        project: Id or slug of the project the bytes will lie in, so that a full one refuses them before they are sent.
        chunk: Bytes a request of a large upload; smaller than the 8 MiB of one request, it parts those too.
        patience_s: How long the server may be away.
    """

    def __init__(
        self,
        transport: Transport,
        journal: UploadLog,
        *,
        project: str | None = None,
        chunk: int = CHUNK,
        parallel: int = PARALLEL,
        tally: Tally | None = None,
        stop: Stop | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._transport = transport
        self._journal = journal
        self._project = project
        self._chunk = chunk
        self._whole = min(ONE_SHOT, chunk)
        self._parallel = parallel
        self._tally = tally or Tally(None)
        self._stop = stop or Stop()
        self._patience = patience_s
        self.batches: dict[str, list[tuple[str, bytes]]] = {}
        """Digests of what was sent in batches, and what their frames called it, in their order, by upload."""

    def send_all(self, sources: Sequence[Source]) -> dict[bytes, str]:
        """Upload ids by SHA-256; an id may be that of a batch, so a commit gives the digest too.

        Large contents start first, so that none is left alone at the end; small ones travel together in their order.

        Raises:
            EntrepotError: The first failure; what was complete by then stays in the journal.
        """
        done: dict[bytes, str] = {}
        jobs = self.jobs(sources, done, senders=self._parallel)
        each(lambda job: job(), jobs, workers=max(1, min(self._parallel, len(jobs))), stop=self._stop)
        return done

    def jobs(self, sources: Sequence[Source], done: dict[bytes, str], *, senders: int = 1) -> list[Callable[[], None]]:
        """What sends these, in the order to begin in; each adds to `done` what it has sent. For several threads.

        Args:
            senders: How many of them there are.
        """
        single, small = self._sorted_out(sources, done)
        single.sort(key=lambda source: source.size, reverse=True)

        def work(group: list[Source]) -> None:
            if len(group) == 1:
                done[group[0].sha256] = self.send(group[0])
            else:
                done.update(dict.fromkeys((source.sha256 for source in group), self._send_batch(group)))

        groups = [[source] for source in single] + list(grouped(small, limit=min(BYTES, self._chunk), senders=senders))
        return [partial(work, group) for group in groups]

    def _sorted_out(self, sources: Sequence[Source], done: dict[bytes, str]) -> tuple[list[Source], list[Source]]:
        """What travels by itself, and what travels in batches; what earlier batches brought is in `done` then."""
        single: list[Source] = []
        small: list[Source] = []
        states: dict[str, Upload | None] = {}
        most = min(SMALL, self._chunk)
        begun = self._journal.find_many(
            self._transport.url, [source.sha256 for source in sources if source.size <= most]
        )
        for source in sources:
            if source.size > most:
                single.append(source)
                continue
            remembered = begun.get(source.sha256)
            if remembered is None:
                small.append(source)
                continue
            if remembered.upload not in states:
                self._stop.check()
                states[remembered.upload] = self._state(remembered.upload)
            state = states[remembered.upload]
            if state is None or state.state != "finished":
                self._journal.forget(self._transport.url, [source.sha256])
                small.append(source)
            elif state.purpose == _BATCH:
                self._tally.add(skipped=source.size, files=1, file_name=source.name)
                done[source.sha256] = remembered.upload
            else:
                single.append(source)
        return single, small

    def _state(self, upload: str) -> Upload | None:
        try:
            return self._transport.get(f"/uploads/{segment(upload)}", Upload)
        except (NotFound, Gone):
            return None

    def _send_batch(self, batch: Sequence[Source]) -> str:
        upload = send_batch(
            self._transport,
            batch,
            project=self._project,
            tally=self._tally,
            stop=self._stop,
            patience_s=self._patience,
        )
        self._journal.note_batch(self._transport.url, [source.sha256 for source in batch], upload)
        self.batches[upload] = [(framed_name(source), source.sha256) for source in batch]
        self._tally.add(files=len(batch), file_name=batch[-1].name)
        return upload

    def send(self, source: Source) -> str:
        """One content, from where an earlier attempt stopped."""
        remembered = self._journal.find(self._transport.url, source.sha256)
        if remembered is not None:
            upload = self._resumed(source, remembered)
            if upload is not None:
                return upload
        for attempt in range(2):
            try:
                upload = self._one_shot(source) if source.size <= self._whole else self._large(source)
            except DigestMismatch:
                # The local bytes were hashed, and reading them again would have noticed a change: the way is at fault.
                self._tally.add(-source.size)
                if attempt:
                    raise
                continue
            self._tally.add(files=1, file_name=source.name)
            return upload
        raise AssertionError("the loop returns or raises")

    def _resumed(self, source: Source, remembered: Remembered) -> str | None:
        """Go on with an upload of an earlier process; None when the server does not have it any more."""
        try:
            state = self._transport.get(f"/uploads/{segment(remembered.upload)}", Upload)
            if state.state == "finished" and state.sha256 == sha256_text(source.sha256):
                self._tally.add(skipped=source.size, files=1, file_name=source.name)
                return remembered.upload
            if state.state == "open" and state.length == source.size and source.size > self._whole:
                self._tally.add(skipped=state.offset)
                upload = self._by_tus(source, remembered.upload, state.offset)
                self._tally.add(files=1, file_name=source.name)
                return upload
        except (NotFound, Gone, DigestMismatch):
            pass
        self._journal.forget(self._transport.url, [source.sha256])
        return None

    # --- small --------------------------------------------------------------------------------------------------------

    def _one_shot(self, source: Source) -> str:
        counted = 0

        def content() -> Iterator[bytes]:
            nonlocal counted
            self._tally.add(-counted)
            counted = 0
            for block in source.blocks(0, source.size):
                self._stop.check()
                yield block
                counted += len(block)
                self._tally.add(len(block), file_name=source.name)

        answer = self._transport.send(
            "PUT",
            "/uploads",
            params={"filename": source.name.rpartition("/")[2], "project": self._project},
            content=content,
            headers={
                "Content-Length": str(source.size),
                "Content-Type": "application/octet-stream",
                "Repr-Digest": f"sha-256=:{sha256_base64(source.sha256)}:",
            },
            patience_s=self._patience,
        )
        upload = Upload.model_validate_json(answer.content)
        if upload.sha256 != sha256_text(source.sha256):
            raise DigestMismatch(f"{source.name!r} arrived as other bytes than were sent. Send it again.")
        self._journal.note(self._transport.url, source.sha256, upload.id, finished=True)
        return upload.id

    # --- large --------------------------------------------------------------------------------------------------------

    def _large(self, source: Source) -> str:
        if not self._transport.direct:
            return self._by_tus(source, None, 0)
        sent = send_direct(self._transport, source, self._journal, self._project, self._tally, self._stop)
        return sent.upload if sent.whole and sent.upload is not None else self._by_tus(source, sent.upload, 0)

    def _by_tus(self, source: Source, upload: str | None, offset: int) -> str:
        if upload is None:
            upload = self._created(source)
            self._journal.note(self._transport.url, source.sha256, upload, finished=False)
        breaks = 0
        while offset < source.size:
            counted = [0]
            try:
                reached = self._patched(source, upload, offset, counted)
                breaks = 0
            except (Unavailable, OffsetMismatch, WrongState) as error:
                # The connection broke, or an earlier one of ours still holds the upload: ask where to go on.
                reached = self._offset(upload)
                breaks = 0 if reached > offset else breaks + 1
                if breaks >= _BREAKS:
                    raise
                if isinstance(error, WrongState) or breaks > 1:
                    self._stop.wait(min(4.0, 0.2 * 2**breaks))
            self._tally.add(reached - offset - counted[0])
            offset = reached
        self._journal.note(self._transport.url, source.sha256, upload, finished=True)
        return upload

    def _created(self, source: Source) -> str:
        facts = {
            "filename": source.name.rpartition("/")[2],
            "sha256": sha256_text(source.sha256),
            **({} if self._project is None else {"project": self._project}),
        }
        return create_upload(self._transport, source.size, facts, patience_s=self._patience)

    def _patched(self, source: Source, upload: str, offset: int, counted: list[int]) -> int:
        end = min(source.size, offset + self._chunk)

        def content() -> Iterator[bytes]:
            self._tally.add(-counted[0])
            counted[0] = 0
            for block in source.blocks(offset, end):
                self._stop.check()
                yield block
                counted[0] += len(block)
                self._tally.add(len(block), file_name=source.name)

        answer = self._transport.send(
            "PATCH",
            f"/uploads/{segment(upload)}",
            content=content,
            headers={
                **_TUS,
                "Content-Type": "application/offset+octet-stream",
                "Content-Length": str(end - offset),
                "Upload-Offset": str(offset),
            },
        )
        return _offset_of(answer)

    def _offset(self, upload: str) -> int:
        answer = self._transport.send("HEAD", f"/uploads/{segment(upload)}", headers=_TUS, patience_s=self._patience)
        return _offset_of(answer)

    def send_stream(self, stream: IO[bytes], name: str, *, chunk: int = ONE_SHOT) -> str:
        """Bytes that can be read only once, of unknown length. One chunk is held in memory to survive a break."""
        facts = {"filename": name.rpartition("/")[2], **({} if self._project is None else {"project": self._project})}
        upload = create_upload(self._transport, None, facts, patience_s=self._patience)
        offset = 0
        while True:
            block = _full_read(stream, chunk)
            last = len(block) < chunk
            self._stop.check()
            offset = self._chunk_of_stream(upload, offset, block, offset + len(block) if last else None)
            self._tally.add(len(block), file_name=name)
            if last:
                self._tally.add(files=1)
                return upload

    def _chunk_of_stream(self, upload: str, offset: int, block: bytes, length: int | None) -> int:
        sent, breaks = 0, 0
        while True:
            headers = {**_TUS, "Content-Type": "application/offset+octet-stream", "Upload-Offset": str(offset + sent)}
            if length is not None:
                headers["Upload-Length"] = str(length)
            try:
                answer = self._transport.send(
                    "PATCH", f"/uploads/{segment(upload)}", content=block[sent:], headers=headers
                )
                reached = _offset_of(answer)
            except (Unavailable, OffsetMismatch, WrongState):
                reached = self._offset(upload)
                breaks = 0 if reached > offset + sent else breaks + 1
                if breaks >= _BREAKS:
                    raise
                self._stop.wait(min(4.0, 0.1 * 2**breaks))
            sent = reached - offset
            if not 0 <= sent <= len(block):
                raise Corrupt(f"Upload {upload} is at byte {reached}, where nobody sent it. Begin another.")
            if sent == len(block):
                return reached


def create_upload(transport: Transport, length: int | None, facts: dict[str, str], *, patience_s: float) -> str:
    """Begin a tus upload; its id. Repeated when the answer is lost: an upload nobody fills expires by itself."""
    metadata = ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in facts.items())
    headers = {**_TUS, "Upload-Metadata": metadata, "Content-Length": "0"}
    headers |= {"Upload-Defer-Length": "1"} if length is None else {"Upload-Length": str(length)}
    answer = transport.send("POST", "/uploads", headers=headers, repeatable=True, patience_s=patience_s)
    location = answer.headers.get("Location", "")
    upload = location.rstrip("/").rpartition("/")[2]
    if not upload or not httpx2.URL(location).path.startswith(f"{API}/uploads/"):
        raise Unsupported(f"{transport.url} began an upload without saying where it is.")
    return upload


def _offset_of(answer: httpx2.Response) -> int:
    try:
        return int(answer.headers["Upload-Offset"])
    except (KeyError, ValueError):
        raise Unsupported(
            "The server did not say how far an upload is. Check for a proxy that drops headers."
        ) from None


def _full_read(stream: IO[bytes], size: int) -> bytes:
    """`size` bytes, fewer only at the end: pipes and sockets give what they have."""
    found = bytearray()
    while len(found) < size:
        block = stream.read(min(BLOCK, size - len(found)))
        if not block:
            break
        found += block
    return bytes(found)
